"""Runs that are killed, spread over processes, or given what can't work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import train as training_command
from runs import LEARNER, start, write_config
from street import SMALL_GRID, write_session

from occ_core.session import SessionError, find_sessions
from occworld.checkpoint import Checkpoint
from occworld.config import Config
from occworld.dataset import DatasetConfig, GazeboOccWorldDataset
from occworld.trainer import Trainer, TrainingError


def same_weights(one: Path, other: Path) -> bool:
    ours, theirs = (Checkpoint.load(path).weights for path in (one, other))
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_run_killed_in_mid_epoch_and_resumed_equals_an_unbroken_one(
    config: Config, tmp_path: Path, accumulate: int
) -> None:
    file = write_config(
        tmp_path / "config.py", config, tokenizer_epochs=1, max_epochs=1, checkpoint_minutes=0, accumulate=accumulate
    )
    unbroken, broken = start(file, tmp_path / "unbroken"), start(file, tmp_path / "broken")
    latest = tmp_path / "broken/latest.pth"
    # In the forecast stage, after some of its batches and before the last.
    while broken.poll() is None:
        time.sleep(0.02)
        if latest.exists() and (at := Checkpoint.load(latest).progress).stage1 == 1 and at.batches >= 2:
            broken.send_signal(signal.SIGKILL)
            break
    assert broken.wait() == -signal.SIGKILL
    assert not (tmp_path / "broken/epoch_1.pth").exists()
    resumed = start(file, tmp_path / "broken", "--resume")
    assert resumed.wait() == 0, resumed.stderr.read().decode()
    assert unbroken.wait() == 0, unbroken.stderr.read().decode()
    assert same_weights(tmp_path / "unbroken/epoch_1.pth", tmp_path / "broken/epoch_1.pth")


def test_ctrl_c_saves_after_the_step_in_hand(config: Config, tmp_path: Path) -> None:
    file = write_config(tmp_path / "config.py", config, tokenizer_epochs=500)
    run = start(file, tmp_path / "work")
    while not list((tmp_path / "work").glob("train_*.log")) and run.poll() is None:
        time.sleep(0.05)
    time.sleep(1.0)
    run.send_signal(signal.SIGINT)
    assert run.wait() == 0, run.stderr.read().decode()
    assert "interrupted; continue with --resume" in next((tmp_path / "work").glob("train_*.log")).read_text()
    assert Checkpoint.load(tmp_path / "work/latest.pth").progress.step >= 0


def test_accumulated_batches_make_fewer_steps(config: Config, tmp_path: Path) -> None:
    training = replace(config.training, tokenizer_epochs=0, max_epochs=1, accumulate=4)
    trainer = Trainer(replace(config, training=training), tmp_path)
    trainer.fit()
    assert trainer.progress.step == -(-len(trainer.train_data) // 4)


def test_two_processes_train_one_model(config: Config, tmp_path: Path) -> None:
    file = write_config(tmp_path / "config.py", config, tokenizer_epochs=1, max_epochs=1)
    torchrun = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29568")
    run = start(file, tmp_path / "work", launcher=torchrun)
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
