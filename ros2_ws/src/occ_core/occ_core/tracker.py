"""From synced sweeps to frames: the one path that recorder, bags and live forecast share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from occ_core.actors import Actor
from occ_core.classes import Semantic
from occ_core.frame import Frame, VehicleState
from occ_core.keyframes import KeyframeBuilder
from occ_core.odometry import Odometry
from occ_core.point_filters import PointFilter, ReturnTest, undistorted
from occ_core.poses import Pose, footprint
from occ_core.sync import SyncedSweep


@dataclass(frozen=True)
class _Returns:
    """Of one sweep. rows: makes (n, 4) x y z intensity in the sensor's frame at its stamp; base, mount: poses there."""

    rows: Callable[[], np.ndarray]
    base: Pose
    mount: Pose


@dataclass(frozen=True)
class PendingFrame:
    """A frame whose grid is still to be made. state: of it. make: makes it, on any thread."""

    state: VehicleState
    make: Callable[[], Frame]


class FrameTracker:
    """Follows one robot.

    links: poses of its links in base_link. ground: height in map at x, y, metres, for sweeps that do not bring theirs.
    returns: which returns are of the world.
    """

    def __init__(
        self,
        robot: str,
        builder: KeyframeBuilder,
        links: dict[str, Pose],
        ground: Callable[[float, float], float],
        returns: PointFilter | None = None,
    ) -> None:
        self.robot, self._builder, self._links, self._ground = robot, builder, links, ground
        self._filter = returns or PointFilter()
        self._tests: dict[str, ReturnTest] = {}
        self._last = -np.inf
        self._newest: _Returns | None = None

    def clear(self) -> None:
        """Forget all sweeps, as after a clock reset."""
        self._builder.clear()
        self._newest = None

    def warm_up(self, actors: bool) -> None:
        """Make a frame of next to nothing and forget it: loops are compiled before a sweep waits for them.

        actors: where sweeps will come with actors.
        """
        points, still = np.array([[5, 0, 0, 1], [0, 6, 1, 1], [8, 0, 0.5, 1]], np.float32), np.zeros(3)
        car = Actor(1, Semantic.CAR, Pose.from_xyz_rpy(np.array([8.0, 0, 0]), still), np.array([4.0, 2.0, 1.5]), still)
        here = Odometry(0.0, Pose.identity(), still, still)
        for stamp in (0.0, 0.1):
            self.add(SyncedSweep(stamp, points, next(iter(self._links)), here, [car] * actors, keyframe=True))
        self.clear()

    def add(self, sweep: SyncedSweep) -> Frame | None:
        """Take a sweep; the frame where one is due, without images. A stamp that goes back starts everything anew.

        ValueError for an unknown frame id.
        """
        pending = self.begin(sweep)
        return pending.make() if pending is not None else None

    def begin(self, sweep: SyncedSweep) -> PendingFrame | None:
        """The same, but for the grid, which can be made while sweeps go on coming."""
        others = [actor for actor in sweep.actors if actor.name != self.robot]
        if not sweep.between:
            self._newest = None  # of one that can't be taken; a frame before the next would show what was before it
            self._accumulate(sweep, others)
        if not sweep.keyframe or self._newest is None:
            return None
        odometry, newest = sweep.odometry, self._newest
        base = odometry.pose if sweep.correction is None else sweep.correction @ odometry.pose
        height = sweep.ground if sweep.ground is not None else self._ground(*base.position[:2])
        level = footprint(base, height)
        state = VehicleState(sweep.stamp, base, odometry.linear, odometry.angular, level)
        seen_from = newest.base if sweep.correction is None else sweep.correction @ newest.base
        to_grid = level.inverse() @ seen_from @ newest.mount
        grid = self._builder.pending(level, others, sweep.stamp, sweep.correction)
        return PendingFrame(state, lambda: Frame(state, _moved(newest.rows(), to_grid), grid()))

    def _accumulate(self, sweep: SyncedSweep, others: list[Actor]) -> None:
        mount = self._mount(sweep.frame_id) if sweep.mounts is None else sweep.mounts.at(sweep.stamp)
        if sweep.stamp <= self._last:
            self.clear()
        self._last = sweep.stamp
        base = sweep.odometry.pose
        itself = next((actor for actor in sweep.actors if actor.name == self.robot), None)
        if sweep.correction is not None:  # Sweeps are accumulated in the frame of odometry, and actors are in map.
            back = sweep.correction.inverse()
            others = [replace(actor, pose=back @ actor.pose) for actor in others]
            itself = replace(itself, pose=back @ itself.pose) if itself is not None else None
        if sweep.times is None:
            test = self._test(sweep, mount)
            self._builder.add(sweep.stamp, sweep.points, base @ mount, others, itself, test)
            self._newest = _Returns(lambda: _with_intensity(test.rows(sweep.points)), base, mount)
            return
        rows = self._timed_rows(sweep, sweep.times, base, mount)
        self._builder.add(sweep.stamp, rows[:, :3], base @ mount, others, itself)
        self._newest = _Returns(lambda: rows, base, mount)

    def _test(self, sweep: SyncedSweep, mount: Pose) -> ReturnTest:
        """Which points of a sweep are returns, made once for each frame that does not move."""
        if sweep.mounts is not None:
            return self._filter.at(mount)
        if sweep.frame_id not in self._tests:
            self._tests[sweep.frame_id] = self._filter.at(mount)
        return self._tests[sweep.frame_id]

    def _timed_rows(self, sweep: SyncedSweep, times: np.ndarray, base: Pose, mount: Pose) -> np.ndarray:
        """(n, 4) x y z intensity of the returns that are any, in the sensor's frame at the sweep's stamp.

        times: (n,) seconds after it at which each point was measured.
        """
        points, stamps = sweep.points, sweep.stamp + times
        at_base = None
        if sweep.mounts is not None:
            at_base, _ = undistorted(points[:, :3], stamps, sweep.mounts)
        kept = self._filter.usable(points[:, :3], at_base, mount)
        rows = points[kept]
        if sweep.motion is not None:
            on_base = mount.apply(rows[:, :3]) if at_base is None else at_base[kept]
            placed, known = undistorted(on_base, stamps[kept], sweep.motion)
            rows = rows[known].astype(np.float64)
            rows[:, :3] = (base @ mount).inverse().apply(placed[known])
        return _with_intensity(rows)

    def _mount(self, frame_id: str) -> Pose:
        for link in (frame_id, frame_id.removeprefix(f"{self.robot}/")):
            if link in self._links:
                return self._links[link]
        raise ValueError(f"{self.robot}: cloud in frame '{frame_id}', which its robot description does not have")


def _with_intensity(rows: np.ndarray) -> np.ndarray:
    """Rows (n, 4), changed in place: an intensity that is no number is 0."""
    unknown = ~np.isfinite(rows[:, 3])
    if unknown.any():
        rows[unknown, 3] = 0.0
    return rows


def _moved(rows: np.ndarray, to_grid: Pose) -> np.ndarray:
    """(n, 4) float32 of rows x y z intensity, in another frame."""
    out = np.empty((len(rows), 4), np.float32)
    out[:, :3], out[:, 3] = to_grid.apply(rows[:, :3]), rows[:, 3]
    return out
