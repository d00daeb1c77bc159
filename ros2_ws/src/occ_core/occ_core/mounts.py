"""A sensor on something that moves in its robot, a turntable or an arm: where it was during each sweep. No ROS."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from typing import Any

import numpy as np

from occ_core.messages import from_transform
from occ_core.stamps import from_stamp
from occ_core.sync import PATIENCE_S, SyncedSweep
from occ_core.transforms import Source, TransformTree
from occ_core.urdf import joints

_DISCOVERY_S = 5.0  # that a publisher of /tf may take to be discovered, on a busy machine


def mounted(tree: TransformTree, base: str, frame: str, sweep: SyncedSweep, hold: bool) -> SyncedSweep | None:
    """A sweep with where its sensor was in the base all the while; None where that is not known.

    frame: the sensor's, as the tree names it. hold: what moves stays where it was heard of last.
    """
    times = sweep.times if sweep.times is not None and len(sweep.times) else np.zeros(1)
    begin, end = sweep.stamp + min(times.min(), 0.0), sweep.stamp + max(times.max(), 0.0)
    track = tree.track(base, frame, begin, end, hold)
    return replace(sweep, mounts=track) if track is not None else None


class _Wait(Enum):
    WAIT = "/tf may still say more"


_WAIT = _Wait.WAIT


class MountedSweeps:
    """Hands a robot's sweeps on in order, those of a sensor that moves once /tf has said where it was.

    listen: called once, when /tf is needed: where the description has a joint that can move between the base and the
    sensor, or does not have the sensor at all. A sweep waits `patience` seconds of message time; a frame stays where
    it was last, where /tf has stopped, and a sweep from before it was heard of is lost. Where /tf says nothing for so
    long as a publisher takes to be discovered, the description holds. lose: called for each sweep that nobody can
    place, with the reason.
    """

    def __init__(
        self,
        robot: str,
        description: str,
        deliver: Callable[[SyncedSweep], None],
        listen: Callable[[], None],
        base: str = "base_link",
        patience: float = PATIENCE_S,
        lose: Callable[[str], None] = lambda why: None,
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
        self._lose = lose

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
            placed = self._placed(sweep, self._newest - sweep.stamp)
            if placed is _WAIT:
                return
            self._waiting.popleft()
            if isinstance(placed, SyncedSweep):
                self._deliver(placed)

    def _give_up(self) -> None:
        while self._waiting:
            placed = self._placed(self._waiting.popleft(), np.inf)
            if isinstance(placed, SyncedSweep):
                self._deliver(placed)

    def _placed(self, sweep: SyncedSweep, waited: float) -> SyncedSweep | _Wait | None:
        """The sweep as it can be handed on; None where it never can."""
        frame = self._bare(sweep.frame_id)
        if sweep.between or frame in self._still:
            return sweep
        known = self._tree.connected(self._base, frame)
        if known and (self._tree.moves(self._base, frame) or frame not in self._described):
            late = waited > self._patience
            found = mounted(self._tree, self._base, frame, sweep, hold=late)
            if found is None and late:
                self._lose(f"no /tf that says where '{frame}' was during a sweep")
            return found if found is not None or late else _WAIT
        if self._in_vain or waited > _DISCOVERY_S:
            # Nobody says more than the description: the next ones need not wait for it.
            self._in_vain = True
            return sweep
        return _WAIT
