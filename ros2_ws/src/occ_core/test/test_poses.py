"""Poses behave as 4 x 4 matrices do, and interpolate at a constant rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.linalg import expm, logm
from scipy.spatial.transform import Rotation

from occ_core.poses import Pose, footprint, interpolate, velocities

coordinate = st.floats(-1e4, 1e4, allow_nan=False)
angle = st.floats(-np.pi, np.pi)
poses = st.builds(
    lambda xyz, axis, turn: Pose(
        np.array(xyz),
        Rotation.from_rotvec(turn * np.array(axis) / max(np.linalg.norm(axis), 1e-9)).as_quat(scalar_first=True),
    ),
    st.tuples(coordinate, coordinate, coordinate),
    st.tuples(*(st.floats(-1, 1),) * 3),
    st.floats(0, 3.1),
)
points = st.lists(st.tuples(*(st.floats(-100, 100),) * 3), min_size=1, max_size=5).map(np.array)


def same(a: Pose, b: Pose) -> bool:
    return np.allclose(a.matrix, b.matrix, atol=1e-6)


@given(poses, poses)
def test_chaining_is_the_product_of_matrices(a, b):
    assert np.allclose((a @ b).matrix, a.matrix @ b.matrix, atol=1e-6)


@given(poses)
def test_a_pose_and_its_inverse_cancel(pose):
    assert np.allclose(pose.inverse().matrix, np.linalg.inv(pose.matrix), atol=1e-6)
    assert same(pose @ pose.inverse(), Pose.identity())


@given(poses, points)
def test_points_move_as_homogeneous_coordinates_do(pose, local):
    homogeneous = np.column_stack([local, np.ones(len(local))])
    assert np.allclose(pose.apply(local), (homogeneous @ pose.matrix.T)[:, :3], atol=1e-6)


@given(poses)
def test_a_matrix_gives_the_pose_back(pose):
    assert same(Pose.from_matrix(pose.matrix), pose)


@given(st.tuples(coordinate, coordinate, coordinate), angle, st.floats(-1.5, 1.5), angle)
def test_roll_pitch_yaw_turn_about_fixed_axes_in_that_order(xyz, roll, pitch, yaw):
    expected = (
        Rotation.from_rotvec([0, 0, yaw]) * Rotation.from_rotvec([0, pitch, 0]) * Rotation.from_rotvec([roll, 0, 0])
    )
    pose = Pose.from_xyz_rpy(np.array(xyz), np.array([roll, pitch, yaw]))
    assert np.allclose(pose.rotation, expected.as_matrix(), atol=1e-9)
    again = Pose.from_xyz_rpy(np.array(xyz), pose.rpy())
    assert np.allclose(again.rotation, pose.rotation, atol=1e-6)


@given(poses, poses)
def test_interpolation_begins_and_ends_where_it_should(a, b):
    assert same(interpolate(a, b, 0.0), a)
    assert same(interpolate(a, b, 1.0), b)


def turn_between(a: Pose, b: Pose) -> float:
    return Rotation.from_matrix(a.rotation.T @ b.rotation).magnitude()


@given(poses, poses, st.floats(0, 1))
def test_interpolation_is_the_screw_motion_that_matrix_exponential_and_logarithm_give(a, b, fraction):
    """SciPy's expm and logm of 4 x 4 matrices share no formula with ours. Half a turn has two shortest ways."""
    assume(turn_between(a, b) < 3.1)
    step = np.linalg.inv(a.matrix) @ b.matrix
    expected = a.matrix @ expm(fraction * logm(step).real)
    assert np.allclose(interpolate(a, b, fraction).matrix, expected, atol=1e-9 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-9, 1e-6, 0.999e-3, 1.001e-3, 1e-2])
def test_small_turns_are_as_exact_as_large_ones(angle):
    """Arc of a vehicle at 10 m/s: position in closed form, on both sides of where the series takes over."""
    end = Pose.from_xyz_rpy([0, 0, 0], [0, 0, angle])
    radius_sin, radius_cos = (np.sinc(angle / np.pi), angle / 2 * np.sinc(angle / 2 / np.pi) ** 2)
    whole = Pose(np.array([10 * radius_sin, 10 * radius_cos, 0]), end.orientation)
    half = interpolate(Pose.identity(), whole, 0.5).position
    expected = [5 * np.sinc(angle / 2 / np.pi), 5 * angle / 4 * np.sinc(angle / 4 / np.pi) ** 2, 0]
    assert half == pytest.approx(expected, abs=1e-12)


