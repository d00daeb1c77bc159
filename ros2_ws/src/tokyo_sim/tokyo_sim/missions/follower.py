"""Following a path: from where a robot is to the velocity that it should have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occ_core.poses import Pose

_ARRIVED_M = 1.0
_LEVEL_M = 2.0


@dataclass(frozen=True)
class Command:
    """linear: (3,) m/s in the level, yawed body frame. yaw_rate: rad/s."""

    linear: np.ndarray
    yaw_rate: float


class PathFollower:
    """Pure pursuit (Coulter, CMU-RI-TR-92-01) over a path (n, 2) in map; at its end it begins again if it loops.

    loop_from: the point that follows the last one; those before it lead to the loop.
    """

    def __init__(self, path: np.ndarray, speed: float, lookahead: float, loop: bool = True, loop_from: int = 0) -> None:
        if len(path) < 2 or speed <= 0:
            raise ValueError("a path needs at least two points and a positive speed")
        self._path, self._speed, self._lookahead, self._loop = np.asarray(path, dtype=float), speed, lookahead, loop
        self._index, self._loop_from = 0, loop_from
        self._arrived = False
        self._passed = 0

    @property
    def finished(self) -> bool:
        """True at the end of a path that does not loop."""
        return self._arrived

    @property
    def passed(self) -> int:
        """How many points of the path it has gone on by."""
        return self._passed

    def _target(self, position: np.ndarray) -> np.ndarray:
        """Advance to the first point that is further than the lookahead; never backwards, once round at most."""
        for _ in range(len(self._path)):
            if np.linalg.norm(self._path[self._index] - position[:2]) >= self._lookahead:
                break
            if self._index + 1 < len(self._path):
                self._index += 1
            elif self._loop:
                self._index = self._loop_from
            else:
                break
            self._passed += 1
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
        # What is behind is turned to as sharply where it is far as where it is near.
        reach = min(distance, self._lookahead) if abs(bearing) > 1.3 else distance
        curvature = 2 * np.sin(np.clip(bearing, -1.3, 1.3)) / reach
        return Command(np.array([0.0 if self.finished else speed, 0, 0]), speed * curvature)

    def fly(self, pose: Pose, height: float, look_at: np.ndarray | None = None) -> Command:
        """For a drone: to a height in map first, then along the path, the nose ahead or to a place (2,) in map.

        The path is free at that height only, so that nobody flies along it while still far above or below.
        """
        away = self._target(pose.position) - pose.position[:2]
        bearing = _wrap(np.arctan2(away[1], away[0]) - pose.yaw)
        distance = float(np.linalg.norm(away))
        stays = self.finished or abs(height - pose.position[2]) > _LEVEL_M
        speed = 0.0 if stays else self._speed * min(distance / self._lookahead, 1.0)
        turn = bearing
        if look_at is not None:
            x, y = look_at - pose.position[:2]
            turn = _wrap(np.arctan2(y, x) - pose.yaw)
        else:
            # Turn first, then go: sideways flight at a corner would cut it.
            speed *= np.clip(1.2 - abs(bearing), 0.2, 1.0)
        climb = np.clip(0.8 * (height - pose.position[2]), -2.0, 2.5)
        linear = np.array([speed * np.cos(bearing), speed * np.sin(bearing), climb])
        return Command(linear, 0.0 if self.finished else float(np.clip(1.2 * turn, -0.8, 0.8)))


def _wrap(angle: float) -> float:
    return float((angle + np.pi) % (2 * np.pi) - np.pi)
