"""The snapshots of every robot in the order of their stamps: what the page can go back and forth in."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from threading import Lock

import numpy as np

from occ_core.actors import Actor
from occ_core.pose_buffer import PoseBuffer
from occ_core.poses import Pose
from occworld_infer.viewer.snapshot import Snapshot

_SAME_S = 0.05  # stamps of keyframes this near to each other are of one instant
_GAP_S = 1.5  # a robot is not drawn between two snapshots further apart


@dataclass(frozen=True)
class Newest:
    """A robot between two snapshots of a live run. lidar: (n, 3) float32 metres, map, of its last sweep."""

    base_link: Pose
    lidar: np.ndarray
    actors: tuple[Actor, ...] = ()


class Timeline:
    """Holds the last `keep` snapshots of each robot; several threads may use it.

    complete: nothing more will come. refused: snapshots that there was no room for, where the beginning is
    kept.
    """

    def __init__(self, keep: int, keep_first: bool = False) -> None:
        self._keep, self._keep_first = keep, keep_first
        self._snapshots: dict[str, list[Snapshot]] = {}
        self._stamps: dict[str, list[float]] = {}
        self._poses: dict[str, PoseBuffer] = {}
        self._newest: dict[str, Newest] = {}
        self._lock = Lock()
        self.complete = False
        self.refused = 0

    def add(self, snapshot: Snapshot) -> None:
        """Take a robot's next snapshot. A stamp that goes back is a clock that began anew: so does its timeline."""
        with self._lock:
            snapshots = self._snapshots.setdefault(snapshot.robot, [])
            stamps = self._stamps.setdefault(snapshot.robot, [])
            poses = self._poses.setdefault(snapshot.robot, PoseBuffer(longest_gap=_GAP_S))
            if stamps and snapshot.stamp <= stamps[-1]:
                snapshots.clear(), stamps.clear(), poses.clear()
            if len(snapshots) == self._keep and self._keep_first:
                self.refused += 1
                return
            snapshots.append(snapshot)
            stamps.append(snapshot.stamp)
            poses.add(snapshot.stamp, snapshot.base_link)
            if len(snapshots) > self._keep:
                del snapshots[0], stamps[0]
                poses.forget_before(stamps[0])

    def track(self, robot: str, newest: Newest) -> None:
        """Where a robot is, and what it sees, between two snapshots."""
        self._newest[robot] = newest

    def newest(self, robot: str) -> Newest | None:
        """What was tracked last, None where nothing was."""
        return self._newest.get(robot)

    def span(self, robot: str) -> tuple[float, float] | None:
        """Stamps of the robot's first and last snapshot, None where there is none."""
        with self._lock:
            stamps = self._stamps.get(robot)
            return (stamps[0], stamps[-1]) if stamps else None

    def amend(self, snapshot: Snapshot) -> None:
        """Put a snapshot that is known better by now in place of the one of its robot and stamp, if that is there."""
        with self._lock:
            stamps = self._stamps.get(snapshot.robot, [])
            at = bisect_left(stamps, snapshot.stamp)
            if at < len(stamps) and stamps[at] == snapshot.stamp:
                self._snapshots[snapshot.robot][at] = snapshot

    def forecast_before(self, robot: str, stamp: float, age: float) -> Snapshot | None:
        """The last snapshot with a forecast that is not after a stamp and at most `age` seconds before it."""
        with self._lock:
            snapshots, stamps = self._snapshots.get(robot, []), self._stamps.get(robot, [])
            for at in range(bisect_right(stamps, stamp + _SAME_S) - 1, -1, -1):
                if stamps[at] < stamp - age:
                    break
                if snapshots[at].forecast is not None:
                    return snapshots[at]
            return None

    def compared(self, robot: str, until: float, ahead: float, age: float) -> tuple[Snapshot, Snapshot] | None:
        """The last snapshot not after a stamp and at most `age` seconds before it that was forecast `ahead` seconds
        before, and the one that it was forecast from; None where there is none. A slow model skips most."""
        with self._lock:
            snapshots, stamps = self._snapshots.get(robot, []), self._stamps.get(robot, [])
            for at in range(bisect_right(stamps, until + _SAME_S) - 1, -1, -1):
                if stamps[at] < until - age - _SAME_S:
                    break
                made = bisect_left(stamps, stamps[at] - ahead - _SAME_S)
                if made < at and abs(stamps[made] - (stamps[at] - ahead)) <= _SAME_S and snapshots[made].forecast:
                    return snapshots[at], snapshots[made]
            return None

    def before(self, robot: str, stamp: float) -> Snapshot | None:
        """The robot's last snapshot that is not after a stamp, else its first; None where there is none."""
        with self._lock:
            snapshots = self._snapshots.get(robot)
            if not snapshots:
                return None
            return snapshots[max(bisect_right(self._stamps[robot], stamp + _SAME_S) - 1, 0)]

    def exactly(self, robot: str, stamp: float) -> Snapshot | None:
        """The robot's snapshot of an instant, None where there is none."""
        snapshot = self.before(robot, stamp)
        return snapshot if snapshot is not None and abs(snapshot.stamp - stamp) <= _SAME_S else None

    def ious(self, robot: str, horizon: float, until: float) -> np.ndarray:
        """(n, 3): stamp, and IoU of forecast and of *warp* as graded then, 0-1; of every snapshot up to a stamp whose
        grades have the horizon, seconds."""
        with self._lock:
            snapshots = self._snapshots.get(robot, [])[: bisect_right(self._stamps.get(robot, []), until + _SAME_S)]
        rows = [
            (snapshot.stamp, grade.iou, grade.warp_iou)
            for snapshot in snapshots
            for grade in snapshot.grades
            if abs(grade.horizon_s - horizon) < 1e-3
        ]
        return np.array(rows, dtype=np.float64).reshape(-1, 3)

    def pose(self, robot: str, stamp: float) -> Pose | None:
        """Where base_link was in map, between two snapshots along the screw motion; None where nobody knows."""
        with self._lock:
            poses = self._poses.get(robot)
            return poses.nearest(stamp, _GAP_S) if poses is not None else None
