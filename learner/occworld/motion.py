"""Level motions: where one `base_footprint` is in another, as x, y, z in metres and yaw in radians."""

from __future__ import annotations

import numpy as np

from occ_core.poses import Pose

STEP_DIM = 4  # x y z yaw
POSE_DIM = 13  # x y z, qw qx qy qz, vx vy vz, wx wy wz


def from_pose(pose: Pose) -> np.ndarray:
    """(4,) float64 x y z yaw of a level pose."""
    return np.array([*pose.position, pose.yaw])


def compose(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(..., 4): b in a's frame, told in the frame that a is in; (a in map), (b in a) -> b in map."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    c, s = np.cos(a[..., 3]), np.sin(a[..., 3])
    x = a[..., 0] + c * b[..., 0] - s * b[..., 1]
    y = a[..., 1] + s * b[..., 0] + c * b[..., 1]
    return np.stack([x, y, a[..., 2] + b[..., 2], wrap(a[..., 3] + b[..., 3])], axis=-1)


def inverse(a: np.ndarray) -> np.ndarray:
    """(..., 4): the parent as seen from the child."""
    a = np.asarray(a, float)
    c, s = np.cos(a[..., 3]), np.sin(a[..., 3])
    x, y = a[..., 0], a[..., 1]
    return np.stack([-c * x - s * y, s * x - c * y, -a[..., 2], -a[..., 3]], axis=-1)


def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(..., 4): b in a's frame, both given in one parent."""
    return compose(inverse(a), b)


def wrap(angle: np.ndarray) -> np.ndarray:
    """Angles in [-pi, pi)."""
    return (np.asarray(angle) + np.pi) % (2 * np.pi) - np.pi


def extrapolate(history: np.ndarray, steps: int) -> np.ndarray:
    """Constant velocity and yaw rate: the last step again and again.

    history: (t, 4) poses in one frame, oldest first. Returns (steps, 4) poses in the last history frame.
    """
    step = between(history[-2], history[-1]) if len(history) > 1 else np.zeros(4)
    poses = [step]
    for _ in range(steps - 1):
        poses.append(compose(poses[-1], step))
    return np.array(poses[:steps])


def from_twist(velocity: np.ndarray, yaw_rate: float, seconds: float) -> np.ndarray:
    """(4,) where a body that keeps its velocity (3,) m/s, in its own frame, and yaw rate, rad/s, will be."""
    turn = yaw_rate * seconds
    # Of the arc's chord: sin(turn) / turn and (1 - cos(turn)) / turn, which are 1 and 0 for a straight line.
    along, aside = np.sinc(turn / np.pi), np.sin(turn / 2) * np.sinc(turn / 2 / np.pi)
    x, y, z = np.asarray(velocity, float) * seconds
    return np.array([along * x - aside * y, aside * x + along * y, z, turn])


def apply(motion: np.ndarray, points: np.ndarray) -> np.ndarray:
    """points: (n, 3) metres in the child frame. Returns (n, 3) in the parent frame of a (4,) motion."""
    c, s = np.cos(motion[3]), np.sin(motion[3])
    x, y, z = np.asarray(points, float).T
    return np.stack([c * x - s * y + motion[0], s * x + c * y + motion[1], z + motion[2]], axis=1)


def relative_poses(pose_13d: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """Positions and orientations as seen from the last `base_footprint`, velocities as they are (`base_link`).

    pose_13d: (t, 13) base_link in map. footprint: (4,) x y z yaw of the current frame in map. Returns (t, 13)
    float32; metres over 10, so that every number is about one.
    """
    half = footprint[3] / 2
    current = Pose(footprint[:3], np.array([np.cos(half), 0, 0, np.sin(half)])).inverse()
    out = np.empty((len(pose_13d), POSE_DIM), np.float32)
    for row, pose in zip(out, pose_13d, strict=True):
        local = current @ Pose(pose[:3], pose[3:7])
        sign = 1.0 if local.orientation[0] >= 0 else -1.0
        row[:] = [*local.position / 10, *sign * local.orientation, *pose[7:10] / 10, *pose[10:13]]
    return out
