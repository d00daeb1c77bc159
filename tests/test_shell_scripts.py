"""What holds for every shell script."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from paths import ROOT

# The launch script makes a city before `tokyo up` reads its options: it has tests of its own.
APART = {ROOT / "scripts" / name for name in ("build_messages.sh", "launch_occworld_simulation.sh")}
GUIDE = sorted({*(ROOT / "scripts").glob("*.sh")} - APART)
ALL = sorted([*(ROOT / "scripts").rglob("*.sh"), *(ROOT / "docker").glob("*.sh"), ROOT / ".ci/run"])


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="no shellcheck here: apt install shellcheck")
@pytest.mark.parametrize("script", [*ALL, *(ROOT / "scripts").rglob("*.sbatch")], ids=name)
def test_shellcheck_has_nothing_to_say(script: Path) -> None:
    result = subprocess.run(["shellcheck", str(script)], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("script", ALL, ids=name)
def test_it_can_be_run_and_stops_at_what_goes_wrong(script: Path) -> None:
    assert os.access(script, os.X_OK)
    # ROS's setup files read variables that may be unset: whoever sources them can't have -u.
    wanted = "set -eo pipefail" if "source /opt/" in script.read_text() else "set -euo pipefail"
    assert wanted in script.read_text()


@pytest.mark.parametrize("script", GUIDE, ids=name)
def test_a_script_of_the_guide_explains_itself_from_anywhere(script: Path, tmp_path: Path) -> None:
    shown = subprocess.run([str(script), "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert shown.returncode == 0 and f"Usage: scripts/{script.name}" in shown.stdout
    refused = subprocess.run([str(script), "--no-such-option"], cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode == 2 and len(refused.stderr.splitlines()) == 1, refused.stderr
    assert not list(tmp_path.iterdir()), "nothing is made before the options are understood"


def test_messages_that_are_defined_otherwise_by_now_are_built_again(tmp_path: Path) -> None:
    venv, tools = tmp_path / "venv", tmp_path / "tools"
    for folder in (venv / "bin", tools):
        folder.mkdir(parents=True)
    (venv / "bin/python").write_text("#!/bin/sh\nexit 0\n")  # every package can be imported
    (venv / "bin/python").chmod(0o755)
    for tool in ("bash", "realpath", "dirname", "cmp"):  # and no cmake
        (tools / tool).symlink_to(shutil.which(tool) or "")
    installed = venv / "share/occ_msgs/msg"
    shutil.copytree(ROOT / "ros2_ws/src/occ_msgs/msg", installed)

    def said() -> str:
        command = [str(tools / "bash"), str(ROOT / "scripts/build_messages.sh"), str(venv)]
        done = subprocess.run(command, env={"PATH": str(tools)}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stderr

    assert said() == ""
    (installed / "VoxelFrame.msg").write_text("float32 horizon\n")
    assert said().startswith("warning: no cmake, so no occ_msgs:")
    shutil.copytree(ROOT / "ros2_ws/src/occ_msgs/msg", installed, dirs_exist_ok=True)
    (installed / "ForecastScore.msg").unlink()
    assert said().count("occ_msgs") == 1, "it is built once"


def test_training_begins_with_the_numbers_of_the_guide(tmp_path: Path) -> None:
    stand_in = tmp_path / "python"
    stand_in.write_text('#!/bin/sh\nprintf "%s " "$@" >> "$ASKED"\ncat > /dev/null\necho >> "$ASKED"\n')
    stand_in.chmod(0o755)
    (tmp_path / "out/city").mkdir(parents=True)
    (tmp_path / "out/city/city.json").touch()
    script = ROOT / "scripts/run_training.sh"

    def asked(*options: str) -> list[str]:
        """What it calls, each with its arguments."""
        record = tmp_path / "asked"
        record.unlink(missing_ok=True)
        environment = {**os.environ, "PYTHON": str(stand_in), "ASKED": str(record)}
        done = subprocess.run(
            [str(script), *options], cwd=tmp_path, env=environment, input="", capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return record.read_text().splitlines()

    (plain,) = asked()
    assert "config/finetune_tokyo.py --work-dir checkpoints --data-root data/tokyo_gazebo" in plain
    (quick,) = asked("--quick", "--set", "model.patch=8")
    assert "config/demo_tokyo.py" in quick and "--epochs 2" in quick and "--set model.patch=8" in quick
    checked, recorded, trained = asked("--generate-data")
    assert "--check" in checked and recorded == "- out/city data/tokyo_gazebo 5 200 " and "train.py" in trained
    (tmp_path / "checkpoints/logs").mkdir(parents=True)
    (served,) = asked("--tensorboard")
    assert "tensorboard.main --logdir checkpoints/logs" in served, "it trains nothing"
