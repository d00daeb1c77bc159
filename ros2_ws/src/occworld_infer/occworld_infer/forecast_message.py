"""A forecast as occ_msgs/OccupancyForecast, where that package is built; and back, for those who read it. No ROS needed
to read: messages are taken by their attributes."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from occ_core.classes import NAMES
from occ_core.grid import VoxelGrid
from occ_core.messages import from_pose
from occ_core.poses import Pose
from occworld_infer.grading import Grade
from occworld_infer.viewer.snapshot import PlacedVoxels

if TYPE_CHECKING:  # those who read messages need no model
    from occworld.forecaster import Forecast
    from occworld_infer.prediction import PublishedPart


@dataclass(frozen=True)
class Latency:
    """Seconds of wall clock: to make the grid, in the model, and from the newest sweep until it was published."""

    voxelize_s: float = 0.0
    model_s: float = 0.0
    total_s: float = 0.0


@dataclass(frozen=True)
class HeardForecast:
    """A forecast as a message says it.

    voxels: by seconds ahead, each grid's frame in the footprint of the message. odds: (n,) float32 of each, 0-1.
    """

    voxels: dict[float, PlacedVoxels]
    odds: dict[float, np.ndarray]
    latency: Latency
    grades: tuple[Grade, ...]


def lacking() -> str:
    """Why typed forecasts can be neither made nor read here, in words; '' where they can."""
    try:
        from occ_msgs.msg import OccupancyForecast
    except ImportError:
        return "occ_msgs is not built here"
    if "scores" not in OccupancyForecast.get_fields_and_field_types():
        return "occ_msgs is built of older definitions here"
    return ""


def forecast_message(
    grid: VoxelGrid, forecast: Forecast, frame_id: str, stamp: float, latency: Latency = Latency(),
    grades: Sequence[Grade] = (), wanted: PublishedPart | None = None,
) -> Any:  # fmt: skip
    """frame_id: the footprint of the moment that it was made at. wanted: what is published of it, all without.
    ImportError where occ_msgs is not built."""
    from occ_msgs.msg import ForecastScore, OccupancyForecast, VoxelFrame

    from occ_ros.convert import to_pose
    from occ_ros.diagnostics import to_stamp

    message = OccupancyForecast(class_names=list(NAMES))
    message.header.frame_id, message.header.stamp = frame_id, to_stamp(stamp)
    message.grid.lower, message.grid.voxel = np.array(grid.lower), np.array(grid.voxel)
    message.grid.shape = np.array(grid.shape, np.uint32)
    message.voxelize_seconds, message.model_seconds = latency.voxelize_s, latency.model_s
    message.total_seconds = latency.total_s
    message.scores = [
        ForecastScore(
            horizon=g.horizon_s, iou=g.iou, warp_iou=g.warp_iou, observed_iou=g.observed_iou,
            observed_warp_iou=g.observed_warp_iou, count=g.count,
        )
        for g in grades
    ]  # fmt: skip
    for step, horizon in enumerate(forecast.horizons_s):
        if wanted is not None and not wanted.has(horizon):
            continue
        x, y, yaw = forecast.path[step]
        frame = VoxelFrame(horizon=horizon, pose=to_pose(Pose.from_xyz_rpy([x, y, forecast.path_z[step]], [0, 0, yaw])))
        said = forecast.frames[step]
        there = said.labels > 0 if wanted is None else wanted.of(said)
        frame.numbers = array("I", said.voxels[there].astype(np.uint32).tobytes())
        frame.labels = array("B", said.labels[there].tobytes())
        frame.probabilities = array("f", said.odds[there].astype(np.float32).tobytes())
        message.frames.append(frame)
    return message


def from_forecast_message(message: Any) -> HeardForecast:
    """ValueError for numbers that do not lie in the grid or do not ascend, for labels that are no classes, for lists of
    unequal length, and for figures that are no numbers."""
    grid = _grid(message.grid)
    if tuple(message.class_names) != NAMES:
        raise ValueError(f"classes {', '.join(message.class_names)}; {', '.join(NAMES)} are wanted")
    placed, chances = {}, {}
    for frame in message.frames:
        numbers, labels = np.array(frame.numbers, np.int64), np.array(frame.labels, np.uint8)
        odds = np.array(frame.probabilities, np.float32)
        if not len(numbers) == len(labels) == len(odds):
            raise ValueError(f"{len(numbers)} voxels with {len(labels)} labels and {len(odds)} probabilities")
        if len(numbers) and (numbers.max() >= grid.size or labels.max() >= len(NAMES)):
            raise ValueError(f"voxel {numbers.max()} or label {labels.max()} is not in the grid or the table")
        if (np.diff(numbers) <= 0).any():
            raise ValueError("voxel numbers that do not ascend")
        horizon = round(float(frame.horizon), 6)
        placed[horizon] = PlacedVoxels(grid, from_pose(frame.pose), numbers.astype(np.int32), labels)
        chances[horizon] = odds
    latency = Latency(message.voxelize_seconds, message.model_seconds, message.total_seconds)
    grades = from_scores(message)
    if not np.isfinite([*placed, latency.voxelize_s, latency.model_s, latency.total_s]).all():
        raise ValueError("horizons or seconds that are no numbers")
    return HeardForecast(placed, chances, latency, grades)


def from_scores(message: Any) -> tuple[Grade, ...]:
    """How earlier forecasts turned out, as a forecast's message says, nearest horizon first. ValueError for what are no
    numbers."""
    grades = tuple(
        Grade(round(float(s.horizon), 6), s.iou, s.warp_iou, s.observed_iou, s.observed_warp_iou, int(s.count))
        for s in message.scores
    )
    if not np.isfinite([value for g in grades for value in (g.horizon_s, g.iou, g.warp_iou)]).all():
        raise ValueError("scores that are no numbers")
    return grades


def _grid(message: Any) -> VoxelGrid:
    lower, voxel = np.array(message.lower), np.array(message.voxel)
    shape = np.array(message.shape, np.int64)
    grid = VoxelGrid(tuple(lower), tuple(lower + shape * voxel), tuple(voxel))
    if grid.shape != tuple(shape.tolist()):
        raise ValueError(f"a grid of {shape.tolist()} voxels, its bounds hold {grid.shape}")
    return grid
