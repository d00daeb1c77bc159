"""The overlay over a real DDS: clouds in, markers out, for whoever comes when."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import in_process
import numpy as np
import pytest
import rclpy
from nav_msgs.msg import Odometry
from processes import PATIENCE_S
from rclpy.node import Node
from rclpy.publisher import Publisher
from visualization_msgs.msg import Marker, MarkerArray

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.grid import TOKYO_GRID
from occ_core.poses import Pose
from occ_core.topics import CITY_MARKERS, FORECAST, LATENCY, MARKERS, OCCUPANCY, ODOM, PREDICTION
from occ_ros.convert import to_cloud, to_pose
from occ_ros.diagnostics import to_stamp
from occ_ros.qos import create_publisher, create_subscription
from occworld.forecaster import Forecast
from occworld.scene import ForecastFrame
from occworld_infer.figures import latency_message
from occworld_infer.forecast_message import Latency, forecast_message, lacking
from occworld_infer.grading import Grade
from occworld_infer.grids import grid_points
from occworld_infer.nodes import overlay as overlay_node

ROBOT = "rover_0"
NORTH = Pose.from_xyz_rpy(np.array([100.0, 50.0, 0.6]), np.array([0.0, 0.0, np.pi / 2]))


def plate(forward: float) -> np.ndarray:
    """A car of 5 x 5 voxels about a point ahead."""
    classes = np.zeros(TOKYO_GRID.shape, np.uint8)
    (cell,), _ = TOKYO_GRID.index(np.array([[forward, 0.0, 0.0]]))
    classes[cell[0] - 2 : cell[0] + 3, cell[1] - 2 : cell[1] + 3, cell[2]] = Semantic.CAR
    return classes


def typed_forecast(stamp: float):
    """The same car 8 m ahead in a second as a footprint sees it that will be 5 m ahead."""
    frame = ForecastFrame.of_dense(plate(3.0), (plate(3.0) > 0).astype(np.float16))
    said = Forecast((1.0,), (frame,), np.array([[5.0, 0.0, 0.0]]), np.zeros(1))
    grades = (Grade(1.0, 0.66, 0.5, 0.7, 0.6, 9),)
    return forecast_message(TOKYO_GRID, said, f"{ROBOT}/base_footprint", stamp, Latency(0.01, 0.07, 0.3), grades)


class Stage:
    """Plays robot and forecast, and keeps what comes back, as RViz does."""

    def __init__(self) -> None:
        self.node = Node("stage")
        self.odometry, self.latency = (
            create_publisher(self.node, ODOM, ROBOT),
            create_publisher(self.node, LATENCY, ROBOT),
        )
        self.occupancy, self.prediction = (
            create_publisher(self.node, OCCUPANCY, ROBOT),
            create_publisher(self.node, PREDICTION, ROBOT),
        )
        self.typed: Publisher | None = None
        self.stamp = 10.0
        self.updates: list[MarkerArray] = []
        self.shown: dict[tuple[str, int], Marker] = {}
        self.listen(self._take)

    def listen(self, callback: Callable[[MarkerArray], None]) -> None:
        create_subscription(self.node, MARKERS, callback, ROBOT)

    def _take(self, update: MarkerArray) -> None:
        self.updates.append(update)
        for marker in update.markers:
            if marker.action == Marker.DELETEALL:
                self.shown.clear()
            elif marker.action == Marker.DELETE:
                self.shown.pop((marker.ns, marker.id), None)
            else:
                self.shown[marker.ns, marker.id] = marker

    def cubes(self, layer: str) -> np.ndarray:
        """(n, 3) centres of what is shown of a layer."""
        return cubes(self.shown.values(), layer)

    def text(self) -> str:
        return next((marker.text for marker in self.shown.values() if marker.text), "")

    def play(self, until: Callable[[], object], forecast: bool = True, odometry: bool = True) -> None:
        """Frames half a second apart, until a condition holds: a car 4 m ahead, forecast 8 m ahead in one second."""
        deadline = time.monotonic() + PATIENCE_S
        while not until():
            assert time.monotonic() < deadline, "what was waited for has not come"
            self.stamp += 0.5
            if odometry:
                self._drive()
            self.occupancy.publish(to_cloud(grid_points(TOKYO_GRID, plate(4.0), 0.0), "", self.stamp))
            if forecast and self.typed is not None:
                self.typed.publish(typed_forecast(self.stamp))
            elif forecast:
                self.prediction.publish(to_cloud(grid_points(TOKYO_GRID, plate(8.0), 1.0), "", self.stamp))
            pause = time.monotonic() + 0.2
            while time.monotonic() < pause:
                rclpy.spin_once(self.node, timeout_sec=0.05)

    def _drive(self) -> None:
        message = Odometry()
        message.header.stamp, message.pose.pose = to_stamp(self.stamp), to_pose(NORTH)
        self.odometry.publish(message)
        self.latency.publish(latency_message(Latency(0.01, 0.05, 0.2)))


def cubes(markers: Iterable[Marker], layer: str) -> np.ndarray:
    """(n, 3) centres of the cubes of a layer."""
    chosen = [m for m in markers if m.ns == f"{ROBOT}/{layer}" and m.action == Marker.ADD]
    return np.array([(p.x, p.y, p.z) for marker in chosen for p in marker.points])


@pytest.fixture
def stage() -> Iterator[Stage]:
    rclpy.init()
    stage = Stage()
    yield stage
    stage.node.destroy_node()
    rclpy.try_shutdown()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """What the node says."""
    return tmp_path / "log.txt"


@pytest.fixture
def overlay(log: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts the node; whatever still runs at the end is stopped, in good order."""
    running = []

    def start(*parameters: str) -> subprocess.Popen:
        pairs = [part for parameter in parameters for part in ("-p", parameter)]
        command = [sys.executable, "-m", "occworld_infer.nodes.overlay", "--ros-args", *pairs]
        with log.open("wb") as stderr:
            running.append(subprocess.Popen(command, stderr=stderr))
        return running[-1]

    yield start
    for process in running:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_S) == 0


