"""An IMU on a moving body: specific force and rates with noise and a bias that is drawn once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tokyo_sim.engine.physics import Motion
from tokyo_sim.engine.robot import ImuSpec


@dataclass(frozen=True)
class ImuReading:
    """angular_velocity: (3,) rad/s. acceleration: (3,) m/s^2, gravity included, both in the IMU's frame."""

    angular_velocity: np.ndarray
    acceleration: np.ndarray


class Imu:
    """Reads motions. rng: draws the biases now and the noise at every reading."""

    def __init__(self, spec: ImuSpec, rng: np.random.Generator) -> None:
        self.spec, self._rng = spec, rng
        self.gyro_bias = rng.normal(0, spec.gyro_bias, 3)
        self.accel_bias = rng.normal(0, spec.accel_bias, 3)

    def read(self, motion: Motion) -> ImuReading:
        """The reading for a motion of base_link; the IMU's mount has its axes."""
        return ImuReading(
            motion.angular + self.gyro_bias + self._rng.normal(0, self.spec.gyro_noise, 3),
            motion.acceleration + self.accel_bias + self._rng.normal(0, self.spec.accel_noise, 3),
        )
