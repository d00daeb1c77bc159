"""The guide's data collection command: starts what is missing, joins what runs, refuses what makes no sense."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import in_process
import pytest
from paths import ROOT, TOKYO
from processes import PATIENCE_S

from occ_core.session import find_sessions
from tokyo_occworld.cli import collect

SCRIPT = [sys.executable, str(ROOT / "scripts/data_collection_mission.py")]


@pytest.mark.slow
def test_without_a_simulator_it_starts_one_flies_the_survey_and_records(city: Path, tmp_path: Path) -> None:
    options = ["--vehicle", "drone", "--pattern", "survey", "--altitude", "30", "--duration", "8", "--no-cameras"]
    places = ["--city", str(city), "--output", str(tmp_path / "sessions"), "--actors", "5"]
    result = subprocess.run([*SCRIPT, *options, *places], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    (session,) = find_sessions(tmp_path / "sessions")
    frames = [session.state(number) for number in session.numbers]
    assert session.name.startswith("drone") and len(frames) >= 6
    start, end = (frame.base_link.position for frame in (frames[0], frames[-1]))
    assert abs(end[2] - start[2]) < 3 and abs(start - end)[:2].max() > 5, "it flies, level"


def test_it_joins_a_simulator_that_runs_and_leaves_it_running(city: Path, tmp_path: Path) -> None:
    up = [TOKYO, "up", "--city", str(city), "--drones", "1", "--rovers", "1", "--actors", "0", "--no-missions"]
    simulator = subprocess.Popen([*up, "--camera-rate", "0"], start_new_session=True)
    try:
        places = ["--city", str(city), "--output", str(tmp_path / "sessions"), "--no-cameras"]
        # The simulator needs a moment before anybody hears of it.
        both, deadline = {"drone_0": False, "rover_0": False}, time.monotonic() + PATIENCE_S
        while (running := collect.robots_running()) != both and time.monotonic() < deadline:
            pass
        assert running == both
        unknown = subprocess.run([*SCRIPT, *places, "--robot", "drone_7"], capture_output=True, text=True)
        assert unknown.returncode == 2 and "drone_0, rover_0" in unknown.stderr
        joined = subprocess.run(
            [*SCRIPT, *places, "--vehicle", "rover", "--duration", "6"], capture_output=True, text=True
        )
        assert joined.returncode == 0, joined.stderr
        assert simulator.poll() is None
        assert [session.name.startswith("rover") for session in find_sessions(tmp_path / "sessions")] == [True]
    finally:
        simulator.send_signal(signal.SIGINT)
        simulator.wait(PATIENCE_S)


@pytest.mark.parametrize(
    "options, named",
    [
        (["--vehicle", "rover", "--pattern", "survey"], "rover"),
        (["--pattern", "zigzag"], "zigzag"),
        (["--pattern", "waypoints"], "waypoints"),
        (["--pattern", "waypoints", "--waypoints", "/nowhere.csv"], "/nowhere.csv"),
        (["--altitude", "high"], "altitude"),
        (["--altitude", "1000"], "altitude"),
        (["--area", "1,2,3"], "area"),
        (["--area", "9,9,1,1"], "area"),
        (["--pattern", "orbit", "--centre", "here"], "centre"),
        (["--city", "/nowhere"], "/nowhere"),
        (["extra"], "extra"),
    ],
)
def test_bad_usage_gets_one_sentence_and_exit_code_2(options: list[str], named: str) -> None:
    result = in_process.done(collect.main, *options)
    assert result.returncode == 2
    assert named in result.stderr and len(result.stderr.strip().splitlines()) == 1
