"""No callback and no publisher ends a node: what can't be used is counted, mistakes of the program are told apart."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from types import SimpleNamespace

os.environ["ROS_DOMAIN_ID"] = str(random.randint(1, 100))
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from processes import PATIENCE_S
from rclpy._rclpy_pybind11 import RCLError
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.publisher import Publisher
from std_msgs.msg import Float32, String
from std_srvs.srv import Trigger

from occ_core.topics import DIAGNOSTICS
from occ_ros.guard import ERRORS, UNSENT, UNUSABLE, GuardedLifecycleNode, GuardedNode, NodeFailed
from occ_ros.qos import create_subscription
from occ_ros.run import spin_once


class Stage:
    """A guarded node, and a stranger that talks to it."""

    def __init__(self, kind: type) -> None:
        self.context = Context()
        rclpy.init(context=self.context)
        self.node = kind("guarded", context=self.context)
        self.stranger = rclpy.create_node("stranger", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.executor.add_node(self.stranger)
        self.said: list[str] = []
        self.node.faults.logger = SimpleNamespace(warning=self.said.append, error=self.said.append)

    def until(self, what) -> None:
        end = time.monotonic() + PATIENCE_S
        while not what():
            assert time.monotonic() < end, self.node.faults.values()
            spin_once(self.node, self.executor, 0.02)

    def counts(self) -> tuple:
        values = self.node.faults.values()
        return values[UNUSABLE], values[ERRORS], values[UNSENT]

    def close(self) -> None:
        self.node.destroy_node()
        self.stranger.destroy_node()
        self.context.try_shutdown()


@pytest.fixture(params=[GuardedNode, GuardedLifecycleNode])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    made = Stage(request.param)
    yield made
    made.close()


def test_messages_that_can_t_be_used_are_counted_and_said_once_and_the_others_go_on(stage: Stage) -> None:
    heard = []

    def hear(message: String) -> None:
        if message.data.startswith("bad"):
            raise ValueError(f"'{message.data}' can't be used")
        heard.append(message.data)

    stage.node.create_subscription(String, "/word", hear, 10)
    publisher = stage.stranger.create_publisher(String, "/word", 10)
    stage.until(publisher.get_subscription_count)
    for word in ("bad", "good", "bad" + 1000 * "!", "better"):
        publisher.publish(String(data=word))
    stage.until(lambda: heard == ["good", "better"])
    assert stage.counts() == (2, 0, 0)
    assert stage.said == ["/word: 'bad' can't be used"]
    assert stage.node.faults.problem() == "2 unusable messages (/word)" and stage.node.faults.problem() == ""


def test_what_was_not_said_is_said_with_its_number_later(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("occ_ros.guard.time.monotonic", lambda: now[0])
    for second in range(12):
        now[0] = 100.0 + second
        stage.node.faults.unusable("/word", ValueError("x" * 1000))
    assert [text[:8] for text in stage.said] == ["/word: x"] * 3 and max(map(len, stage.said)) < 400
    assert "5 messages since it was last said" in stage.said[1]


def test_a_mistake_of_the_program_is_logged_with_its_traceback_once_and_counted(stage: Stage) -> None:
    calls = []

    def tick() -> None:
        calls.append(1)
        [][1]

    stage.node.create_timer(0.01, tick)
    stage.until(lambda: len(calls) >= 3)
    assert stage.counts() == (0, len(calls), 0)
    (told,) = stage.said
    assert told.startswith("tick: Traceback") and "IndexError" in told and "test_guard.py" in told


def test_a_service_that_fails_answers_why(stage: Stage) -> None:
    def serve(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        raise ValueError("no session is open")

    stage.node.create_service(Trigger, "/mark", serve)
    client = stage.stranger.create_client(Trigger, "/mark")
    stage.until(client.service_is_ready)
    asked = client.call_async(Trigger.Request())
    stage.until(asked.done)
    assert (asked.result().success, asked.result().message) == (False, "no session is open")
    assert stage.counts() == (1, 0, 0)


def test_a_node_may_still_end_itself(stage: Stage) -> None:
    def give_up(message: Float32) -> None:
        raise NodeFailed("there is no way")

    with pytest.raises(NodeFailed, match="no way"):
        stage.node.guarded("/number", give_up)(Float32())


def test_bytes_that_are_no_message_end_nothing(stage: Stage) -> None:
    heard = []
    stage.node.create_subscription(String, "/word", heard.append, 10)
    publisher = stage.stranger.create_publisher(String, "/word", 10)
    stage.until(publisher.get_subscription_count)
    publisher.publish(b"\x00\x01\x00\x00\xff\xff\xff\x7fabc")
    publisher.publish(String(data="good"))
    stage.until(lambda: heard)
    assert heard[0].data == "good"


def test_what_the_middleware_does_not_take_is_lost_and_counted(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    publisher = stage.node.create_publisher(String, "/word", 10)

    def full(publisher: Publisher, message: object) -> None:
        raise RCLError("Failed to publish")

    with monkeypatch.context() as patch:
        patch.setattr(Publisher, "publish", full)
        publisher.publish(String(data="lost"))
    assert stage.counts() == (0, 0, 1) and publisher.lost == 1
    assert stage.said == ["/word could not be published: Failed to publish"]


def test_counts_are_in_diagnostics_and_what_is_new_is_a_warning(stage: Stage) -> None:
    statuses: list[DiagnosticStatus] = []
    create_subscription(stage.stranger, DIAGNOSTICS, lambda message: statuses.extend(message.status))
    stage.node.faults.unusable("/word", ValueError("bad"))
    stage.node.diagnose_each_second()
    stage.until(lambda: len(statuses) >= 2)
    first, second = statuses[:2]
    assert first.name == "guarded" and first.level == DiagnosticStatus.WARN and "/word" in first.message
    assert second.level == DiagnosticStatus.OK
    assert {entry.key: entry.value for entry in second.values} == {UNUSABLE: "1", ERRORS: "0", UNSENT: "0"}


def test_a_node_that_refuses_its_parameters_is_gone_at_once() -> None:
    class Refusing(GuardedNode):
        def __init__(self, context: Context) -> None:
            super().__init__("refusing", context=context)
            raise ValueError("no")

        def destroy_node(self) -> None:
            raise AssertionError("it has nothing to finish")

    context = Context()
    rclpy.init(context=context)
    with pytest.raises(ValueError, match="no"):
        Refusing(context)
    context.try_shutdown()
