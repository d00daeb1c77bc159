"""What the adapter works out between Gazebo and our topics: velocities from poses, and a drone's commands."""

from __future__ import annotations

import numpy as np

from occ_core.poses import Pose, footprint, velocity_between
from tokyo_sim.engine.control import MOST_VELOCITY_ERROR, limited

_LEARNING_GAIN = 0.5  # 1/s; with the controller's 1.8 1/s a damping of 0.95
_MOST_LEARNED = 0.5  # m/s
_STALE_S = 0.5  # poses further apart say nothing of a velocity now


class PoseRates:
    """Velocities from one pose to the next.

    Gazebo's OdometryPublisher takes 2 acos(w) of the turn between two steps for its angle (gz-math's rotation of a
    quaternion), which is a whole turn too much where the quaternion changes its sign: it has said -124.8 rad/s.
    """

    def __init__(self) -> None:
        self._before: tuple[float, Pose] | None = None

    def add(self, stamp: float, pose: Pose) -> tuple[np.ndarray, np.ndarray] | None:
        """(3,) linear, m/s, and (3,) angular, rad/s, in base_link; None for the first, also after a reset or gap."""
        before, self._before = self._before, (stamp, pose)
        if before is None or not 0 < stamp - before[0] <= _STALE_S:
            return None
        return velocity_between(before[1], pose, stamp - before[0])


class FlightLaw:
    """A drone's wanted velocity as a set point for MulticopterVelocityControl.

    That controller asks for 1.8 (set point - velocity) of acceleration, clipped along each axis of the world by itself:
    a drone that starts at 69 degrees was seen to fly 0.4 m aside. So the set point is never further from the velocity
    than `MOST_VELOCITY_ERROR`, as a vector. Nor does it know of drag, by which speeds stay 2% low: that is learned.
    """

    def __init__(self) -> None:
        self._learned = np.zeros(3)

    def set_point(self, level: np.ndarray, base_link: Pose, velocity: np.ndarray, seconds: float) -> np.ndarray:
        """(3,) m/s in base_link, which the controller turns with the body.

        level: (3,) m/s, forward and left parallel to the ground, up. base_link: in map; velocity: (3,) m/s there.
        seconds: since the last one.
        """
        error = footprint(base_link, 0.0).rotation @ level - velocity
        # Only near the end of an acceleration: before, the limit is what is seen.
        if np.linalg.norm(error) < _MOST_LEARNED:
            self._learned = limited(self._learned + _LEARNING_GAIN * seconds * error, _MOST_LEARNED)
        return base_link.rotation.T @ (velocity + limited(error + self._learned, MOST_VELOCITY_ERROR))
