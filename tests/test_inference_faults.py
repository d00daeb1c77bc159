"""The inference node's process beside robots that publish over DDS: what it says and does when things go wrong."""

from __future__ import annotations

import json
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import in_process
import numpy as np
import pytest
import rclpy
import torch
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from nav_msgs.msg import Odometry
from processes import PATIENCE_S
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from safetensors import safe_open
from safetensors.numpy import save_file
from small_model import config, save
from std_msgs.msg import String

from occ_core.messages import from_cloud
from occ_core.stamps import from_stamp
from occ_core.topics import DIAGNOSTICS, LATENCY, LIDAR, ODOM, PATH, PREDICTION, ROBOT_DESCRIPTION, SCORE, Topic
from occ_ros.convert import to_cloud
from occ_ros.diagnostics import to_stamp
from occ_ros.qos import create_publisher, create_subscription
from occworld_infer.figures import SCORE_COLUMNS, from_latency
from occworld_infer.nodes import inference

URDF = """<robot name="r"><link name="base_link"/><link name="lidar_link"/><joint name="j" type="fixed">
<parent link="base_link"/><child link="lidar_link"/><origin xyz="0 0 1"/></joint></robot>"""
POINT = np.dtype([(name, np.float32) for name in ("x", "y", "z", "intensity")])
SPEED = 2.0


class Robot:
    """One that drives along a wall at 2 m/s; every message is sent when a test says so."""

    def __init__(self, node: Node, name: str) -> None:
        self._node, self.name = node, name
        self._description = create_publisher(node, ROBOT_DESCRIPTION, name, depth=1)
        self._odometry, self._lidar = create_publisher(node, ODOM, name, 50), create_publisher(node, LIDAR, name)
        self.heard: dict[Topic, list] = {topic: [] for topic in (PREDICTION, PATH, LATENCY, SCORE)}
        for topic, messages in self.heard.items():
            create_subscription(node, topic, messages.append, name)
        self._wall = np.zeros(1200, POINT)
        self._wall["x"], self._wall["y"], self._wall["z"] = np.linspace(-30, 30, 1200), 6.0, np.tile([0, 1, 2, 3], 300)

    def describe(self) -> None:
        self._description.publish(String(data=URDF))

    def move(self, stamp: float) -> None:
        message = Odometry()
        message.header.stamp = to_stamp(stamp)
        message.pose.pose.position.x, message.pose.pose.orientation.w = SPEED * stamp, 1.0
        message.twist.twist.linear.x = SPEED
        self._odometry.publish(message)

    def sweep(self, stamp: float, points: np.ndarray | None = None, frame: str = "lidar_link") -> None:
        self._lidar.publish(to_cloud(self._wall if points is None else points, f"{self.name}/{frame}", stamp))

    @property
    def dirty(self) -> np.ndarray:
        """The wall, with points that are none."""
        points = np.concatenate([self._wall, self._wall[:90]])
        points["x"][-90:-60], points["y"][-60:-30], points["z"][-30:] = np.nan, np.inf, -np.inf
        return points

    @property
    def stamps(self) -> list[float]:
        """Of the predictions that were heard."""
        return [round(from_stamp(message.header.stamp), 3) for message in self.heard[PREDICTION]]


