"""While `tokyo up` runs, a process that knows nothing of ours hears every topic of the table, at its rate."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hearing import heard, spec
from paths import TOKYO
from processes import PATIENCE_S, command_line, descendants

from occ_core.session import find_sessions
from occ_core.topics import (
    ACTORS,
    CLOCK,
    CMD_VEL,
    DIAGNOSTICS,
    LATENCY,
    LIDAR,
    MARKERS,
    OCCUPANCY,
    PATH,
    PREDICTION,
    ROBOT_DESCRIPTION,
    SENSOR_TOPICS,
    TF,
    TF_STATIC,
)  # fmt: skip

SECONDS = 7.0  # of simulated time, and until there are so many of each topic
LEAST = 8
HAS_TF = importlib.util.find_spec("tf2_msgs") is not None


def up(city: Path, tmp_path: Path, *more: str) -> subprocess.Popen:
    """A drone and a rover that are recorded."""
    command = [
        TOKYO, "up", "--city", str(city), "--sim", "embedded", "--drones", "1", "--rovers", "1", "--record",
        "--output", str(tmp_path / "sessions"), *more,
    ]  # fmt: skip
    return subprocess.Popen(command, start_new_session=True, stderr=(tmp_path / "stderr.txt").open("wb"))


def stop(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE_S)


@pytest.fixture
def system(city: Path, untrained_checkpoint: Path, tmp_path: Path) -> Iterator[subprocess.Popen]:
    """With everything: traffic, cameras, a forecast; in lock step, so that nothing is left out on a busy machine."""
    process = up(
        city, tmp_path, "--actors", "10", "--image-width", "64", "--image-height", "36", "--predict",
        str(untrained_checkpoint), "--lockstep", "--real-time-factor", "0.4",
    )  # fmt: skip
    yield process
    stop(process)


@pytest.fixture
def small(city: Path, tmp_path: Path) -> Iterator[subprocess.Popen]:
    """With what a system has at least: simulator, missions, recorder."""
    process = up(city, tmp_path, "--actors", "0", "--camera-rate", "0")
    yield process
    stop(process)


def test_a_stranger_hears_every_topic_at_its_rate_until_ctrl_c_stops_all_and_leaves_whole_sessions(
    system: subprocess.Popen, tmp_path: Path
) -> None:
    _check_topics()
    children = descendants(system.pid)
    assert len(children) >= 5
    system.send_signal(signal.SIGINT)
    assert system.wait(PATIENCE_S) == 0
    assert [pid for pid in children if command_line(pid)] == []
    sessions = find_sessions(tmp_path / "sessions")
    assert sorted(session.info.agent for session in sessions) == ["drone_0", "rover_0"]
    for session in sessions:
        assert len(session) >= 2
        assert session.classes(session.numbers[-1]).any()


def _check_topics() -> None:
    robots = ("drone_0", "rover_0")
    world = [CLOCK, ACTORS, DIAGNOSTICS, *((TF, TF_STATIC) if HAS_TF else ())]
    forecast = [OCCUPANCY, PREDICTION, MARKERS, PATH, LATENCY]
    per_robot = [*SENSOR_TOPICS, CMD_VEL, ROBOT_DESCRIPTION, *forecast]
    topics = [spec(t) for t in world] + [spec(t, robot) for robot in robots for t in per_robot]
    result = heard(SECONDS, topics, LEAST)
    assert result["ours"] == []
    assert result["clock"] >= SECONDS
    for text in topics:
        name = text.split("=")[0]
        stamps = np.array(result["stamps"][name])
        assert len(stamps), f"nothing on {name}"
    rates = {spec(t).split("=")[0]: t.rate_hz for t in world}
    after_the_model = {f"/{robot}/{t.name}" for robot in robots for t in forecast if t is not OCCUPANCY}
    rates |= {f"/{robot}/{t.name}": t.rate_hz for robot in robots for t in (*SENSOR_TOPICS, *forecast)}
    for name, rate in rates.items():
        if rate and name not in ("/diagnostics", "/tf"):
            # Their own where they have any: a busy listener hears late, and several at once.
            said = np.array(result["said"][name]) * 1e-9
            stamps = said if len(said) else np.array(result["stamps"][name])
            # What follows from the model may be late or skipped on a slow machine, but never comes too often for long.
            modelled = name in after_the_model
            settled = stamps if modelled else stamps[stamps > stamps.max() - 4.0]
            period = (settled.max() - settled.min()) / (len(settled) - 1)
            # Of what has no stamp of its own, the first may have been heard as late as the next was sent.
            late = 0 if len(said) else 1 / (len(settled) - 1)
            most = 2.5 if modelled else 1 / 0.85
            assert 1 / 1.15 - late <= period * rate <= most, f"{name}: {1 / period:.1f} Hz, the table says {rate} Hz"


def test_a_node_that_dies_stops_the_rest(small: subprocess.Popen, tmp_path: Path) -> None:
    result = heard(0.5, [spec(CLOCK), spec(LIDAR, "rover_0")], 1)
    assert result["offered"]["/rover_0/lidar/points"] == ["BEST_EFFORT"]
    children = descendants(small.pid)
    simulator = next(p for p in children if b"tokyo_sim.nodes.simulator" in command_line(p))
    os.kill(simulator, signal.SIGKILL)
    assert small.wait(PATIENCE_S) == 1
    assert b"/simulator was killed by SIGKILL, the others are stopped too" in (tmp_path / "stderr.txt").read_bytes()
    assert [pid for pid in children if command_line(pid)] == []


def test_nothing_is_left_when_tokyo_up_itself_is_killed(small: subprocess.Popen) -> None:
    heard(0.5, [spec(CLOCK)])
    children = descendants(small.pid)
    assert len(children) >= 3
    os.kill(small.pid, signal.SIGKILL)
    small.wait(PATIENCE_S)
    deadline = time.monotonic() + PATIENCE_S
    while (left := [pid for pid in children if command_line(pid)]) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == []


def test_without_opengl_it_says_what_to_install_and_records_without_images(city: Path, tmp_path: Path) -> None:
    command = [
        TOKYO, "up", "--city", str(city), "--sim", "embedded", "--drones", "0", "--actors", "5", "--record",
        "--output", str(tmp_path / "sessions"), "--duration", "5", "--lockstep", "--camera-rate", "2",
        "--real-time-factor", "0",
    ]  # fmt: skip
    # A vendor list that names no driver: EGL finds nothing, as where Mesa is not installed.
    environment = os.environ | {"__EGL_VENDOR_LIBRARY_FILENAMES": str(tmp_path / "none.json")}
    result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert result.returncode == 0, result.stdout
    assert "apt install libegl1 libgl1 libgl1-mesa-dri" in result.stdout
    (session,) = find_sessions(tmp_path / "sessions")
    # The recorder waits two seconds for cameras that do not come.
    assert len(session) >= 4
    assert not list((session.folder / "images").iterdir())
