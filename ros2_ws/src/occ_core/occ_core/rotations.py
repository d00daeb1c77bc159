"""Rotations as unit quaternions w, x, y, z, one by one and many at once.

SciPy's `Rotation` says the same, to the last bit, but it takes a quarter of a second to load and every node turns
something: so its formulas for one rotation stand here, in plain floats.
"""

from __future__ import annotations

import math

import numpy as np

_SMALL_RAD = 1e-3  # below it sin(a / 2) / a is a series
_ORTHOGONAL = 1e-12


def matrices(quaternions: np.ndarray) -> np.ndarray:
    """(n, 3, 3) float64 of rotations (n, 4), whose lengths need not be one."""
    w, x, y, z = np.asarray(quaternions, dtype=np.float64).reshape(-1, 4).T
    length = np.sqrt(x * x + y * y + z * z + w * w)
    w, x, y, z = w / length, x / length, y / length, z / length
    out = np.empty((len(w), 3, 3))
    out[:, 0, 0] = x * x - y * y - z * z + w * w
    out[:, 1, 0] = 2 * (x * y + z * w)
    out[:, 2, 0] = 2 * (x * z - y * w)
    out[:, 0, 1] = 2 * (x * y - z * w)
    out[:, 1, 1] = -x * x + y * y - z * z + w * w
    out[:, 2, 1] = 2 * (y * z + x * w)
    out[:, 0, 2] = 2 * (x * z + y * w)
    out[:, 1, 2] = 2 * (y * z - x * w)
    out[:, 2, 2] = -x * x - y * y + z * z + w * w
    return out


def from_matrix(matrix: np.ndarray) -> np.ndarray:
    """(4,) of the rotation (3, 3), or of the one nearest to a matrix that is none to the last bit.

    ValueError for a mirror. Source: Markley, "Unit Quaternion from Rotation Matrix", 2008.
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    if not np.linalg.det(matrix) > 0:
        raise ValueError(f"a rotation has a positive determinant, got {matrix.tolist()}")
    if not np.allclose(matrix @ matrix.T, np.eye(3), atol=_ORTHOGONAL):
        left, _, right = np.linalg.svd(matrix)
        matrix = left @ right
    m = matrix.tolist()
    trace = m[0][0] + m[1][1] + m[2][2]
    choices = (m[0][0], m[1][1], m[2][2], trace)
    i = choices.index(max(choices))
    if i == 3:
        return _unit(1 + trace, m[2][1] - m[1][2], m[0][2] - m[2][0], m[1][0] - m[0][1])
    j, k = (i + 1) % 3, (i + 2) % 3
    xyz = [0.0, 0.0, 0.0]
    xyz[i] = 1 - trace + 2 * m[i][i]
    xyz[j] = m[j][i] + m[i][j]
    xyz[k] = m[k][i] + m[i][k]
    return _unit(m[k][j] - m[j][k], *xyz)


def from_rpy(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """(4,) of turns about fixed axes x, y, z in that order, radians."""
    x, a = math.sin(roll / 2), math.cos(roll / 2)
    y, b = math.sin(pitch / 2), math.cos(pitch / 2)
    z, c = math.sin(yaw / 2), math.cos(yaw / 2)
    return np.array(
        [
            c * (b * a) + z * (y * x),
            c * (b * x) - z * (y * a),
            c * (y * a) + z * (b * x),
            z * (b * a) - c * (y * x),
        ]
    )


def from_rotvec(turn: np.ndarray) -> np.ndarray:
    """(4,) of a turn (3,): its axis times its angle in radians."""
    x, y, z = np.asarray(turn, dtype=np.float64).tolist()
    angle = math.sqrt(x * x + y * y + z * z)
    if angle <= _SMALL_RAD:
        square = angle * angle
        scale = 0.5 - square / 48 + square * square / 3840
    else:
        scale = math.sin(angle / 2) / angle
    return np.array([math.cos(angle / 2), scale * x, scale * y, scale * z])


def rotvec(quaternion: np.ndarray) -> np.ndarray:
    """(3,) the turn of a rotation (4,): its axis times its angle, 0 to pi radians."""
    w, x, y, z = _unit(*np.asarray(quaternion, dtype=np.float64).tolist()).tolist()
    if (w, x, y, z) < (0, 0, 0, 0):  # of the two that say the same, the one by which it turns less
        w, x, y, z = -w, -x, -y, -z
    angle = 2 * math.atan2(math.sqrt(x * x + y * y + z * z), w)
    if angle <= _SMALL_RAD:
        square = angle * angle
        scale = 2 + square / 12 + 7 * square * square / 2880
    else:
        scale = angle / math.sin(angle / 2)
    return np.array([scale * x, scale * y, scale * z])


def _unit(w: float, x: float, y: float, z: float) -> np.ndarray:
    length = math.sqrt(x * x + y * y + z * z + w * w)
    return np.array([w / length, x / length, y / length, z / length])