class Stage:
    """Robots, and a node's process that forecasts for them."""

    def __init__(self, checkpoint: Path, robots: tuple[str, ...] = ("rover_0",), **parameters: object) -> None:
        self.node = Node("stage")
        self.robots = [Robot(self.node, name) for name in robots]
        self.robot = self.robots[0]
        self.diagnostics: dict[str, tuple[str, dict[str, str]]] = {}
        create_subscription(self.node, DIAGNOSTICS, self._on_diagnostics)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self.process = start(checkpoint, robots=f"[{', '.join(robots)}]", **parameters)

    def _on_diagnostics(self, message) -> None:
        for status in message.status:
            self.diagnostics[status.name] = status.message, {v.key: v.value for v in status.values}

    def until(self, what: Callable[[], object], seconds: float = PATIENCE_S) -> None:
        """Spin until something holds."""
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, f"never: {self.diagnostics}"
            assert self.process.poll() is None, "the node ended"
            self._executor.spin_once(timeout_sec=0.02)

    def says(self, words: str, robot: str = "rover_0") -> None:
        """Wait until its diagnostics do."""
        self.until(lambda: words in self.diagnostics.get(f"forecast {robot}", ("", {}))[0])

    def listening(self, robot: Robot) -> None:
        """Wait until a robot's messages would be heard."""
        robot.describe()
        self.until(lambda: robot._lidar.get_subscription_count() and robot._odometry.get_subscription_count())

    def drive(self, start: float, stop: float, points: np.ndarray | None = None, robots: list[Robot] | None = None):
        """Ten sweeps a second with odometry at every one, about as fast as the clock."""
        for tenth in range(round(start * 10), round(stop * 10) + 1):
            for robot in robots or self.robots:
                robot.move(tenth / 10)
                robot.sweep(tenth / 10, points)
            self.idle(0.08)

    def idle(self, seconds: float) -> None:
        """Hear what comes."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end)

    def forecast(self, after: float, robot: Robot | None = None) -> None:
        """Wait for a forecast from a stamp on."""
        self.until(lambda: any(stamp >= after for stamp in (robot or self.robot).stamps))

    def state(self) -> str:
        return self.call(GetState, "get_state", GetState.Request()).current_state.label

    def change(self, transition: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        return self.call(ChangeState, "change_state", request).success

    def call(self, kind: type, name: str, request):
        client = self.node.create_client(kind, f"/inference/{name}")
        self.until(client.service_is_ready)
        future = client.call_async(request)
        self.until(future.done)
        return future.result()

    def close(self) -> int:
        """End the process as Ctrl-C does; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(PATIENCE_S)
        finally:
            self.process.kill()
            self.node.destroy_node()


