"""Runs that share a folder, a clock or a bag with others: nobody's work is lost, and nobody waits for ever."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import train as training_command
from runs import TWO_PROCESSES, start, write_config
from street import SMALL_GRID, write_session

from occ_core.session import Session, SessionError
from occworld.budget import Deadline
from occworld.checkpoint import Checkpoint
from occworld.config import Config
from occworld.dataset import GazeboOccWorldDataset
from occworld.evaluator import Evaluation, evaluate
from occworld.forecast_model import ForecastModel
from occworld.losses import Losses
from occworld.packed import PACK_FOLDER, open_packed
from occworld.trainer import Trainer


def workers_of(pid: int) -> list[int]:
    """The processes that one has started."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def alive(pid: int) -> bool:
    """Not gone, and no zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "first_to_go", [pytest.param(1, marks=pytest.mark.slow), pytest.param(0, marks=pytest.mark.nightly)]
)
def test_a_signal_to_one_of_two_processes_stops_both_in_the_same_step(
    config: Config, tmp_path: Path, first_to_go: int
) -> None:
    file = write_config(tmp_path / "config.py", config, tokenizer_epochs=500, checkpoint_minutes=0)
    run = start(file, tmp_path / "work", launcher=TWO_PROCESSES)
    latest = tmp_path / "work/latest.pth"
    while not latest.exists():
        assert run.poll() is None, run.stderr.read().decode()
        time.sleep(0.05)
    os.kill(workers_of(run.pid)[first_to_go], signal.SIGTERM)
    assert run.wait(300) == 0, run.stderr.read().decode()
    assert "interrupted; continue with --resume" in next((tmp_path / "work").glob("train_*.log")).read_text()
    assert Checkpoint.load(latest).progress.step > 0


@pytest.mark.timeout(600)
@pytest.mark.parametrize("killed", [0, pytest.param(1, marks=pytest.mark.nightly)])
def test_of_the_processes_on_cores_none_outlives_another(config: Config, tmp_path: Path, killed: int) -> None:
    file = write_config(tmp_path / "config.py", config, tokenizer_epochs=500, checkpoint_minutes=0)
    run = start(file, tmp_path / "work", "--cpu-cores", "2")
    while not (tmp_path / "work/latest.pth").exists():
        assert run.poll() is None, run.stderr.read().decode()
        time.sleep(0.05)
    (other,) = workers_of(run.pid)
    os.kill((run.pid, other)[killed], signal.SIGKILL)
    assert run.wait(300) == (1 if killed else -signal.SIGKILL)
    end = time.monotonic() + 240
    while alive(other):
        assert time.monotonic() < end, "an orphan"
        time.sleep(0.05)
    assert Checkpoint.load(tmp_path / "work/latest.pth").progress.processes == 2


def test_cores_that_can_t_be_meant_are_refused(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_config(tmp_path / "config.py", config)
    arguments = ["--config", str(file), "--work-dir", str(tmp_path / "work"), "--cpu-cores"]
    assert training_command.main([*arguments, "-1"]) == 2
    assert "--cpu-cores -1: 1 or more is wanted" in capsys.readouterr().err
    assert training_command.main([*arguments, "2", "--gpu-ids", "0"]) == 2
    assert "--cpu-cores and --gpu-ids: on which of them?" in capsys.readouterr().err
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert training_command.main([*arguments, "2"]) == 2
    assert "under torchrun" in capsys.readouterr().err


@pytest.mark.timeout(600)
def test_a_process_that_is_killed_ends_the_others_with_a_sentence(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    file = write_config(tmp_path / "config.py", config, tokenizer_epochs=500, checkpoint_minutes=0)
    run = start(file, tmp_path / "work", launcher=TWO_PROCESSES)
    while not (tmp_path / "work/latest.pth").exists():
        assert run.poll() is None, run.stderr.read().decode()
        time.sleep(0.05)
    workers = workers_of(run.pid)
    os.kill(workers[1], signal.SIGKILL)
    assert run.wait(300) == 1
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    assert Checkpoint.load(tmp_path / "work/latest.pth").progress.step > 0
    # Nothing is locked: it could go on, though not as one process in the middle of an epoch of two.
    assert training_command.main(["--config", str(file), "--work-dir", str(tmp_path / "work"), "--resume"]) == 2
    assert "batches of 1 x 1 on 2 processes" in capsys.readouterr().err


def test_a_second_run_in_a_work_folder_is_refused_and_overwrite_deletes_the_first_when_the_second_stands(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    work, file = tmp_path / "work", write_config(tmp_path / "config.py", config, tokenizer_epochs=0, max_epochs=1)
    arguments = ["--config", str(file), "--work-dir", str(work)]
    assert training_command.main(arguments) == 0
    best = (work / "best.pth").read_bytes()
    (work / "epoch_7.pth").write_bytes((work / "epoch_1.pth").read_bytes())
    capsys.readouterr()
    assert training_command.main(arguments) == 2
    said = capsys.readouterr().err
    assert "work holds a run already" in said and "--resume" in said and "--overwrite" in said
    assert (work / "best.pth").read_bytes() == best
    # What can't begin has deleted nothing.
    assert training_command.main([*arguments, "--overwrite", "--data-root", str(tmp_path / "work")]) == 2
    assert (work / "best.pth").read_bytes() == best and (work / "epoch_7.pth").exists()
    assert training_command.main([*arguments, "--overwrite", "--seed", "9"]) == 0
    assert (work / "best.pth").read_bytes() != best and not (work / "epoch_7.pth").exists()
    assert json.loads((work / "metrics.json").read_text())["windows"] == 1
    assert training_command.main([*arguments, "--resume", "--epochs", "1"]) == 0


def test_two_runs_at_a_time_in_one_folder_are_refused(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    file = write_config(tmp_path / "config.py", config, tokenizer_epochs=500)
    work = tmp_path / "work"
    first = start(file, work)
    try:
        while not (work / ".train.lock").exists():
            assert first.poll() is None
            time.sleep(0.05)
        assert training_command.main(["--config", str(file), "--work-dir", str(work)]) == 2
        assert "another training is writing into" in capsys.readouterr().err
    finally:
        first.kill()
        first.wait()
    assert training_command.main(["--config", str(file), "--work-dir", str(work), "--max-minutes", "0.01"]) == 0


class Clock:
    """In place of the module `time`: it goes on when it is looked at, and as a test says."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        self.now += 0.001
        return self.now


