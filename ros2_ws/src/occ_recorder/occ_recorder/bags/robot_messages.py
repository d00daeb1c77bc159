"""One robot's messages from a bag into its synchronizer: odometry from topics or /tf, the ground, clouds, images."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from occ_core.messages import from_odometry, from_pose, from_transform
from occ_core.mounts import mounted
from occ_core.odometry import Odometry
from occ_core.poses import Pose
from occ_core.sensor_handlers import SensorHandlers
from occ_core.stamps import from_stamp
from occ_core.sync import SweepSynchronizer, SyncedSweep
from occ_recorder.bags.config import TF_ODOMETRY, BagConfig, GroundSource
from occ_recorder.bags.jumps import ClockWatch, PoseJumps
from occ_recorder.bags.plan import RobotPlan

_SILENT_S = 1.0  # of a LiDAR at an end of the bag that is worth a word


class RobotReader:
    """takes: a handler of the content of each topic's messages. complaints: how often what could not be read, and why.

    takeoff: height of the ground under the first message, metres in the fixed frame; for ground 'takeoff'. logged: when
    the message that is handed over was recorded, seconds.
    """

    def __init__(
        self,
        plan: RobotPlan,
        bag: BagConfig,
        synchronizer: SweepSynchronizer,
        deliver: Callable[[SyncedSweep], None],
    ) -> None:
        self.config = config = plan.config
        self.complaints: dict[str, tuple[int, str]] = {}
        self.takeoff = self.logged = 0.0
        odometry = config.odometry if config.odometry != TF_ODOMETRY else bag.tf
        self._watch, self._jumps = ClockWatch(config.lidar, odometry), PoseJumps(odometry)
        self._heard: tuple[float, float, int] | None = None  # when the first and the last cloud was recorded, how many
        self._plan, self._sync, self._patience, self._deliver = plan, synchronizer, plan.patience, deliver
        self._handlers = SensorHandlers(
            synchronizer, self._on_sweep, self._complain, config.undistort, unit=config.metres
        )
        # What is known to move is nowhere until /tf says where.
        self._tree = plan.tree.copy(but=plan.sample)
        # Where /tf does not say it, odometry is what places the base in its frame.
        self._graft = not plan.sample.connected(plan.continuous, config.base_frame)
        self._arm = None if plan.sample.moves(plan.child, config.base_frame) else self._fixed_arm()
        self._corrected = plan.continuous != config.fixed_frame
        self._waiting: deque[float] = deque()
        self._on_mount: deque[tuple[float, Pose]] = deque()
        self._heights: deque[tuple[float, float]] = deque()
        self._sweeps: deque[SyncedSweep] = deque()
        self._first: Pose | None = None
        self._newest = -np.inf
        self._ended = False
        self.takes: dict[str, Callable[[Any], None]] = {
            bag.tf_static: lambda message: self._on_transforms(message, fixed=True),
            bag.tf: lambda message: self._on_transforms(message, fixed=False),
            bag.actors: self._handlers.actors,
            config.lidar: self._on_cloud,
            config.imu: self._handlers.imu,
            config.ground_topic: self._on_height,
            config.odometry: self._on_odometry,
        }
        for camera, topic in (config.cameras or {}).items():
            self.takes[topic] = lambda message, camera=camera: self._handlers.image(camera, message)
        self.takes.pop("", None)

    def finish(self) -> None:
        """Deliver what can be made of all that still waits: the bag is at its end."""
        self._ended = True
        self._settle_odometry()
        self._settle_mount()
        self._settle_heights()
        for sweep in self._sync.end():
            self._on_sweep(sweep)
        self._settle_sweeps()

    def problems(self, began: float, ended: float) -> list[str]:
        """Sentences about clocks that jump and a LiDAR that is silent. began, ended: of the recording, seconds."""
        said = [problem for problem in (self._watch.problem, self._jumps.problem(began)) if problem]
        first, last, count = self._heard or (began, ended, 1)
        usual = 2 * (last - first) / max(count - 1, 1)  # A slow simulator's clouds are far apart as recorded.
        for silent, words in ((first - began, "begins {} s after"), (ended - last, "ends {} s before")):
            # Odometry that is waited for may be recorded after the last sweep.
            if silent > _SILENT_S + self._patience + usual:
                what = words.format(f"{silent:.1f}")
                said.append(
                    f"{self.config.lidar} {what} the bag does, which lasts {ended - began:.1f} s: no frame there"
                )
        return said

    def _on_cloud(self, message: Any) -> None:
        first, _, count = self._heard or (self.logged, self.logged, 0)
        self._heard = first, self.logged, count + 1
        if self._watch.sweep(from_stamp(message.header.stamp), self.logged):
            self._handlers.sweep(message)

    def _fixed_arm(self) -> Pose | None:
        """The base in the frame that odometry is of, where that is another one."""
        arm = self._plan.tree.lookup(self._plan.child, self.config.base_frame)
        return arm if arm is not None and (np.any(arm.position) or np.any(arm.orientation[1:])) else None

    def _complain(self, what: str, error: Exception) -> None:
        self.complaints[what] = self.complaints.get(what, (0, ""))[0] + 1, str(error)

    def _on_odometry(self, message: Any) -> None:
        child, ours = getattr(message, "child_frame_id", "").lstrip("/"), self._plan.child
        if child and child != ours:
            why = f"it is of '{child}', and that of '{ours}' on the same topic is read: two senders share it"
            return self._complain(f"odometry of '{child}'", ValueError(why))
        try:
            stamp = from_stamp(message.header.stamp)
            if hasattr(message, "twist"):
                holder = message.pose.pose
                odometry = from_odometry(message)
            else:
                holder = message.pose if hasattr(message.pose, "position") else message.pose.pose
                odometry = None
            pose = from_pose(holder)
        except ValueError as error:
            return self._complain("odometry", error)
        self._handlers.count_off_unit(holder.orientation)
        if self._plan.sample.moves(self._plan.child, self.config.base_frame):
            self._on_mount.append((stamp, pose))
            self._settle_mount()
        elif odometry is not None:
            self._moved(stamp, self._of_base(odometry))
        else:
            self._moved(stamp, pose if self._arm is None else pose @ self._arm)
        self._handlers.flush()
        self._settle_sweeps()

    def _of_base(self, odometry: Odometry) -> Odometry:
        """Odometry of a frame that base_frame is fixed to, as that of base_frame."""
        if self._arm is None:
            return odometry
        arm, back = self._arm.position, self._arm.rotation.T
        linear, angular = odometry.linear + np.cross(odometry.angular, arm), odometry.angular
        return replace(odometry, pose=odometry.pose @ self._arm, linear=back @ linear, angular=back @ angular)

    def _moved(self, stamp: float, motion: Odometry | Pose) -> None:
        """Take where the base is in the frame that odometry is smooth in, with velocities or without."""
        pose = motion.pose if isinstance(motion, Odometry) else motion
        if stamp < self._newest - self._patience or self._newest == -np.inf:
            # The first message, or the first after the clock went back: a robot that stands on the ground.
            self._first = pose
            if not self._corrected:
                self.takeoff = float(pose.position[2]) - self.config.base_height
            self._heights.clear()
        self._newest = stamp
        self._watch.odometry(stamp, self.logged)
        self._jumps.add(stamp, pose, self.logged)
        if self._graft:
            above = [*self._tree.above(self.config.base_frame), self._plan.continuous]
            root = above[above.index(self._plan.continuous) - 1]
            rooted = root == self.config.base_frame
            below = None if rooted else self._tree.lookup(self.config.base_frame, root, stamp, hold=True)
            if rooted or below is not None:
                self._tree.add_moving(self._plan.continuous, root, stamp, pose if below is None else pose @ below)
        if self.config.ground is GroundSource.FOOTPRINT:
            self._heights.append((stamp, 0.0))
        if isinstance(motion, Odometry):
            self._sync.add_odometry(motion)
        else:
            self._sync.add_pose(stamp, pose)
        self._settle_heights()

    def _on_transforms(self, message: Any, fixed: bool) -> None:
        if fixed:
            return  # The plan has read them all.
        moved = False
        for transform in message.transforms:
            stamp, child = from_stamp(transform.header.stamp), transform.child_frame_id.lstrip("/")
            try:
                pose = from_transform(transform.transform)
            except ValueError as error:
                self._complain("transforms", error)
                continue
            self._handlers.count_off_unit(transform.transform.rotation)
            if self._tree.add_moving(transform.header.frame_id, child, stamp, pose):
                moved = True
                if self.config.odometry == TF_ODOMETRY and child == self._tree.mover(self.config.base_frame):
                    self._waiting.append(stamp)
        if moved:
            self._settle_odometry()
            self._settle_mount()
            self._settle_heights()
            self._handlers.flush()
            self._settle_sweeps()

    def _settle_odometry(self) -> None:
        """Odometry of the stamps at which every transform between its frame and the base is known by now."""
        while self._waiting:
            stamp = self._waiting[0]
            late = self._ended or abs(self._waiting[-1] - stamp) > self._patience / 2
            pose = self._tree.lookup(self._plan.continuous, self.config.base_frame, stamp, hold=late)
            if pose is None and not late:
                return
            self._waiting.popleft()
            if pose is not None:
                self._moved(stamp, pose)

    def _settle_mount(self) -> None:
        """Odometry of a frame that the base moves in, once /tf has said how."""
        while self._on_mount:
            stamp, pose = self._on_mount[0]
            late = self._ended or abs(self._on_mount[-1][0] - stamp) > self._patience / 2
            arm = self._tree.lookup(self._plan.child, self.config.base_frame, stamp, hold=late)
            if arm is None and not late:
                return
            self._on_mount.popleft()
            if arm is not None:
                self._moved(stamp, pose @ arm)
            else:
                self._complain(
                    "odometry", ValueError(f"/tf does not say where '{self._plan.child}' was in the base then")
                )

    def _on_sweep(self, sweep: SyncedSweep) -> None:
        self._sweeps.append(sweep)
        self._settle_sweeps()

    def _settle_sweeps(self) -> None:
        """Deliver the sweeps whose mount, and frames whose place in the fixed frame, are known by now."""
        while self._sweeps:
            sweep = self._sweeps[0]
            late = self._ended or abs(self._newest - sweep.stamp) > self._patience
            placed = self._placed(sweep, late)
            if placed is None and not late:
                return
            self._sweeps.popleft()
            if placed is not None:
                self._deliver(placed)

    def _placed(self, sweep: SyncedSweep, late: bool) -> SyncedSweep | None:
        """A sweep with what only the tree of frames knows of it; None where that is not known yet, or never."""
        frame = self._named(sweep.frame_id)
        if not sweep.between and self._turns(frame):
            found = mounted(self._tree, self.config.base_frame, frame, sweep, hold=late)
            if found is None:
                if late:
                    self._complain("LiDAR", ValueError(f"/tf does not say where '{frame}' was in the base then"))
                return None
            sweep = found
        if not self._corrected or not (sweep.keyframe or sweep.actors):
            return sweep
        correction = self._tree.lookup(self.config.fixed_frame, self._plan.continuous, sweep.stamp, hold=late)
        if correction is None:
            if not late:
                return None
            why = f"/tf does not place '{self._plan.continuous}' in '{self.config.fixed_frame}' at a frame"
            self._sync.dropped[why] = self._sync.dropped.get(why, 0) + sweep.keyframe
            return replace(sweep, keyframe=False, images={}, imu=None, actors=[], missed=why if sweep.keyframe else "")
        if self._first is not None:
            self.takeoff, self._first = float((correction @ self._first).position[2]) - self.config.base_height, None
        return replace(sweep, correction=correction)

    def _named(self, frame: str) -> str:
        """A cloud's frame as the tree names it."""
        bare = frame.removeprefix(f"{self.config.name}/")
        return next((name for name in (frame, bare) if name in self._plan.sample.frames), frame)

    def _turns(self, frame: str) -> bool:
        """Whether a frame moves in the base, by what /tf has said at the beginning or since."""
        base = self.config.base_frame
        return any(tree.connected(base, frame) and tree.moves(base, frame) for tree in (self._plan.sample, self._tree))

    def _on_height(self, message: Any) -> None:
        stamp = from_stamp(message.header.stamp)
        if hasattr(message, "point"):
            self._sync.add_ground(stamp, float(message.point.z))
        elif message.min_range <= message.range <= message.max_range:
            self._heights.append((stamp, float(message.range)))
        self._settle_heights()
        self._handlers.flush()
        self._settle_sweeps()

    def _settle_heights(self) -> None:
        """Heights of the ground at the stamps at which the frame above it is known by now."""
        footprint = self.config.ground is GroundSource.FOOTPRINT
        frame = self.config.footprint_frame if footprint else self.config.base_frame
        while self._heights:
            stamp, down = self._heights[0]
            pose = self._tree.lookup(self.config.fixed_frame, frame, stamp, hold=self._ended)
            if pose is None and not self._ended and abs(self._newest - stamp) <= self._patience:
                return
            self._heights.popleft()
            if pose is not None:
                self._sync.add_ground(stamp, float(pose.position[2]) - down)
