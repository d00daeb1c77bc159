"""What was right in real Gazebo, as assertions about what a stranger hears; for Gazebo and its stand-in."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from occ_core.poses import Pose
from tokyo_sim.engine.robot import LidarSpec, RobotKind, load_robot

DRIVER = Path(__file__).with_name("gazebo_driver.py")
_TIGHTEST_M = 0.72 / np.sin(0.65)  # wheel_base / sin(steering_limit) of rover.urdf.xacro


@dataclass
class Report:
    """Rows of a table that a person can send back: what was measured, what is wanted."""

    rows: list[tuple[str, str, str, bool]] = field(default_factory=list)

    def add(self, what: str, value: float, wanted: str, good: bool) -> None:
        self.rows.append((what, f"{value:.4g}", wanted, bool(good)))

    def near(self, what: str, value: float, wanted: float, within: float) -> None:
        self.add(what, value, f"{wanted:g} within {within:g}", abs(value - wanted) <= within)

    def most(self, what: str, value: float, most: float) -> None:
        self.add(what, value, f"{most:g} at most", value <= most)

    @property
    def wrong(self) -> list[str]:
        return [f"{what}: {value}, wanted {wanted}" for what, value, wanted, good in self.rows if not good]

    def markdown(self) -> str:
        lines = ["| measured | value | wanted | |", "|---|---|---|---|"]
        lines += [
            f"| {what} | {value} | {wanted} | {'yes' if good else '**NO**'} |"
            for what, value, wanted, good in self.rows
        ]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Heard:
    """Odometry of a robot: stamps (n,), positions (n, 3), rotations, and velocities (n, 3) in base_link."""

    stamps: np.ndarray
    positions: np.ndarray
    rotations: Rotation
    linear: np.ndarray
    angular: np.ndarray
    frames: tuple[str, str]
    cloud: dict


def driven() -> dict[str, Heard]:
    """Drive and fly by hand, in a process that knows none of our code."""
    output = subprocess.run([sys.executable, str(DRIVER)], check=True, capture_output=True, text=True, timeout=300)
    heard = {}
    for name, said in json.loads(output.stdout.splitlines()[-1]).items():
        rows = np.array(said["rows"])
        assert len(rows), f"nothing was heard of {name}"
        heard[name] = Heard(
            rows[:, 0], rows[:, 1:4], Rotation.from_quat(np.roll(rows[:, 4:8], -1, axis=1)), rows[:, 8:11],
            rows[:, 11:], tuple(said["frames"]), said["cloud"],
        )  # fmt: skip
    return heard


def check_drive(heard: dict[str, Heard], spawned: dict[str, Pose], report: Report) -> None:
    """spawned: where each robot was to start."""
    for name, robot in heard.items():
        seconds = robot.stamps - robot.stamps[0]
        report.near(f"{name}: odometry, Hz", (len(seconds) - 1) / seconds[-1], 50, 0.5)
        report.most(f"{name}: fastest turn said, rad/s", float(np.abs(robot.angular).max()), 6.0)
        start = robot.positions[0] - spawned[name].position
        report.most(f"{name}: start beside the embedded engine's, m", float(np.linalg.norm(start[:2])), 0.001)
        assert robot.frames == ("map", f"{name}/base_link")
        check_cloud(name, robot.cloud, load_robot(RobotKind(name.split("_")[0]), name).lidar, report)
    rover, drone = heard["rover_0"], heard["drone_0"]
    report.near("rover: told 2 m/s, m/s", _mean(rover, rover.linear[:, 0], 3.5, 5.0), 2.0, 0.1)
    report.near("rover: tightest turn, m", _radius(rover, 7.0, 11.0), _TIGHTEST_M, 0.12)
    fall = spawned["drone_0"].position[2] - drone.positions[drone.stamps - drone.stamps[0] < 2.0, 2].min()
    report.most("drone: falls before it is commanded, m", float(fall), 0.15)
    report.near("drone: told 4 m/s, m/s", _mean(drone, drone.linear[:, 0], 5.5, 7.0), 4.0, 0.06)
    # Both the adapter's law and the stand-in's controller learn what is missing, which takes a while to settle.
    report.near("drone: told to climb 1 m/s, m/s", _climb(drone, 11.0, 13.0), 1.0, 0.1)
    path = drone.positions[(drone.stamps - drone.stamps[0] > 2.0) & (drone.stamps - drone.stamps[0] < 7.0)]
    ahead = drone.rotations[0].apply([1.0, 0, 0])[:2]
    aside = (path[:, :2] - path[0, :2]) @ np.array([-ahead[1], ahead[0]]) / np.linalg.norm(ahead)
    report.most("drone: aside of a straight line, m", float(np.abs(aside).max()), 0.1)


def check_cloud(name: str, cloud: dict, spec: LidarSpec, report: Report) -> None:
    """Layout of gz-sensors' point cloud: beams lowest first, azimuth from -pi."""
    wanted = {"x": [0, 7], "y": [4, 7], "z": [8, 7], "intensity": [16, 7], "ring": [24, 4]}
    assert {field: cloud["fields"].get(field) for field in wanted} == wanted, cloud["fields"]
    assert cloud["size"] == [32, 1800] and cloud["step"] == 32 and cloud["frame"] == f"{name}/lidar_link"
    formats = {"names": ["x", "y", "z", "ring"], "formats": ["<f4", "<f4", "<f4", "<u2"], "offsets": [0, 4, 8, 24]}
    points = np.frombuffer(bytes.fromhex(cloud["data"]), np.dtype({**formats, "itemsize": 32})).reshape(32, 1800)
    assert (points["ring"] == np.arange(32)[:, None]).all()
    there = np.isfinite(points["x"])
    x, y, z = (points[axis].astype(float) for axis in "xyz")
    up, around = np.arctan2(z, np.hypot(x, y)), np.arctan2(y, x)
    off = np.abs(np.where(there, up - spec.elevations[:, None], 0)).max()
    turned = np.abs(np.angle(np.exp(1j * np.where(there, around - spec.azimuths, 0)))).max()
    report.most(f"{name}: points above or below their rays, degrees", float(np.degrees(off)), 0.1)
    report.most(f"{name}: points beside their rays, degrees", float(np.degrees(turned)), 0.1)
    report.add(f"{name}: share of rays that came back", float(there.mean()), "over 0.2", there.mean() > 0.2)


def _within(robot: Heard, begin: float, end: float) -> np.ndarray:
    seconds = robot.stamps - robot.stamps[0]
    return (seconds >= begin) & (seconds < end)


def _mean(robot: Heard, values: np.ndarray, begin: float, end: float) -> float:
    return float(values[_within(robot, begin, end)].mean())


def _climb(robot: Heard, begin: float, end: float) -> float:
    chosen = _within(robot, begin, end)
    return float(np.polyfit(robot.stamps[chosen], robot.positions[chosen, 2], 1)[0])


def _radius(robot: Heard, begin: float, end: float) -> float:
    """Of the circle that the middle of the rear axle drives."""
    chosen = _within(robot, begin, end)
    axle = (robot.positions[chosen] + robot.rotations[chosen].apply([-0.36, 0, 0]))[:, :2]
    system = np.column_stack([2 * axle, np.ones(len(axle))])
    x, y, rest = np.linalg.lstsq(system, (axle**2).sum(axis=1), rcond=None)[0]
    return float(np.sqrt(rest + x * x + y * y))
