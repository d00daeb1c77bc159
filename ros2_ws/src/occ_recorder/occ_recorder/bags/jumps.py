"""Clocks that jump within a bag, each held against the times of recording, and poses that jump by themselves."""

from __future__ import annotations

import math

from occ_core.poses import Pose

_SAME_S = 1e-6
_AHEAD_S = 0.1  # of the recorder's clock, that no message is stamped
_FOREIGN_S = 5.0  # a clock that differs by more from the recorder's, as a simulator's, may go faster or slower
_FOREIGN_JUMP_S = 2.0
_SURE = 3  # messages in a row; a single one may have overtaken another
_LIKE_S, _LIKE = 0.1, 0.25
# From pose to pose: what noise does, and what no vehicle's acceleration does, m/s^2 and rad/s^2.
_NOISE_M, _NOISE_RAD, _LINEAR, _ANGULAR = 0.2, 0.1, 20.0, 40.0
_TOO_FAR_APART_S = 0.5
_JUMPS_OF_ONE_SENDER = 20


class _Clock:
    """One topic's stamps along the times of recording, seconds. jump: how far its clock is from where it was.

    usual: from the stamp to the recording, before it jumped.
    """

    def __init__(self) -> None:
        self.jump = 0.0
        self.jumped = 0  # messages in a row
        self.usual = self._stamp = self._logged = math.nan  # delay, stamp and recording of the last one before
        self._least = math.inf

    def add(self, stamp: float, logged: float) -> None:
        """Take the next message. A clock has jumped where stamps go back, or ahead of the time that they are recorded.

        A message that comes late says nothing: its stamp is as good as ever.
        """
        delay = logged - stamp
        off = self.usual - delay
        near_the_jump = self.jumped and abs(off - self.jump) < abs(off)
        if near_the_jump or (not self.jumped and self._jumps(stamp, logged, delay)):
            self.jump, self.jumped = off, self.jumped + 1
            return
        self.jump, self.jumped = 0.0, 0
        self.usual, self._stamp, self._logged, self._least = delay, stamp, logged, min(self._least, delay)

    def _jumps(self, stamp: float, logged: float, delay: float) -> bool:
        if math.isnan(self.usual):
            return False
        if stamp < self._stamp - _SAME_S:
            return logged >= self._logged
        if abs(self._least) > _FOREIGN_S:
            return self.usual - delay > _FOREIGN_JUMP_S
        furthest = -_AHEAD_S if self._least >= 0 else self._least - 1.0
        return delay < furthest and self.usual - delay > _AHEAD_S

    def settle(self) -> None:
        """What it has jumped to is right."""
        self.usual -= self.jump
        self._least = self.usual
        self.jump, self.jumped = 0.0, 0
        self._stamp = -math.inf

    def begin_anew(self) -> None:
        """The clock is what it is now, as of a simulation that was started again."""
        self.__init__()  # type: ignore[misc]


class ClockWatch:
    """Tells sweeps that are stamped by the clock that they began with from those after a jump of only one of the two.

    problem: a sentence about them, '' where there are none.
    """

    def __init__(self, lidar: str, odometry: str) -> None:
        self._names = lidar, odometry
        self._lidar, self._odometry = _Clock(), _Clock()
        self._began = math.nan
        self._left_out = 0
        self._first: tuple[str, float, float] | None = None  # whose clock, how far, when

    def odometry(self, stamp: float, logged: float) -> None:
        """Take odometry. Both in seconds, as all here."""
        self._began = logged if math.isnan(self._began) else self._began
        self._odometry.add(stamp, logged)

    def sweep(self, stamp: float, logged: float) -> bool:
        """Whether a sweep belongs where its stamp puts it, beside odometry."""
        self._began = logged if math.isnan(self._began) else self._began
        self._lidar.add(stamp, logged)
        ours, theirs = self._lidar, self._odometry
        if ours.jumped and theirs.jumped and abs(ours.jump - theirs.jump) < _LIKE_S + _LIKE * abs(ours.jump):
            ours.begin_anew()
            theirs.begin_anew()
            ours.add(stamp, logged)
        elif (ours.jumped or theirs.jumped >= _SURE) and self._nearer():
            jumped = ours if ours.jumped else theirs
            jumped.settle()
        elif ours.jumped or theirs.jumped >= _SURE:
            name, jump = (self._names[0], ours.jump) if ours.jumped else (self._names[1], theirs.jump)
            self._left_out += 1
            if self._first is None or ours.jumped == _SURE:
                self._first = name, jump, logged - self._began
            return False
        return True

    def _nearer(self) -> bool:
        """Whether a jump has brought the two clocks together, as where a LiDAR is set after it was switched on."""
        before = self._lidar.usual - self._odometry.usual
        now = before - self._lidar.jump + self._odometry.jump
        return abs(now) < abs(before)

    @property
    def problem(self) -> str:
        """What was found, and what to do."""
        if self._first is None:
            return ""
        if self._left_out < _SURE:
            return f"sweep out of order: {self._left_out} times"
        name, jump, when = self._first
        other = self._names[name == self._names[0]]
        return (
            f"the clock of {name} jumps by {jump:+.3f} s {when:.1f} s into the bag, and that of {other} does not:"
            f" {self._left_out} sweeps after it are left out; mend the clock, or take the times of recording:"
            " `stamps: log` in a --config"
        )


class PoseJumps:
    """Counts steps of odometry that no vehicle makes, as where a localiser corrects its poses instead of `map`."""

    def __init__(self, odometry: str) -> None:
        self._name = odometry
        self._last: tuple[float, list[float], list[float]] | None = None  # stamp, position, orientation
        self._velocity, self._rate = [0.0, 0.0, 0.0], 0.0
        self._steps = 0  # that the velocity is of
        self._count, self._most, self._first = 0, 0.0, math.nan

    def add(self, stamp: float, pose: Pose, logged: float) -> None:
        """Take the next pose. stamp, and logged, when it was recorded: seconds."""
        here = pose.position.tolist(), pose.orientation.tolist()
        last, self._last = self._last, (stamp, *here)
        if last is None or not 0 < (seconds := stamp - last[0]) <= _TOO_FAR_APART_S:
            self._steps = 0
            return
        step = [new - old for new, old in zip(here[0], last[1], strict=True)]
        turn = 2 * math.acos(min(abs(sum(a * b for a, b in zip(here[1], last[2], strict=True))), 1.0))
        if self._steps:
            off = math.dist(step, [v * seconds for v in self._velocity])
            turned = turn - self._rate * seconds
            if off > _NOISE_M + _LINEAR * seconds**2 or turned > _NOISE_RAD + _ANGULAR * seconds**2:
                self._count, self._most = self._count + 1, max(self._most, off)
                self._first = logged if math.isnan(self._first) else self._first
                return
        self._steps += 1
        self._velocity, self._rate = [part / seconds for part in step], turn / seconds

    def problem(self, began: float) -> str:
        """What was found, and what to do; '' where poses are smooth. began: when the bag does, seconds."""
        if not self._count:
            return ""
        senders = ": do two senders share the topic" if self._count > _JUMPS_OF_ONE_SENDER else ""
        return (
            f"the poses of {self._name} jump {self._count} times, by up to {self._most:.1f} m, first"
            f" {self._first - began:.1f} s into the bag: walls that were seen before stand twice for some seconds; name"
            f" odometry that is smooth, such as `odometry: tf` where /tf has odom{senders}"
        )
