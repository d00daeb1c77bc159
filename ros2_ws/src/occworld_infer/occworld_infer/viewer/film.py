"""The moments of every robot in the order of their stamps: what the page can go back and forth in."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from threading import Lock

import numpy as np

from occ_core.actors import Actor
from occ_core.pose_buffer import PoseBuffer
from occ_core.poses import Pose
from occworld_infer.viewer.moment import Moment

_SAME_S = 0.05  # stamps of keyframes this near to each other are of one instant
_GAP_S = 1.5  # a robot is not drawn between two moments further apart


@dataclass(frozen=True)
class Newest:
    """A robot between two moments of a live run. lidar: (n, 3) float32 metres, map, of its last sweep."""

    base_link: Pose
    lidar: np.ndarray
    actors: tuple[Actor, ...] = ()


class Film:
    """Holds the last `keep` moments of each robot; several threads may use it.

    complete: nothing more will come. refused: moments that there was no room for, of a film that keeps its beginning.
    """

    def __init__(self, keep: int, keep_first: bool = False) -> None:
        self._keep, self._keep_first = keep, keep_first
        self._moments: dict[str, list[Moment]] = {}
        self._stamps: dict[str, list[float]] = {}
        self._poses: dict[str, PoseBuffer] = {}
        self._newest: dict[str, Newest] = {}
        self._lock = Lock()
        self.complete = False
        self.refused = 0

    def add(self, moment: Moment) -> None:
        """Take a robot's next moment. A stamp that goes back is a clock that began anew: the robot's film does too."""
        with self._lock:
            moments = self._moments.setdefault(moment.robot, [])
            stamps = self._stamps.setdefault(moment.robot, [])
            poses = self._poses.setdefault(moment.robot, PoseBuffer(longest_gap=_GAP_S))
            if stamps and moment.stamp <= stamps[-1]:
                moments.clear(), stamps.clear(), poses.clear()
            if len(moments) == self._keep and self._keep_first:
                self.refused += 1
                return
            moments.append(moment)
            stamps.append(moment.stamp)
            poses.add(moment.stamp, moment.base_link)
            if len(moments) > self._keep:
                del moments[0], stamps[0]
                poses.forget_before(stamps[0])

    def track(self, robot: str, newest: Newest) -> None:
        """Where a robot is, and what it sees, between two moments."""
        self._newest[robot] = newest

    def newest(self, robot: str) -> Newest | None:
        """What was tracked last, None where nothing was."""
        return self._newest.get(robot)

    def span(self, robot: str) -> tuple[float, float] | None:
        """Stamps of the robot's first and last moment, None where there is none."""
        with self._lock:
            stamps = self._stamps.get(robot)
            return (stamps[0], stamps[-1]) if stamps else None

    def amend(self, moment: Moment) -> None:
        """Put a moment that is known better by now in the place of the one of its robot and stamp, if that is there."""
        with self._lock:
            stamps = self._stamps.get(moment.robot, [])
            at = bisect_left(stamps, moment.stamp)
            if at < len(stamps) and stamps[at] == moment.stamp:
                self._moments[moment.robot][at] = moment

    def foreseen(self, robot: str, stamp: float, age: float) -> Moment | None:
        """The last moment with a forecast that is not after a stamp and at most `age` seconds before it."""
        with self._lock:
            moments, stamps = self._moments.get(robot, []), self._stamps.get(robot, [])
            for at in range(bisect_right(stamps, stamp + _SAME_S) - 1, -1, -1):
                if stamps[at] < stamp - age:
                    break
                if moments[at].forecast is not None:
                    return moments[at]
            return None

    def before(self, robot: str, stamp: float) -> Moment | None:
        """The robot's last moment that is not after a stamp, else its first; None where there is none."""
        with self._lock:
            moments = self._moments.get(robot)
            if not moments:
                return None
            return moments[max(bisect_right(self._stamps[robot], stamp + _SAME_S) - 1, 0)]

    def exactly(self, robot: str, stamp: float) -> Moment | None:
        """The robot's moment of an instant, None where there is none."""
        moment = self.before(robot, stamp)
        return moment if moment is not None and abs(moment.stamp - stamp) <= _SAME_S else None

    def pose(self, robot: str, stamp: float) -> Pose | None:
        """Where base_link was in map, between two moments along the screw motion; None where nobody knows."""
        with self._lock:
            poses = self._poses.get(robot)
            return poses.nearest(stamp, _GAP_S) if poses is not None else None
