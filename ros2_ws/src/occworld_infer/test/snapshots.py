"""Moments made up for tests: a few voxels at places that a test can check."""

from __future__ import annotations

import numpy as np

from occ_core.classes import Semantic
from occ_core.grid import TOKYO_GRID
from occ_core.poses import Pose
from occworld_infer.viewer.snapshot import PlacedVoxels, PredictedFrame, Snapshot

HORIZONS_S = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
HERE = Pose.from_xyz_rpy(np.array([100.0, 50.0, 3.0]), np.array([0, 0, np.pi / 2]))
"""A footprint that is neither at the origin of map nor along its axes."""


def block(at: tuple[float, float, float], semantic: Semantic, frame: Pose = HERE, size: int = 3) -> PlacedVoxels:
    """A block of size x size x 1 voxels about a point of the footprint, metres."""
    classes = np.zeros(TOKYO_GRID.shape, np.uint8)
    (cell,), _ = TOKYO_GRID.index(np.array([at]))
    low, high = cell[:2] - size // 2, cell[:2] + size // 2 + 1
    classes[low[0] : high[0], low[1] : high[1], cell[2]] = semantic
    return PlacedVoxels.of_classes(TOKYO_GRID, classes, frame)


def together(*parts: PlacedVoxels) -> PlacedVoxels:
    """Voxels of one frame that do not overlap."""
    numbers = np.concatenate([part.numbers for part in parts])
    order = np.argsort(numbers)
    return PlacedVoxels(parts[0].grid, parts[0].frame, numbers[order], np.concatenate([p.labels for p in parts])[order])


def snapshot(
    stamp: float, now: PlacedVoxels, ahead: list[PlacedVoxels] | None = None, robot: str = "rover_0"
) -> Snapshot:
    """ahead: what is forecast for the six horizons."""
    base_link = Pose(now.frame.position + [0, 0, 0.4], now.frame.orientation)
    forecast = PredictedFrame(HORIZONS_S, tuple(ahead)) if ahead is not None else None
    return Snapshot(robot, stamp, base_link, now, np.zeros((0, 3), np.float32), forecast=forecast)
