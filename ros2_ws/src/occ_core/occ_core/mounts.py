"""A sensor on something that moves in its robot, a turntable or an arm: where it was during each sweep. No ROS."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from occ_core.messages import from_stamp, from_transform
from occ_core.sync import PATIENCE_S, SyncedSweep
from occ_core.transforms import Source, TransformTree
from occ_core.urdf import joints


def mounted(tree: TransformTree, base: str, frame: str, sweep: SyncedSweep, hold: bool) -> SyncedSweep | None:
    """A sweep with where its sensor was in the base all the while; None where that is not known.

    frame: the sensor's, as the tree names it. hold: what moves stays where it was heard of last.
    """
    times = sweep.times if sweep.times is not None and len(sweep.times) else np.zeros(1)
    begin, end = sweep.stamp + min(times.min(), 0.0), sweep.stamp + max(times.max(), 0.0)
    track = tree.track(base, frame, begin, end, hold)
    return replace(sweep, mounts=track) if track is not None else None


class MountedSweeps:
    """Hands a robot's sweeps on in order, those of a sensor that moves once /tf has said where it was.

    listen: called once, when /tf is needed: where the description has a joint that can move between the base and the
    sensor, or does not have the sensor at all. What /tf does not say within `patience` seconds of message time is
    taken as the description has it; where it stops, as it was last.
    """

    def __init__(
        self,
        robot: str,
        description: str,
        deliver: Callable[[SyncedSweep], None],
        listen: Callable[[], None],
        base: str = "base_link",
        patience: float = PATIENCE_S,
    ) -> None:
        """ValueError for a description that is not a URDF."""
        self._robot, self._deliver, self._listen, self._base, self._patience = robot, deliver, listen, base, patience
        self._tree = TransformTree()
        described = joints(description) if description else []
        for joint in described:
            self._tree.add_fixed(joint.parent, joint.child, joint.pose, Source.URDF, rigid=not joint.moves)
        self._described = {base} | {joint.child for joint in described}
        moving = {joint.child for joint in described if joint.moves}
        ways = {frame: self._tree.above(frame) for frame in self._described}
        self._still = {f for f, way in ways.items() if base in way and not moving & set(way[: way.index(base)])}
        self._waiting: deque[SyncedSweep] = deque()
        self._newest = -np.inf
        self._listens = self._in_vain = False

    def add(self, sweep: SyncedSweep) -> None:
        """Take a sweep, or a frame between sweeps."""
        if sweep.stamp < self._newest - self._patience:
            self._give_up()  # The clock began anew.
            self._newest = sweep.stamp
        self._newest = max(self._newest, sweep.stamp)
        if not (self._listens or sweep.between or self._bare(sweep.frame_id) in self._still):
            self._listens = True
            self._listen()
        self._waiting.append(sweep)
        self._settle()

    def transforms(self, message: Any, fixed: bool) -> None:
        """Take a tf2_msgs/TFMessage. ValueError for a rotation that is none. fixed: of /tf_static."""
        for transform in message.transforms:
            pose = from_transform(transform.transform)
            parent, child = self._bare(transform.header.frame_id), self._bare(transform.child_frame_id)
            if fixed:
                self._tree.add_fixed(parent, child, pose, Source.TF_STATIC, rigid=False)
            else:
                stamp = from_stamp(transform.header.stamp)
                self._tree.add_moving(parent, child, stamp, pose)
        self._in_vain = False
        self._settle()

    def _bare(self, frame: str) -> str:
        return frame.lstrip("/").removeprefix(f"{self._robot}/")

    def _settle(self) -> None:
        while self._waiting:
            sweep = self._waiting[0]
            late = self._in_vain or self._newest - sweep.stamp > self._patience
            placed = self._placed(sweep, late)
            if placed is None:
                return
            self._waiting.popleft()
            self._deliver(placed)

    def _give_up(self) -> None:
        while self._waiting:
            self._deliver(self._placed(sweep := self._waiting.popleft(), late=True) or sweep)

    def _placed(self, sweep: SyncedSweep, late: bool) -> SyncedSweep | None:
        """The sweep as it can be handed on; None while /tf may still say more."""
        frame = self._bare(sweep.frame_id)
        if sweep.between or frame in self._still:
            return sweep
        known = self._tree.connected(self._base, frame)
        if known and (self._tree.moves(self._base, frame) or frame not in self._described):
            found = mounted(self._tree, self._base, frame, sweep, hold=late)
            return found if found is not None or not late else sweep
        if late:
            # Nobody says more than the description: the next ones need not wait for it.
            self._in_vain = True
            return sweep
        return None
