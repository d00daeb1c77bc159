"""The SLURM examples, with stand-ins for the scheduler's commands: two nodes on one machine, joined by gloo."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from test_resume import same_weights, write_config

from occworld.checkpoint import Checkpoint
from occworld.config import Config
from occworld.dataset import GazeboOccWorldDataset

ROOT = Path(__file__).resolve().parents[2]
TRAIN, COLLECT = ROOT / "scripts/slurm/train.sbatch", ROOT / "scripts/slurm/collect.sbatch"

# Every task of a job gets the command; signals that come to srun go to all of them.
_SRUN = """#!/usr/bin/env bash
[[ $1 == --kill-on-bad-exit=1 ]] && shift
for ((node = 0; node < SLURM_JOB_NUM_NODES; node++)); do SLURM_NODEID=$node SLURM_PROCID=$node "$@" & tasks+=($!); done
trap 'kill -TERM "${tasks[@]}" 2>/dev/null' TERM
code=0
for task in "${tasks[@]}"; do
  while kill -0 "$task" 2>/dev/null; do wait "$task"; done
  wait "$task" || code=$?
done
exit "$code"
"""
_SCONTROL = """#!/usr/bin/env bash
case $1 in
  show) printf '%s\\n' localhost localhost ;;
  requeue) echo "$2" >>"$REQUEUED" ;;
esac
"""


@pytest.fixture
def job(tmp_path: Path) -> dict[str, str]:
    """The environment of a job of two nodes without GPUs."""
    commands = tmp_path / "commands"
    commands.mkdir()
    for name, text in {"srun": _SRUN, "scontrol": _SCONTROL}.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{commands}:{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "REQUEUED": str(tmp_path / "requeued"),
        "TOKYO_ROOT": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "NUMBA_NUM_THREADS": "1",
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_JOB_NUM_NODES": "2",
    }


def start(job: dict[str, str], config: Path, work: Path) -> subprocess.Popen:
    command = ["bash", str(TRAIN), "--config", str(config), "--work-dir", str(work)]
    return subprocess.Popen(command, env=job, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_two_nodes_train_one_model(config: Config, job: dict[str, str], tmp_path: Path) -> None:
    file = write_config(tmp_path / "config.py", config, tokenizer_epochs=1, max_epochs=1)
    run = start(job, file, tmp_path / "work")
    output, _ = run.communicate(timeout=500)
    assert run.returncode == 0, output
    windows = len(GazeboOccWorldDataset(config.data_root, replace(config.data, split="train")))
    assert Checkpoint.load(tmp_path / "work/epoch_1.pth").progress.step == 2 * -(-windows // 2)
    assert not (tmp_path / "requeued").exists()


def test_a_job_whose_time_is_up_goes_on_from_its_state(config: Config, job: dict[str, str], tmp_path: Path) -> None:
    file = write_config(tmp_path / "config.py", config, tokenizer_epochs=1, max_epochs=2, checkpoint_minutes=0)
    work = tmp_path / "work"
    run = start(job, file, work)
    while not (work / "latest.pth").exists():
        assert run.poll() is None, run.stdout.read()
        time.sleep(0.05)
    run.send_signal(signal.SIGUSR1)
    output, _ = run.communicate(timeout=500)
    assert run.returncode == 0 and "the time is up" in output
    assert (tmp_path / "requeued").read_text().split() == [job["SLURM_JOB_ID"]]
    first = Checkpoint.load(work / "latest.pth").progress
    assert not (work / "epoch_2.pth").exists()
    again = start(job, file, work)
    output, _ = again.communicate(timeout=500)
    assert again.returncode == 0, output
    last = Checkpoint.load(work / "epoch_2.pth").progress
    assert last.stage2 == 2 and last.step > first.step
    unbroken = start(job, file, tmp_path / "unbroken")
    assert unbroken.wait(500) == 0
    assert same_weights(work / "epoch_2.pth", tmp_path / "unbroken/epoch_2.pth")


@pytest.mark.parametrize(
    ("script", "change"), [(TRAIN, {"TOKYO_ROOT": "/nowhere"}), (COLLECT, {"TOKYO_ROOT": "/nowhere"}), (TRAIN, {})]
)
def test_a_job_that_can_not_begin_says_why(job: dict[str, str], script: Path, change: dict[str, str]) -> None:
    done = subprocess.run(["bash", str(script)], env=job | change, capture_output=True, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "set TOKYO_ROOT" in done.stderr if change else "--work-dir" in done.stderr


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="no shellcheck here")
@pytest.mark.parametrize("script", [TRAIN, COLLECT], ids=lambda script: script.name)
def test_shellcheck_finds_nothing(script: Path) -> None:
    subprocess.run(["shellcheck", str(script)], check=True)
