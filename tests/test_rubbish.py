"""Malformed, NaN, empty, huge and late messages on everything that a node listens to: no node ends, all still work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import rclpy
import rubbish
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from nav_msgs.msg import Odometry
from processes import PATIENCE_S
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Imu

from occ_core.session import find_sessions
from occ_core.topics import (
    ACTORS,
    CAMERAS,
    CLOCK,
    CMD_VEL,
    DIAGNOSTICS,
    FORECAST,
    IMU,
    LATENCY,
    LIDAR,
    MARKERS,
    OCCUPANCY,
    ODOM,
    PATH,
    PREDICTION,
    ROBOT_DESCRIPTION,
    SCORE,
    Topic,
    camera_info_topic,
    image_topic,
)
from occ_ros.convert import from_actors
from occ_ros.diagnostics import to_stamp
from occ_ros.guard import ERRORS, UNUSABLE, GuardedNode
from occ_ros.qos import create_publisher, create_subscription
from occworld_infer.forecast_message import lacking
from tokyo_occworld.cli.processes import NodeProcesses
from tokyo_sim.bringup import Arguments, nodes
from tokyo_sim.gazebo.bridge import raw
from tokyo_sim.gazebo.names import TRAFFIC, TRAFFIC_SERVICES

ROBOT = "rover_0"
FEW, MANY = 12, 1000  # rounds, in each of which every topic gets a message
PER_ROBOT = (
    ROBOT_DESCRIPTION, ODOM, IMU, LIDAR, CMD_VEL, OCCUPANCY, PREDICTION, PATH, LATENCY, SCORE,
    *(() if lacking() else (FORECAST,)),
    *(image_topic(camera) for camera in list(CAMERAS)[:2]),
)  # fmt: skip
WORK = (
    (f"forecast {ROBOT}", "forecasts"), (f"recorder {ROBOT}", "frames"), ("bag_recorder", "messages"),
    ("forecast drone_0", "forecasts"), ("recorder drone_0", "frames"),
)  # fmt: skip
"""What must go on: names of statuses in /diagnostics, and what they count."""


class Saboteur:
    """Hears all topics, and publishes on them too."""

    def __init__(self, up: NodeProcesses, topics: list[tuple[Topic, str]]) -> None:
        self._up, self._context = up, Context()
        rclpy.init(context=self._context)
        self.node = GuardedNode("saboteur", context=self._context)  # not all bytes can be published
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.heard: dict[tuple[Topic, str], object] = {}
        self.out = {}
        for key in topics:
            self.out[key] = create_publisher(self.node, *key)
            create_subscription(self.node, key[0], lambda m, key=key: self.heard.__setitem__(key, m), key[1], depth=1)
        self.statuses: dict[str, dict[str, str]] = {}
        self.messages: dict[str, str] = {}
        create_subscription(self.node, DIAGNOSTICS, self._on_diagnostics)

    def _on_diagnostics(self, message) -> None:
        for status in message.status:
            self.statuses[status.name] = {entry.key: entry.value for entry in status.values}
            self.messages[status.name] = status.message

    def until(self, what: Callable[[], object], seconds: float = PATIENCE_S) -> None:
        """Hear what comes until something holds; every node lives."""
        end = time.monotonic() + seconds
        while not what():
            assert not self._up.failed(), self._up.failed()
            assert time.monotonic() < end, f"never: {self.messages} {self.statuses}"
            self._executor.spin_once(timeout_sec=0.05)

    def idle(self, seconds: float) -> None:
        """Hear what comes."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end)

    def count(self, status: str, key: str) -> int:
        """A number in /diagnostics."""
        return int(float(self.statuses.get(status, {}).get(key, 0)))

    def grows(self, status: str, key: str) -> None:
        """Wait until it does."""
        before = self.count(status, key)
        self.until(lambda: self.count(status, key) > before)

    def sabotage(self, rounds: int) -> None:
        """So many messages on each topic."""
        heard = dict(self.heard)  # what is drawn must not depend on what comes meanwhile
        kinds = {
            key: st.one_of(
                rubbish.message(key[0].type),
                st.binary(max_size=64),
                *[rubbish.spoilt(lambda key=key: heard[key])] * (3 if key in heard else 0),
            )
            for key in self.out
        }

        # Nothing can be made smaller: the system is not what it was before.
        @settings(max_examples=rounds, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
        @given(st.data())
        def once(data: st.DataObject) -> None:
            for key, publisher in self.out.items():
                publisher.publish(data.draw(kinds[key]))
            self.idle(0.05)

        once()

    def close(self) -> None:
        self._context.try_shutdown()
        self.node.destroy_node()


def world(*topics: Topic) -> list[tuple[Topic, str]]:
    return [(topic, "") for topic in topics]


@pytest.fixture
def saboteur(city: Path, untrained_checkpoint: Path, tmp_path: Path) -> Iterator[Saboteur]:
    """Beside the whole system: simulator, missions, recorders of sessions and bags, forecast, overlay and page."""
    arguments = Arguments(
        city=str(city), sim="embedded", actors=5, image_width=64, image_height=36, record=True, view=True, port=0,
        output=str(tmp_path / "sessions"), bag=str(tmp_path / "bag"), predict=str(untrained_checkpoint),
        real_time_factor=0.25, camera_rate=2.0,
    )  # fmt: skip
    log = tmp_path / "log.txt"
    with NodeProcesses(nodes(arguments), log) as up:
        made = Saboteur(up, world(CLOCK, ACTORS) + [(topic, ROBOT) for topic in PER_ROBOT])
        try:
            for status, key in WORK:
                made.until(lambda status=status, key=key: made.count(status, key) > 0)
            assert {status: values[ERRORS] for status, values in made.statuses.items() if values[ERRORS] != "0"} == {}
            yield made
        finally:
            print(log.read_text(errors="replace")[-20000:])
            made.close()


def withstand(saboteur: Saboteur, rounds: int, sessions: Path) -> None:
    saboteur.sabotage(rounds)
    saboteur.idle(2.0)
    for status, key in WORK:
        saboteur.grows(status, key)
    for topic in (ODOM, LIDAR, CMD_VEL, MARKERS):
        saboteur.heard.pop((topic, ROBOT), None)
        saboteur.until(lambda topic=topic: (topic, ROBOT) in saboteur.heard or topic is MARKERS)
    for status in ("simulator", f"recorder {ROBOT}", f"forecast {ROBOT}", "overlay", "viewer"):
        assert saboteur.count(status, UNUSABLE) > 0, status
    wrong = {status: values[ERRORS] for status, values in saboteur.statuses.items() if values.get(ERRORS, "0") != "0"}
    assert wrong == {}
    # Two publish the rover's odometry, and the recorder can't tell which is right.
    suspect = {session.info.agent for session in find_sessions(sessions) if session.info.suspect}
    assert suspect == {ROBOT}


@pytest.mark.slow
def test_no_node_ends_and_none_takes_rubbish_for_a_mistake_of_its_own(saboteur: Saboteur, tmp_path: Path) -> None:
    withstand(saboteur, FEW, tmp_path / "sessions")


@pytest.fixture
def beside_gazebo(city: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Saboteur]:
    """Beside the nodes that complete Gazebo's topics, in Gazebo's place."""
    stub = tmp_path / "stub/ros_gz_interfaces/srv"  # services that nobody offers here
    stub.mkdir(parents=True)
    names = [kind.rsplit("/")[-1] for kind in TRAFFIC_SERVICES.values()]
    (stub / "__init__.py").write_text("".join(f"from std_srvs.srv import Trigger as {name}\n" for name in names))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "stub"))
    arguments = Arguments(city=str(city), sim="gazebo", actors=5, missions=False)
    robots = ("drone_0", ROBOT)
    camera_info = raw(camera_info_topic("front"))
    topics = [(topic, robot) for robot in robots for topic in (raw(ODOM), raw(IMU), camera_info, CMD_VEL)]
    log = tmp_path / "log.txt"
    with NodeProcesses(nodes(arguments), log) as up:
        made = Saboteur(up, world(CLOCK, TRAFFIC) + topics)
        create_subscription(made.node, ACTORS, lambda m: made.heard.__setitem__((ACTORS, ""), m))
        try:
            yield made
        finally:
            print(log.read_text(errors="replace")[-20000:])
            made.close()


