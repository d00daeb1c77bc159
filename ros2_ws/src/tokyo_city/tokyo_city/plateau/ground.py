"""Ground where PLATEAU gives none: what has no relief stands on a surface through its own lowest points."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import griddata
from scipy.spatial import QhullError, cKDTree

from occ_core.citymap import GROUND_CLASSES
from occ_core.classes import Semantic
from tokyo_city.plateau.prisms import BURY_M
from tokyo_city.plateau.tile import Tile

SQUARE_M = 1000.0
REACH_M = 130.0
"""Points this far outside a square can matter to the ground in it."""
_CELL_M = 10.0
_MARGIN_M = 120.0
# Interpolated ground lies this far below what it was interpolated from, so that it never covers a road.
_BELOW_M = 0.1
_THIN_M = 2.0


def ground_points(tile: Tile) -> np.ndarray:
    """(n, 3) metres from the tile's origin: relief, or what stands on the ground or is ground, every 2 m at most."""
    if tile.feature == "dem":
        return np.unique(tile.triangles.reshape(-1, 3), axis=0)
    feet = tile.prisms.tops.copy()
    feet[:, 2] = np.repeat(tile.prisms.bases, tile.prisms.sizes) + BURY_M
    flat = tile.triangles[np.isin(tile.classes, GROUND_CLASSES) & (tile.classes != Semantic.BRIDGE)]
    points = np.concatenate([feet, flat.reshape(-1, 3)])
    points = points[np.argsort(points[:, 2], kind="stable")]
    _, first = np.unique(np.round(points[:, :2] / _THIN_M), axis=0, return_index=True)
    return points[first]


def ground_of_square(corner: np.ndarray, points: np.ndarray, relief: np.ndarray) -> np.ndarray:
    """Terrain triangles (t, 3, 3) for the part of a square that no relief covers.

    corner: (2,) metres, a multiple of `SQUARE_M`. points: (n, 3) ground points, relief: (k, 3), of the square and
    `REACH_M` around it. Linear interpolation, nearest outside the points' hull; neighbours fit together because their
    cells lie on one lattice.
    """
    points = points[~_covered(points[:, :2], relief)]
    if not len(points):
        return np.zeros((0, 3, 3))
    steps = np.arange(0, SQUARE_M + 1, _CELL_M)
    xy = corner + np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1)
    nearest, index = cKDTree(points[:, :2]).query(xy)
    heights = points[index, 2]
    if len(points) > 3:
        try:
            linear = griddata(points[:, :2], points[:, 2], xy, method="linear")
            heights = np.where(np.isnan(linear), heights, linear)
        except QhullError:
            pass  # All of them lie on one line: the nearest will do.
    wanted = (nearest < _MARGIN_M) & ~_covered(xy, relief)
    return _grid_triangles(np.dstack([xy, heights - _BELOW_M]), wanted)


def _covered(xy: np.ndarray, relief: np.ndarray) -> np.ndarray:
    """xy: (..., 2). Returns (...) bool: a relief vertex lies within two cells."""
    if not len(relief):
        return np.zeros(xy.shape[:-1], dtype=bool)
    distance, _ = cKDTree(relief[:, :2]).query(xy, distance_upper_bound=2 * _CELL_M)
    return np.isfinite(distance)


def _grid_triangles(points: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """points: (nx, ny, 3). Two upward triangles for each cell whose corners are all wanted."""
    a, b, c, d = points[:-1, :-1], points[1:, :-1], points[1:, 1:], points[:-1, 1:]
    cells = wanted[:-1, :-1] & wanted[1:, :-1] & wanted[1:, 1:] & wanted[:-1, 1:]
    lower, upper = np.stack([a, b, c], axis=-2)[cells], np.stack([a, c, d], axis=-2)[cells]
    return np.concatenate([lower, upper])
