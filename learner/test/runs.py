"""Training runs in processes of their own, for tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import train as training_command

from occworld.config import Config

LEARNER = Path(training_command.__file__).parent
TWO_PROCESSES = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
"""Launcher of `start`, at a port that is free."""


def write_config(path: Path, config: Config, **training: object) -> Path:
    """A config file that says what `config` does, and something else of its training section."""
    values = config.to_json()
    values["training"] |= training
    path.write_text("\n".join(f"{key} = {value!r}" for key, value in values.items()))
    return path


def start(config: Path, work: Path, *extra: str, launcher: tuple[str, ...] = ()) -> subprocess.Popen:
    command = [sys.executable, *launcher, str(LEARNER / "train.py"), "--config", str(config), "--work-dir", str(work)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    return subprocess.Popen([*command, *extra], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
