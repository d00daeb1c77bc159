"""Odometry that drifts: what wheels or a visual odometry would say, beside the ground truth."""

from __future__ import annotations

import numpy as np

from occ_core.poses import Pose

_YAW_PER_METRE = 0.1  # radians of heading error for a metre of position error


class DriftingOdometry:
    """Dead reckoning whose errors are random walks over the distance travelled.

    drift: standard deviation of the position error along each axis, metres per square root of a metre travelled;
    heading errs by a tenth as many radians. Roll and pitch do not drift: gravity shows them. rng: the errors.
    """

    def __init__(self, drift: float, rng: np.random.Generator) -> None:
        self._drift, self._rng = drift, rng
        self._truth: Pose | None = None
        self._yaw_error = 0.0
        self._position = np.zeros(3)
        self._covariance = np.zeros((4, 4))  # of x, y, z and yaw

    def update(self, truth: Pose) -> Pose:
        """The estimate, base_link in the odom frame, for the next true pose in map; the first one is right."""
        if self._truth is None:
            self._truth, self._position = truth, truth.position.copy()
        moved = truth.position - self._truth.position
        distance = float(np.linalg.norm(moved))
        spread = self._drift * np.sqrt(distance)
        cos, sin = np.cos(self._yaw_error), np.sin(self._yaw_error)
        step = np.array([cos * moved[0] - sin * moved[1], sin * moved[0] + cos * moved[1], moved[2]])
        self._position = self._position + step + spread * self._rng.standard_normal(3)
        self._yaw_error += spread * _YAW_PER_METRE * self._rng.standard_normal()
        # A heading error turns every later step: the covariance of dead reckoning, to first order.
        carry = np.eye(4)
        carry[:2, 3] = -step[1], step[0]
        self._covariance = carry @ self._covariance @ carry.T
        self._covariance += np.diag([1, 1, 1, _YAW_PER_METRE**2]) * spread**2
        self._truth = truth
        return self.estimate

    @property
    def estimate(self) -> Pose:
        """base_link in the odom frame."""
        turn = Pose.from_xyz_rpy(np.zeros(3), np.array([0.0, 0.0, self._yaw_error]))
        return Pose(self._position, (turn @ self._truth).orientation)

    @property
    def correction(self) -> Pose:
        """odom in map: what a localisation would have to publish so that both agree (REP 105)."""
        return self._truth @ self.estimate.inverse()

    @property
    def covariance(self) -> np.ndarray:
        """(6, 6) float64 of x, y, z, roll, pitch, yaw in the odom frame, metres and radians."""
        full = np.zeros((6, 6))
        kept = np.array([0, 1, 2, 5])
        full[np.ix_(kept, kept)] = self._covariance
        return full
