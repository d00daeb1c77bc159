"""One robot's messages from a bag into its synchronizer: odometry from topics or /tf, the ground, clouds, images."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from occ_core.intake import MessageIntake
from occ_core.messages import from_odometry, from_pose, from_stamp, from_transform
from occ_core.poses import Pose
from occ_core.sync import Odometry, SweepSynchronizer, SyncedSweep
from occ_recorder.bags.config import TF_ODOMETRY, BagConfig, Ground
from occ_recorder.bags.plan import Known, RobotPlan
from occ_recorder.bags.transforms import TransformTree


class RobotReader:
    """takes: a handler of the content of each topic's messages. complaints: how often what could not be read, and why.

    takeoff: height of the ground under the first message, metres in the fixed frame; for ground 'takeoff'.
    """

    def __init__(
        self,
        plan: RobotPlan,
        bag: BagConfig,
        known: Known,
        synchronizer: SweepSynchronizer,
        deliver: Callable[[SyncedSweep], None],
    ) -> None:
        self.config = config = plan.config
        self.complaints: dict[str, tuple[int, str]] = {}
        self.takeoff = 0.0
        self._sync, self._patience = synchronizer, bag.patience
        self._intake = MessageIntake(synchronizer, deliver, self._complain)
        self._tree = TransformTree()
        # Where /tf does not say it, odometry is what places the base in the fixed frame.
        self._graft = not known.sample.connected(config.fixed_frame, config.base_frame)
        self._offset = known.tree.lookup(known.odometry.get(config.odometry, ("", ""))[1], config.base_frame)
        self._waiting: deque[float] = deque()
        self._heights: deque[tuple[float, float]] = deque()
        self._last: tuple[float, Pose] | None = None
        self._newest = -np.inf
        self.takes: dict[str, Callable[[Any], None]] = {
            bag.tf_static: lambda message: self._on_transforms(message, fixed=True),
            bag.tf: lambda message: self._on_transforms(message, fixed=False),
            bag.actors: self._intake.actors,
            config.lidar: self._intake.sweep,
            config.imu: self._intake.imu,
            config.ground_topic: self._on_height,
            config.odometry: self._on_odometry,
        }
        for camera, topic in (config.cameras or {}).items():
            self.takes[topic] = lambda message, camera=camera: self._intake.image(camera, message)
        self.takes.pop("", None)

    def finish(self) -> None:
        """The bag has ended: what waits for more makes do with what there is."""
        self._settle_odometry(ended=True)
        self._settle_heights(ended=True)
        self._intake.flush(ended=True)

    def _complain(self, what: str, error: Exception) -> None:
        self.complaints[what] = self.complaints.get(what, (0, ""))[0] + 1, str(error)

    def _on_odometry(self, message: Any) -> None:
        try:
            if hasattr(message, "twist"):
                self._moved(self._of_base(from_odometry(message)))
            else:
                pose = message.pose if hasattr(message.pose, "position") else message.pose.pose
                self._placed(from_stamp(message.header.stamp), from_pose(pose))
        except ValueError as error:
            self._complain("odometry", error)
        self._intake.flush()

    def _of_base(self, odometry: Odometry) -> Odometry:
        """Odometry of a frame that base_frame is fixed to, as that of base_frame."""
        if self._offset is None or not (np.any(self._offset.position) or np.any(self._offset.orientation[1:])):
            return odometry
        arm, back = self._offset.position, self._offset.rotation.T
        linear, angular = odometry.linear + np.cross(odometry.angular, arm), odometry.angular
        return replace(odometry, pose=odometry.pose @ self._offset, linear=back @ linear, angular=back @ angular)

    def _placed(self, stamp: float, pose: Pose) -> None:
        """A pose without velocities: they follow from the one before."""
        before, self._last = self._last, (stamp, pose)
        if before is None or not 0 < stamp - before[0] <= self._patience:
            return
        seconds, step = stamp - before[0], before[1].inverse() @ pose
        turn = Rotation.from_quat(np.roll(step.orientation, -1)).as_rotvec()
        linear = pose.rotation.T @ (pose.position - before[1].position)
        self._moved(Odometry(stamp, pose, linear / seconds, turn / seconds))

    def _moved(self, odometry: Odometry) -> None:
        if odometry.stamp < self._newest - self._patience or self._newest == -np.inf:
            # The first message, or the first after the clock went back: a robot that stands on the ground.
            self.takeoff = float(odometry.pose.position[2]) - self.config.base_height
            self._heights.clear()
        self._newest = odometry.stamp
        if self._graft:
            self._tree.add(self.config.fixed_frame, self.config.base_frame, odometry.stamp, odometry.pose)
        if self.config.ground is Ground.FOOTPRINT:
            self._heights.append((odometry.stamp, 0.0))
        self._sync.add_odometry(odometry)
        self._settle_heights()

    def _on_transforms(self, message: Any, fixed: bool) -> None:
        moved = False
        for transform in message.transforms:
            stamp, child = from_stamp(transform.header.stamp), transform.child_frame_id.lstrip("/")
            try:
                pose = from_transform(transform.transform)
            except ValueError as error:
                self._complain("transforms", error)
                continue
            if self._tree.add(transform.header.frame_id, child, stamp, pose, fixed) and not fixed:
                moved = True
                if self.config.odometry == TF_ODOMETRY and child == self._tree.mover(self.config.base_frame):
                    self._waiting.append(stamp)
        if moved:
            self._settle_odometry()
            self._settle_heights()
            self._intake.flush()

    def _settle_odometry(self, ended: bool = False) -> None:
        """Odometry of the stamps at which every transform between the fixed frame and the base is known by now."""
        while self._waiting:
            stamp = self._waiting[0]
            # Corrections such as map to odom come seldom: after a while the last one holds.
            late = ended or abs(self._waiting[-1] - stamp) > self._patience / 2
            pose = self._tree.lookup(self.config.fixed_frame, self.config.base_frame, stamp, hold=late)
            if pose is None and not late:
                return
            self._waiting.popleft()
            if pose is not None:
                self._placed(stamp, pose)

    def _on_height(self, message: Any) -> None:
        stamp = from_stamp(message.header.stamp)
        if hasattr(message, "point"):
            self._sync.add_ground(stamp, float(message.point.z))
        elif message.min_range <= message.range <= message.max_range:
            self._heights.append((stamp, float(message.range)))
        self._settle_heights()
        self._intake.flush()

    def _settle_heights(self, ended: bool = False) -> None:
        """Heights of the ground at the stamps at which the frame above it is known by now."""
        footprint = self.config.ground is Ground.FOOTPRINT
        frame = self.config.footprint_frame if footprint else self.config.base_frame
        while self._heights:
            stamp, down = self._heights[0]
            pose = self._tree.lookup(self.config.fixed_frame, frame, stamp, hold=ended)
            if pose is None and not ended and abs(self._newest - stamp) <= self._patience:
                return
            self._heights.popleft()
            if pose is not None:
                self._sync.add_ground(stamp, float(pose.position[2]) - down)