def gazebo_goes_on(saboteur: Saboteur, start: float) -> None:
    """From a time on, as the bridge tells it, until both nodes have published actors of now: robots and traffic."""
    stamp = start
    odometry = Odometry()
    odometry.pose.pose.orientation.w = 1.0
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        stamp += 0.05
        for robot in ("drone_0", ROBOT):
            odometry.header.stamp = to_stamp(stamp)
            saboteur.out[raw(ODOM), robot].publish(odometry)
            saboteur.out[raw(IMU), robot].publish(Imu())
        saboteur.out[CLOCK, ""].publish(Clock(clock=to_stamp(stamp)))
        saboteur.idle(0.05)
        if (ACTORS, "") in saboteur.heard:
            at, actors = from_actors(saboteur.heard[ACTORS, ""])
            if start <= at <= stamp and len(actors) > 2 and {actor.name for actor in actors} >= {"drone_0", ROBOT}:
                return
    raise AssertionError(f"nothing of {start} s; {saboteur.messages}")


def test_what_stands_between_gazebo_and_ros_withstands_it_too(beside_gazebo: Saboteur) -> None:
    gazebo_goes_on(beside_gazebo, 1.0)
    beside_gazebo.sabotage(FEW)
    gazebo_goes_on(beside_gazebo, 3.0)
    beside_gazebo.idle(2.5)
    for status in ("simulator", "gazebo_traffic"):
        assert beside_gazebo.count(status, UNUSABLE) > 0, status
        assert beside_gazebo.count(status, ERRORS) == 0, status


@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_a_thousand_rounds_of_rubbish_end_no_node(saboteur: Saboteur, tmp_path: Path) -> None:
    withstand(saboteur, MANY, tmp_path / "sessions")
