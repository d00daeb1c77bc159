"""An IMU on a moving body: specific force and rates with noise and biases that wander."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tokyo_sim.engine.robot import ImuSpec, NoiseSpec

_BLOCK = 256  # readings whose random numbers are drawn at once


@dataclass(frozen=True)
class ImuReading:
    """angular_velocity: (3,) rad/s. acceleration: (3,) m/s^2, gravity included; both in the IMU's frame.

    The variances are those of one axis about the truth, bias included: (rad/s)^2 and (m/s^2)^2.
    """

    angular_velocity: np.ndarray
    acceleration: np.ndarray
    angular_velocity_variance: float
    acceleration_variance: float


class _Axes:
    """Three axes with white noise and a first-order Gauss-Markov bias: the noise model of Gazebo's IMU."""

    def __init__(self, spec: NoiseSpec, period: float, rng: np.random.Generator) -> None:
        self._spec, self._rng = spec, rng
        self._keep = np.exp(-period / spec.correlation_time)
        self._spread = spec.bias_walk * np.sqrt(spec.correlation_time / 2 * (1 - self._keep**2))
        self.bias = rng.normal(0, spec.bias, 3)
        self._bias_variance = spec.bias**2
        self._random, self._used = np.empty((0, 2, 3)), 0

    def read(self, truth: np.ndarray) -> np.ndarray:
        """(3,) truth with the error of one reading; the bias has wandered for a period since the last one."""
        if self._used == len(self._random):
            self._random, self._used = self._rng.standard_normal((_BLOCK, 2, 3)), 0
        white, walk = self._random[self._used]
        self._used += 1
        self.bias = self._keep * self.bias + self._spread * walk
        self._bias_variance = self._keep**2 * self._bias_variance + self._spread**2
        return truth + self.bias + self._spec.stddev * white

    @property
    def variance(self) -> float:
        """Of the last reading's error, over all runs."""
        return self._spec.stddev**2 + self._bias_variance


class Imu:
    """Reads motions at the sensor's rate. rng: draws the first biases now, and all errors later."""

    def __init__(self, spec: ImuSpec, rng: np.random.Generator) -> None:
        self._gyro, self._accel = (_Axes(noise, 1 / spec.rate, rng) for noise in (spec.gyro, spec.accel))

    def read(self, angular: np.ndarray, acceleration: np.ndarray) -> ImuReading:
        """The reading for a true angular velocity (3,) rad/s and specific force (3,) m/s^2 of base_link.

        The IMU's mount has the axes of base_link.
        """
        return ImuReading(
            self._gyro.read(angular),
            self._accel.read(acceleration),
            self._gyro.variance,
            self._accel.variance,
        )
