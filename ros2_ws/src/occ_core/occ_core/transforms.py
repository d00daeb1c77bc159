"""One tree of frames, whoever says where one is: a config, a URDF, /tf_static or /tf. Where a frame is, at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from occ_core.pose_buffer import PoseBuffer
from occ_core.poses import Pose

_MEMORY_S = 10.0
_CLOCK_RESET_S = 1.0


class Source(IntEnum):
    """Who says where a frame is; the higher one is believed."""

    TF_STATIC = 0
    URDF = 1
    TF = 2
    CONFIG = 3


@dataclass
class _Edge:
    """A frame in its parent. still: its pose where it does not move; moving: its poses where it does.

    rigid: a joint that can't move, whatever /tf says of it.
    """

    parent: str
    source: Source
    still: Pose | None = None
    rigid: bool = False
    moving: PoseBuffer = field(default_factory=lambda: PoseBuffer(_MEMORY_S))

    def at(self, stamp: float, hold: bool) -> Pose | None:
        if self.still is not None:
            return self.still
        if self.moving.knows(stamp):
            return self.moving.at(stamp)
        return self.moving.newest if hold and len(self.moving) and stamp > self.moving.last else None


class TransformTree:
    """Holds the last ten seconds of every moving frame. Frame names are without a leading slash."""

    def __init__(self) -> None:
        self._edges: dict[str, _Edge] = {}

    def add_fixed(self, parent: str, child: str, pose: Pose, source: Source, rigid: bool = True) -> None:
        """pose: of the child in the parent, for good. rigid: False for a joint that /tf may move.

        Where somebody who is believed more has placed the child already, nothing changes.
        """
        parent, child = parent.lstrip("/"), child.lstrip("/")
        known = self._edges.get(child)
        if known is not None and known.source > source:
            republished = rigid and source is Source.URDF and known.source is Source.TF and known.parent == parent
            if not republished:
                return
        self._cut(parent, child)
        self._edges[child] = _Edge(parent, source, still=pose, rigid=rigid)

    def _cut(self, parent: str, child: str) -> None:
        """Take away the edge that would close a circle: what hung below the child, and the child below it now."""
        below, seen = parent, set[str]()
        while below in self._edges and below not in seen:
            seen.add(below)
            if self._edges[below].parent == child:
                del self._edges[below]
                return
            below = self._edges[below].parent

    def add_moving(self, parent: str, child: str, stamp: float, pose: Pose) -> bool:
        """pose: of the child in the parent at a stamp, seconds. False where that is not news.

        A stamp that is seconds back is a clock that began anew: what the child did before is forgotten.
        """
        parent, child = parent.lstrip("/"), child.lstrip("/")
        edge = self._edges.get(child)
        if edge is not None and (edge.source > Source.TF or (edge.rigid and edge.parent == parent)):
            return False
        if edge is None or edge.parent != parent or edge.still is not None:
            self._cut(parent, child)
            edge = self._edges[child] = _Edge(parent, Source.TF)
        if stamp <= edge.moving.last - _CLOCK_RESET_S:
            edge.moving.clear()
        return edge.moving.add(stamp, pose)

    def copy(self, but: TransformTree | None = None) -> TransformTree:
        """A tree of its own with the frames that do not move, neither here nor in another tree."""
        other = TransformTree()
        moving = {child for child, edge in but._edges.items() if edge.still is None} if but is not None else set()
        other._edges = {c: edge for c, edge in self._edges.items() if edge.still is not None and c not in moving}
        return other

    def mover(self, frame: str) -> str:
        """The frame itself, or the first one above it, that moves in its parent; '' where all are fixed."""
        return next((name for name in self.above(frame) if name in self._edges and not self._still(name)), "")

    def _still(self, child: str) -> bool:
        return self._edges[child].still is not None

    def above(self, frame: str) -> list[str]:
        """A frame, its parent, and so on to the root."""
        names = [frame.lstrip("/")]
        while names[-1] in self._edges and (parent := self._edges[names[-1]].parent) not in names:
            names.append(parent)
        return names

    def connected(self, target: str, frame: str) -> bool:
        """Are the two in one tree, as far as is known?"""
        return bool(set(self.above(target)) & set(self.above(frame)))

    def moves(self, target: str, frame: str) -> bool:
        """Is there anything between two frames that moves, as far as it is known what is between them?"""
        return any(child in self._edges and not self._still(child) for child in self._between(target, frame))

    def _between(self, target: str, frame: str) -> list[str]:
        """The children of all edges on the way from a frame to another."""
        ours, theirs = self.above(frame), self.above(target)
        return [name for name in ours if name not in theirs] + [name for name in theirs if name not in ours]

    @property
    def frames(self) -> set[str]:
        """Every frame that was named, as parent or child."""
        return self._edges.keys() | {edge.parent for edge in self._edges.values()}

    def lookup(self, target: str, frame: str, stamp: float = 0.0, hold: bool = False) -> Pose | None:
        """The pose of a frame in the target at a stamp, between two transforms along the screw motion.

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

    def track(self, target: str, frame: str, begin: float, end: float, hold: bool = False) -> PoseBuffer | None:
        """The poses of a frame in the target from one stamp to another, as often as anything between them was heard.

        None as in `lookup`.
        """
        if not self.connected(target, frame):
            return None
        stamps = {begin, end}
        for child in self._between(target.lstrip("/"), frame.lstrip("/")):
            stamps |= {at for at in self._edges[child].moving.stamps if begin < at < end}
        buffer = PoseBuffer()
        for stamp in sorted(stamps):
            pose = self.lookup(target, frame, stamp, hold)
            if pose is None:
                return None
            buffer.add(stamp, pose)
        return buffer

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
