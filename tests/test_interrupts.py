"""Ctrl-C at any moment of any command: no traceback, nobody stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from paths import ROOT, TOKYO
from processes import PATIENCE_S, command_line, descendants, running

SCRIPTS = ROOT / "scripts"
COMMANDS = ("help", "city", "up", "record", "view", "demo", "train", "mission", "plateau_to_occworld")
MOMENTS_S = (0.5, 1.5, 3.0)
# Imports, checks of what was asked, the start of nodes, work: each is interrupted in one command or another.
CHOSEN = {
    ("help", 0.5), ("city", 1.5), ("up", 0.5), ("up", 3.0), ("record", 1.5), ("view", 3.0), ("demo", 1.5),
    ("train", 0.5), ("train", 3.0), ("mission", 3.0), ("plateau_to_occworld", 1.5),
}  # fmt: skip


def cases() -> list:
    """Every command at every moment; each night those that go the way of one that is chosen."""
    every = [(name, moment) for name in COMMANDS for moment in MOMENTS_S]
    return [pytest.param(*case, marks=[] if case in CHOSEN else pytest.mark.nightly) for case in every]


def _wait(process: subprocess.Popen, moment: float) -> None:
    """Some seconds, and long enough that Python itself has started, which takes 0.1 s of a processor that is free."""
    time.sleep(moment)
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        if (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") >= 0.15:
            return
        time.sleep(0.01)


def commands(city: Path, tmp_path: Path) -> dict[str, list[str]]:
    """Such as take a while, but for those that end by themselves within a second or two."""
    train = [sys.executable, str(ROOT / "learner/train.py"), "--config", str(ROOT / "learner/config/demo_tokyo.py")]
    mission = [sys.executable, str(SCRIPTS / "data_collection_mission.py"), "--city", str(city), "--no-cameras"]
    straight = [sys.executable, str(SCRIPTS / "plateau_to_occworld.py"), "--city", str(city), "--frames", "500"]
    sessions = str(tmp_path / "sessions")
    return {
        "help": [TOKYO, "--help"],
        "city": [TOKYO, "city", "--out", str(tmp_path / "new/city")],
        "up": [TOKYO, "up", "--city", str(city), "--camera-rate", "0", "--record", "--output", sessions, "--predict"],
        "record": [TOKYO, "record", "--output", sessions],
        "view": [TOKYO, "view", "--port", "0"],
        "demo": [TOKYO, "demo", "--out", str(tmp_path / "demo")],
        "train": [*train, "--work-dir", str(tmp_path / "work"), "--data-root", str(tmp_path)],
        "mission": [*mission, "--output", sessions],
        "plateau_to_occworld": [*straight, "--output", sessions],
    }


def _interrupted(command: list[str], folder: Path, moment: float) -> tuple[str, int, list[int]]:
    """What the command said until Ctrl-C some seconds after its start, its exit code, and who its children were."""
    log = folder / "log.txt"
    with (
        open(log, "wb") as output,
        running(command, stdout=output, stderr=output, cwd=folder, start_new_session=True) as process,
    ):
        _wait(process, moment)
        children = descendants(process.pid) if process.poll() is None else []
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all of the group
        code = process.wait(PATIENCE_S)
    return log.read_text(errors="replace"), code, children


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("name", "moment"), cases())
def test_ctrl_c_leaves_no_traceback_and_no_process(city: Path, tmp_path: Path, name: str, moment: float) -> None:
    said, code, children = _interrupted(commands(city, tmp_path)[name], tmp_path, moment)
    if said.startswith("Fatal Python error: init_import_site"):  # on a busy machine: nothing of ours had begun
        said, code, children = _interrupted(commands(city, tmp_path)[name], tmp_path, moment + 10)
    assert "Traceback" not in said and "KeyboardInterrupt" not in said and "Exception ignored" not in said, said
    # A shell says 130 of -SIGINT too: Ctrl-C came when Python itself was ending.
    assert code in (0, 2, 130, -signal.SIGINT), said
    deadline = time.monotonic() + PATIENCE_S
    while (left := [pid for pid in children if command_line(pid)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left
    assert not list(tmp_path.glob("**/.*.part")) and not list(tmp_path.glob("**/.*.lock"))