def test_the_minutes_include_the_evaluation_and_a_starved_run_says_so(
    config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = replace(
        config,
        training=replace(config.training, tokenizer_epochs=2000, max_epochs=2000),
        evaluation=replace(config.evaluation, windows=4, interval=5000),
    )

    clock = Clock()
    step = Trainer._step

    def stepped(self: Trainer, *arguments: Any) -> Losses:
        clock.now += 0.3
        return step(self, *arguments)

    def evaluated(model: ForecastModel, data: GazeboOccWorldDataset, limit: int) -> Evaluation:
        clock.now += 1.5 * limit
        return evaluate(model, data, limit)

    monkeypatch.setattr("occworld.trainer.time", clock)
    monkeypatch.setattr("occworld.budget.time", clock)
    monkeypatch.setattr("occworld.trainer.evaluate", evaluated)
    monkeypatch.setattr(Trainer, "_step", stepped)
    with caplog.at_level(logging.INFO, "occworld"):
        evaluation = Trainer(long, tmp_path / "long").fit(max_minutes=0.4)
    assert evaluation is not None and evaluation.windows == 4
    # 24 s, less the 15% of the evaluation's 6 s that are kept for one that is slower; at most a step more.
    assert 122.5 < clock.now <= 124
    assert "stage 1 has seen" not in caplog.text
    with caplog.at_level(logging.INFO, "occworld"):
        starved = Trainer(long, tmp_path / "short").fit(max_minutes=0.0001)
    assert starved is not None and starved.windows == 1
    assert "starved by --max-minutes 0.0001: stage 1 has seen 1 of" in caplog.text
    assert "the evaluation has looked at 1 of" in caplog.text and "s longer than --max-minutes" in caplog.text


def test_a_deadline_keeps_what_the_evaluation_took() -> None:
    deadline = Deadline(100.0, windows=10)
    assert 99 < deadline.for_training <= 100 and deadline.affordable_windows == 10
    deadline.measured(1, 2.0, 3.0)
    assert deadline.reserve == pytest.approx(1.15 * (10 * 2.0 + 3.0))
    assert deadline.for_training == pytest.approx(100 - deadline.reserve, abs=0.5) and deadline.affords_another
    late = Deadline(100.0, windows=10, started=time.monotonic() - 91.0)
    late.measured(2, 4.0, 3.0)
    assert late.for_training == 0 and late.affordable_windows == 2 and not late.affords_another
    assert Deadline(1.0, windows=10, started=time.monotonic() - 5.0).affordable_windows == 1
    assert Deadline(None, windows=10).affordable_windows == 10


@pytest.fixture
def read_only_drives(tmp_path: Path) -> Iterator[Path]:
    """Two drives on a file system that can't be written."""
    root = tmp_path / "data"
    for seed in range(2):
        write_session(root, "rover_0", seed, frames=12, grid=SMALL_GRID)
    if subprocess.run(["mount", "--bind", root, root], capture_output=True).returncode:
        pytest.skip("mounting needs root")
    subprocess.run(["mount", "-o", "remount,ro,bind", root], check=True)
    yield root
    subprocess.run(["umount", "-l", root], check=True)


def test_sessions_that_can_t_be_written_beside_are_packed_in_the_cache_once(
    config: Config, read_only_drives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = GazeboOccWorldDataset(read_only_drives, config.data)
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*.npy")}
    again = GazeboOccWorldDataset(read_only_drives, config.data)
    assert len(first) == len(again) > 0 and len(kept) == 16
    assert kept == {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*.npy")}
    assert not (read_only_drives / PACK_FOLDER).exists()


def test_train_py_trains_on_a_folder_that_can_t_be_written(
    config: Config, read_only_drives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = write_config(tmp_path / "config.py", config, tokenizer_epochs=0, max_epochs=1)
    arguments = ["--config", str(file), "--work-dir", str(tmp_path / "work"), "--data-root", str(read_only_drives)]
    assert training_command.main(arguments) == 0
    assert (tmp_path / "work/best.pth").exists()


def test_no_permission_anywhere_and_no_space_are_sentences(
    read_only_drives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session.open(next(read_only_drives.glob("rover*")))
    monkeypatch.setenv("XDG_CACHE_HOME", str(read_only_drives / "cache"))
    with pytest.raises(SessionError, match=r"can't keep it packed in .*: Read-only file system; free space there"):
        open_packed(session)
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", disk], check=True)
    try:
        monkeypatch.setenv("XDG_CACHE_HOME", str(disk))
        with pytest.raises(SessionError, match="No space left on device; free space there, or let XDG_CACHE_HOME"):
            open_packed(session)
        assert not list(disk.rglob("*.part")), "nothing stays of what was begun"
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
