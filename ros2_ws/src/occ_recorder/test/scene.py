"""A car between two walls, in 4 x 4 matrices and plain numpy: what its LiDAR sees, and which voxels must come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import cos, sin
from pathlib import Path
from typing import Any

import numpy as np
from drive import EPOCH_NS, Drive, Said, write_bag
from scipy.spatial.transform import Rotation

from occ_core.poses import Pose
from occ_core.session import Session, find_sessions
from occ_recorder.bags.config import BagConfig, GroundSource, RobotConfig
from occ_recorder.bags.convert import BagReport, Conversion, convert

SPEED, TURN, HEIGHT = 3.0, 0.2, 0.9
EPOCH = EPOCH_NS * 1e-9
LOWER, VOXEL, SHAPE = np.array([-40, -40, -2.0]), np.array([0.4, 0.4, 1.25]), (200, 200, 121)
REACH = 25.0
SURE_M = 3e-3
"""Points nearer to a side of their voxel may be in the next one."""


def rigid(xyz: Iterable[float], rpy: Iterable[float] = (0, 0, 0)) -> np.ndarray:
    """(4, 4) of a translation and of roll, pitch, yaw about fixed axes; of every point of a sweep, so without SciPy."""
    x, y, z = xyz
    (cr, cp, cy), (sr, sp, sy) = ([of(angle) for angle in rpy] for of in (cos, sin))
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr, x],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr, y],
            [-sp, cp * sr, cp * cr, z],
            [0.0, 0.0, 0.0, 1.0],
        ]
    )


assert np.allclose(rigid([0, 0, 0], [0.1, -0.2, 0.3])[:3, :3], Rotation.from_euler("xyz", [0.1, -0.2, 0.3]).as_matrix())


MOUNT = rigid([0.3, 0.0, 1.0], [0, 0.02, 0.3])


def arc(t: float, speed: float = SPEED, turn: float = TURN) -> np.ndarray:
    """base_link in odom on a circle."""
    return rigid([speed / turn * np.sin(turn * t), speed / turn * (1 - np.cos(turn * t)), HEIGHT], [0, 0, turn * t])


def _world() -> np.ndarray:
    """(n, 3) points of the ground and of two walls, odom; further apart than thinning takes away."""
    x, y = np.meshgrid(np.arange(-40, 60, 0.93), np.arange(-40, 50, 0.93))
    along, up = np.meshgrid(np.arange(-40, 60, 0.71), np.arange(0.7, 6, 0.67))
    walls = [np.c_[along.ravel(), np.full(along.size, side), up.ravel()] for side in (-12.3, 17.7)]
    return np.vstack([np.c_[x.ravel(), y.ravel(), np.full(x.size, 0.31)], *walls])


WORLD = _world()
Way = Callable[[float], np.ndarray]


def still(mount: np.ndarray) -> Way:
    """A sensor that does not move in base_link."""
    return lambda t: mount


FIXED = still(MOUNT)


def visible(t: float, way: Way = arc, mount: Way = FIXED) -> np.ndarray:
    """(n,) indices of the world's points within reach of the sensor."""
    return np.flatnonzero(np.linalg.norm(WORLD - (way(t) @ mount(t))[:3, 3], axis=1) < REACH)


def seen(t: float, way: Way = arc, mount: Way = FIXED) -> np.ndarray:
    """(n, 3) of a sweep at one instant, in the sensor's frame."""
    sensor = way(t) @ mount(t)
    return (WORLD[visible(t, way, mount)] - sensor[:3, 3]) @ sensor[:3, :3]


def footprint(base: np.ndarray, ground: float = 0.0) -> np.ndarray:
    return rigid([base[0, 3], base[1, 3], ground], [0, 0, np.arctan2(base[1, 0], base[0, 0])])


def voxels(points: np.ndarray) -> set[int]:
    cells = np.floor((points - LOWER) / VOXEL).astype(int)
    inside = ((cells >= 0) & (cells < SHAPE)).all(axis=1)
    return set(np.ravel_multi_index(tuple(cells[inside].T), SHAPE).tolist())


def expected(t: float, sweeps: Iterable[float], way: Way = arc, mount: Way = FIXED) -> tuple[set[int], set[int]]:
    """Voxels of a frame at t that must be occupied, and those that may be. sweeps: their stamps, seconds."""
    known = np.zeros(len(WORLD), bool)
    for stamp in sweeps:
        if t - 3.0 - 1e-6 <= stamp <= t + 5e-3:
            known[visible(stamp, way, mount)] = True
    back = np.linalg.inv(footprint(way(t)))
    local = WORLD[known] @ back[:3, :3].T + back[:3, 3]
    parts = (local - LOWER) / VOXEL
    sure = (np.abs(parts - np.round(parts)) * VOXEL > SURE_M).all(axis=1)
    nudged = [local + SURE_M * np.array([i, j, k]) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)]
    return voxels(local[sure]), voxels(np.vstack(nudged))


