"""Drawing only the parts of a city that a view can see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from occ_core.loops import compiled
from tokyo_sim.engine.occlusion import Cover, behind

_CELL_M = 32.0
LEAST_PIXELS = 12.0
_NOTHING = np.zeros((0, 0), np.float32)


@dataclass(frozen=True)
class Chunks:
    """Parts of a vertex buffer. starts: (k + 1,) first vertex of each part; corners: (k, 8, 4) its box, homogeneous.

    size: metres of the things in it; a view leaves out parts where they would be smaller than some pixels.
    """

    starts: np.ndarray
    corners: np.ndarray
    size: float

    def visible(self, projection: np.ndarray, focal: float, cover: Cover | None = None) -> Iterator[tuple[int, int]]:
        """(first vertex, count) of parts whose boxes touch the frustum of a clip matrix (4, 4), the nearest first.

        Pixels that are covered already cost little to draw over. focal: pixels. cover: what hides parts of the view.
        """
        near, inverse = (cover.near, cover.inverse) if cover else (0.0, _NOTHING)
        seen, depth = _seen(self.corners, projection, focal * self.size / LEAST_PIXELS, near, inverse)
        for part in seen[np.argsort(depth, kind="stable")].tolist():
            yield self._starts[part], self._starts[part + 1] - self._starts[part]

    @cached_property
    def _starts(self) -> list[int]:
        return self.starts.tolist()


@compiled
def _seen(corners, projection, farthest, near, inverse):
    """Numbers of boxes (k, 8, 4) that touch the frustum, are no farther than a depth, and that a `Cover` does not hide;
    and the depths of their nearest corners. Without a cover: inverse of no rows."""
    seen, depths, count = np.empty(len(corners), np.int64), np.empty(len(corners)), 0
    clip = np.empty((8, 4))
    for box in range(len(corners)):
        nearest, outside = np.inf, np.zeros(6, np.int64)
        for c in range(8):
            for row in range(4):
                clip[c, row] = projection[row, 3]
                for k in range(3):
                    clip[c, row] += projection[row, k] * corners[box, c, k]
            w = clip[c, 3]  # the clip coordinate w is the depth in metres
            nearest = min(nearest, w)
            for k in range(3):
                outside[k] += clip[c, k] > w
                outside[3 + k] += clip[c, k] < -w
        if nearest >= farthest or outside.max() == 8 or (len(inverse) and behind(clip, near, inverse)):
            continue
        seen[count], depths[count] = box, nearest
        count += 1
    return seen[:count], depths[:count]


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
    return triangles.reshape(vertices.shape), Chunks(np.append(starts, len(triangles)) * 3, boxes(low, high), size)


def boxes(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(k, 8, 4) float64 corners, homogeneous, of boxes between low and high (k, 3)."""
    picks = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=bool)
    corners = np.where(picks[None], high[:, None], low[:, None])
    return np.concatenate([corners, np.ones((*corners.shape[:2], 1))], axis=2).astype(np.float64)
