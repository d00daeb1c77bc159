"""Pose over time: where one frame is in another, at any moment between the poses that were heard."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import numpy as np

from occ_core.poses import Pose, interpolate, screws, velocity_between
from occ_core.rotations import matrices

_SAME_S = 1e-9


class PoseUnknown(LookupError):
    """A time at which nobody can tell the pose: before the first, after the last, or in a gap."""


class PoseBuffer:
    """Poses of one frame by their stamps, in seconds; between two of them along the screw motion.

    memory: seconds that are kept, counted back from the newest stamp. longest_gap: two poses further apart, in seconds,
    say nothing about the time between them.
    """

    def __init__(self, memory: float = np.inf, longest_gap: float = np.inf) -> None:
        self._memory, self._gap = memory, longest_gap
        self._stamps: list[float] = []
        self._poses: list[Pose] = []

    def __len__(self) -> int:
        return len(self._stamps)

    @property
    def first(self) -> float:
        """The oldest stamp; infinity where there is none."""
        return self._stamps[0] if self._stamps else np.inf

    @property
    def last(self) -> float:
        """The newest stamp; minus infinity where there is none."""
        return self._stamps[-1] if self._stamps else -np.inf

    @property
    def stamps(self) -> tuple[float, ...]:
        """Of all poses, rising."""
        return tuple(self._stamps)

    @property
    def newest(self) -> Pose:
        """The last pose. PoseUnknown where there is none."""
        if not self._poses:
            raise PoseUnknown("no pose has come yet")
        return self._poses[-1]

    def add(self, stamp: float, pose: Pose) -> bool:
        """Take a pose; False for one that is not after the last, which is left out."""
        if self._stamps and stamp <= self._stamps[-1]:
            return False
        self._stamps.append(stamp)
        self._poses.append(pose)
        if self._stamps[0] < stamp - self._memory:
            self._drop(bisect_left(self._stamps, stamp - self._memory))
        return True

    def clear(self) -> None:
        """Forget all."""
        self._drop(len(self._stamps))

    def forget_before(self, stamp: float) -> None:
        """Keep what tells the pose at a stamp and after it."""
        self._drop(max(bisect_left(self._stamps, stamp) - 1, 0))

    def forget_after(self, stamp: float) -> None:
        """Keep what is not after a stamp, as where a clock went back to it."""
        keep = bisect_right(self._stamps, stamp)
        del self._stamps[keep:], self._poses[keep:]

    def _drop(self, count: int) -> None:
        if count:
            del self._stamps[:count], self._poses[:count]

    def knows(self, stamp: float) -> bool:
        """Whether `at` has an answer."""
        return self._neighbours(stamp) is not None

    def at(self, stamp: float) -> Pose:
        """The pose at a stamp. PoseUnknown outside of what was heard, and in a gap."""
        between = self._neighbours(stamp)
        if between is None:
            raise PoseUnknown(self._outside(stamp))
        before, after, fraction = between
        return self._poses[after] if before == after else interpolate(self._poses[before], self._poses[after], fraction)

    def nearest(self, stamp: float, within: float) -> Pose | None:
        """The pose at a stamp, or the nearest that was heard, not more than some seconds away; None where none is."""
        if self.knows(stamp):
            return self.at(stamp)
        after = bisect_left(self._stamps, stamp)
        near = [n for n in (after - 1, after) if 0 <= n < len(self) and abs(self._stamps[n] - stamp) <= within]
        return self._poses[min(near, key=lambda n: abs(self._stamps[n] - stamp))] if near else None

    def _neighbours(self, stamp: float) -> tuple[int, int, float] | None:
        """Indices of the poses before and after a stamp, the same where one is at it, and the fraction between."""
        after = bisect_left(self._stamps, stamp - _SAME_S)
        if after == len(self._stamps):
            return None
        if self._stamps[after] - stamp < _SAME_S:
            return after, after, 0.0
        if after == 0:
            return None
        a, b = self._stamps[after - 1], self._stamps[after]
        return None if b - a > self._gap else (after - 1, after, (stamp - a) / (b - a))

    def _outside(self, stamp: float) -> str:
        if not self._stamps:
            return "no pose has come yet"
        return f"no pose at {stamp:.6f} s: there are {len(self)} from {self.first:.6f} s to {self.last:.6f} s"

    def batch(self, stamps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Many poses at once. stamps: (n,) seconds, in any order.

        Returns positions (n, 3) and rotations (n, 3, 3) to the parent, float64. PoseUnknown where one of them is.
        """
        stamps = np.asarray(stamps, dtype=np.float64)
        if not len(stamps):
            return np.zeros((0, 3)), np.zeros((0, 3, 3))
        known = np.array(self._stamps)
        low, high = float(stamps.min()), float(stamps.max())
        if not (len(known) and known[0] - _SAME_S <= low and high <= known[-1] + _SAME_S):
            raise PoseUnknown(self._outside(high if len(known) and low >= known[0] else low))
        if len(known) == 1:
            only = self._poses[0]
            return np.tile(only.position, (len(stamps), 1)), np.tile(only.rotation, (len(stamps), 1, 1))
        before = np.clip(np.searchsorted(known, stamps, side="right") - 1, 0, len(known) - 2)
        seconds = known[before + 1] - known[before]
        fraction = np.clip((stamps - known[before]) / seconds, 0.0, 1.0)
        if (in_gap := (seconds > self._gap) & (fraction > 0) & (fraction < 1)).any():
            raise PoseUnknown(self._outside(float(stamps[in_gap][0])))
        segments, which = np.unique(before, return_inverse=True)
        steps = [self._poses[n].inverse() @ self._poses[n + 1] for n in segments]
        turns, slides = screws(steps)
        starts = matrices(np.array([self._poses[n].orientation for n in segments]))
        origins = np.array([self._poses[n].position for n in segments])
        moved, turned = _along(turns[which] * fraction[:, None], slides[which] * fraction[:, None])
        rotations = starts[which]
        return np.einsum("nij,nj->ni", rotations, moved) + origins[which], rotations @ turned

    def velocity(self, stamp: float, reach: float) -> tuple[np.ndarray, np.ndarray]:
        """Linear and angular velocity (3,) in the child frame at a stamp, m/s and rad/s, by the poses alone.

        Of the screw from `reach` seconds before to as long after, as far as poses are known and not across a gap.
        PoseUnknown where the stamp is unknown or no other pose is near.
        """
        here = self.at(stamp)
        begin, end = max(stamp - reach, self.first), min(stamp + reach, self.last)
        before, after = (at if self.knows(at) else stamp for at in (begin, end))
        if after - before < _SAME_S:
            raise PoseUnknown(f"one pose at {stamp:.6f} s says nothing about a velocity")
        start = here if before == stamp else self.at(before)
        finish = here if after == stamp else self.at(after)
        return velocity_between(start, finish, after - before)

    def between(self, begin: float, end: float, about: float) -> PoseBuffer:
        """What tells the poses from one stamp to another, as a buffer of its own; not across a gap from `about`."""
        low = max(bisect_right(self._stamps, begin + _SAME_S) - 1, 0)
        high = min(bisect_left(self._stamps, end - _SAME_S) + 1, len(self))
        middle = min(max(bisect_right(self._stamps, about + _SAME_S) - 1, low), high - 1)
        steps = range(low + 1, high)
        gaps = [n for n in steps if self._stamps[n] - self._stamps[n - 1] > self._gap]
        low = max((n for n in gaps if n <= middle), default=low)
        high = min((n for n in gaps if n > middle), default=high)
        part = PoseBuffer(longest_gap=self._gap)
        part._stamps, part._poses = self._stamps[low:high], self._poses[low:high]
        return part

    def mounted(self, mount: Pose) -> PoseBuffer:
        """The same of something that is fixed to the frame. mount: its pose in it."""
        part = PoseBuffer(self._memory, self._gap)
        part._stamps, part._poses = list(self._stamps), [pose @ mount for pose in self._poses]
        return part


def _along(turns: np.ndarray, slides: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Exponentials of screws: translations (n, 3) and rotations (n, 3, 3). turns, slides: (n, 3)."""
    from scipy.spatial.transform import Rotation  # takes a moment to load

    angle = np.linalg.norm(turns, axis=1)
    first = np.sinc(angle / (2 * np.pi)) ** 2 / 2
    small = angle <= 1e-3
    second = np.where(small, 1 / 6, (1 - np.sinc(angle / np.pi)) / np.where(small, 1.0, angle) ** 2)
    once = np.cross(turns, slides)
    moved = slides + first[:, None] * once + second[:, None] * np.cross(turns, once)
    return moved, Rotation.from_rotvec(turns).as_matrix()