@dataclass
class Car:
    """Makes a bag of the drive; every part of it can be somebody else's."""

    drive: Drive = field(default_factory=Drive)
    messages: list[Said] = field(default_factory=list)

    def cloud(self, at: float, xyz: np.ndarray, frame: str = "lidar", **columns: np.ndarray) -> Any:
        """xyz: (n, 3). columns: further fields of any dtype."""
        kinds = [(axis, "<f4") for axis in "xyz"] + [(name, column.dtype.str) for name, column in columns.items()]
        points = np.zeros(len(xyz), kinds)
        for axis, column in zip("xyz", xyz.T, strict=True):
            points[axis] = column
        for name, column in columns.items():
            points[name] = column
        return self.drive.cloud(EPOCH + at, frame, points)

    def say_clouds(self, stamps: Iterable[float], make: Callable[[float], Any] | None = None, late: float = 0) -> Car:
        for t in stamps:
            content = make(t) if make else self.cloud(t, seen(t))
            self.messages.append(Said("/points", "sensor_msgs/msg/PointCloud2", t + late, content))
        return self

    def say_odometry(
        self,
        seconds: float,
        way: Way = arc,
        child: str = "base_link",
        twist: Callable[[float], tuple] = lambda t: ((SPEED, 0, 0), (0, 0, TURN)),
        scale: float = 1.0,
        rate: float = 50.0,
    ) -> Car:
        make, zero = self.drive.make, np.zeros(36)
        for k in range(round(seconds * rate) + 1):
            t = k / rate
            linear, angular = twist(t)
            pose = self.drive.pose(Pose.from_matrix(way(t)))
            for axis in "wxyz":
                setattr(pose.orientation, axis, getattr(pose.orientation, axis) * scale)
            content = make(
                "nav_msgs/msg/Odometry", header=self.drive.header(EPOCH + t, "odom"), child_frame_id=child,
                pose=make("geometry_msgs/msg/PoseWithCovariance", pose=pose, covariance=zero),
                twist=make(
                    "geometry_msgs/msg/TwistWithCovariance", covariance=zero,
                    twist=make(
                        "geometry_msgs/msg/Twist", linear=self.drive.vector(linear), angular=self.drive.vector(angular)
                    ),
                ),
            )  # fmt: skip
            self.messages.append(Said("/odom", "nav_msgs/msg/Odometry", t, content))
        return self

    def say_transforms(
        self, seconds: float, parent: str, child: str, way: Way, rate: float = 50.0, late: float = 0.0
    ) -> Car:
        for k in range(round(seconds * rate) + 1):
            t = k / rate
            content = self.drive.transforms(EPOCH + t, (parent, child, Pose.from_matrix(way(t))))
            self.messages.append(Said("/tf", "tf2_msgs/msg/TFMessage", t + late, content))
        return self

    def say_fixed(self, parent: str, child: str, pose: np.ndarray) -> Car:
        content = self.drive.transforms(EPOCH, (parent, child, Pose.from_matrix(pose)))
        self.messages.append(Said("/tf_static", "tf2_msgs/msg/TFMessage", 0.0, content))
        return self

    def say_description(self, xml: str) -> Car:
        content = self.drive.make("std_msgs/msg/String", data=xml)
        self.messages.append(Said("/robot_description", "std_msgs/msg/String", 0.0, content))
        return self

    def sessions(self, folder: Path, config: dict[str, Any] | None = None, **bag: Any) -> tuple[BagReport, Session]:
        """The bag converted. config: of the robot; extrinsics of the LiDAR where it does not say otherwise."""
        ordered = sorted(self.messages, key=lambda said: said.stamp)
        written = write_bag(folder / "bag", self.drive, ordered)
        values = {
            "lidar": "/points", "odometry": "/odom", "ground": GroundSource.CONSTANT,
            "extrinsics": {"lidar": Pose.from_matrix(MOUNT)}, **(config or {}),
        }  # fmt: skip
        robot = RobotConfig("car_0", **values)
        report = convert(written, folder / "out", Conversion(BagConfig((robot,), **bag)), progress=False)
        (session,) = find_sessions(folder / "out")
        return report, session


def misses(session: Session, sweeps: Iterable[float], way: Way = arc, mount: Way = FIXED) -> list[tuple]:
    """Of each frame that is not right: when, and how many voxels are missing and too many. Poses are compared too."""
    stamps, wrong = list(sweeps), []
    for number in session.numbers:
        state = session.state(number)
        t = state.stamp - EPOCH
        assert np.allclose(state.base_link.matrix, way(t), atol=2e-4), t
        occupied = set(np.flatnonzero(session.classes(number).ravel()).tolist())
        must, may = expected(t, stamps, way, mount)
        if must - occupied or occupied - may:
            wrong.append((round(t, 3), len(must - occupied), len(occupied - may)))
    return wrong


def times(session: Session) -> list[float]:
    return [session.state(number).stamp - EPOCH for number in session.numbers]
