"""The forecasts that any model has to beat: copy, warp, and warp with the true future ego motion."""

from __future__ import annotations

import numpy as np

from occ_core.grid import VoxelGrid
from occworld import motion as motions
from occworld.warp import resample


def copy(current: np.ndarray, steps: int) -> list[np.ndarray]:
    """The last frame again. current: uint8 (X, Y, Z)."""
    return [current] * steps


def warp(grid: VoxelGrid, current: np.ndarray, history: np.ndarray, steps: int) -> list[np.ndarray]:
    """The last frame moved at the constant velocity and yaw rate of the history.

    history: (t, 4) x y z yaw of the history's footprints in one frame, oldest first.
    """
    return [resample(grid, current, motion) for motion in motions.extrapolate(history, steps)]


def warp_oracle(grid: VoxelGrid, current: np.ndarray, future: np.ndarray) -> list[np.ndarray]:
    """The last frame moved by the true future ego motion. future: (steps, 4) footprints in the current one."""
    return [resample(grid, current, motion) for motion in future]
