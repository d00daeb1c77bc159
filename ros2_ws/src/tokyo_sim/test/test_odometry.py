"""Odometry that drifts: right at first, wrong as its covariance says, and mended by the correction in tf."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from occ_core.poses import Pose
from tokyo_sim.engine.drifting_odometry import DriftingOdometry


def route(steps: int) -> list[Pose]:
    """A bend of 0.5 m steps, rolling and pitching on the way."""
    yaws = np.linspace(0, 2.0, steps)
    xy = np.cumsum(0.5 * np.column_stack([np.cos(yaws), np.sin(yaws)]), axis=0)
    return [
        Pose.from_xyz_rpy([x, y, 0.05 * i], [0.1 * np.sin(i), 0.05, yaw])
        for i, ((x, y), yaw) in enumerate(zip(xy, yaws, strict=True))
    ]


def driven(drift: float, seed: int, steps: int = 80) -> tuple[DriftingOdometry, list[Pose]]:
    odometry = DriftingOdometry(drift, np.random.default_rng(seed))
    return odometry, [odometry.update(pose) for pose in route(steps)]


@given(st.integers(0, 1000), st.floats(0.0, 0.5), st.integers(1, 60))
def test_map_to_odom_times_odom_to_base_link_is_the_truth(seed, drift, steps):
    odometry, estimates = driven(drift, seed, steps)
    truth = route(steps)[-1]
    assert np.allclose((odometry.correction @ estimates[-1]).matrix, truth.matrix, atol=1e-9)
    # Gravity keeps roll and pitch right: odom is map turned about the upright only.
    assert np.allclose(odometry.correction.rotation[2], [0, 0, 1], atol=1e-9)


def test_it_is_right_at_first_jumps_nowhere_and_ends_up_wrong():
    _, estimates = driven(0.1, 3)
    truth = route(80)
    assert np.allclose(estimates[0].matrix, truth[0].matrix)
    assert np.linalg.norm(estimates[-1].position - truth[-1].position) > 0.2
    steps = np.diff([pose.position for pose in estimates], axis=0)
    assert np.linalg.norm(steps, axis=1).max() < 0.5 + 5 * 0.1 * np.sqrt(0.5)


def test_without_drift_and_at_rest_nothing_goes_wrong():
    assert np.allclose(driven(0.0, 1)[1][-1].matrix, route(80)[-1].matrix)
    odometry = DriftingOdometry(0.5, np.random.default_rng(0))
    still = Pose.from_xyz_rpy([3, 4, 5], [0, 0, 1])
    assert all(np.allclose(odometry.update(still).matrix, still.matrix) for _ in range(50))
    assert not odometry.covariance.any()


def test_errors_over_many_runs_are_those_of_the_covariance():
    runs = [driven(0.03, seed) for seed in range(600)]
    truth = route(80)[-1]
    errors = np.array([estimates[-1].position - truth.position for _, estimates in runs])
    yaws = np.array([estimates[-1].yaw - truth.yaw for _, estimates in runs])
    said = np.mean([odometry.covariance for odometry, _ in runs], axis=0)
    assert errors.var(axis=0) == pytest.approx(np.diag(said)[:3], rel=0.2)  # of 600 draws: 6% is one sigma
    assert yaws.var() == pytest.approx(said[5, 5], rel=0.2)
    assert np.mean(errors[:, 0] * yaws) == pytest.approx(said[0, 5], rel=0.3)
    for odometry, _ in runs[:20]:
        assert np.linalg.eigvalsh(odometry.covariance).min() > -1e-12


def test_the_same_seed_drifts_the_same_way():
    first, again, other = (driven(0.1, seed)[1][-1].position for seed in (4, 4, 5))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
