"""Rigid motion: poses, unit quaternions (w, x, y, z), interpolation on SE(3), ground-aligned footprints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from occ_core import rotations

_CONJUGATE = np.array([1.0, -1, -1, -1])


@dataclass(frozen=True)
class Pose:
    """Where a child frame is in its parent frame.

    position: (3,) float64, metres. orientation: (4,) float64, unit quaternion w, x, y, z.
    """

    position: np.ndarray
    orientation: np.ndarray

    def __post_init__(self) -> None:
        position = np.array(self.position, dtype=np.float64)
        orientation = np.array(self.orientation, dtype=np.float64)
        # A sum is finite where all its terms are, and cheaper than asking each.
        if position.shape != (3,) or not math.isfinite(position.sum()):
            raise ValueError(f"a position is three finite numbers, got {self.position}")
        norm = math.sqrt(orientation @ orientation) if orientation.shape == (4,) else math.nan
        if not abs(norm - 1) <= 1e-3:
            raise ValueError(f"an orientation is a unit quaternion w, x, y, z, got {self.orientation}")
        object.__setattr__(self, "position", position)
        # One that is a unit to the last bit or two stays as it is: what was written is read back bit for bit.
        object.__setattr__(self, "orientation", orientation if abs(norm - 1) < 1e-15 else orientation / norm)

    @classmethod
    def identity(cls) -> Pose:
        """The parent frame itself."""
        return cls(np.zeros(3), np.array([1.0, 0, 0, 0]))

    @classmethod
    def from_matrix(cls, matrix: np.ndarray) -> Pose:
        """matrix: (4, 4) float, homogeneous child-to-parent."""
        return cls(matrix[:3, 3], rotations.from_matrix(matrix[:3, :3]))

    @classmethod
    def from_xyz_rpy(cls, xyz: np.ndarray, rpy: np.ndarray) -> Pose:
        """xyz: metres; rpy: radians about fixed axes x, y, z in that order, as in URDF and SDF."""
        return cls(np.asarray(xyz, dtype=float), rotations.from_rpy(*np.asarray(rpy, dtype=float).tolist()))

    @classmethod
    def looking(cls, eye: np.ndarray, at: np.ndarray) -> Pose:
        """An optical frame (x right, y down, z ahead) that is upright. eye, at: (3,) metres, not above each other."""
        ahead = (at - eye) / np.linalg.norm(at - eye)
        right = np.cross(ahead, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        matrix = np.eye(4)
        matrix[:3, :3] = np.column_stack([right, np.cross(ahead, right), ahead])
        matrix[:3, 3] = eye
        return cls.from_matrix(matrix)

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3) float64, child to parent."""
        w, x, y, z = self.orientation.tolist()
        # Written out for one: asked for at every step.
        return np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
        )

    @property
    def matrix(self) -> np.ndarray:
        """(4, 4) float64, homogeneous child to parent."""
        out = np.eye(4)
        out[:3, :3] = self.rotation
        out[:3, 3] = self.position
        return out

    @property
    def yaw(self) -> float:
        """Heading of the x axis in the parent's xy plane, radians."""
        forward = self.rotation[:, 0]
        return float(np.arctan2(forward[1], forward[0]))

    def __matmul__(self, other: Pose) -> Pose:
        """Chain: (a in map) @ (b in a) = b in map."""
        w, x, y, z = self.orientation.tolist()
        a, b, c, d = other.orientation.tolist()
        turned = np.array(
            [
                w * a - x * b - y * c - z * d,
                w * b + x * a + y * d - z * c,
                w * c - x * d + y * a + z * b,
                w * d + x * c - y * b + z * a,
            ]
        )  # Hamilton's product
        return Pose(self.position + self.rotation @ other.position, turned)

    def inverse(self) -> Pose:
        """The parent as seen from the child."""
        return Pose(-self.position @ self.rotation, self.orientation * _CONJUGATE)

    def apply(self, points: np.ndarray) -> np.ndarray:
        """points: (n, 3) in the child frame. Returns (n, 3) float64 in the parent frame."""
        placed = np.asarray(points, dtype=np.float64) @ self.rotation.T
        placed += self.position
        return placed

    def rpy(self) -> np.ndarray:
        """(3,) radians: roll, pitch, yaw about fixed axes."""
        from scipy.spatial.transform import Rotation  # takes a moment to load

        return Rotation.from_quat(np.roll(self.orientation, -1)).as_euler("xyz")


def interpolate(before: Pose, after: Pose, fraction: float) -> Pose:
    """The pose a fraction of the way along the screw motion between two poses, fraction in [0, 1].

    before * exp(fraction * log(before^-1 * after)) on SE(3): exact for a vehicle whose velocities in its own frame are
    constant, so that a turn is an arc and not its chord. Source: Lynch and Park, "Modern Robotics", 2017, 3.3.3.
    """
    if not 0.0 <= fraction <= 1.0:
        raise ValueError(f"interpolation needs a fraction in [0, 1], got {fraction}")
    turn, slide = _screw(before.inverse() @ after)
    position = _translation_of_screw(turn * fraction) @ (slide * fraction)
    return before @ Pose(position, rotations.from_rotvec(turn * fraction))


def velocity_between(before: Pose, after: Pose, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Linear and angular velocity (3,) in the child frame, m/s and rad/s, of the screw from one pose to another.

    The logarithm of the step on SE(3): exact where the velocities are constant, in a turn too.
    """
    turn, slide = _screw(before.inverse() @ after)
    return slide / seconds, turn / seconds


def screws(steps: Sequence[Pose]) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of poses on SE(3): turns (n, 3) in radians and slides (n, 3) in metres."""
    pairs = [_screw(step) for step in steps]
    return np.array([turn for turn, _ in pairs]).reshape(-1, 3), np.array([s for _, s in pairs]).reshape(-1, 3)


def _screw(step: Pose) -> tuple[np.ndarray, np.ndarray]:
    turn = rotations.rotvec(step.orientation)
    return turn, np.linalg.solve(_translation_of_screw(turn), step.position)


def _translation_of_screw(turn: np.ndarray) -> np.ndarray:
    """(3, 3): the integral of exp(s [turn]) over s in [0, 1], by which a screw's linear part becomes a translation."""
    # Not np.linalg.norm: BLAS lets go of the interpreter, and gets it back from a busy thread milliseconds later.
    x, y, z = turn.tolist()
    angle = math.hypot(x, y, z)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    # numpy's sinc is sin(pi x) / (pi x), which is 1 at 0. The second quotient is 1/6 there, within 1e-8.
    first = np.sinc(angle / (2 * np.pi)) ** 2 / 2
    second = (1 - np.sinc(angle / np.pi)) / angle**2 if angle > 1e-3 else 1 / 6
    return np.eye(3) + first * cross + second * cross @ cross


def footprint(base_link: Pose, ground_z: float) -> Pose:
    """`base_footprint` under a vehicle: its x, y and yaw, level, at ground height (REP 120)."""
    half = base_link.yaw / 2
    position = np.array([base_link.position[0], base_link.position[1], ground_z])
    return Pose(position, np.array([np.cos(half), 0.0, 0.0, np.sin(half)]))
