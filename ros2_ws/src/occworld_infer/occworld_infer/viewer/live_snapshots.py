"""One robot's live topics into snapshots of a timeline: pieces that come at their own rates, put together. No ROS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from occ_core.actors import Actor
from occ_core.grid import TOKYO_GRID, VoxelGrid
from occ_core.pose_buffer import PoseBuffer
from occ_core.poses import Pose, footprint
from occworld_infer.forecast_message import HeardForecast
from occworld_infer.grading import Grade
from occworld_infer.viewer.snapshot import PlacedVoxels, PredictedFrame, Snapshot
from occworld_infer.viewer.timeline import Newest, Timeline

_MEMORY_S = 10.0
_GAP_S = 0.1
_MOST_WAITING = 8
_NO_POINTS = np.zeros((0, 3), np.float32)


class LiveRobot:
    """ground: height in map at x, y, metres. grid: until a typed forecast says which it is.

    All stamps are seconds; one that goes back is a clock that began anew.
    """

    def __init__(
        self, robot: str, timeline: Timeline, ground: Callable[[float, float], float], grid: VoxelGrid = TOKYO_GRID
    ) -> None:
        self._robot, self._timeline, self._ground, self._grid = robot, timeline, ground, grid
        self.links: dict[str, Pose] = {}
        self._actors: tuple[Actor, ...] = ()
        self._clear()

    def _clear(self) -> None:
        self._poses = PoseBuffer(_MEMORY_S, _GAP_S)
        self._lidar = _NO_POINTS
        self._pictures: dict[str, bytes] = {}
        self._grades: tuple[Grade, ...] = ()
        self._clouds: dict[float, np.ndarray] = {}
        self._paths: dict[float, list[tuple[float, Pose]]] = {}
        self._typed: dict[float, HeardForecast] = {}
        self._seconds = 0.0

    def odometry(self, stamp: float, base_link: Pose) -> None:
        """base_link: pose in map."""
        if stamp < self._poses.last - _MEMORY_S / 2:
            self._clear()
        if not self._poses.add(stamp, base_link):
            return
        self._timeline.track(self._robot, Newest(base_link, self._lidar, self._actors))

    def actors(self, actors: list[Actor]) -> None:
        """Where everything that moves is now."""
        self._actors = tuple(actors)

    def sweep(self, stamp: float, points: np.ndarray, link: str) -> None:
        """points: (n, 3) metres in a link of the robot, NaN allowed."""
        pose = self._poses.nearest(stamp, _GAP_S)
        if pose is not None and link in self.links:
            finite = points[np.isfinite(points).all(axis=1)]
            self._lidar = (pose @ self.links[link]).apply(finite).astype(np.float32)

    def picture(self, camera: str, jpeg: bytes) -> None:
        """jpeg: as `camera_strip.kept` gives it."""
        self._pictures[camera] = jpeg

    def grades(self, grades: tuple[Grade, ...]) -> None:
        """How good earlier forecasts have turned out to be, as the node that makes them says."""
        self._grades = grades

    def model_seconds(self, seconds: float) -> None:
        """How long the model takes."""
        self._seconds = seconds

    def occupancy(self, stamp: float, points: np.ndarray, labels: np.ndarray) -> None:
        """A keyframe: voxel centres (n, 3) in `base_footprint` and their classes (n,) uint8. It makes a snapshot."""
        pose = self._poses.nearest(stamp, _GAP_S)
        if pose is None:
            return
        level = footprint(pose, self._ground(*pose.position[:2]))
        now = PlacedVoxels.of_points(self._grid, points, labels, level)
        pictures, grades = dict(self._pictures), self._grades
        self._timeline.add(Snapshot(self._robot, stamp, pose, now, self._lidar, pictures, self._actors, grades=grades))
        self._foresee(stamp)

    def forecast(self, stamp: float, heard: HeardForecast) -> None:
        """A typed forecast: grid and poses are its own, nothing of it is worked out."""
        for voxels in heard.voxels.values():
            self._grid = voxels.grid  # of the keyframes to come, whatever was given at the start
        self._grades = heard.grades
        self._typed[stamp] = heard
        self._foresee(stamp)

    def prediction(self, stamp: float, points: np.ndarray) -> None:
        """points: (n,) GRID_POINT of all horizons, in `base_footprint` at the stamp."""
        self._clouds[stamp] = points
        self._foresee(stamp)

    def path(self, stamp: float, poses: list[tuple[float, Pose]]) -> None:
        """Seconds ahead, and the footprint that is forecast for then, in `base_footprint` at the stamp."""
        self._paths[stamp] = poses
        self._foresee(stamp)

    def _foresee(self, stamp: float) -> None:
        """A forecast is whole when its keyframe has come, and, without a typed one, its cloud and its path; what is
        older will not be."""
        for waiting in (self._clouds, self._paths, self._typed):
            while len(waiting) > _MOST_WAITING:
                del waiting[min(waiting)]
        snapshot = self._timeline.exactly(self._robot, stamp)
        if snapshot is None:
            return
        if stamp in self._typed:
            forecast = self._as_typed(snapshot, self._typed[stamp])
        elif stamp in self._clouds and stamp in self._paths:
            forecast = self._of_cloud(snapshot, self._clouds[stamp], self._paths[stamp])
        else:
            return
        for waiting in (self._clouds, self._paths, self._typed):
            for old in [at for at in waiting if at <= stamp]:
                del waiting[old]
        if forecast is not None:
            self._timeline.amend(replace(snapshot, forecast=forecast))

    def _as_typed(self, snapshot: Snapshot, heard: HeardForecast) -> PredictedFrame | None:
        """None for the keyframe that came before anybody said what grid it is."""
        here, voxels = snapshot.occupancy.frame, tuple(heard.voxels.values())
        if any(there.grid != snapshot.occupancy.grid for there in voxels):
            return None
        placed = tuple(replace(there, frame=here @ there.frame) for there in voxels)
        return PredictedFrame(tuple(heard.voxels), placed, heard.latency.model_s)

    def _of_cloud(self, snapshot: Snapshot, points: np.ndarray, path: list[tuple[float, Pose]]) -> PredictedFrame:
        """Each horizon's voxels carried back from the footprint of now, which a cloud has them in, into their own."""
        voxels = []
        for horizon, pose in path:
            chosen = points[np.abs(points["horizon"] - horizon) < 1e-3]
            here = np.column_stack([chosen["x"], chosen["y"], chosen["z"]])
            frame = snapshot.occupancy.frame @ pose
            voxels.append(PlacedVoxels.of_points(self._grid, pose.inverse().apply(here), chosen["label"], frame))
        return PredictedFrame(tuple(horizon for horizon, _ in path), tuple(voxels), self._seconds)
