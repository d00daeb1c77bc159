"""Recorder and forecast beside a robot whose LiDAR turns on a table while it measures: one wall stays one wall.

What is no return, and what is the robot itself, is no part of the world, live as from bags.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
from processes import PATIENCE_S
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage

from occ_core.grid import TOKYO_GRID
from occ_core.messages import cloud_xyz, from_cloud
from occ_core.poses import Pose
from occ_core.session import find_sessions
from occ_core.stamps import from_stamp
from occ_core.topics import LIDAR, OCCUPANCY, ODOM, ROBOT_DESCRIPTION, TF
from occ_ros.convert import to_cloud, to_pose
from occ_ros.diagnostics import to_stamp
from occ_ros.qos import create_publisher, create_subscription

URDF = """<robot name="r">
<link name="base_link"><collision><geometry><box size="2 1 0.6"/></geometry></collision></link>
<link name="lidar_link"/><joint name="table" type="continuous"><parent link="base_link"/><child link="lidar_link"/>
<origin xyz="0.2 0 1.1"/><axis xyz="0 0 1"/></joint></robot>"""
POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4"), ("t", "<u4")])
SPEED, SPIN, SWEEP_S, GROUND = 1.5, 4.0, 0.08, -0.4
WALLS = np.array(
    [(x, side, z) for side in (-7.3, 6.1) for x in np.arange(-14, 22, 0.27) for z in np.arange(0.05, 2.6, 0.3)]
)
ROOF = np.array([(x, y, 0.2) for x in np.arange(-0.9, 1.0, 0.2) for y in np.arange(-0.4, 0.5, 0.2)])  # in base_link


def base(t: float) -> Pose:
    """base_link in map: an arc."""
    return Pose.from_xyz_rpy([7.5 * np.sin(0.2 * t), 7.5 * (1 - np.cos(0.2 * t)), 0], [0, 0, 0.2 * t])


def table(t: float) -> Pose:
    """lidar_link in base_link."""
    return Pose.from_xyz_rpy([0.2, 0, 1.1], [0, 0, SPIN * t])


class Robot(Node):
    def __init__(self) -> None:
        super().__init__("robot")
        self._description = create_publisher(self, ROBOT_DESCRIPTION, "rover_0", depth=1)
        self._odometry, self._tf = create_publisher(self, ODOM, "rover_0", 100), create_publisher(self, TF, depth=100)
        self._lidar = create_publisher(self, LIDAR, "rover_0", 20)
        self._description.publish(String(data=URDF))
        self._tick = 0
        self.grids: list = []
        create_subscription(self, OCCUPANCY, self.grids.append, "rover_0")
        self.create_timer(0.02, self._step)

    def _step(self) -> None:
        # It sets out when it is heard: after six seconds its arc ends in a wall, which its own body would hide.
        if not self._lidar.get_subscription_count():
            return
        self._tick += 1
        now = 0.02 * self._tick
        odometry = Odometry()
        odometry.header.stamp, odometry.pose.pose = to_stamp(now), to_pose(base(now))
        odometry.twist.twist.linear.x, odometry.twist.twist.angular.z = SPEED, 0.2
        self._odometry.publish(odometry)
        said = TransformStamped()
        said.header.stamp, said.header.frame_id, said.child_frame_id = to_stamp(now), "base_link", "lidar_link"
        pose = to_pose(table(now))
        place = said.transform.translation
        place.x, place.y, place.z = pose.position.x, pose.position.y, pose.position.z
        said.transform.rotation = pose.orientation
        self._tf.publish(TFMessage(transforms=[said]))
        if self._tick % 5 == 0:
            self._lidar.publish(to_cloud(sweep(now), "rover_0/lidar_link", now))


def sweep(begin: float) -> np.ndarray:
    """Walls, roof, returns that are none, and something 0.5 m from the LiDAR; in the sensor's frame of each time."""
    after = np.linspace(0, SWEEP_S, len(WALLS))
    points = np.zeros(len(WALLS) + len(ROOF) + 60, POINT)
    steps = np.round(after / 0.004).astype(int)
    for step in np.unique(steps):
        chosen, t = np.flatnonzero(steps == step), begin + 0.004 * step
        local = (base(t) @ table(t)).inverse().apply(WALLS[chosen])
        for axis, column in zip("xyz", local.T, strict=True):
            points[axis][chosen] = column
        points["t"][chosen] = round(4e6 * step)
    for axis, column in zip("xyz", table(begin).inverse().apply(ROOF).T, strict=True):
        points[axis][len(WALLS) : len(WALLS) + len(ROOF)] = column
    points["x"][-40:-20], points["x"][-20:] = np.nan, 0.5
    return points