def start(checkpoint: Path | str, **parameters: object) -> subprocess.Popen:
    given = {"checkpoint": checkpoint, "device": "cpu"} | parameters
    options = [part for key, value in given.items() for part in ("-p", f"{key}:={value}")]
    command = [sys.executable, "-m", "occworld_infer.nodes.inference", "--ros-args", *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def staged(untrained_checkpoint: Path) -> Iterator[Callable[..., Stage]]:
    rclpy.init()
    stages: list[Stage] = []

    def make(*robots: str, **parameters: object) -> Stage:
        stages.append(Stage(untrained_checkpoint, robots or ("rover_0",), **parameters))
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()
    rclpy.shutdown()


def test_it_waits_for_what_is_missing_says_so_and_outlives_every_fault_of_a_stream(staged) -> None:
    stage = staged(max_rate=10.0)
    robot = stage.robot
    stage.says("waits for /rover_0/robot_description")
    stage.listening(robot)
    stage.says("no sweep on /rover_0/lidar/points")

    # Sweeps without odometry.
    stamp = 1.0
    while "no odometry around a sweep" not in stage.diagnostics["forecast rover_0"][0]:
        stamp = round(stamp + 0.1, 1)
        robot.sweep(stamp)
        stage.idle(0.08)
        assert stamp < 200
    assert robot.stamps == []

    # It goes on with odometry, however far the stamps have come; then duplicates, and one that is late.
    begun = stamp + 10
    stage.drive(begun, begun + 3)
    stage.forecast(begun + 1.4)
    last = round(begun + 3, 1)
    for stamp in (last, last, last - 0.3, last - 0.1):
        robot.sweep(stamp)
    stage.until(lambda: int(stage.diagnostics["forecast rover_0"][1].get("sweep out of order", 0)) >= 1)
    stage.drive(last + 0.1, last + 1.0)
    stage.forecast(last + 0.4)
    assert len(set(robot.stamps)) == len(robot.stamps), "one forecast a stamp"

    # Points that are none; a frame that the robot has not.
    stage.drive(last + 1.1, last + 3.0, points=robot.dirty)
    stage.forecast(last + 2.4)
    for stamp in (last + 3.1, last + 9.0):  # until then /tf may still say where that frame is
        robot.move(stamp), robot.sweep(stamp, frame="nowhere")
    stage.says("frame 'rover_0/nowhere'")

    # A gap: no forecast from a history with a hole in it.
    stage.drive(last + 10, last + 13)
    stage.forecast(last + 11.4)
    assert min(stamp for stamp in robot.stamps if stamp > last + 5) >= last + 10 + 1.3

    # The clock begins anew.
    robot.heard[SCORE].clear()
    before = len(robot.stamps)
    stage.drive(0.5, 4.0)
    stage.until(lambda: any(stamp < 5 for stamp in robot.stamps[before:]))
    assert min(robot.stamps[before:]) >= 1.8

    # Everything that comes of a forecast, and grades of what has come true.
    stage.drive(4.1, 5.0)
    stage.until(lambda: robot.heard[SCORE] and robot.heard[SCORE][-1].layout.dim[0].size >= 3)
    score = robot.heard[SCORE][-1]
    rows = np.reshape(score.data, (score.layout.dim[0].size, -1))
    assert rows.shape[1] == len(SCORE_COLUMNS) and SCORE_COLUMNS[:3] == ("horizon_s", "iou", "warp_iou")
    assert list(rows[:3, 0]) == [0.5, 1.0, 1.5]
    assert ((rows[:, 1:5] > 0.2) & (rows[:, 1:5] <= 1)).all()
    cloud = from_cloud(robot.heard[PREDICTION][-1])
    assert sorted(set(cloud["horizon"].tolist())) == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    path = robot.heard[PATH][-1]
    assert path.poses[-1].pose.position.x == pytest.approx(3 * SPEED, abs=1.0)
    latency = from_latency(robot.heard[LATENCY][-1])
    assert 0 < latency.model_s <= latency.total_s and 0 < latency.voxelize_s <= latency.total_s
    assert {dim.label for dim in (*score.layout.dim, *robot.heard[LATENCY][-1].layout.dim)} == {""}
    assert float(stage.diagnostics["forecast rover_0"][1]["rate_hz"]) > 0
    assert stage.close() == 0


def test_robots_share_one_node_and_one_that_is_silent_holds_nobody_up(staged) -> None:
    stage = staged("rover_0", "drone_0", "rover_1", horizons="[1.0, 3.0]")
    for robot in stage.robots:
        stage.listening(robot)
    first, second, _ = stage.robots
    stage.drive(0.5, 4.0, robots=[first, second])
    for robot in (first, second):
        stage.forecast(2.0, robot)
        assert set(from_cloud(robot.heard[PREDICTION][-1])["horizon"].tolist()) == {1.0, 3.0}
        assert all((stamp / 0.5) % 1 == 0 for stamp in robot.stamps), "twice a second"
    stage.says("no sweep on /rover_1/lidar/points", "rover_1")


def test_only_what_is_asked_for_is_published(staged) -> None:
    stage = staged(classes="[car]")
    stage.listening(stage.robot)
    stage.drive(0.5, 3.0)
    stage.until(lambda: stage.robot.heard[PREDICTION])
    assert stage.robot.heard[PREDICTION][-1].width == 0, "without a city, all it sees is `other`"


def test_a_manager_takes_it_through_its_states(staged) -> None:
    stage = staged(autostart=False)
    assert stage.state() == "unconfigured"
    assert not stage.change(Transition.TRANSITION_ACTIVATE)
    assert stage.change(Transition.TRANSITION_CONFIGURE)
    assert stage.state() == "inactive"
    robot = stage.robot
    robot.describe()
    for _ in range(2):
        assert stage.change(Transition.TRANSITION_ACTIVATE)
        stage.listening(robot)
        robot.heard[PREDICTION].clear()
        stage.drive(0.5, 3.0)
        stage.forecast(2.0)
        assert stage.change(Transition.TRANSITION_DEACTIVATE)
        stage.until(lambda: robot._lidar.get_subscription_count() == 0)
    assert stage.change(Transition.TRANSITION_CLEANUP)
    assert stage.state() == "unconfigured"
    assert stage.change(Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
    assert stage.call(GetState, "get_state", GetState.Request()).current_state.id == State.PRIMARY_STATE_FINALIZED
    assert stage.close() == 0


class Malicious:
    """As a pickle, it makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple:
        return open, (str(self._path), "w")


def another_grid(folder: Path, name: str = "grid.pt") -> Path:
    made = config()
    smaller = replace(made.data, point_cloud_range=(-20.0, -20.0, -2.0, 20.0, 20.0, 30.0))
    return save(replace(made, data=smaller), folder / name)


def another_table(folder: Path) -> Path:
    path = save(config(), folder / "table.pt")
    body = torch.load(path, weights_only=True)
    torch.save(body | {"classes": ["empty", "lava"]}, path)
    return path


def malicious(folder: Path) -> Path:
    path = folder / "malicious.pt"
    path.write_bytes(pickle.dumps(Malicious(folder / "owned")))
    return path


def cut_short(folder: Path, name: str = "short.pt") -> Path:
    path = save(config(), folder / name)
    path.write_bytes(path.read_bytes()[:5000])
    return path


def of_another_width(folder: Path) -> Path:
    """An exported model whose config says another width than its tensors have."""
    path = save(config(), folder / "width.safetensors")
    with safe_open(path, "numpy") as file:
        said, tensors = json.loads(file.metadata()["occworld"]), {name: file.get_tensor(name) for name in file.keys()}
    said["config"]["model"]["voxel_hidden"] *= 2
    save_file(tensors, path, {"occworld": json.dumps(said)})
    return path


def refused(checkpoint: Path, **parameters: object) -> str:
    """The sentence with which the node ends; its exit code is 2."""
    ended = in_process.node(inference.main, checkpoint=checkpoint, **({"device": "cpu"} | parameters))
    (sentence,) = ended.stderr.splitlines()
    assert ended.returncode == 2 and sentence.startswith("error: ")
    return sentence


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (another_grid, "made for another grid"),
        (another_table, "made for another class table: empty, lava"),
        (malicious, "refused"),
        (cut_short, "not a whole checkpoint"),
        (lambda folder: folder / "absent.pt", "no checkpoint"),
        (lambda folder: another_grid(folder, "grid.safetensors"), "made for another grid"),
        (lambda folder: cut_short(folder, "short.safetensors"), "not a whole checkpoint"),
        (of_another_width, "is 8 x 39, this model's is 16 x 39"),
        (lambda folder: folder / "absent.safetensors", "no checkpoint"),
    ],
    ids=[
        "another_grid",
        "another_table",
        "malicious",
        "cut_short",
        "absent",
        "exported_for_another_grid",
        "exported_and_cut_short",
        "exported_of_another_width",
        "absent_export",
    ],
)
def test_a_checkpoint_that_cannot_be_used_ends_it_with_a_sentence(tmp_path: Path, make, words: str) -> None:
    sentence = refused(make(tmp_path))
    assert "checkpoint" in sentence and words in sentence
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("classes", "[car, lava]", "no class lava"),
        ("horizons", "[0.5, 7.0]", "none of [7.0] s"),
        ("max_rate", "0.0", "max_rate"),
        ("min_probability", "1.5", "min_probability"),
        ("device", "tpu", "one of auto, cpu, cuda is wanted"),
        ("precision", "bfloat16", "is for CUDA"),
    ],
)
def test_a_wrong_parameter_ends_it_with_a_sentence(
    untrained_checkpoint: Path, name: str, value: str, words: str
) -> None:
    assert words in refused(untrained_checkpoint, **{name: value})
