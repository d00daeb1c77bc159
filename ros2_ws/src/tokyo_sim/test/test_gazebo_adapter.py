"""A drone in Gazebo is commanded before anything is heard of it, over a real DDS: until then its rotors rest."""

from __future__ import annotations

import time

import numpy as np
import pytest
from processes import PATIENCE_S

rclpy = pytest.importorskip("rclpy")

from geometry_msgs.msg import Twist  # noqa: E402
from nav_msgs.msg import Odometry  # noqa: E402

from occ_core.poses import Pose  # noqa: E402
from occ_core.topics import CMD_VEL  # noqa: E402
from occ_ros.convert import to_pose, vector  # noqa: E402
from occ_ros.diagnostics import to_stamp  # noqa: E402
from occ_ros.qos import create_subscription  # noqa: E402
from tokyo_sim.engine.robot import RobotKind, load_robot  # noqa: E402
from tokyo_sim.gazebo.bridge import raw  # noqa: E402
from tokyo_sim.nodes.gazebo_adapter import RobotAdapter  # noqa: E402

TICK_S = 0.005


class Commands:
    """What is sent to a robot in Gazebo, and the executor that brings it."""

    def __init__(self, node, name: str) -> None:
        self.heard: list[Twist] = []
        self._executor = rclpy.executors.SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        create_subscription(node, raw(CMD_VEL), self.heard.append, name)

    def after(self, act, seconds: float = PATIENCE_S) -> list[Twist]:
        """Those that come when something is done again and again, the first of them; none after so many seconds."""
        self.heard.clear()
        deadline = time.monotonic() + seconds
        while not self.heard and time.monotonic() < deadline:
            act()
            self._executor.spin_once(timeout_sec=0.05)
        return list(self.heard)


def odometry(name: str, stamp: float, height: float) -> Odometry:
    message = Odometry(child_frame_id=f"{name}/base_link")
    message.header.frame_id, message.header.stamp = "map", to_stamp(stamp)
    message.pose.pose = to_pose(Pose.from_xyz_rpy([3.0, 4.0, height], [0, 0, 1.2]))
    return message


def test_a_drone_hovers_from_the_first_tick_on_and_a_fall_is_caught_once_it_is_heard_of(node):
    adapter = RobotAdapter(node, load_robot(RobotKind.DRONE, "drone_0"), cameras=False)
    commands = Commands(node, "drone_0")
    (hover, *_) = commands.after(adapter.before_odometry)
    assert hover == Twist()
    # It fell freely for a quarter of a second, as one did whose first command came late.
    for k in range(2):
        adapter.on_odometry(odometry("drone_0", 0.25 + k * TICK_S, 20 - 9.81 / 2 * (0.25 + k * TICK_S) ** 2))
    stamp = [0.25 + 2 * TICK_S]

    def falling() -> None:
        adapter.on_odometry(odometry("drone_0", stamp[0], 20 - 9.81 / 2 * stamp[0] ** 2))
        stamp[0] += TICK_S

    (caught, *_) = commands.after(falling)
    # The set point is above the velocity by as much as the controller may be asked for, and not aside.
    velocity = -9.81 * stamp[0]
    assert velocity + 1.0 < vector(caught.linear)[2] < 0 or vector(caught.linear)[2] >= 0
    assert np.abs(vector(caught.linear)[:2]).max() < 1e-6
    # What was on its way is no command to hover, and nobody sends one now.
    for _ in range(5):
        assert Twist() not in commands.after(adapter.before_odometry, seconds=0.2)


def test_a_rover_is_sent_nothing_by_itself(node):
    RobotAdapter(node, load_robot(RobotKind.ROVER, "rover_0"), cameras=False).before_odometry()
    published = [name for name, _ in node.get_publisher_names_and_types_by_node(node.get_name(), "/")]
    assert any(name.endswith("/odom") for name in published) and not any("cmd_vel" in name for name in published)
