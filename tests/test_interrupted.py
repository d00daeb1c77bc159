"""Ctrl-C, SIGTERM and kill -9 at any moment: no process stays, no lock, and the next start works."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
from hearing import heard, spec
from paths import ROOT, TOKYO

from occ_core.session import find_sessions
from occ_core.topics import CLOCK
from occ_recorder.sessions.check import check_session

# The first two even where there are few: Ctrl-C is pressed in test_interrupts.py too.
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
FEW, MANY = 2, 30
_MARK = "INTERRUPTED_TEST"
_GONE_S = 90.0  # three times the patience of who stops them
_PATIENCE_S = 400.0


@dataclass
class Runs:
    """Starts of one command, each interrupted. log: what they all said. mark: in the environment of all processes."""

    command: list[str]
    log: Path
    cwd: Path | None = None
    mark: str = field(default_factory=lambda: uuid4().hex)

    def start(self, *more: str) -> subprocess.Popen:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*self.command, *more], env=os.environ | {_MARK: self.mark}, start_new_session=True, cwd=self.cwd,
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def left(self) -> list[str]:
        """Command lines of the processes that are there, wherever they stand among the others."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if f"{_MARK}={self.mark}".encode() in (process / "environ").read_bytes().split(b"\0"):
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return [line for line in found if line]  # that of a zombie is empty

    def interrupt(self, number: signal.Signals, after: float) -> None:
        """Start, and send a signal so many seconds later, as a terminal does: Ctrl-C reaches the whole group."""
        process = self.start()
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            send = os.killpg if number is signal.SIGINT else os.kill
            send(process.pid, number)
        process.wait(_GONE_S)
        end = time.monotonic() + _GONE_S
        while left := self.left():
            assert time.monotonic() < end, f"{number.name} after {after:.2f} s left {left}; {self.said()}"
            time.sleep(0.1)

    def said(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]


def interrupt_all(runs: Runs, times: int, longest: float, seed: int) -> None:
    """Each signal in turn, at moments drawn from a seed."""
    draw = random.Random(seed)
    for number in range(times):
        runs.interrupt(SIGNALS[number % len(SIGNALS)], draw.uniform(0.05, longest))


def up(city: Path, tmp_path: Path, times: int) -> None:
    output = tmp_path / "sessions"
    runs = Runs(
        [
            TOKYO, "up", "--city", str(city), "--sim", "embedded", "--actors", "5", "--camera-rate", "0", "--record",
            "--output", str(output),
        ],
        tmp_path / "log.txt",
    )  # fmt: skip
    interrupt_all(runs, times, 14.0 if times > FEW else 7.0, seed=1)
    before = {path.name for path in output.glob("*")}
    last = runs.start("--duration", "4", "--lockstep", "--real-time-factor", "0")
    assert last.wait(_PATIENCE_S) == 0, runs.said()
    sessions = find_sessions(output)
    assert any(len(session) >= 4 for session in sessions if session.name not in before)
    assert all(check_session(session.folder).usable == session.numbers for session in sessions)


def record(city: Path, tmp_path: Path, times: int) -> None:
    runs = Runs([TOKYO, "record", "--output", str(tmp_path / "sessions")], tmp_path / "log.txt")
    interrupt_all(runs, times, 5.0, seed=2)
    bags = Runs([TOKYO, "record", "--bag", str(tmp_path / "bag")], tmp_path / "log.txt")
    bags.interrupt(signal.SIGTERM, 4.0)
    simulator = Runs(
        [
            TOKYO, "up", "--city", str(city), "--sim", "embedded", "--drones", "0", "--actors", "0", "--camera-rate",
            "0",
        ],
        tmp_path / "up.txt",
    )  # fmt: skip
    driving, recording = simulator.start(), runs.start("--no-cameras")
    try:
        end = time.monotonic() + _PATIENCE_S
        while not list((tmp_path / "sessions").glob("rover_0_*/occupancy/*.npz")):
            assert time.monotonic() < end and recording.poll() is None, runs.said()
            time.sleep(0.2)
        assert heard(0.5, [spec(CLOCK)])["clock"] >= 0.5
    finally:
        for process in (recording, driving):
            process.send_signal(signal.SIGINT)
            assert process.wait(_GONE_S) == 0
    assert simulator.left() == runs.left() == []


def demo(city: Path, tmp_path: Path, times: int) -> None:
    """Interrupted while it imports a city, mostly; started anew, and interrupted amid its drives."""
    source = ["--city-source", str(city.parent / "citygml")]
    runs = Runs([TOKYO, "demo", "--out", str(tmp_path / "demo"), *source], tmp_path / "log.txt")
    interrupt_all(runs, times, 40.0 if times > FEW else 8.0, seed=3)
    runs.log.unlink()
    last = runs.start()
    try:
        end = time.monotonic() + _PATIENCE_S
        while not list((tmp_path / "demo").glob("recording/*/*/session.json")):
            assert time.monotonic() < end and last.poll() is None, runs.said()
            time.sleep(0.2)
        assert len(runs.left()) >= 4, "the demo, and nodes"
        os.killpg(last.pid, signal.SIGINT)
        assert last.wait(_GONE_S) == 130
        assert runs.left() == []
    finally:
        if last.poll() is None:
            last.kill()
            last.wait()


def train(city: Path, tmp_path: Path, times: int) -> None:
    from street import SMALL_GRID, write_session

    data = tmp_path / "data"
    for number in range(3):
        write_session(data, "rover_0", number, frames=14, grid=SMALL_GRID)
    config = tmp_path / "config.py"
    config.write_text(
        f"data = dict(point_cloud_range={(*SMALL_GRID.lower, *SMALL_GRID.upper)}, voxel_size={SMALL_GRID.voxel})\n"
        "model = dict(architecture='fast', base_channel=8, num_codes=16, code_dim=16, embed_dim=16, num_layers=1,\n"
        "             temporal_attn_layers=1, num_heads=2, column_dim=8, voxel_hidden=8, pose_hidden=16,\n"
        "             flow_channel=4)\n"
        "training = dict(batch_size=2, tokenizer_epochs=2, max_epochs=2, checkpoint_minutes=0)\n"
    )
    work, draw = tmp_path / "work", random.Random(4)
    script = str(ROOT / "learner/train.py")
    first = [sys.executable, script, "--config", str(config), "--work-dir", str(work), "--data-root", str(data)]
    runs = Runs(first, tmp_path / "log.txt")
    for number in range(times):
        runs.command = first + (["--resume"] if list(work.glob("*.pth")) else [])
        runs.interrupt(SIGNALS[number % len(SIGNALS)], draw.uniform(0.05, 20.0))
    runs.command = first + (["--resume"] if list(work.glob("*.pth")) else [])
    assert runs.start().wait(_PATIENCE_S) == 0, runs.said()
    assert (work / "best.pth").exists() and runs.left() == []


COMMANDS = (up, record, demo, train)


@pytest.mark.parametrize(
    "command",
    [up, record, *(pytest.param(long, marks=pytest.mark.slow) for long in (demo, train))],
    ids=lambda command: command.__name__,
)
def test_an_interrupted_command_leaves_nothing_and_starts_again(
    command: Callable[[Path, Path, int], None], city: Path, tmp_path: Path
) -> None:
    command(city, tmp_path, FEW)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_thirty_interruptions_leave_nothing(
    command: Callable[[Path, Path, int], None], city: Path, tmp_path: Path
) -> None:
    command(city, tmp_path, MANY)
