"""Frames of a recording into snapshots: a forecast from each, graded when its time comes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping

import numpy as np

from occ_core.actors import Actor
from occ_core.frame import Frame
from occ_core.grid import VoxelGrid
from occ_core.poses import Pose
from occ_core.sparse_grid import SparseGrid
from occworld.forecaster import Forecast, Forecaster
from occworld.motion import from_pose
from occworld_infer.grading import Grader
from occworld_infer.viewer.camera_strip import kept
from occworld_infer.viewer.snapshot import PlacedVoxels, PredictedFrame, Snapshot


class SnapshotBuilder:
    """One robot's. forecaster: None shows the recording alone. period: seconds between frames; a gap begins anew."""

    def __init__(self, robot: str, grid: VoxelGrid, period: float, forecaster: Forecaster | None = None) -> None:
        self._robot, self._grid, self._period, self._forecaster = robot, grid, period, forecaster
        self._history: deque[Frame] = deque(maxlen=forecaster.history if forecaster else 1)
        self._grader = Grader(grid)
        self._last = -np.inf

    def add(
        self, frame: Frame, actors: tuple[Actor, ...] = (), images: Mapping[str, np.ndarray | bytes] | None = None
    ) -> Snapshot:
        """Take the robot's next frame. images: by camera name, as `camera_strip.kept` takes them."""
        state = frame.state
        if self._history:
            apart = state.stamp - self._history[-1].state.stamp
            if abs(apart - self._period) > 0.1 * self._period:
                self._history.clear()
        self._history.append(frame)
        if state.stamp <= self._last:
            self._grader.clear()
        self._last = state.stamp
        grades = self._grader.observe(state.stamp, frame.occupancy)
        return Snapshot(
            robot=self._robot,
            stamp=state.stamp,
            base_link=state.base_link,
            occupancy=PlacedVoxels.of_classes(self._grid, frame.occupancy.classes, state.footprint),
            lidar=state.footprint.apply(frame.points[:, :3]).astype(np.float32),
            pictures={camera: kept(image) for camera, image in (images or {}).items()},
            actors=actors,
            forecast=self._foresee(),
            grades=grades,
        )

    def _foresee(self) -> PredictedFrame | None:
        if self._forecaster is None or len(self._history) < self._forecaster.history:
            return None
        grids, states = [f.occupancy.classes for f in self._history], [f.state for f in self._history]
        started = time.perf_counter()
        forecast = self._forecaster(grids, states)
        seconds = time.perf_counter() - started
        result = predicted_frame(self._grid, forecast, states[-1].footprint, seconds)
        ways = np.array([from_pose(state.footprint) for state in states])
        numbers = [voxels.numbers for voxels in result.voxels]
        now = SparseGrid.from_dense(grids[-1])
        self._grader.expect(states[-1].stamp, result.horizons_s, numbers, now, ways)
        return result


def predicted_frame(grid: VoxelGrid, forecast: Forecast, here: Pose, seconds: float) -> PredictedFrame:
    """A forecast in map. here: the footprint that it was made at. seconds: that the model took."""
    frames = [
        here @ Pose.from_xyz_rpy(np.array([x, y, z]), np.array([0, 0, yaw]))
        for (x, y, yaw), z in zip(forecast.path, forecast.path_z, strict=True)
    ]
    voxels = [
        PlacedVoxels.of_classes(grid, classes, frame) for classes, frame in zip(forecast.classes, frames, strict=True)
    ]
    return PredictedFrame(tuple(forecast.horizons_s), tuple(voxels), seconds)
