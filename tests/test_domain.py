"""Two simulations on one machine: the second is refused, or takes a ROS domain of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import rclpy
from hearing import heard, spec
from nav_msgs.msg import Odometry
from paths import TOKYO
from processes import PATIENCE_S, running
from rclpy.context import Context
from rclpy.node import Node
from rosgraph_msgs.msg import Clock

from occ_core.topics import CLOCK
from occ_ros.domain import VARIABLE, own_domain, refuse_others, used_domains


def up(city: Path, *more: str) -> list[str]:
    small = ["--drones", "0", "--actors", "0", "--camera-rate", "0", "--no-missions"]
    return [TOKYO, "up", "--city", str(city), "--sim", "embedded", *small, *more]


@pytest.fixture
def stranger(request: pytest.FixtureRequest):
    """Somebody who publishes on a topic in this test's domain."""
    kind, topic = request.param
    context = Context()
    rclpy.init(context=context)
    node = rclpy.create_node("other_simulator", context=context)
    node.create_publisher(kind, topic, 10)
    yield topic, node
    node.destroy_node()
    context.try_shutdown()


@pytest.mark.parametrize("stranger", [(Clock, "/clock"), (Odometry, "/rover_0/odom")], ids=str, indirect=True)
def test_a_clock_or_a_robot_of_that_name_is_named_and_hears_of_no_other(city: Path, stranger: tuple[str, Node]) -> None:
    topic, node = stranger
    heard_of: set[str] = set()
    with running(up(city), stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            heard_of.update(node.get_node_names())
            time.sleep(0.05)
        said = process.stderr.read()
    assert process.returncode == 2 and len(said.strip().splitlines()) == 1
    for words in ("/other_simulator", f"ROS domain {os.environ[VARIABLE]}", "--domain auto", topic.split("/")[1]):
        assert words in said
    assert heard_of - {"_NODE_NAME_UNKNOWN_"} <= {"other_simulator", "tokyo_look_around"}


SLOW = """
import rclpy
from rosgraph_msgs.msg import Clock
rclpy.init()
node = rclpy.create_node("slow_simulator")
node.create_publisher(Clock, "/clock", 10)
print("here", flush=True)
rclpy.spin(node)
"""


def test_one_that_does_not_answer_for_seconds_is_waited_for() -> None:
    """A busy machine: who is there is known by its ports, and heard of 5 s later."""
    with running([sys.executable, "-c", SLOW], stdout=subprocess.PIPE) as slow:
        assert slow.stdout.readline() == b"here\n"
        slow.send_signal(signal.SIGSTOP)
        again = threading.Timer(5.0, slow.send_signal, (signal.SIGCONT,))
        again.start()
        with pytest.raises(ValueError, match="/slow_simulator publishes /clock already"):
            refuse_others(int(os.environ[VARIABLE]), [])
        again.join()


@pytest.mark.parametrize("stranger", [(Odometry, "/rover_1/odom")], ids=str, indirect=True)
def test_another_robot_is_no_hindrance(stranger: tuple[str, Node]) -> None:
    with own_domain("", ["rover_0"]) as number:
        assert number == int(os.environ[VARIABLE]) and number in used_domains()


def test_a_second_run_is_refused_and_auto_takes_another_domain(city: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = subprocess.Popen(up(city))
    try:
        heard(0.5, [spec(CLOCK)])
        second = subprocess.run(up(city), capture_output=True, text=True, timeout=PATIENCE_S)
        assert second.returncode == 2 and f"another simulation (process {first.pid}) runs" in second.stderr
        third = subprocess.run(up(city, "--domain", "auto", "--duration", "1"), capture_output=True, text=True)
        assert third.returncode == 0, third.stderr
        taken = int(third.stdout.split("ROS domain ")[1].split(";")[0])
        assert taken != int(os.environ[VARIABLE])
        assert first.poll() is None
    finally:
        first.kill()
        first.wait()
    # A kill leaves no lock, and its nodes end a moment later.
    end = time.monotonic() + PATIENCE_S
    while int(os.environ[VARIABLE]) in used_domains():
        assert time.monotonic() < end
        time.sleep(0.1)
    fourth = subprocess.Popen(up(city), stderr=subprocess.PIPE, text=True)
    try:
        assert heard(0.5, [spec(CLOCK)])["clock"] >= 0.5
    finally:
        fourth.send_signal(signal.SIGINT)
        assert fourth.wait(PATIENCE_S) == 0


def test_the_environment_says_what_it_said_before(monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.environ[VARIABLE]
    with own_domain("auto", []) as number:
        assert os.environ[VARIABLE] == str(number)
    assert os.environ[VARIABLE] == before
    monkeypatch.delenv(VARIABLE)
    with own_domain("", []) as number:
        assert number == 0 and os.environ[VARIABLE] == "0"
    assert VARIABLE not in os.environ


@pytest.mark.parametrize("wrong", ["-1", "233", "here"])
def test_a_domain_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=f"--domain '{wrong}'"), own_domain(wrong, []):
        pass
