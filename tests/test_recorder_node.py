"""The recorder's process beside a robot that publishes over DDS: services, parameters, diagnostics, and a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import in_process
import numpy as np
import pytest
import rclpy
from nav_msgs.msg import Odometry
from processes import PATIENCE_S
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Imu
from std_msgs.msg import String
from std_srvs.srv import Trigger

from occ_core.poses import Pose
from occ_core.session import Session, find_sessions
from occ_core.topics import CAMERAS, DIAGNOSTICS, IMU, LIDAR, ODOM, ROBOT_DESCRIPTION, image_topic
from occ_recorder.nodes import recorder
from occ_recorder.sessions.check import check_session
from occ_ros.convert import to_cloud, to_image, to_pose
from occ_ros.diagnostics import to_stamp
from occ_ros.qos import create_publisher, create_subscription

URDF = """<robot name="r"><link name="base_link"/><link name="lidar_link"/><joint name="j" type="fixed">
<parent link="base_link"/><child link="lidar_link"/><origin xyz="0 0 1"/></joint></robot>"""
POINT = np.dtype([(name, np.float32) for name in ("x", "y", "z", "intensity")])


class Robot(Node):
    """A robot in a turn at 2 m/s and 0.4 rad/s: an arc of 5 m radius, position and yaw known at any time."""

    def __init__(self) -> None:
        super().__init__("robot")
        self._description = create_publisher(self, ROBOT_DESCRIPTION, "rover_0", depth=1)
        self._odometry, self._imu = (
            create_publisher(self, ODOM, "rover_0", 50),
            create_publisher(self, IMU, "rover_0", 100),
        )
        self._lidar = create_publisher(self, LIDAR, "rover_0")
        self._images = {camera: create_publisher(self, image_topic(camera), "rover_0") for camera in CAMERAS}
        self._description.publish(String(data=URDF))
        self._tick = 0
        self._points = np.zeros(400, POINT)
        self._points["x"], self._points["y"] = 4.0, np.linspace(-3, 3, 400)
        self.diagnostics: list = []
        create_subscription(self, DIAGNOSTICS, lambda message: self.diagnostics.extend(message.status))
        self.create_timer(0.01, self._step)

    def _step(self) -> None:
        """Odometry at 50 Hz and off the beat of the sweeps by 7 ms, so that poses must be interpolated."""
        self._tick += 1
        stamp = 0.01 * self._tick
        imu = Imu()
        imu.header.stamp, imu.angular_velocity.z, imu.linear_acceleration.z = to_stamp(stamp), 0.4, 9.81
        self._imu.publish(imu)
        if self._tick % 2 == 0:
            odometry = Odometry()
            odometry.header.stamp = to_stamp(stamp + 0.007)
            odometry.pose.pose = to_pose(arc(stamp + 0.007))
            odometry.twist.twist.linear.x, odometry.twist.twist.angular.z = 2.0, 0.4
            self._odometry.publish(odometry)
        if self._tick % 10 == 0:
            self._lidar.publish(to_cloud(self._points, "rover_0/lidar_link", stamp))
            for camera, publisher in self._images.items():
                publisher.publish(to_image(np.full((18, 32, 3), 90, np.uint8), f"rover_0/{camera}", stamp))


def arc(stamp: float) -> Pose:
    """base_link in map at a time, seconds."""
    turned = 0.4 * stamp
    return Pose.from_xyz_rpy([5 * np.sin(turned), 5 * (1 - np.cos(turned)), 0.4], [0, 0, turned])


class Bench:
    """The robot and a recorder's process that writes into `output`."""

    def __init__(self, output: Path) -> None:
        self.output, self.robot = output, Robot()
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.robot)
        options = {"robots": "[rover_0]", "output": str(output), "autostart": "false", "occupancy": "lidar"}
        parameters = [part for key, value in options.items() for part in ("-p", f"{key}:={value}")]
        command = [sys.executable, "-m", "occ_recorder.nodes.recorder", "--ros-args", *parameters]
        self.process = subprocess.Popen(command)

    def spin(self, until, seconds: float = PATIENCE_S) -> None:
        """Let the robot drive until something holds."""
        end = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < end and self.process.poll() is None
            self.executor.spin_once(timeout_sec=0.02)

    def drive(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.spin(lambda: time.monotonic() > end)

    def call(self, kind: type, name: str, request) -> object:
        client = self.robot.create_client(kind, f"/recorder/{name}")
        self.spin(client.service_is_ready)
        future = client.call_async(request)
        self.spin(future.done)
        return future.result()

    def trigger(self, name: str) -> Trigger.Response:
        return self.call(Trigger, name, Trigger.Request())

    def values(self) -> dict[str, str]:
        """The newest diagnostics."""
        self.robot.diagnostics.clear()
        self.spin(lambda: self.robot.diagnostics)
        return {value.key: value.value for value in self.robot.diagnostics[-1].values}

    def frames(self) -> int:
        return int(self.values().get("frames", 0))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    rclpy.init()
    made = Bench(tmp_path / "data")
    yield made
    made.process.kill()
    made.process.wait()
    made.robot.destroy_node()
    rclpy.shutdown()


def kinds(session: Session) -> list[str]:
    return [f"{event.kind.value} {event.label}".strip() for event in session.events()]


def test_start_mark_pause_stop_and_a_kill(bench: Bench) -> None:
    bench.spin(lambda: bench.values().get("mode") == "stopped")
    assert not bench.output.exists() or not list(bench.output.iterdir()), "nothing is recorded before start"
    assert not bench.trigger("mark").success and not bench.trigger("pause").success

    assert bench.trigger("start").success
    bench.spin(lambda: bench.frames() >= 2)
    label = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value="near miss")
    request = SetParameters.Request(parameters=[Parameter(name="mark_label", value=label)])
    bench.call(SetParameters, "set_parameters", request)
    assert bench.trigger("mark").success
    assert bench.trigger("pause").success and not bench.trigger("pause").success
    paused_at = bench.frames()
    bench.drive(1.2)
    assert bench.frames() <= paused_at + 1 and bench.values()["mode"] == "paused"
    answer = bench.trigger("start")
    assert answer.success and answer.message == "start: rover_0; now: rover_0 recording"
    bench.spin(lambda: bench.frames() >= paused_at + 2)
    assert bench.trigger("stop").success
    bench.spin(lambda: bench.values()["session"] == "")

    (session,) = find_sessions(bench.output)
    assert kinds(session) == ["mark near miss", "pause", "resume", "end"]
    assert check_session(session.folder).damage == ()
    assert session.info.seed is None, "nobody has named one"
    for number in session.numbers:
        state = session.state(number)
        assert state.stamp % 0.5 == pytest.approx(0, abs=1e-6)
        assert np.allclose(state.base_link.matrix, arc(state.stamp).matrix, atol=1e-9), "interpolated on SE(3)"
        assert state.linear[0] == 2.0 and state.angular[2] == pytest.approx(0.4)
        assert session.imu(number)[-1, 0] == pytest.approx(state.stamp)
        assert all(session.image_path(number, channel).exists() for channel in CAMERAS.values())

    assert bench.trigger("start").success
    bench.spin(lambda: int(bench.values()["sessions"]) == 2 and bench.frames() > len(session) + 1)
    bench.process.send_signal(signal.SIGKILL)
    bench.process.wait()
    first, second = find_sessions(bench.output)
    assert first.numbers == session.numbers and len(second) >= 2
    assert check_session(second.folder).usable == second.numbers


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("output", "/proc/nowhere", "/proc/nowhere"),
        ("occupancy", "guess", "guess"),
        ("occupancy", "ground_truth", "city"),
    ],
)
def test_a_wrong_parameter_stops_the_node_with_a_sentence(tmp_path: Path, name: str, value: str, word: str) -> None:
    ended = in_process.node(recorder.main, **({"output": tmp_path} | {name: value}))
    assert ended.returncode == 2 and word in ended.stderr and len(ended.stderr.splitlines()) == 1
