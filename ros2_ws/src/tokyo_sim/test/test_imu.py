"""An IMU's errors are what its covariance says, and its readings integrate to where the robot went."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from occ_core.classes import Semantic
from occ_core.poses import Pose
from tokyo_sim.engine.imu import Imu
from tokyo_sim.engine.physics import STEP_S, Physics
from tokyo_sim.engine.robot import ImuSpec, NoiseSpec, RobotKind, load_robot

DRONE = load_robot(RobotKind.DRONE, "drone_0")
PERFECT = NoiseSpec(0.0, 0.0, 0.0, 1000.0)
REST = np.zeros(3), np.array([0.0, 0.0, 9.81])


def read(spec: ImuSpec, seed: int, count: int) -> tuple[np.ndarray, np.ndarray, list]:
    """Angular velocities and accelerations (count, 3) of an IMU at rest, and the readings."""
    imu = Imu(spec, np.random.default_rng(seed))
    readings = [imu.read(*REST) for _ in range(count)]
    return np.array([r.angular_velocity for r in readings]), np.array([r.acceleration for r in readings]), readings


def test_white_noise_has_the_spread_of_the_data_sheet():
    gyro, accel, _ = read(DRONE.imu, 0, 4000)
    # Differences of neighbours hold white noise twice, and next to nothing of a bias.
    assert np.diff(gyro, axis=0).std() == pytest.approx(np.sqrt(2) * DRONE.imu.gyro.stddev, rel=0.05)
    assert np.diff(accel, axis=0).std() == pytest.approx(np.sqrt(2) * DRONE.imu.accel.stddev, rel=0.05)


def test_the_error_over_many_runs_is_what_the_covariance_says_at_first_and_later():
    wandering = replace(DRONE.imu, gyro=NoiseSpec(0.002, 0.001, 0.01, 1000.0), accel=NoiseSpec(0.02, 0.01, 0.1, 1000.0))
    runs = [read(wandering, seed, 200) for seed in range(250)]
    for reading in (0, 199):
        gyro = np.array([run[0][reading] for run in runs])
        accel = np.array([run[1][reading] for run in runs]) - REST[1]
        said = runs[0][2][reading]
        assert gyro.var() == pytest.approx(said.angular_velocity_variance, rel=0.2)  # of 750 draws: 5% is one sigma
        assert accel.var() == pytest.approx(said.acceleration_variance, rel=0.2)
    assert runs[0][2][199].acceleration_variance > 10 * runs[0][2][0].acceleration_variance


def test_a_bias_wanders_as_a_random_walk():
    spec = replace(DRONE.imu, gyro=PERFECT, accel=NoiseSpec(0.0, 0.0, 0.05, 1e9))
    steps = np.diff(np.concatenate([read(spec, seed, 2000)[1] for seed in range(5)], axis=0), axis=0)
    per_step = 0.05 * np.sqrt(1 / spec.rate)
    assert np.median(np.abs(steps)) / 0.6745 == pytest.approx(per_step, rel=0.05)
    far = np.array([read(spec, seed, 400)[1][-1] for seed in range(150)]) - REST[1]
    assert far.std() == pytest.approx(0.05 * np.sqrt(400 / spec.rate), rel=0.15)


@pytest.fixture(scope="module")
def flight(city, sheet) -> Physics:
    physics = Physics(
        city((Semantic.ROAD, sheet(-99, 99, -99, 99))), [], [DRONE], [Pose.from_xyz_rpy([0, 0, 40], [0] * 3)]
    )
    physics.command(0, np.array([2.0, 0, 0]), np.zeros(3))
    physics.step(1.0)
    return physics


@pytest.mark.parametrize("seed", range(4))
def test_readings_integrate_to_the_true_motion_within_what_their_noise_allows(flight, seed):
    """Strapdown integration over 4 s of turning flight, beside the ground truth of the physics.

    A noise of s per reading moves a velocity by s sqrt(n) dt after n readings and a position by s sqrt(n^3 / 3) dt^2; a
    bias b moves them by b t and b t^2 / 2; a tilt tips gravity into the level: of the gyroscope's bias g b t^3 / 6.
    Bounds are four standard deviations, and the error of integrating the perfect readings as coarsely.
    """
    imu = Imu(DRONE.imu, np.random.default_rng(seed))
    start = flight.motion(0)
    noisy, perfect = (_Strapdown(start) for _ in range(2))
    seconds, period = 4.0, STEP_S
    steps = round(seconds / period)
    for step in range(steps):
        if step == steps // 4:
            flight.command(0, np.array([0, 3.0, 1.0]), np.array([0, 0, 0.6]))
        if step == steps // 2:
            flight.command(0, np.array([2.0, 0, -1.0]), np.array([0, 0, -0.5]))
        flight.step(period)
        truth = flight.inertial(0)
        reading = imu.read(*truth)
        perfect.add(*truth, period)
        noisy.add(reading.angular_velocity, reading.acceleration, period)
    end = flight.motion(0)
    moved = np.linalg.norm(end.pose.position - start.pose.position)
    assert moved > 3
    coarse = np.linalg.norm(perfect.position - end.pose.position)
    assert coarse < 0.03 * moved
    accel, gyro = DRONE.imu.accel, DRONE.imu.gyro
    tilt = 4 * (gyro.bias * seconds + gyro.stddev * np.sqrt(steps) * period)
    from_accel = accel.bias * seconds**2 / 2 + accel.stddev * np.sqrt(steps**3 / 3) * period**2
    from_gyro = 9.81 * (gyro.bias * seconds**3 / 6 + gyro.stddev * np.sqrt(steps * period * seconds**4 * period / 20))
    turned = Rotation.from_matrix(perfect.rotation.as_matrix().T @ noisy.rotation.as_matrix()).magnitude()
    assert 0 < turned < np.sqrt(3) * tilt
    off = np.linalg.norm(noisy.position - perfect.position)
    assert 0 < off < 4 * np.sqrt(3) * (from_accel + from_gyro)
    assert np.linalg.norm(perfect.velocity - end.pose.rotation @ end.linear) < 0.1


class _Strapdown:
    """Integrates readings from a known motion on."""

    def __init__(self, start) -> None:
        self.rotation = Rotation.from_matrix(start.pose.rotation)
        self.velocity, self.position = start.pose.rotation @ start.linear, start.pose.position.copy()

    def add(self, angular: np.ndarray, acceleration: np.ndarray, period: float) -> None:
        self.rotation = self.rotation * Rotation.from_rotvec(angular * period)
        self.velocity = self.velocity + (self.rotation.apply(acceleration) - [0, 0, 9.81]) * period
        self.position = self.position + self.velocity * period
