"""`tokyo up --sim gazebo` from end to end, with a stand-in for the three programs that pip has no wheel of.

What starts, with which arguments, and that adapter, recorder and comparison take what the bridge hands on. Gazebo's own
part is tested where Gazebo is, in test_gazebo.py.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import in_process
import numpy as np
import pytest
import yaml
from gazebo_facts import Report, check_drive, check_rates, check_shifts, driven
from gazebo_stand_in import STEP_S
from hearing import heard, spec
from paths import TOKYO
from processes import PATIENCE_S, command_line, descendants

from occ_core.poses import Pose
from occ_core.session import find_sessions
from occ_core.topics import ACTORS, CLOCK, DIAGNOSTICS, ROBOT_DESCRIPTION, SENSOR_TOPICS, TF, TF_STATIC
from tokyo_occworld.compare.run import compare_session
from tokyo_sim.engine.simulator import Fleet, Simulator

STAND_IN = Path(__file__).with_name("gazebo_stand_in.py")
HAS_TF = importlib.util.find_spec("tf2_msgs") is not None
SIZE = (128, 72)


def program(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", f'echo "$0 $@" >> "{path.parent}/{path.name}.log"', *lines]) + "\n")
    path.chmod(0o755)


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, city: Path) -> Path:
    """A `gz` on the PATH, and an ament prefix with ros_gz_sim and ros_gz_bridge."""
    prefix = tmp_path / "ros"
    program(prefix / "bin/gz", "exec sleep 1000")
    program(prefix / "lib/ros_gz_bridge/parameter_bridge", f'exec {sys.executable} {STAND_IN} "$@"')
    program(prefix / "lib/ros_gz_sim/create", f'cp "$(echo "$@" | sed "s/.*--params-file //")" {prefix}/$$.yaml')
    index = prefix / "share/ament_index/resource_index/packages"
    index.mkdir(parents=True)
    for package in ("ros_gz_sim", "ros_gz_bridge"):
        (index / package).touch()
    monkeypatch.setenv("PATH", f"{prefix / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{prefix}:{sys.prefix}")
    monkeypatch.setenv("STAND_IN_CITY", str(city))
    monkeypatch.setenv("STAND_IN_IMAGE", f"{SIZE[0]}x{SIZE[1]}")
    return prefix


def up(city: Path, *more: str) -> list[str]:
    size = ["--image-width", str(SIZE[0]), "--image-height", str(SIZE[1])]
    return [TOKYO, "up", "--city", str(city), "--sim", "gazebo", "--actors", "0", *size, *more]


def started(tmp_path: Path, command: list[str]) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(command, start_new_session=True, stderr=(tmp_path / "stderr.txt").open("wb"))
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE_S)


@pytest.fixture
def system(installation: Path, city: Path, tmp_path: Path) -> Iterator[subprocess.Popen]:
    """Recorded."""
    yield from started(tmp_path, up(city, "--record", "--output", str(tmp_path / "sessions")))


@pytest.fixture
def small(installation: Path, city: Path, tmp_path: Path) -> Iterator[subprocess.Popen]:
    """Without images, and nobody records."""
    yield from started(tmp_path, up(city, "--camera-rate", "0"))


def test_every_topic_of_the_table_is_there_and_a_recording_agrees_with_the_engine(
    system, installation: Path, city: Path, tmp_path: Path
) -> None:
    world = [CLOCK, ACTORS, DIAGNOSTICS, *((TF, TF_STATIC) if HAS_TF else ())]
    robots = ("drone_0", "rover_0")
    topics = [spec(t) for t in world] + [
        spec(t, robot) for robot in robots for t in (*SENSOR_TOPICS, ROBOT_DESCRIPTION)
    ]
    result = heard(6.5, topics)
    assert [name for name, stamps in result["stamps"].items() if not stamps] == []
    actors = result["stamps"][spec(ACTORS).split("=")[0]]
    assert (len(actors) - 1) / (actors[-1] - actors[0]) == pytest.approx(ACTORS.rate_hz, rel=0.15)
    report = Report()
    check_rates(result["said"], robots, report)
    _check_what_the_adapter_completes()
    system.send_signal(signal.SIGINT)
    assert system.wait(PATIENCE_S) == 0
    for session in find_sessions(tmp_path / "sessions"):
        assert len(session) >= 8
        turning = [session.state(number).angular for number in session.numbers]
        assert np.abs(turning).max() < 5  # Gazebo's odometry has said -124.8 rad/s now and then
        # All of them: a robot that passes moves two views of a frame, more than a twelfth of those of three frames.
        comparison = compare_session(session.folder, city, len(session), tmp_path / "compare")
        assert comparison.agrees, comparison.sentence
        assert all(len(frame.views) == 6 for frame in comparison.frames)
        check_shifts([(view.shift, view.blank) for frame in comparison.frames for view in frame.views], report)
    assert not report.wrong, report.markdown()
    _check_what_was_started(installation, city)


def _check_what_was_started(installation: Path, city: Path) -> None:
    (gz,) = (installation / "bin/gz.log").read_text().splitlines()
    assert gz.split(maxsplit=1)[1] == f"sim -r -s --headless-rendering {city.resolve() / 'city.sdf'}"
    asked = [yaml.safe_load(path.read_text())["/**"]["ros__parameters"] for path in installation.glob("*.yaml")]
    assert {values["name"] for values in asked} == {"drone_0", "rover_0"}
    for values in asked:
        assert values["world"] == "tokyo" and f"{values['name']}/lidar_link" in values["string"]
        assert all(isinstance(values[axis], float) for axis in ("x", "y", "z", "Y"))


def _check_what_the_adapter_completes() -> None:
    """IMU and calibration; and it puts robots among the actors."""
    listener = Path(__file__).with_name("gazebo_listener.py")
    output = subprocess.run([sys.executable, str(listener)], check=True, capture_output=True, text=True)
    heard_once = json.loads(output.stdout.splitlines()[-1])
    imu = heard_once["imu"]
    assert imu["orientation_covariance"][0] == -1 and imu["orientation"] == [0, 0, 0, 1]
    assert imu["gyro_variance"] == pytest.approx(0.002**2 + 0.0005**2)
    assert imu["accel_variance"] == pytest.approx(0.02**2 + 0.01**2)
    assert imu["frame"] == "rover_0/imu_link" and 2 < imu["up"] < 25  # with gravity, on a bumpy road
    info = heard_once["camera_info"]
    assert info["frame"] == "rover_0/camera_front_optical"
    assert info["k"][2] == (SIZE[0] - 1) / 2 and info["k"][5] == (SIZE[1] - 1) / 2
    assert info["k"][0] == pytest.approx(SIZE[0] / 2 / np.tan(np.radians(35)))
    assert heard_once["actors"] == [[1, "drone", "drone_0"], [2, "rover", "rover_0"]]
    assert heard_once["diagnostics"]["robots"] == "2"
    assert float(heard_once["diagnostics"]["real_time_factor"]) > 0


@pytest.mark.slow
def test_robots_driven_by_hand_do_what_was_seen_in_gazebo(installation: Path, city: Path, tmp_path: Path) -> None:
    """The assertions of test_gazebo.py on the stand-in: that they can be met, and by what our adapter publishes."""
    process = subprocess.Popen(
        up(city, "--no-missions", "--camera-rate", "0"),
        start_new_session=True,
        stderr=(tmp_path / "log.txt").open("wb"),
    )
    try:
        heard_of = driven()
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0, (tmp_path / "log.txt").read_text()
    report = Report()
    check_drive(heard_of, left_alone(city, {name: robot.stamps[0] for name, robot in heard_of.items()}), report)
    assert not report.wrong, report.markdown()


def left_alone(city: Path, stamps: dict[str, float]) -> dict[str, Pose]:
    """Where each robot is in the embedded engine at a time of its own: the stand-in began before anybody listened."""
    simulator = Simulator(city, Fleet(1, 1, 0, cameras=False), seed=1)
    robots = {robot.name: number for number, robot in enumerate(simulator.robots)}
    poses = {}
    for tick in range(1, round(max(stamps.values()) / STEP_S) + 1):
        for number in robots.values():
            simulator.command(number, np.zeros(3), np.zeros(3))
        simulator.step(STEP_S)
        for name, stamp in stamps.items():
            if tick == round(stamp / STEP_S):
                poses[name] = simulator.motion(robots[name]).pose
    return poses


@pytest.mark.parametrize("victim", ["gz", pytest.param("tokyo_sim.nodes.gazebo_adapter", marks=pytest.mark.nightly)])
def test_a_process_that_is_killed_takes_the_others_with_it(
    small: subprocess.Popen, tmp_path: Path, victim: str
) -> None:
    heard(0.5, [spec(CLOCK)])
    pid = _started(small, b"sleep\x001000" if victim == "gz" else victim.encode())
    children = descendants(small.pid)
    os.kill(pid, signal.SIGKILL)
    assert small.wait(PATIENCE_S) == 1
    assert b"was killed by SIGKILL, the others are stopped too" in (tmp_path / "stderr.txt").read_bytes()
    assert [pid for pid in children if command_line(pid)] == []


def _started(system: subprocess.Popen, words: bytes) -> int:
    """The process that runs them: the clock ticks before the last one is there."""
    while system.poll() is None:
        for pid in descendants(system.pid):
            if words in command_line(pid):
                return pid
        time.sleep(0.1)
    raise AssertionError(f"the system ended before {words!r} ran")


def test_a_robot_that_can_t_be_created_stops_everything_with_a_sentence(installation: Path, city: Path) -> None:
    program(installation / "lib/ros_gz_sim/create", "exit 1")
    result = subprocess.run(up(city, "--camera-rate", "0"), capture_output=True, text=True)
    assert result.returncode == 1 and "/spawn has stopped with exit code 1" in result.stderr


def test_no_robots_are_no_problem(installation: Path, city: Path) -> None:
    result = subprocess.run(
        up(city, "--drones", "0", "--rovers", "0", "--duration", "1.5"), capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("bin/gz", "no `gz` on the PATH"),
        ("share/ament_index/resource_index/packages/ros_gz_bridge", "package ros_gz_bridge is not installed"),
        ("lib/ros_gz_sim/create", "package ros_gz_sim has no create"),
    ],
)
def test_what_is_not_installed_is_named(installation: Path, city: Path, missing: str, words: str) -> None:
    (installation / missing).unlink()
    result = in_process.tokyo(*up(city)[1:])
    assert result.returncode == 2 and words in result.stderr and len(result.stderr.strip().splitlines()) == 1
