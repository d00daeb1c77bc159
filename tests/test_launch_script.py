"""scripts/launch_occworld_simulation.sh: the guide's command starts, records and stops."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from paths import ROOT, TOKYO
from processes import PATIENCE_S

from occ_core.session import find_sessions

SCRIPT = ROOT / "scripts/launch_occworld_simulation.sh"


@pytest.fixture(autouse=True)
def tokyo_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(TOKYO).parent}:{os.environ['PATH']}")


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    return subprocess.run([str(SCRIPT), *arguments], cwd=cwd, capture_output=True, text=True, timeout=PATIENCE_S)


@pytest.mark.slow
def test_the_guide_s_command_records_a_drone_and_a_rover(city: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/city").symlink_to(city)
    small = ("--sim", "embedded", "--image-width", "64", "--image-height", "36", "--actors", "5", "--duration", "3")
    small += ("--lockstep", "--camera-rate", "2", "--real-time-factor", "0")
    result = run("--drones", "1", "--rovers", "1", "--record", *small, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    sessions = find_sessions(tmp_path / "data/tokyo_gazebo")
    assert {session.info.agent for session in sessions} == {"drone_0", "rover_0"}
    assert all(len(session) >= 3 for session in sessions)


def test_the_help_names_options_that_tokyo_up_has_and_defaults_that_are_its(tmp_path: Path) -> None:
    text = run("--help", cwd=tmp_path).stdout
    real = subprocess.run([TOKYO, "up", "--help"], capture_output=True, text=True, check=True).stdout
    options = set(re.findall(r"--[a-z-]+", text)) - {"--help"}
    assert len(options) >= 7
    assert all(option in real for option in options)
    for default in ("out/city", "data/tokyo_gazebo"):
        assert default in text and default in real


def test_without_a_city_it_makes_the_sample_city_and_one_that_is_named_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin/tokyo"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\necho "$@"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    assert run("--drones", "2", cwd=tmp_path).stdout.splitlines() == [
        "up --drones 2 --check", "city --out out/city", "up --drones 2",
    ]  # fmt: skip
    assert run("--city", "x", cwd=tmp_path).stdout.splitlines() == ["up --city x"]
    assert run("--city=x", cwd=tmp_path).stdout.splitlines() == ["up --city=x"]


def test_a_wrong_option_is_named_with_the_nearest(city: Path, tmp_path: Path) -> None:
    result = run("--city", str(city), "--drnes", "1", cwd=tmp_path)
    assert result.returncode == 2 and "there is no option --drnes, --drones is the nearest" in result.stderr
