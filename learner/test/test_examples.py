"""The examples run, on small drives and a model that has learned nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from runs import LEARNER

from occworld.checkpoint import Checkpoint, TrainingState, build_model
from occworld.config import Config
from occworld.trainer import CALIBRATED


def test_a_window_is_forecast_and_scored(config: Config, drives: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.pth"
    Checkpoint(config, build_model(config).state_dict(), TrainingState()).save(model)
    command = [sys.executable, str(LEARNER / "examples/forecast_a_window.py"), str(drives), str(model)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["0.5 s", "1 s", "1.5 s", "2 s", "2.5 s", "3 s"]
    values = [float(line.split("IoU ")[1].rstrip(", m").split(",")[0]) for line in lines]
    assert 0.3 < values[0] <= 1, "an untrained model forecasts its past moved on"


def test_a_refitted_checkpoint_has_another_gate_and_the_same_weights(
    config: Config, drives: Path, tmp_path: Path
) -> None:
    before, after = tmp_path / "model.pth", tmp_path / "new/refitted.pth"
    Checkpoint(config, build_model(config).state_dict(), TrainingState()).save(before)
    command = [sys.executable, str(LEARNER / "examples/refit_a_checkpoint.py"), "--data-root", str(drives)]
    command += ["--checkpoint", str(before), "--out", str(after), "--max-windows", "2"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "fitted on 2 of" in done.stdout
    old, new = (Checkpoint.load(path).weights for path in (before, after))
    changed = {name for name in old if not old[name].equal(new[name])}
    assert {"head.gate", "head.prior_gate", "head.named_right"} <= changed <= set(CALIBRATED)
