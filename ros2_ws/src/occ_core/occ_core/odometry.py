"""A robot's odometry over time: poses, and velocities that are what the poses do."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass

import numpy as np

from occ_core.pose_buffer import PoseBuffer, PoseUnknown
from occ_core.poses import Pose, velocity_between

_SAME_S = 1e-9
_UNKNOWN = np.full(3, np.nan)
_REACH_S = 0.05  # velocities by the poses alone are of the motion from so long before to so long after


@dataclass(frozen=True)
class Odometry:
    """base_link in map at a stamp in seconds; linear, angular: (3,) velocities in base_link, NaN where nobody knows."""

    stamp: float
    pose: Pose
    linear: np.ndarray
    angular: np.ndarray

    @property
    def measured(self) -> bool:
        """Whether its velocities are numbers."""
        return math.isfinite(self.linear.sum()) and math.isfinite(self.angular.sum())


class TwistCheck:
    """Compares velocities that an odometry reports with the motion of its own poses.

    Some estimators leave the twist at zero (FAST-LIO, MOLA), some write it in the parent's frame (OpenVINS), which
    nav_msgs/Odometry does not allow. A step of poses is compared with the mean of the twists over it, and the median
    over two seconds, or four steps where odometry is seldom, decides, so that neither noise nor a jump of the poses
    does. wrong: found so, once and for good.
    """

    _STEP_S, _WINDOW_S, _LEAST = 0.1, 2.0, 4
    _LONGEST_S = 1.6
    # Metres and radians a second that may differ, and the share of the speed that may.
    _LINEAR, _ANGULAR, _SHARE = 0.1, 0.06, 0.15

    def __init__(self) -> None:
        self.wrong = False
        self._before: Odometry | None = None
        self._between: list[np.ndarray] = []
        self._errors: deque[tuple[float, np.ndarray, np.ndarray]] = deque()

    def add(self, odometry: Odometry) -> None:
        """Take the next message."""
        if self.wrong:
            return
        before = self._before
        if before is None or not 0 < odometry.stamp - before.stamp <= self._LONGEST_S:
            self._before, self._between = odometry, []
            self._errors.clear()
            return
        seconds = odometry.stamp - before.stamp
        if seconds < self._STEP_S - _SAME_S:
            self._between += [np.concatenate([odometry.linear, odometry.angular])]
            return
        moved = np.concatenate(velocity_between(before.pose, odometry.pose, seconds))
        ends = (np.concatenate([end.linear, end.angular]) / 2 for end in (before, odometry))
        said = (sum(ends) + sum(self._between)) / (1 + len(self._between))
        self._before, self._between = odometry, []
        self._errors.append((odometry.stamp, said - moved, moved))
        while len(self._errors) > self._LEAST and self._errors[0][0] < odometry.stamp - self._WINDOW_S:
            self._errors.popleft()
        if len(self._errors) >= self._LEAST:
            self._judge()

    def _judge(self) -> None:
        error = np.median([error for _, error, _ in self._errors], axis=0)
        moved = np.median([np.abs(moved) for _, _, moved in self._errors], axis=0)
        linear, angular = (float(np.linalg.norm(error[part])) for part in (slice(0, 3), slice(3, 6)))
        speed, rate = (float(np.linalg.norm(moved[part])) for part in (slice(0, 3), slice(3, 6)))
        slow, calm = self._LINEAR + self._SHARE * speed, self._ANGULAR + self._SHARE * rate
        self.wrong = linear > slow or angular > calm


class OdometryBuffer:
    """Poses with or without velocities, and both at any time between them.

    memory, longest_gap: as of a PoseBuffer, seconds. distrust: take the poses' own velocities from the beginning.
    """

    def __init__(self, memory: float, longest_gap: float, distrust: bool = False) -> None:
        self.poses = PoseBuffer(memory, longest_gap)
        self._twists: deque[tuple[float, np.ndarray, np.ndarray]] = deque()
        self._check = TwistCheck()
        self._check.wrong = distrust
        self._unmeasured = False

    @property
    def distrusted(self) -> bool:
        """Whether velocities came that are not what the poses do."""
        return self._check.wrong

    @property
    def last(self) -> float:
        """The newest stamp; minus infinity where there is none."""
        return self.poses.last

    def add(self, odometry: Odometry) -> None:
        """Take a pose with its velocities. One that is not after the last is left out."""
        if self.poses.add(odometry.stamp, odometry.pose):
            self._check.add(odometry)
            self._twists.append((odometry.stamp, odometry.linear, odometry.angular))
            while self._twists[0][0] < self.poses.first - _SAME_S:
                self._twists.popleft()

    def distrust(self) -> None:
        """Take the poses' own velocities from here on."""
        self._check.wrong = True

    def add_pose(self, stamp: float, pose: Pose) -> None:
        """Take a pose from somebody who reports no velocities."""
        self._unmeasured = True
        self.poses.add(stamp, pose)

    def forget_before(self, stamp: float) -> None:
        """Keep what tells the motion at a stamp and after it."""
        self.poses.forget_before(stamp)
        while self._twists and self._twists[0][0] < self.poses.first - _SAME_S:
            self._twists.popleft()

    def forget_after(self, stamp: float) -> None:
        """Keep what is not after a stamp."""
        self.poses.forget_after(stamp)
        self._twists = deque(entry for entry in self._twists if entry[0] <= stamp)

    def at(self, stamp: float, final: bool = False, moving: bool = True) -> Odometry | None:
        """Pose and velocities at a stamp; None while they are not known yet.

        final: nothing more is coming that would be worth waiting for. Velocities by the poses alone wait for some
        hundredths of a second after the stamp; one pose alone has none. moving: whether velocities are wanted; without,
        they are NaN where they would have to be worked out from poses.
        """
        if not self.poses.knows(stamp):
            return None
        if not (self._unmeasured or self._check.wrong):
            return self._measured(stamp)
        if not final and self.poses.last < stamp + _REACH_S - _SAME_S:
            return None
        if not moving and not final:
            return Odometry(stamp, self.poses.at(stamp), _UNKNOWN, _UNKNOWN)
        try:
            return Odometry(stamp, self.poses.at(stamp), *self.poses.velocity(stamp, _REACH_S))
        except PoseUnknown:
            return None

    def _measured(self, stamp: float) -> Odometry:
        """Between two messages, velocities linearly."""
        after = bisect_left(self._twists, stamp - _SAME_S, key=lambda entry: entry[0])
        at, linear, angular = self._twists[after]
        if at - stamp < _SAME_S:
            return Odometry(at, self.poses.at(stamp), linear, angular)
        before = self._twists[after - 1]
        part = (stamp - before[0]) / (at - before[0])
        linear, angular = ((1 - part) * u + part * v for u, v in ((before[1], linear), (before[2], angular)))
        return Odometry(stamp, self.poses.at(stamp), linear, angular)
