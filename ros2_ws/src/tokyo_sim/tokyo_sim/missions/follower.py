"""Following a path: from where a robot is to the velocity that it should have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occ_core.poses import Pose

_ARRIVED_M = 1.0


@dataclass(frozen=True)
class Command:
    """linear: (3,) m/s in the level, yawed body frame. yaw_rate: rad/s."""

    linear: np.ndarray
    yaw_rate: float


class PathFollower:
    """Pure pursuit (Coulter, CMU-RI-TR-92-01) over a path (n, 2) in map; at its end it begins again if it loops."""

    def __init__(self, path: np.ndarray, speed: float, lookahead: float, loop: bool = True) -> None:
        if len(path) < 2 or speed <= 0:
            raise ValueError("a path needs at least two points and a positive speed")
        self._path, self._speed, self._lookahead, self._loop = np.asarray(path, dtype=float), speed, lookahead, loop
        self._index = 0
        self._arrived = False

    @property
    def finished(self) -> bool:
        """True at the end of a path that does not loop."""
        return self._arrived

    def _target(self, position: np.ndarray) -> np.ndarray:
        """Advance to the first point that is further than the lookahead; never backwards, once round at most."""
        for _ in range(len(self._path)):
            if np.linalg.norm(self._path[self._index] - position[:2]) >= self._lookahead:
                break
            if self._index + 1 < len(self._path):
                self._index += 1
            elif self._loop:
                self._index = 0
            else:
                break
        last = not self._loop and self._index == len(self._path) - 1
        self._arrived = last and float(np.linalg.norm(self._path[-1] - position[:2])) < _ARRIVED_M
        return self._path[self._index]

    def drive(self, pose: Pose, free_ahead: float = np.inf) -> Command:
        """For a car-like robot. free_ahead: metres to the next thing in the way; it stops 2 m short of it."""
        away = self._target(pose.position) - pose.position[:2]
        bearing = _wrap(np.arctan2(away[1], away[0]) - pose.yaw)
        distance = max(float(np.linalg.norm(away)), 0.5)
        # Slow for corners; a target behind is reached by turning at a crawl.
        speed = self._speed * np.clip(np.cos(bearing), 0.25, 1.0)
        speed = float(np.clip((free_ahead - 2.0) / 1.5, 0.0, speed))
        curvature = 2 * np.sin(np.clip(bearing, -1.3, 1.3)) / distance
        return Command(np.array([0.0 if self.finished else speed, 0, 0]), speed * curvature)

    def fly(self, pose: Pose, height: float) -> Command:
        """For a drone: towards the path, nose ahead, holding a height in map."""
        away = self._target(pose.position) - pose.position[:2]
        bearing = _wrap(np.arctan2(away[1], away[0]) - pose.yaw)
        distance = float(np.linalg.norm(away))
        speed = 0.0 if self.finished else self._speed * min(distance / self._lookahead, 1.0)
        # Turn first, then go: sideways flight at a corner would cut it.
        speed *= np.clip(1.2 - abs(bearing), 0.2, 1.0)
        climb = np.clip(0.8 * (height - pose.position[2]), -2.0, 2.5)
        linear = np.array([speed * np.cos(bearing), speed * np.sin(bearing), climb])
        return Command(linear, float(np.clip(1.2 * bearing, -0.8, 0.8)))


def _wrap(angle: float) -> float:
    return float((angle + np.pi) % (2 * np.pi) - np.pi)