Overlay = Callable[..., subprocess.Popen]


def test_cubes_stand_where_the_car_is_and_will_be_and_the_text_says_how_fast(stage: Stage, overlay: Overlay) -> None:
    overlay("ground_height:=0.1")
    stage.play(until=lambda: len(stage.cubes("+1.0 s")) and "total" in stage.text() and "Hz" in stage.text())
    # The robot looks north (+y) from 100, 50; ground at 0.1; the voxel of the ground is 0.75 m below to 0.5 m above.
    assert stage.cubes("now").mean(axis=0) == pytest.approx([100.0, 54.0, 0.1 - 0.125], abs=0.5)
    assert stage.cubes("+1.0 s").mean(axis=0) == pytest.approx([100.0, 58.0, 0.1 - 0.125], abs=0.5)
    assert "model 50 ms" in stage.text() and "total 200 ms" in stage.text()
    assert {marker.header.frame_id for marker in stage.shown.values() if marker.text} == {f"{ROBOT}/base_link"}


@pytest.mark.skipif(bool(lacking()), reason=lacking())
def test_a_typed_forecast_is_preferred_and_says_its_own_poses_latency_and_scores(
    stage: Stage, overlay: Overlay, log: Path
) -> None:
    overlay("ground_height:=0.1")
    stage.play(until=lambda: "forecasts of rover_0 are read from clouds, since nobody publishes" in log.read_text())
    stage.typed = create_publisher(stage.node, FORECAST, ROBOT)
    stage.play(until=lambda: len(stage.cubes("+1.0 s")) and "model 70 ms" in stage.text() and "66%" in stage.text())
    assert "forecasts of rover_0 are read typed" in log.read_text()
    assert stage.cubes("+1.0 s").mean(axis=0) == pytest.approx([100.0, 58.0, 0.1 - 0.125], abs=0.5)
    assert "+1.0 s: IoU 66%, warp 50%" in stage.text()


def test_the_forecast_of_a_second_ago_is_laid_over_what_came(stage: Stage, overlay: Overlay) -> None:
    overlay()
    stage.play(until=lambda: len(stage.cubes("check missed")) and len(stage.cubes("check false")))
    assert np.allclose(stage.cubes("check missed").mean(axis=0)[:2], [100.0, 54.0], atol=0.5)
    assert np.allclose(stage.cubes("check false").mean(axis=0)[:2], [100.0, 58.0], atol=0.5)


def test_what_has_not_changed_is_not_sent_again_but_a_newcomer_gets_it(stage: Stage, overlay: Overlay) -> None:
    overlay()
    stage.play(until=lambda: len(stage.cubes("now")))
    before = stage.cubes("now")
    stage.play(until=lambda: not len(cubes(stage.updates[-1].markers, "now")))
    heard: list[MarkerArray] = []
    stage.listen(heard.append)
    stage.play(until=lambda: any(update.markers[0].action == Marker.DELETEALL for update in heard))
    anew = next(update for update in heard if update.markers[0].action == Marker.DELETEALL)
    assert np.array_equal(cubes(anew.markers, "now"), before)


def test_without_a_forecast_the_present_is_shown(stage: Stage, overlay: Overlay) -> None:
    overlay()
    stage.play(until=lambda: len(stage.cubes("now")), forecast=False)
    assert stage.text() == "no forecast yet"


def test_without_odometry_nothing_is_shown_and_it_says_so(stage: Stage, overlay: Overlay, log: Path) -> None:
    overlay()
    stage.play(until=lambda: "rover_0: no odometry within 0.1 s of a grid" in log.read_text(), odometry=False)
    assert not stage.updates
    stage.play(until=lambda: len(stage.cubes("now")))


def test_the_city_is_there_for_whoever_comes_later(stage: Stage, overlay: Overlay, tmp_path: Path) -> None:
    ground = np.array([(-60, -60, 0), (60, -60, 0), (60, 60, 0), (-60, 60, 0)], np.float32)
    classes = np.full(2, Semantic.TERRAIN, np.uint8)
    CityMap(ground, np.array([(0, 1, 2), (0, 2, 3)], np.int32), classes).save(tmp_path)
    overlay(f"city:={tmp_path}")
    stage.play(until=lambda: stage.updates, odometry=True)
    heard: list[MarkerArray] = []
    create_subscription(stage.node, CITY_MARKERS, heard.append, depth=1)
    stage.play(until=lambda: heard)
    (terrain,) = heard[0].markers
    assert terrain.ns == "city/terrain" and terrain.type == Marker.TRIANGLE_LIST and len(terrain.points) == 6
    assert {(p.x, p.y) for p in terrain.points} == {(x, y) for x, y, _ in ground.tolist()}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("colour_by", "speed", "'colour_by' is 'speed', one of horizon, class is wanted"),
        ("check", "7.0", "'check'"),
        ("city", "/nowhere", "no imported city in /nowhere"),
    ],
)
def test_a_wrong_parameter_is_named_in_a_sentence(name: str, value: str, words: str) -> None:
    ended = in_process.node(overlay_node.main, **{name: value})
    assert ended.returncode == 2 and words in ended.stderr
