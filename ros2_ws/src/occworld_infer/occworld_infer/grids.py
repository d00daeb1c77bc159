"""Occupancy grids as point clouds, in the frame they are shown in."""

from __future__ import annotations

import numpy as np

from occ_core.grid import VoxelGrid
from occ_core.sparse_grid import occupied_numbers

GRID_POINT = np.dtype(
    [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("label", "u1"), ("horizon", "<f4"), ("probability", "<f4")]
)


def grid_points(
    grid: VoxelGrid, classes: np.ndarray, horizon: float, probability: np.ndarray | None = None
) -> np.ndarray:
    """Occupied voxels as (n,) GRID_POINT: centres in the grid's own frame, class, seconds ahead, probability.

    classes: uint8 `grid.shape`. probability: float `grid.shape`, 1 where it is not given.
    """
    numbers = occupied_numbers(classes)
    odds = 1.0 if probability is None else probability.reshape(-1)[numbers]
    return voxel_points(grid, numbers, classes.reshape(-1)[numbers], horizon, odds)


def voxel_points(
    grid: VoxelGrid, numbers: np.ndarray, labels: np.ndarray, horizon: float, probability: np.ndarray | float
) -> np.ndarray:
    """Voxels as (n,) GRID_POINT. numbers: (n,) flat numbers; labels, probability: of each."""
    points = np.zeros(len(numbers), GRID_POINT)
    points["x"], points["y"], points["z"] = grid.centers(np.stack(np.unravel_index(numbers, grid.shape), axis=1)).T
    points["label"], points["horizon"], points["probability"] = labels, horizon, probability
    return points


def moved(points: np.ndarray, x: float, y: float, z: float, yaw: float) -> np.ndarray:
    """Points carried from a footprint at (x, y, z, yaw) into the frame that this pose is given in."""
    out = points.copy()
    cos, sin = np.cos(yaw), np.sin(yaw)
    out["x"] = cos * points["x"] - sin * points["y"] + x
    out["y"] = sin * points["x"] + cos * points["y"] + y
    out["z"] = points["z"] + z
    return out
