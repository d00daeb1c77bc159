"""Where something was during the last moments."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from occ_core.poses import Pose


@dataclass(frozen=True)
class Track:
    """times: (n,) rising seconds from now, the last zero. poses: in map, one for each; one or more."""

    times: np.ndarray
    poses: tuple[Pose, ...]

    def at(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions (k, 3) and rotations to map (k, 3, 3), between poses on the geodesic, before the first at it."""
        if len(self.poses) == 1:
            still = self.poses[0]
            return np.tile(still.position, (len(times), 1)), np.tile(still.rotation, (len(times), 1, 1))
        inside = np.clip(times, self.times[0], self.times[-1])
        positions = np.array([pose.position for pose in self.poses])
        turns = Rotation.from_matrix(np.array([pose.rotation for pose in self.poses]))
        return (
            np.column_stack([np.interp(inside, self.times, positions[:, axis]) for axis in range(3)]),
            Slerp(self.times, turns)(inside).as_matrix(),
        )

    def of(self, mount: Pose) -> Track:
        """The track of something mounted on this."""
        return Track(self.times, tuple(pose @ mount for pose in self.poses))


class Past:
    """Notes poses, and forgets what is longer ago than `seconds`, but for the last pose before."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._notes: deque[tuple[float, Pose]] = deque()

    def add(self, time: float, pose: Pose) -> None:
        """Note a pose in map at a time, seconds, later than the last."""
        self._notes.append((time, pose))
        while len(self._notes) > 1 and self._notes[1][0] <= time - self._seconds + 1e-9:
            self._notes.popleft()

    def track(self) -> Track:
        """What is remembered, up to the last note."""
        times, poses = zip(*self._notes, strict=True)
        return Track(np.array(times) - times[-1], poses)
