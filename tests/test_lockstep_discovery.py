"""DDS may tell of some of the simulator's topics later than of others: lock step begins when all are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

import pytest
from processes import PATIENCE_S

rclpy = pytest.importorskip("rclpy")

from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402

from occ_core.topics import CAMERAS, absolute, image_topic  # noqa: E402
from occ_recorder.nodes.bag import BagNode  # noqa: E402
from occ_recorder.nodes.recorder import RecorderNode  # noqa: E402
from occ_ros.lockstep import Conductor  # noqa: E402
from tokyo_sim.engine.robot import RobotKind, load_robot  # noqa: E402
from tokyo_sim.nodes.robot_publishers import RobotPublishers  # noqa: E402

IMAGES = {absolute(image_topic(camera), "rover_0") for camera in CAMERAS}
LATE_S = 4.0
"""Longer than nodes wait for more topics where nobody says how many there are."""


class Late:
    """A node's sight of the ROS graph, without images until they are `told` of."""

    def __init__(self, kind: type[Node], monkeypatch: pytest.MonkeyPatch) -> None:
        self.told = False
        for name in ("get_publisher_names_and_types_by_node", "get_topic_names_and_types"):
            monkeypatch.setattr(kind, name, self._without(getattr(kind, name)))
        count = kind.count_publishers
        monkeypatch.setattr(
            kind, "count_publishers", lambda node, topic: count(node, topic) if self.told or topic not in IMAGES else 0
        )

    def _without(self, asked: Callable) -> Callable:
        return lambda *of: [entry for entry in asked(*of) if self.told or entry[0] not in IMAGES]


@pytest.fixture
def stop(tmp_path: Path) -> Iterator[Event]:
    """ROS for nodes in lock step, which write below `tmp_path`."""
    options = {"lockstep": "true", "output": tmp_path / "sessions", "bag": tmp_path / "bag"}
    rclpy.init(args=["--ros-args", *(part for name, value in options.items() for part in ("-p", f"{name}:={value}"))])
    stop = Event()
    yield stop
    stop.set()
    rclpy.try_shutdown()


@pytest.mark.parametrize("kind", [RecorderNode, BagNode])
def test_images_that_are_told_of_late_are_waited_for(
    kind: type[Node], stop: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = Late(kind, monkeypatch)
    records, simulator = kind(), rclpy.create_node("simulator")
    RobotPublishers(simulator, load_robot(RobotKind.ROVER, "rover_0"), cameras=True)
    conductor = Conductor(simulator, [records.get_fully_qualified_name()])
    conductor.reached(0.0)
    executor = SingleThreadedExecutor()
    for node in (records, simulator):
        executor.add_node(node)
    waits = Thread(target=conductor.wait, args=(0.1, stop))
    waits.start()
    listens = Thread(target=lambda: [executor.spin_once(0.1) for _ in iter(stop.is_set, True)])
    listens.start()
    try:
        waits.join(LATE_S)
        assert waits.is_alive()
        late.told = True
        waits.join(PATIENCE_S)
        assert not waits.is_alive()
        assert {topic: simulator.count_subscribers(topic) for topic in IMAGES} == dict.fromkeys(IMAGES, 1)
    finally:
        stop.set()
        listens.join()
        waits.join()
        records.destroy_node()
        simulator.destroy_node()
