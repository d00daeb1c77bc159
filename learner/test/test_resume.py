"""Runs that are killed, spread over processes, or given what can't work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import train as training_command
from runs import LEARNER, TWO_PROCESSES, start, write_config
from street import SMALL_GRID, write_session

from occ_core.session import SessionError, find_sessions
from occworld.checkpoint import Checkpoint, TrainingState
from occworld.config import Config
from occworld.dataset import DatasetConfig, GazeboOccWorldDataset
from occworld.trainer import Trainer, TrainingError


def same_weights(one: Path, other: Path) -> bool:
    ours, theirs = (Checkpoint.load(path).weights for path in (one, other))
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


class Killed(BaseException):
    """Nobody catches it, as nobody answers SIGKILL."""


def on_saving(monkeypatch: pytest.MonkeyPatch, then: Callable[[TrainingState], None]) -> None:
    """Do something after each checkpoint that is written."""
    save = Checkpoint.save

    def saved(self: Checkpoint, path: Path) -> None:
        save(self, path)
        then(self.progress)

    monkeypatch.setattr(Checkpoint, "save", saved)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_run_that_ends_in_mid_epoch_and_is_resumed_equals_an_unbroken_one(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accumulate: int
) -> None:
    file = write_config(
        tmp_path / "config.py", config, tokenizer_epochs=1, max_epochs=1, checkpoint_minutes=0, accumulate=accumulate
    )

    def train(work: str, *more: str) -> int | str:
        return training_command.main(["--config", str(file), "--work-dir", str(tmp_path / work), *more])

    def kill(at: TrainingState) -> None:  # in the forecast stage, after some of its batches and before the last
        if at.stage1 == 1 and at.batches >= 2:
            raise Killed

    assert train("unbroken") == 0
    with monkeypatch.context() as patch, pytest.raises(Killed):
        on_saving(patch, kill)
        train("broken")
    at = Checkpoint.load(tmp_path / "broken/latest.pth").progress
    assert at.stage2 == 0 and at.batches >= 2 and not (tmp_path / "broken/epoch_1.pth").exists()
    assert train("broken", "--resume") == 0
    assert same_weights(tmp_path / "unbroken/epoch_1.pth", tmp_path / "broken/epoch_1.pth")


def test_ctrl_c_saves_after_the_step_in_hand(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_config(tmp_path / "config.py", config, tokenizer_epochs=500, checkpoint_minutes=0)
    steps: list[int] = []

    def interrupt(at: TrainingState) -> None:
        steps.append(at.step)
        if at.step == 3:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        on_saving(patch, interrupt)
        assert training_command.main(["--config", str(file), "--work-dir", str(tmp_path / "work")]) == 0
    assert "interrupted; continue with --resume" in next((tmp_path / "work").glob("train_*.log")).read_text()
    assert Checkpoint.load(tmp_path / "work/latest.pth").progress.step == steps[-1] == 4


def test_accumulated_batches_make_fewer_steps(config: Config, tmp_path: Path) -> None:
    training = replace(config.training, tokenizer_epochs=0, max_epochs=1, accumulate=4)
    trainer = Trainer(replace(config, training=training), tmp_path)
    trainer.fit()
    assert trainer.progress.step == -(-len(trainer.train_data) // 4)


@pytest.mark.nightly  # test_batches.py has two processes each time
def test_two_processes_train_one_model(config: Config, tmp_path: Path) -> None:
    file = write_config(tmp_path / "config.py", config, tokenizer_epochs=1, max_epochs=1)
    run = start(file, tmp_path / "work", launcher=TWO_PROCESSES)
    assert run.wait() == 0, run.stderr.read().decode()
    progress = Checkpoint.load(tmp_path / "work/epoch_1.pth").progress
    windows = len(GazeboOccWorldDataset(config.data_root, replace(config.data, split="train")))
    assert progress.step == 2 * -(-windows // 2)
    assert len(list((tmp_path / "work").glob("train_*.log"))) == 1


def test_a_gradient_that_is_not_a_number_names_the_batch(config: Config, tmp_path: Path) -> None:
    trainer = Trainer(replace(config, training=replace(config.training, tokenizer_epochs=0)), tmp_path)
    trainer.model.head.out_bias.register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(TrainingError, match=r"the gradient is nan in stage 2 on (drone|rover)_0_\d+_\d+ from frame"):
        trainer.fit()


def test_load_from_starts_with_the_weights_and_from_scratch_does_not(config: Config, tmp_path: Path) -> None:
    training = replace(config.training, tokenizer_epochs=1, max_epochs=0)
    Trainer(replace(config, training=training), tmp_path / "stage1").fit()
    stage1 = tmp_path / "stage1/tokenizer_1.pth"
    again = Trainer(replace(config, load_from=str(stage1)), tmp_path / "stage2")
    weights = Checkpoint.load(stage1).weights
    assert all(torch.equal(value, weights[key]) for key, value in again.model.state_dict().items())
    missing = write_config(tmp_path / "config.py", replace(config, load_from="none.pth"), max_epochs=0)
    arguments = ["--config", str(missing), "--work-dir", str(tmp_path / "work")]
    assert training_command.main(arguments) == 2
    assert training_command.main([*arguments, "--from-scratch", "--epochs", "0"]) == 0


def test_wrong_gpu_ids_and_another_model_are_sentences(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit, match="2"):
        training_command.main(["--config", "c", "--work-dir", "w", "--gpu-ids", "first"])
    assert "GPU ids are numbers with commas between, such as 0,1; got 'first'" in capsys.readouterr().err
    training = replace(config.training, tokenizer_epochs=1, max_epochs=0)
    Trainer(replace(config, training=training), tmp_path).fit()
    other = write_config(tmp_path / "config.py", replace(config, model=replace(config.model, base_channel=8)))
    arguments = ["--config", str(other), "--work-dir", str(tmp_path), "--resume"]
    assert training_command.main(arguments) == 2
    assert "made with another model" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a GPU where there is none")
def test_gpu_ids_without_a_gpu_are_a_sentence(config: Config, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    file = write_config(tmp_path / "config.py", config)
    assert training_command.main(["--config", str(file), "--work-dir", str(tmp_path), "--gpu-ids", "0"]) == 2
    assert "--gpu-ids 0: this machine has no CUDA device" in capsys.readouterr().err


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_pose_that_is_not_a_number_names_its_file(tmp_path: Path, config: Config, value: float) -> None:
    folder = write_session(tmp_path, "rover_0", 1, frames=12, grid=SMALL_GRID)
    path = folder / "poses/000005.json"
    pose = json.loads(path.read_text())
    pose["velocity"]["linear"]["x"] = value
    path.write_text(json.dumps(pose))
    with pytest.raises(SessionError, match=r"poses/000005.json: .*"):
        GazeboOccWorldDataset(tmp_path, config.data)


def test_one_frame_sessions_and_an_empty_folder_are_sentences(tmp_path: Path, config: Config) -> None:
    with pytest.raises(SessionError, match="no sessions in"):
        GazeboOccWorldDataset(tmp_path, config.data)
    for seed in range(2):
        write_session(tmp_path, "rover_0", seed, frames=1, grid=SMALL_GRID)
    with pytest.raises(SessionError, match="no window of 10 consecutive frames in 2 sessions"):
        GazeboOccWorldDataset(tmp_path, config.data)


@pytest.mark.slow
def test_the_shell_script_trains_from_anywhere(config: Config, tmp_path: Path) -> None:
    script = LEARNER.parent / "scripts/run_training.sh"
    file = write_config(tmp_path / "config.py", config, tokenizer_epochs=0)
    command = ["bash", str(script), "--config", str(file), "--work-dir", "work", "--data-root", config.data_root]
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, "--epochs", "1"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "work/best.pth").exists()
    done = subprocess.run([*command, "--eval"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "warp-oracle" in done.stdout, done.stderr
    for wrong, sentence in ((["--fast"], "unknown option --fast"), (["--data-frames", "x"], "is a whole number")):
        done = subprocess.run([*command, *wrong], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 2 and sentence in done.stderr
    assert np.isfinite(json.loads((tmp_path / "work/metrics.json").read_text())["average"]["forecast"]["iou"])


RECORDING = """
import inspect, sys
from tokyo_occworld import collecting

