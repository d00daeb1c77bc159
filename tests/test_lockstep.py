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
from drives import DRIVEN_S, contents, drive, lockstep
from processes import PATIENCE_S, command_line, descendants, running
from rosbags.rosbag2 import Reader

from occ_core.session import find_sessions
from occ_core.session_log import EventKind
from occ_recorder.sessions.check import check_session

SECONDS = 3.0  # of a run beside the one that all share


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


def test_nothing_is_missing_and_all_of_it_is_in_order(driven: Path) -> None:
    sessions = find_sessions(driven / "sessions")
    frames = round(2 * DRIVEN_S)
    assert [session.info.agent for session in sessions] == ["drone_0", "rover_0"]
    for session in sessions:
        stamps = [session.state(number).stamp for number in session.numbers]
        assert stamps == pytest.approx([0.5 * (i + 1) for i in range(frames)], abs=1e-6)
        assert [event.kind for event in session.events()] == [EventKind.END]
        assert check_session(session.folder).damage == ()
        assert len(list((session.folder / "images").iterdir())) == 6 * frames
    moved = [s.state(s.numbers[-1]).base_link.position - s.state(1).base_link.position for s in sessions]
    assert all((move**2).sum() > 0.25 for move in moved), "the missions drive"


@pytest.mark.parametrize(
    ("workers", "cores"), [(0, 1), *(pytest.param(count, 2, marks=pytest.mark.nightly) for count in (2, 4))]
)
def test_the_same_bytes_beside_busy_processes_and_on_one_core_with_a_bag_and_a_forecast_or_without(
    driven: Path, city: Path, tmp_path: Path, workers: int, cores: int
) -> None:
    chosen = sorted(os.sched_getaffinity(0))[:cores]
    command = lockstep(city, tmp_path / "sessions", SECONDS)
    with busy(workers):
        drive(["taskset", "-c", ",".join(map(str, chosen)), *command])
    again, all_of_it = contents(tmp_path / "sessions"), contents(driven / "sessions")
    assert len(again) >= 2 * 3 * 2 * SECONDS
    assert [name for name, content in again.items() if all_of_it[name] != content] == []


def test_the_forecast_and_a_bag_are_waited_for_too(driven: Path) -> None:
    assert "lost: none" in (driven / "said.txt").read_text()
    with Reader(driven / "bag") as reader:
        counts = {topic: info.msgcount for topic, info in reader.topics.items()}
    # The bag's last period may still be under way when all has been taken by the others.
    assert counts["/rover_0/lidar/points"] >= 10 * DRIVEN_S - 1 and counts["/rover_0/imu"] >= 100 * DRIVEN_S - 10
    # Four frames of history, then a forecast with each frame.
    assert all(counts[f"/{robot}/occworld/prediction"] >= 2 * DRIVEN_S - 3 - 1 for robot in ("drone_0", "rover_0"))


def test_another_seed_gives_other_sessions(driven: Path, city: Path, tmp_path: Path) -> None:
    drive(lockstep(city, tmp_path, 1.0, "--camera-rate", "0", "--no-missions", "--seed", "2"))
    of_one_seed, of_another = contents(driven / "sessions"), contents(tmp_path)
    sweeps = [name for name in of_another if "/lidar/" in name]
    assert len(sweeps) == 4
    assert [name for name in sweeps if of_one_seed[name] == of_another[name]] == []


def test_a_recorder_that_dies_is_not_waited_for(city: Path, tmp_path: Path) -> None:
    """Started by hand: `tokyo up` would stop the rest."""
    common = ["--ros-args", "-p", f"city:={city}"]
    simulator = [sys.executable, "-m", "tokyo_sim.nodes.simulator", *common, "-p", "lockstep:=true", "-p", "drones:=0"]
    simulator += ["-p", "camera_rate:=0.0", "-p", "actors:=0", "-p", "real_time_factor:=0.0", "-p", "duration:=12.0"]
    simulator += ["-p", "lockstep_nodes:=['/recorder']"]
    recorder = [sys.executable, "-m", "occ_recorder.nodes.recorder", *common, "-p", "lockstep:=true"]
    recorder += ["-p", f"output:={tmp_path / 'sessions'}"]
    with running(simulator, stderr=subprocess.PIPE, text=True) as runs:
        with running(recorder) as dies:
            while not list(tmp_path.glob("sessions/*/occupancy/*.npz")):
                assert runs.poll() is None and dies.poll() is None
                time.sleep(0.2)
        said = runs.communicate(timeout=PATIENCE_S)[1]
    assert runs.returncode == 0 and "/recorder has gone, the simulation goes on without it" in said


def test_ctrl_c_stops_a_simulation_that_waits(city: Path, tmp_path: Path) -> None:
    with running(lockstep(city, tmp_path / "sessions", 0.0), start_new_session=True) as process:
        while not list(tmp_path.glob("sessions/*/session.json")):
            assert process.poll() is None
            time.sleep(0.2)
        children = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0
    assert [pid for pid in children if command_line(pid)] == []
    for session in find_sessions(tmp_path / "sessions"):
        assert check_session(session.folder).damage == ()
