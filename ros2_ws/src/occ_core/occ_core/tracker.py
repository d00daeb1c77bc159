"""From synced sweeps to frames: the one path that recorder, bags and live forecast share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from occ_core.frame import Frame, VehicleState
from occ_core.keyframes import KeyframeBuilder
from occ_core.poses import Pose, footprint
from occ_core.sync import SyncedSweep


class FrameTracker:
    """Follows one robot.

    links: poses of its links in base_link. ground: height in map at x, y, metres, for sweeps that do not bring theirs.
    """

    def __init__(
        self, robot: str, builder: KeyframeBuilder, links: dict[str, Pose], ground: Callable[[float, float], float]
    ) -> None:
        self.robot, self._builder, self._links, self._ground = robot, builder, links, ground
        self._last = -np.inf

    def clear(self) -> None:
        """Forget all sweeps, as after a clock reset."""
        self._builder.clear()

    def add(self, sweep: SyncedSweep) -> Frame | None:
        """Take a sweep; the frame where one is due, without images. A stamp that goes back starts everything anew.

        ValueError for an unknown frame id.
        """
        mount = self._mount(sweep.frame_id)
        if sweep.stamp <= self._last:
            self.clear()
        self._last = sweep.stamp
        base = sweep.odometry.pose
        others = [actor for actor in sweep.actors if actor.name != self.robot]
        itself = next((actor for actor in sweep.actors if actor.name == self.robot), None)
        self._builder.add(sweep.stamp, sweep.points[:, :3], base @ mount, others, itself)
        if not sweep.keyframe:
            return None
        height = sweep.ground if sweep.ground is not None else self._ground(*base.position[:2])
        level = footprint(base, height)
        odometry = sweep.odometry
        state = VehicleState(sweep.stamp, base, odometry.linear, odometry.angular, level)
        finite = sweep.points[np.isfinite(sweep.points).all(axis=1)]
        local = (level.inverse() @ base @ mount).apply(finite[:, :3])
        points = np.column_stack([local, finite[:, 3]]).astype(np.float32)
        return Frame(state, points, self._builder.build(level, others))

    def _mount(self, frame_id: str) -> Pose:
        for link in (frame_id, frame_id.removeprefix(f"{self.robot}/")):
            if link in self._links:
                return self._links[link]
        raise ValueError(f"{self.robot}: cloud in frame '{frame_id}', which its robot description does not have")