wanted = inspect.signature(collecting.collect)

def asked(*arguments):
    values = wanted.bind(*arguments).arguments
    plan = values["plan"]
    print(values["city"], values["output"], plan.sessions, plan.frames, file=open("asked", "a"))
    return []

collecting.collect = asked
sys.argv = sys.argv[1:]
exec(sys.stdin.read())
"""


def test_the_shell_script_checks_then_records_then_trains(tmp_path: Path) -> None:
    """Training and recording are stood in for: what they are asked is what the real ones take."""
    pytest.importorskip("tokyo_occworld.collecting", reason="needs the simulator")
    (tmp_path / "recording.py").write_text(RECORDING)
    for name, body in {
        "python": f'echo "${{@:1:1}} ${{@: -1}}" | sed "s:.*/learner/::" >> asked\n'
        f'[[ $1 != - ]] || exec {sys.executable} recording.py "$@"',
        "tokyo": 'echo "tokyo $*" >> asked',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    script = LEARNER.parent / "scripts/run_training.sh"
    command = ["bash", str(script), "--work-dir", "work", "--data-root", "data", "--epochs", "3"]
    options = ["--generate-data", "--data-frames", "2", "--data-sessions", "2"]
    environment = {**os.environ, "PYTHON": str(tmp_path / "python")}
    done = subprocess.run([*command, *options], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == ["train.py --check", "tokyo city --out out/city", "- 2", "out/city data 2 2", "train.py 3"]


@pytest.mark.nightly
@pytest.mark.timeout(1500)
def test_the_shell_script_records_its_own_data(config: Config, tmp_path: Path) -> None:
    pytest.importorskip("tokyo_occworld.collecting", reason="needs the simulator")
    tokyo = replace(config, data=DatasetConfig(val_fraction=0.5))
    file = write_config(tmp_path / "config.py", tokyo, tokenizer_epochs=0, max_epochs=1)
    script = LEARNER.parent / "scripts/run_training.sh"
    command = ["bash", str(script), "--config", str(file), "--work-dir", "work", "--data-root", "data"]
    options = ["--generate-data", "--data-frames", "11", "--data-sessions", "4"]
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, *options], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    sessions = find_sessions(tmp_path / "data")
    assert sorted(s.info.agent for s in sessions) == ["drone_0", "drone_0", "rover_0", "rover_0"]
    assert all(len(session) == 11 for session in sessions)
    assert (tmp_path / "work/best.pth").exists() and (tmp_path / "out/city/city.json").exists()
