"""The SLURM examples, with stand-ins for the scheduler's commands: one node, or two on one machine, joined by gloo."""

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

EPOCHS = 4
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


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a job without GPUs, of one node unless a test asks for two."""
    commands = tmp_path_factory.mktemp("commands")
    for name, text in {"srun": _SRUN, "scontrol": _SCONTROL}.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{commands}:{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "REQUEUED": str(commands / "requeued"),
        "TOKYO_ROOT": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "NUMBA_NUM_THREADS": "1",
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_JOB_NUM_NODES": "1",
    }


def start(job: dict[str, str], config: Path, work: Path) -> subprocess.Popen:
    command = ["bash", str(TRAIN), "--config", str(config), "--work-dir", str(work)]
    return subprocess.Popen(command, env=job, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture(scope="module")
def file(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "config.py"
    return write_config(path, config, tokenizer_epochs=1, max_epochs=EPOCHS, checkpoint_minutes=0)


def go_on(file: Path, job: dict[str, str], config: Config, tmp_path: Path) -> None:
    """A job whose time is up goes on from its state, and its nodes train one model."""
    Path(job["REQUEUED"]).unlink(missing_ok=True)  # of a test before
    run = start(job, file, tmp_path)
    while not (tmp_path / "latest.pth").exists():
        assert run.poll() is None, run.stdout.read()
        time.sleep(0.05)
    run.send_signal(signal.SIGUSR1)
    output, _ = run.communicate(timeout=500)
    assert run.returncode == 0 and "the time is up" in output
    assert Path(job["REQUEUED"]).read_text().split() == [job["SLURM_JOB_ID"]]
    assert not (tmp_path / f"epoch_{EPOCHS}.pth").exists()
    again = start(job, file, tmp_path)
    output, _ = again.communicate(timeout=500)
    assert again.returncode == 0, output
    windows = len(GazeboOccWorldDataset(config.data_root, replace(config.data, split="train")))
    progress = Checkpoint.load(tmp_path / f"epoch_{EPOCHS}.pth").progress
    assert progress.step == (1 + EPOCHS) * -(-windows // int(job["SLURM_JOB_NUM_NODES"]))
    assert progress.processes == int(job["SLURM_JOB_NUM_NODES"])
    assert len(list(tmp_path.glob("train_*.log"))) <= 2, "the first node's alone, of each start"


@pytest.mark.slow
def test_a_job_whose_time_is_up_goes_on_from_its_state(
    file: Path, job: dict[str, str], config: Config, tmp_path: Path
) -> None:
    go_on(file, job, config, tmp_path)


@pytest.mark.nightly
def test_a_job_that_was_interrupted_ends_with_the_weights_of_one_that_was_not(
    file: Path, job: dict[str, str], config: Config, tmp_path: Path
) -> None:
    job = job | {"SLURM_JOB_NUM_NODES": "2"}
    run = start(job, file, tmp_path / "unbroken")
    output, _ = run.communicate(timeout=500)
    assert run.returncode == 0, output
    go_on(file, job, config, tmp_path)
    assert same_weights(tmp_path / f"epoch_{EPOCHS}.pth", tmp_path / f"unbroken/epoch_{EPOCHS}.pth")


@pytest.mark.parametrize("script", [TRAIN, COLLECT], ids=lambda script: script.name)
def test_a_job_that_does_not_find_the_repository_says_so(job: dict[str, str], script: Path) -> None:
    done = subprocess.run(["bash", str(script)], env=job | {"TOKYO_ROOT": "/nowhere"}, capture_output=True, text=True)
    assert done.returncode == 2 and "set TOKYO_ROOT" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_training_job_without_a_work_folder_is_refused(job: dict[str, str]) -> None:
    done = subprocess.run(["bash", str(TRAIN)], env=job, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr == "train.sbatch: --work-dir is needed\n"


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="no shellcheck here")
@pytest.mark.parametrize("script", [TRAIN, COLLECT], ids=lambda script: script.name)
def test_shellcheck_finds_nothing(script: Path) -> None:
    subprocess.run(["shellcheck", str(script)], check=True)
