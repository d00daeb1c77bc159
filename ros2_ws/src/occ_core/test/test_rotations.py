"""Rotations without SciPy are those of SciPy, bit for bit where it turns one at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from occ_core import rotations

ANGLES = st.floats(-4.0, 4.0)
VECTORS = arrays(np.float64, 3, elements=st.floats(-3.2, 3.2))
QUATERNIONS = arrays(np.float64, 4, elements=st.floats(-1, 1)).filter(lambda q: np.linalg.norm(q) > 0.1)


def wxyz(rotation: Rotation) -> np.ndarray:
    return np.roll(rotation.as_quat(), 1)


def of(quaternion: np.ndarray) -> Rotation:
    return Rotation.from_quat(np.roll(quaternion, -1))


@given(st.lists(QUATERNIONS, min_size=1, max_size=4))
def test_matrices_of_many(quaternions):
    theirs = np.array([of(quaternion).as_matrix() for quaternion in quaternions])
    assert np.array_equal(rotations.matrices(np.array(quaternions)), theirs)


def test_no_matrices_of_none():
    assert rotations.matrices(np.zeros((0, 4))).shape == (0, 3, 3)


@given(QUATERNIONS)
def test_a_turn_about_an_axis_and_back(quaternion):
    turn = rotations.rotvec(quaternion)
    assert np.array_equal(turn, of(quaternion).as_rotvec())
    assert np.array_equal(rotations.from_rotvec(turn), wxyz(Rotation.from_rotvec(turn)))


@given(VECTORS, st.sampled_from([1.0, 1e-2, 1e-4, 1e-9, 0.0]))
def test_turns_of_any_size(vector, scale):
    turn = vector * scale
    assert np.array_equal(rotations.from_rotvec(turn), wxyz(Rotation.from_rotvec(turn)))


@given(ANGLES, ANGLES, ANGLES)
def test_roll_pitch_and_yaw(roll, pitch, yaw):
    assert np.array_equal(rotations.from_rpy(roll, pitch, yaw), wxyz(Rotation.from_euler("xyz", [roll, pitch, yaw])))


@given(QUATERNIONS, st.sampled_from([15, 6, 4]))
def test_a_matrix_also_one_that_was_rounded(quaternion, digits):
    matrix = np.round(of(quaternion).as_matrix(), digits)
    assert np.array_equal(rotations.from_matrix(matrix), wxyz(Rotation.from_matrix(matrix)))


def test_a_mirror_is_no_rotation():
    with pytest.raises(ValueError, match="positive determinant"):
        rotations.from_matrix(np.diag([1.0, 1.0, -1.0]))
