"""A forecast as occ_msgs/OccupancyForecast, where that package is built; and back, for those who read it. No ROS needed
to read: messages are taken by their attributes."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np

from occ_core.classes import NAMES
from occ_core.grid import VoxelGrid
from occ_core.messages import from_pose
from occ_core.poses import Pose
from occworld.forecaster import Forecast
from occworld_infer.viewer.snapshot import PlacedVoxels


def forecast_message(
    grid: VoxelGrid, forecast: Forecast, voxels: tuple[np.ndarray, ...], frame_id: str, stamp: float
) -> Any:
    """voxels: `prediction.occupied(forecast)`. frame_id: the footprint of the moment that it was made at. ImportError
    where occ_msgs is not built."""
    from occ_msgs.msg import OccupancyForecast, VoxelFrame

    from occ_ros.convert import to_pose, to_stamp

    message = OccupancyForecast(class_names=list(NAMES))
    message.header.frame_id, message.header.stamp = frame_id, to_stamp(stamp)
    message.grid.lower, message.grid.voxel = np.array(grid.lower), np.array(grid.voxel)
    message.grid.shape = np.array(grid.shape, np.uint32)
    for step, (horizon, numbers) in enumerate(zip(forecast.horizons_s, voxels, strict=True)):
        x, y, yaw = forecast.path[step]
        frame = VoxelFrame(horizon=horizon, pose=to_pose(Pose.from_xyz_rpy([x, y, forecast.path_z[step]], [0, 0, yaw])))
        said = forecast.frames[step]
        there = said.labels > 0
        frame.numbers = array("I", numbers.astype(np.uint32).tobytes())
        frame.labels = array("B", said.labels[there].tobytes())
        frame.probabilities = array("f", said.odds[there].astype(np.float32).tobytes())
        message.frames.append(frame)
    return message


def from_forecast_message(message: Any) -> dict[float, tuple[PlacedVoxels, np.ndarray]]:
    """By horizon, seconds: voxels, their frame in that of the header; and (n,) float32 probabilities.

    ValueError for numbers that do not lie in the grid, for labels that are no classes, and for lists of unequal length.
    """
    lower, voxel = np.array(message.grid.lower), np.array(message.grid.voxel)
    shape = np.array(message.grid.shape, np.int64)
    grid = VoxelGrid(tuple(lower), tuple(lower + shape * voxel), tuple(voxel))
    if grid.shape != tuple(shape.tolist()):
        raise ValueError(f"a grid of {shape.tolist()} voxels, its bounds hold {grid.shape}")
    if tuple(message.class_names) != NAMES:
        raise ValueError(f"classes {', '.join(message.class_names)}; {', '.join(NAMES)} are wanted")
    found = {}
    for frame in message.frames:
        numbers, labels = np.array(frame.numbers, np.int64), np.array(frame.labels, np.uint8)
        odds = np.array(frame.probabilities, np.float32)
        if not len(numbers) == len(labels) == len(odds):
            raise ValueError(f"{len(numbers)} voxels with {len(labels)} labels and {len(odds)} probabilities")
        if len(numbers) and (numbers.max() >= grid.size or labels.max() >= len(NAMES)):
            raise ValueError(f"voxel {numbers.max()} or label {labels.max()} is not in the grid or the table")
        voxels = PlacedVoxels(grid, from_pose(frame.pose), numbers.astype(np.int32), labels)
        found[round(float(frame.horizon), 6)] = voxels, odds
    return found