@settings(max_examples=40)
@given(poses, st.tuples(*[st.floats(-20, 20)] * 3), st.tuples(*[st.floats(-1.5, 1.5)] * 3), st.floats(0, 1))
def test_a_vehicle_with_constant_velocities_in_its_own_frame_is_followed_exactly(start, linear, angular, part):
    """Its motion integrated in 500 small steps, none of them by the formulas under test."""
    steps, tick = 500, 0.5 / 500
    path, orientation = start.position.copy(), Rotation.from_matrix(start.rotation)
    middle = Rotation.from_rotvec(np.array(angular) * tick / 2)
    full = Rotation.from_rotvec(np.array(angular) * tick)
    at = {}
    for step in range(steps + 1):
        if step in (round(part * steps), steps):
            at[step] = Pose(path.copy(), np.roll(orientation.as_quat(), 1))
        path += (orientation * middle).apply(linear) * tick
        orientation = orientation * full
    between = interpolate(start, at[steps], round(part * steps) / steps)
    assert np.allclose(between.matrix, at[round(part * steps)].matrix, atol=1e-5)


@given(poses, poses, poses, st.floats(0, 1))
def test_interpolation_does_not_depend_on_the_map_frame(a, b, moved, fraction):
    assume(turn_between(a, b) < 3.1)
    there = interpolate(moved @ a, moved @ b, fraction)
    assert np.allclose(there.matrix, (moved @ interpolate(a, b, fraction)).matrix, atol=1e-5)


@given(poses, poses)
def test_the_midpoint_turns_as_far_from_both_ends(a, b):
    middle = interpolate(a, b, 0.5)
    assert turn_between(a, middle) == pytest.approx(turn_between(middle, b), abs=1e-6)
    assert turn_between(a, middle) <= np.pi / 2 + 1e-6


@given(poses, poses, st.integers(2, 9))
def test_the_turn_has_a_constant_rate(a, b, steps):
    path = [interpolate(a, b, i / steps) for i in range(steps + 1)]
    turns = [Rotation.from_matrix(p.rotation.T @ q.rotation).magnitude() for p, q in zip(path, path[1:], strict=False)]
    assert np.ptp(turns) < 1e-6


@given(poses, poses, st.floats(0, 1))
def test_a_quaternion_and_its_negative_are_the_same_orientation(a, b, fraction):
    other = Pose(b.position, -b.orientation)
    assert same(other, b)
    if turn_between(a, b) < 3.1:  # half a turn has two shortest ways
        assert same(interpolate(a, b, fraction), interpolate(a, other, fraction))


@pytest.mark.parametrize("fraction", [-0.01, 1.01, np.nan])
def test_poses_are_not_extrapolated(fraction):
    with pytest.raises(ValueError, match="fraction"):
        interpolate(Pose.identity(), Pose.identity(), fraction)


@given(st.tuples(coordinate, coordinate, coordinate), st.floats(-1, 1), st.floats(-1.4, 1.4), st.floats(-3, 3))
def test_the_footprint_is_level_below_the_vehicle_and_heads_where_it_heads(xyz, roll, pitch, yaw):
    below = footprint(Pose.from_xyz_rpy(np.array(xyz), np.array([roll, pitch, yaw])), 12.5)
    assert np.allclose(below.position, [xyz[0], xyz[1], 12.5])
    assert np.allclose(below.rotation[2], [0, 0, 1]) and np.allclose(below.rotation[:, 2], [0, 0, 1])
    assert below.yaw == pytest.approx(yaw, abs=1e-6)


@pytest.mark.parametrize(
    ("position", "orientation"),
    [
        ([0, 0], [1, 0, 0, 0]),
        ([0, 0, np.nan], [1, 0, 0, 0]),
        ([0, 0, 0], [0, 0, 0, 0]),
        ([0, 0, 0], [2, 0, 0, 0]),
        ([0, 0, 0], [np.nan, 0, 0, 0]),
        ([0, 0, 0], [1, 0, 0]),
    ],
)
def test_what_is_not_a_pose_is_refused(position, orientation):
    with pytest.raises(ValueError, match="three finite numbers|unit quaternion"):
        Pose(np.array(position, dtype=float), np.array(orientation, dtype=float))


@given(poses, st.tuples(*(st.floats(-3, 3),) * 3), st.tuples(*(st.floats(-9, 9),) * 3), st.sampled_from([1, -1]))
def test_velocities_are_those_of_the_motion_whichever_sign_a_quaternion_has(before, linear, angular, sign):
    """Around a half turn the sign changes: a rate from 2 acos(w) would be off by a whole turn there."""
    seconds = 0.02
    turn = Rotation.from_rotvec(np.array(angular) * seconds)
    rotation = Rotation.from_matrix(before.rotation) * turn
    after = Pose(before.position + rotation.apply(linear) * seconds, sign * rotation.as_quat(scalar_first=True))
    measured = velocities(before, after, seconds)
    assert measured[0] == pytest.approx(linear, abs=1e-6)
    assert measured[1] == pytest.approx(angular, abs=1e-6)
