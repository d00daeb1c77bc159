"""Ground where PLATEAU gives none: one surface over each imported square, through what stands on the ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import (
    binary_closing,
    binary_fill_holes,
    distance_transform_edt,
    find_objects,
    label,
    uniform_filter,
)
from scipy.spatial import Delaunay, QhullError, cKDTree

SQUARE_M = 1024.0
CELL_M = 16.0
SIDE = int(SQUARE_M / CELL_M)
"""Cells along the side of a square; a square's south-west node is the first of its `SIDE` by `SIDE`."""
REACH_M = 130.0
"""Points this far outside a square can matter to the ground in it."""
_KNOWN_M = 120.0  # from a point on which the ground stands
NEAR_M = 60.0
"""Ground goes so far beyond what stands on it, where nothing else says how far."""
_COVERED_M = 20.0  # from a vertex of the relief
_SMOOTHINGS = 40
_NEARLY = 0.4


@dataclass(frozen=True)
class SquareGround:
    """What is known of a square's ground. heights: (SIDE, SIDE) metres at its nodes, NaN where nothing is near.

    near: (SIDE, SIDE) bool, its cells beside what is not covered by relief.
    """

    heights: np.ndarray
    near: np.ndarray

    @classmethod
    def of(cls, corner: np.ndarray, points: np.ndarray, relief: np.ndarray, flat: np.ndarray) -> SquareGround:
        """Of the square with this south-west corner, (2,) metres.

        points: (n, 3) ground points, relief: (k, 3), flat: (m, 2) places of areas without height; of the square and
        `REACH_M` around it. Linear interpolation, nearest outside the points' hull.
        """
        xy = corner + CELL_M * np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij"), axis=-1)
        beside = np.concatenate([points[:, :2], flat])
        beside = beside[~_covered(beside, relief)]
        middle = xy + CELL_M / 2
        near = cKDTree(beside).query(middle, distance_upper_bound=NEAR_M)[0] < np.inf if len(beside) else None
        known = np.concatenate([points, relief])
        heights = np.full((SIDE, SIDE), np.nan)
        if len(known):
            distance, index = cKDTree(known[:, :2]).query(xy)
            heights = known[index, 2]
            if len(known) > 3:
                try:
                    linear = _between(known, xy.reshape(-1, 2)).reshape(SIDE, SIDE)
                    heights = np.where(np.isnan(linear), heights, linear)
                except QhullError:
                    pass  # All of them lie on one line: the nearest will do.
            heights = np.where(distance < _KNOWN_M, heights, np.nan)
        return cls(heights, np.zeros((SIDE, SIDE), bool) if near is None else near)


def _between(known: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """(n,) heights at places xy (n, 2) in the Delaunay triangles of points (k, 3), NaN outside of their hull.

    `scipy.interpolate` does the same, and takes longer to load than most squares to import.
    """
    mesh = Delaunay(known[:, :2])
    triangle = mesh.find_simplex(xy)
    affine = mesh.transform[triangle]
    weights = np.einsum("nij,nj->ni", affine[:, :2], xy - affine[:, 2])
    weights = np.column_stack([weights, 1 - weights.sum(axis=1)])
    heights = (weights * known[mesh.simplices[triangle], 2]).sum(axis=1)
    return np.where(triangle < 0, np.nan, heights)


def _covered(xy: np.ndarray, relief: np.ndarray) -> np.ndarray:
    """xy: (n, 2). Returns (n,) bool: a relief vertex is near."""
    if not len(relief):
        return np.zeros(len(xy), dtype=bool)
    distance, _ = cKDTree(relief[:, :2]).query(xy, distance_upper_bound=_COVERED_M)
    return np.isfinite(distance)


def without_gaps(heights: np.ndarray) -> np.ndarray:
    """Heights (n, m) of nodes, gaps (NaN) filled smoothly from around them; 0 where nothing is known at all."""
    gaps = np.isnan(heights)
    if gaps.all():
        return np.zeros_like(heights)
    if not gaps.any():
        return heights
    nearest = distance_transform_edt(gaps, return_distances=False, return_indices=True)
    filled = heights[tuple(nearest)]
    for _ in range(_SMOOTHINGS):
        filled = np.where(gaps, uniform_filter(filled, 5, mode="nearest"), filled)
    return filled


def without_holes(cells: np.ndarray) -> np.ndarray:
    """Cells (n, m) bool, bays closed, holes filled, and patches that nearly fill their rectangle made to fill it."""
    wide = np.pad(cells, 4)
    out = (binary_fill_holes(binary_closing(wide, np.ones((3, 3)), iterations=3)) | wide)[4:-4, 4:-4]
    parts, _ = label(out)
    for number, place in enumerate(find_objects(parts), 1):
        if (parts[place] == number).mean() > _NEARLY:
            out[place] = True
    return out


def cell_triangles(corner: np.ndarray, heights: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Two upward triangles (2 c, 3, 3) for each wanted cell.

    corner: (2,) metres. heights: (n + 1, m + 1) of the nodes. wanted: (n, m) bool.
    """
    steps = (CELL_M * np.arange(count) for count in heights.shape)
    points = np.dstack([corner + np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1), heights])
    a, b, c, d = points[:-1, :-1], points[1:, :-1], points[1:, 1:], points[:-1, 1:]
    lower, upper = np.stack([a, b, c], axis=-2)[wanted], np.stack([a, c, d], axis=-2)[wanted]
    return np.concatenate([lower, upper])