def cells(t: float) -> tuple[set[tuple], set[tuple]]:
    """Voxels of the grid at a time that must be occupied, and those that may be."""
    level = Pose(np.array([*base(t).position[:2], GROUND]), base(t).orientation).inverse()
    local = level.apply(WALLS)
    near = np.stack([local + 0.01 * np.array(side) for side in product((-1, 1), repeat=3)])
    numbers = np.floor((near - TOKYO_GRID.lower) / TOKYO_GRID.voxel).astype(int)
    inside = ((numbers >= 0) & (numbers < TOKYO_GRID.shape)).all(axis=(0, 2))
    sure = inside & (numbers == numbers[0]).all(axis=(0, 2))
    return set(map(tuple, numbers[0][sure])), set(map(tuple, numbers[:, inside].reshape(-1, 3)))


@pytest.fixture
def robot() -> Iterator[tuple[Robot, SingleThreadedExecutor]]:
    rclpy.init()
    node, executor = Robot(), SingleThreadedExecutor()
    executor.add_node(node)
    yield node, executor
    node.destroy_node()
    rclpy.shutdown()


def started(module: str, **options: object) -> subprocess.Popen:
    given = {"robots": "[rover_0]", "ground_height": GROUND, "min_range": 1.0} | options
    parameters = [part for key, value in given.items() for part in ("-p", f"{key}:={value}")]
    return subprocess.Popen([sys.executable, "-m", module, "--ros-args", *parameters])


def spin(executor: SingleThreadedExecutor, until, process: subprocess.Popen) -> None:
    end = time.monotonic() + PATIENCE_S
    while not until():
        assert time.monotonic() < end and process.poll() is None
        executor.spin_once(timeout_sec=0.02)


@pytest.mark.parametrize(
    ("option", "right"),
    [
        ({}, True),
        ({"undistort": "false"}, False),
        pytest.param({"min_range": 0.1}, False, marks=pytest.mark.nightly),
    ],
)
def test_the_recorder_puts_every_point_where_it_was(robot, tmp_path: Path, option: dict, right: bool) -> None:
    _, executor = robot
    process = started("occ_recorder.nodes.recorder", output=tmp_path / "data", **option)
    try:
        frames = tmp_path / "data"
        spin(executor, lambda: len(list(frames.glob("*/occupancy/*.npz"))) >= 5, process)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
    (session,) = find_sessions(tmp_path / "data")
    wrong = 0
    for number in session.numbers[1:]:
        occupied = set(map(tuple, np.argwhere(session.classes(number))))
        must, may = cells(session.state(number).stamp)
        wrong += len(must - occupied) + len(occupied - may)
    assert (wrong == 0) is right, wrong


@pytest.mark.parametrize("option", [{}, pytest.param({"self_filter": "false"}, marks=pytest.mark.nightly)])
def test_the_forecast_sees_what_the_recorder_sees(robot, untrained_checkpoint: Path, option: dict) -> None:
    node, executor = robot
    process = started("occworld_infer.nodes.inference", checkpoint=untrained_checkpoint, **option)
    try:
        spin(executor, lambda: len(node.grids) >= 4, process)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
    for message in node.grids[1:]:
        points = cloud_xyz(from_cloud(message)).astype(float)
        occupied = set(map(tuple, np.floor((points - TOKYO_GRID.lower) / TOKYO_GRID.voxel).astype(int)))
        must, may = cells(from_stamp(message.header.stamp))
        assert must <= occupied
        assert (occupied <= may) is (not option), sorted(occupied - may)[:9]
