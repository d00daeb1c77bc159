"""What `tokyo up` says while it runs."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from paths import TOKYO
from processes import PATIENCE_S

from occworld_infer.grading import Grade
from tokyo_occworld.cli.status import RunStatus, greeting
from tokyo_sim.bringup import Arguments

ROBOTS = ["drone_0", "rover_0"]
SLOW = (
    "the machine can't keep up: 0.21 simulated seconds a second instead of 1 (the simulator works on cameras 80%);"
    " what helps, most first: fewer images (camera_rate 2, or 0 for none); or a smaller real_time_factor"
)


def test_the_line_says_time_pace_frames_and_forecasts_beside_warp() -> None:
    status = RunStatus(ROBOTS, recording=True, predicting=True)
    assert status.line() == "", "nothing is heard yet"
    status.hear("simulator", "running", {"real_time_factor": "0.98"}, 42.04)
    status.hear("recorder drone_0", "running", {"frames": "80"}, 42.0)
    status.hear("recorder stranger_0", "running", {"frames": "7"}, 42.0)
    status.hear("forecast drone_0", "running", {"forecasts": "31"}, 42.0)
    status.hear("forecast rover_0", "waits", {"forecasts": "0"}, 42.0)
    status.grade("drone_0", [])
    status.grade("drone_0", [Grade(0.5, 0.8, 0.7, 0, 0, 9), Grade(3.0, 0.412, 0.249, 0, 0, 5)])
    assert status.line() == (
        "42 s simulated, 0.98 x real time · recorded drone_0 80 frames, rover_0 none yet"
        " · forecasts drone_0 31 (IoU 41% 3 s ahead, warp 25%), rover_0 0"
    )


def test_it_says_what_to_switch_off_only_where_it_is_slow() -> None:
    status = RunStatus(ROBOTS)
    status.hear("simulator", SLOW, {"real_time_factor": "0.21"}, 5.0)
    assert status.line().endswith("slow: fewer images (camera_rate 2, or 0 for none)")
    status.hear("simulator", SLOW, {"real_time_factor": "0.95"}, 6.0)
    assert "slow" not in status.line()


def test_it_begins_with_the_page_and_with_what_images_there_are() -> None:
    text = greeting(Arguments(sim="embedded", view=True, port=8123, record=True, output="here", camera_rate=2.0))
    assert "http://127.0.0.1:8123" in text and "recording into here" in text and "Ctrl-C stops it" in text
    assert "images 1600 x 900, 2 a second: what this machine carries now; --full-rig" in text
    assert "--full-rig" not in greeting(Arguments(sim="embedded"))
    assert "images" not in greeting(Arguments(sim="embedded", camera_rate=0.0))


@pytest.fixture
def up(city: Path, tmp_path: Path, untrained_checkpoint: Path):
    program = (
        "import sys; from tokyo_occworld.cli import status; status.SAY_EVERY_S = 2.0;"
        "status.StatusLine.__init__.__defaults__ = (2.0,); from tokyo_occworld.cli.main import main; main()"
    )
    command = [
        sys.executable, "-c", program, "up", "--city", str(city), "--sim", "embedded", "--drones", "0",
        "--actors", "5", "--camera-rate", "0", "--record", "--output", str(tmp_path / "sessions"),
        "--predict", str(untrained_checkpoint),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE_S)


def test_a_run_tells_of_itself_until_it_is_stopped(up: subprocess.Popen) -> None:
    deadline = time.monotonic() + PATIENCE_S
    lines = []
    while time.monotonic() < deadline:
        lines.append(up.stdout.readline())
        if "warp" in lines[-1]:
            break
    assert "rover_0" in lines[-1] and "frames" in lines[-1] and "x real time" in lines[-1], lines
    up.send_signal(signal.SIGINT)
    assert up.wait(PATIENCE_S) == 0


def test_the_full_rig_is_an_option_of_its_own() -> None:
    shown = subprocess.run([TOKYO, "up", "--help"], capture_output=True, text=True).stdout
    assert "--full-rig" in shown
