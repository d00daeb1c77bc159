"""The tree of frames that /tf and /tf_static describe: where one is in another, at a time."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field

from occ_core.poses import Pose, interpolate

_MEMORY_S = 10.0


@dataclass
class _Edge:
    """A frame in its parent. stamps, poses: of a moving one, ascending; of a fixed one there is one pose."""

    parent: str
    fixed: bool
    stamps: deque[float] = field(default_factory=deque)
    poses: deque[Pose] = field(default_factory=deque)

    def at(self, stamp: float, hold: bool) -> Pose | None:
        if self.fixed:
            return self.poses[-1]
        after = bisect_left(self.stamps, stamp - 1e-9)
        if after == len(self.stamps):
            return self.poses[-1] if hold and self.poses else None
        if self.stamps[after] - stamp < 1e-9:
            return self.poses[after]
        if after == 0:
            return None
        a, b = self.stamps[after - 1], self.stamps[after]
        return interpolate(self.poses[after - 1], self.poses[after], (stamp - a) / (b - a))


class TransformTree:
    """Holds the last ten seconds of every moving frame. Frame names are without a leading slash."""

    def __init__(self) -> None:
        self._edges: dict[str, _Edge] = {}

    def add(self, parent: str, child: str, stamp: float, pose: Pose, fixed: bool = False) -> bool:
        """pose: of the child in the parent. False where the stamp is not newer than the last one of the child.

        A stamp that is seconds back is a clock that began anew: what the child did before is forgotten.
        """
        parent, child = parent.lstrip("/"), child.lstrip("/")
        edge = self._edges.get(child)
        if edge is None or edge.parent != parent or edge.fixed or fixed:
            edge = self._edges[child] = _Edge(parent, fixed)
        if edge.stamps and stamp <= edge.stamps[-1]:
            if stamp > edge.stamps[-1] - 1.0:
                return False
            edge.stamps.clear(), edge.poses.clear()
        edge.stamps.append(stamp)
        edge.poses.append(pose)
        while edge.stamps[0] < stamp - _MEMORY_S:
            edge.stamps.popleft(), edge.poses.popleft()
        return True

    def mover(self, frame: str) -> str:
        """The frame itself, or the first one above it, that moves in its parent; '' where all are fixed."""
        frame, seen = frame.lstrip("/"), set[str]()
        while frame in self._edges and frame not in seen:
            if not self._edges[frame].fixed:
                return frame
            seen.add(frame)
            frame = self._edges[frame].parent
        return ""

    def connected(self, target: str, frame: str) -> bool:
        """Are the two in one tree, as far as is known?"""
        return bool(self._to_root(target.lstrip("/"), 0.0, True).keys() & self._to_root(frame.lstrip("/"), 0.0, True))

    @property
    def frames(self) -> set[str]:
        """Every frame that was named, as parent or child."""
        return self._edges.keys() | {edge.parent for edge in self._edges.values()}

    def lookup(self, target: str, frame: str, stamp: float = 0.0, hold: bool = False) -> Pose | None:
        """The pose of a frame in the target at a stamp, between two transforms by interpolation.

        None where they are not in one tree, or a moving frame between them is not known there yet; with `hold` such a
        frame stays where it was last.
        """
        target, frame = target.lstrip("/"), frame.lstrip("/")
        below, above = self._to_root(frame, stamp, hold), self._to_root(target, stamp, hold)
        for name, pose in below.items():
            if name in above:
                ours, theirs = pose, above[name]
                return None if ours is None or theirs is None else theirs.inverse() @ ours
        return None

    def _to_root(self, frame: str, stamp: float, hold: bool) -> dict[str, Pose | None]:
        """The frame in itself, in its parent, and so on; None from the first that is not known."""
        chain: dict[str, Pose | None] = {frame: Pose.identity()}
        pose: Pose | None = Pose.identity()
        while frame in self._edges and (parent := self._edges[frame].parent) not in chain:
            step = self._edges[frame].at(stamp, hold)
            pose = step @ pose if step is not None and pose is not None else None
            chain[parent] = pose
            frame = parent
        return chain
