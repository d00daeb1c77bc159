"""Drawing only the parts of a city that a view can see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

_CELL_M = 32.0
LEAST_PIXELS = 12.0


@dataclass(frozen=True)
class Chunks:
    """Parts of a vertex buffer. starts: (k + 1,) first vertex of each part; corners: (k, 8, 4) its box, homogeneous.

    size: metres of the things in it; a view leaves out parts where they would be smaller than some pixels.
    """

    starts: np.ndarray
    corners: np.ndarray
    size: float

    def visible(self, projection: np.ndarray, focal: float) -> Iterator[tuple[int, int]]:
        """(first vertex, count) of parts whose boxes touch the frustum of a clip matrix (4, 4), the nearest first.

        Pixels that are covered already cost little to draw over. focal: pixels.
        """
        clip = self.corners @ projection.T
        w = clip[:, :, 3:]
        outside = (clip[:, :, :3] > w).all(axis=1) | (clip[:, :, :3] < -w).all(axis=1)
        # The clip coordinate w is the depth in metres.
        near_enough = w[:, :, 0].min(axis=1) < focal * self.size / LEAST_PIXELS
        seen = np.flatnonzero(~outside.any(axis=1) & near_enough)
        for part in seen[np.argsort(w[seen, :, 0].min(axis=1))]:
            yield int(self.starts[part]), int(self.starts[part + 1] - self.starts[part])


def chunked(vertices: np.ndarray, size: float) -> tuple[np.ndarray, Chunks]:
    """Sort triangles into square columns. vertices: (3 n, c), positions first; size: as in Chunks.

    Returns the vertices in order, and the parts.
    """
    triangles = vertices.reshape(-1, 3, vertices.shape[1])
    cell = np.floor(triangles[:, :, :2].mean(axis=1) / _CELL_M).astype(np.int64)
    order = np.lexsort((cell[:, 1], cell[:, 0]))
    triangles, cell = triangles[order], cell[order]
    starts = np.flatnonzero(np.concatenate([[True], (np.diff(cell, axis=0) != 0).any(axis=1)]))
    positions = triangles[:, :, :3]
    low = np.minimum.reduceat(positions.min(axis=1), starts)
    high = np.maximum.reduceat(positions.max(axis=1), starts)
    picks = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=bool)
    corners = np.where(picks[None], high[:, None], low[:, None])
    homogeneous = np.concatenate([corners, np.ones((*corners.shape[:2], 1))], axis=2)
    return triangles.reshape(vertices.shape), Chunks(np.append(starts, len(triangles)) * 3, homogeneous, size)
