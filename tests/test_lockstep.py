"""A simulation in lock step: one seed gives the same sessions, byte for byte, however busy the machine is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from paths import TOKYO
from processes import PATIENCE_S, command_line, descendants

from occ_core.session import find_sessions
from occ_core.session_log import EventKind
from occ_recorder.sessions.check import check_session

SECONDS = 3.0
FRAMES = 6


def up(city: Path, output: Path, *more: str) -> list[str]:
    return [
        TOKYO, "up", "--city", str(city), "--sim", "embedded", "--lockstep", "--duration", str(SECONDS), "--record",
        "--output", str(output), "--image-width", "64", "--image-height", "36", "--camera-rate", "2",
        "--actors", "10", "--real-time-factor", "0", *more,
    ]  # fmt: skip


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Processes that do nothing, as fast as they can."""
    workers = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def contents(root: Path) -> dict[str, bytes]:
    """Every file of occupancy, poses and sweeps, by robot and name."""
    return {
        f"{session.info.agent}/{kind}/{path.name}": path.read_bytes()
        for session in find_sessions(root)
        for kind in ("occupancy", "poses", "lidar", "imu")
        for path in (session.folder / kind).iterdir()
    }


@pytest.fixture(scope="module")
def quiet(city: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("quiet") / "sessions"
    subprocess.run(up(city, output), check=True)
    return output


def test_nothing_is_missing_and_all_of_it_is_in_order(quiet: Path) -> None:
    sessions = find_sessions(quiet)
    assert [session.info.agent for session in sessions] == ["drone_0", "rover_0"]
    for session in sessions:
        stamps = [session.state(number).stamp for number in session.numbers]
        assert stamps == pytest.approx([0.5 * (i + 1) for i in range(FRAMES)], abs=1e-6)
        assert [event.kind for event in session.events()] == [EventKind.END]
        assert check_session(session.folder).damage == ()
        assert len(list((session.folder / "images").iterdir())) == 6 * FRAMES
    moved = [s.state(s.numbers[-1]).base_link.position - s.state(1).base_link.position for s in sessions]
    assert all((move**2).sum() > 0.25 for move in moved), "the missions drive"


@pytest.mark.parametrize(
    ("workers", "cores"), [(0, 1), *(pytest.param(count, 2, marks=pytest.mark.nightly) for count in (2, 4))]
)
def test_the_same_bytes_beside_busy_processes_and_on_one_core(
    quiet: Path, city: Path, tmp_path: Path, workers: int, cores: int
) -> None:
    chosen = sorted(os.sched_getaffinity(0))[:cores]
    command = ["taskset", "-c", ",".join(map(str, chosen)), *up(city, tmp_path / "sessions")]
    with busy(workers):
        subprocess.run(command, check=True)
    again = contents(tmp_path / "sessions")
    assert sorted(again) == sorted(contents(quiet))
    assert [name for name, content in contents(quiet).items() if again[name] != content] == []


def test_the_forecast_and_a_bag_are_waited_for_too_and_another_seed_gives_other_sessions(
    quiet: Path, city: Path, untrained_checkpoint: Path, tmp_path: Path
) -> None:
    from rosbags.rosbag2 import Reader

    bag, sessions = tmp_path / "bag", tmp_path / "sessions"
    command = up(city, sessions, "--bag", str(bag), "--predict", str(untrained_checkpoint), "--seed", "2")
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert "lost: none" in result.stdout
    with Reader(bag) as reader:
        counts = {topic: info.msgcount for topic, info in reader.topics.items()}
    # The bag's last period may still be under way when all has been taken by the others.
    assert counts["/rover_0/lidar/points"] >= 10 * SECONDS - 1 and counts["/rover_0/imu"] >= 100 * SECONDS - 10
    # Four frames of history, then a forecast with each frame.
    assert all(counts[f"/{robot}/occworld/prediction"] >= FRAMES - 3 - 1 for robot in ("drone_0", "rover_0"))
    of_one_seed, of_another = contents(quiet), contents(sessions)
    assert of_one_seed.keys() == of_another.keys()
    assert [name for name, content in of_one_seed.items() if "/lidar/" in name and of_another[name] == content] == []


def test_a_recorder_that_dies_is_not_waited_for(city: Path, tmp_path: Path) -> None:
    """Started by hand: `tokyo up` would stop the rest."""
    common = ["--ros-args", "-p", f"city:={city}"]
    simulator = [sys.executable, "-m", "tokyo_sim.nodes.simulator", *common, "-p", "lockstep:=true", "-p", "drones:=0"]
    simulator += ["-p", "camera_rate:=0.0", "-p", "actors:=0", "-p", "real_time_factor:=0.0", "-p", "duration:=12.0"]
    simulator += ["-p", "lockstep_nodes:=['/recorder']"]
    recorder = [sys.executable, "-m", "occ_recorder.nodes.recorder", *common, "-p", "lockstep:=true"]
    recorder += ["-p", f"output:={tmp_path / 'sessions'}"]
    with subprocess.Popen(simulator, stderr=subprocess.PIPE, text=True) as runs:
        try:
            with subprocess.Popen(recorder) as dies:
                while not list(tmp_path.glob("sessions/*/occupancy/*.npz")):
                    assert runs.poll() is None and dies.poll() is None
                    time.sleep(0.2)
                dies.send_signal(signal.SIGKILL)
            said = runs.communicate(timeout=PATIENCE_S)[1]
        finally:
            runs.kill()
    assert runs.returncode == 0 and "/recorder has gone, the simulation goes on without it" in said


def test_ctrl_c_stops_a_simulation_that_waits(city: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(up(city, tmp_path / "sessions", "--duration", "0"), start_new_session=True)
    while not list(tmp_path.glob("sessions/*/session.json")):
        assert process.poll() is None
        time.sleep(0.2)
    children = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) == 0
    assert [pid for pid in children if command_line(pid)] == []
    for session in find_sessions(tmp_path / "sessions"):
        assert check_session(session.folder).damage == ()
