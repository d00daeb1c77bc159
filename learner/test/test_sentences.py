"""What can't be trained on or loaded: exit code 2, one sentence, no trace."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import eval as evaluation_command
import pytest
import torch
import train as training_command
from runs import write_config
from street import SMALL_GRID, write_session

from occ_core.grid import VoxelGrid
from occworld.checkpoint import Checkpoint, TrainingState, build_model
from occworld.config import Config

OTHER_GRID = VoxelGrid((-8.0, -8.0, -2.0), (8.0, 8.0, 3.0), (0.8, 0.8, 1.25))


def nothing(root: Path) -> None:
    root.mkdir()


def one_frame(root: Path) -> None:
    for seed in range(2):
        write_session(root, "rover_0", seed, frames=1, grid=SMALL_GRID)


def one_drive(root: Path) -> None:
    write_session(root, "rover_0", 1, frames=12, grid=SMALL_GRID)


def other_grid(root: Path) -> None:
    write_session(root, "rover_0", 1, frames=1, grid=OTHER_GRID)


def other_classes(root: Path) -> None:
    path = write_session(root, "rover_0", 1, frames=1, grid=SMALL_GRID) / "session.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "classes": ["empty", "cat"]}))


def nan_pose(root: Path) -> None:
    for seed in range(2):
        folder = write_session(root, "rover_0", seed, frames=11, grid=SMALL_GRID)
    path = folder / "poses/000003.json"
    pose = json.loads(path.read_text())
    pose["position"]["x"] = float("nan")
    path.write_text(json.dumps(pose))


def torn_grid(root: Path) -> None:
    for seed in range(2):
        folder = write_session(root, "rover_0", seed, frames=11, grid=SMALL_GRID)
    path = folder / "occupancy/000003_occupancy.npz"
    path.write_bytes(path.read_bytes()[:300])


def sentence(capsys: pytest.CaptureFixture) -> str:
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith(("train.py:", "eval.py:"))]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (nothing, "no sessions in"),
        (one_frame, "no window of 10 consecutive frames"),
        (one_drive, "only one session of type rover"),
        (other_grid, "recorded on another grid"),
        (other_classes, "recorded with another class table"),
        (nan_pose, "poses/000003.json"),
        (torn_grid, "occupancy/000003_occupancy.npz"),
    ],
)
def test_data_that_cannot_be_trained_on(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture, make: Callable[[Path], None], words: str
) -> None:
    make(tmp_path / "data")
    file = write_config(tmp_path / "config.py", config)
    arguments = ["--config", str(file), "--work-dir", str(tmp_path / "work"), "--data-root", str(tmp_path / "data")]
    assert training_command.main(arguments) == 2
    assert words in sentence(capsys)


class Malice:
    def __reduce__(self):
        return print, ("this must never run",)


@pytest.fixture(scope="module")
def saved(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "epoch_1.pth"
    Checkpoint(config, build_model(config).state_dict(), TrainingState(stage1=1, stage2=1)).save(path)
    return path


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def malicious_zip(path: Path) -> None:
    torch.save({**torch.load(path, weights_only=True), "weights": Malice()}, path)


def malicious_raw(path: Path) -> None:
    path.write_bytes(pickle.dumps(Malice()))


def text(path: Path) -> None:
    path.write_text("weights")


def renamed_class(path: Path) -> None:
    torch.save({**torch.load(path, weights_only=True), "classes": ["empty", "cat"]}, path)


def moved_grid(path: Path) -> None:
    torch.save({**torch.load(path, weights_only=True), "grid": OTHER_GRID.to_dict()}, path)


def lost_tensor(path: Path) -> None:
    body = torch.load(path, weights_only=True)
    torch.save({**body, "weights": dict(list(body["weights"].items())[1:])}, path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (truncated, "not a whole checkpoint"),
        (malicious_zip, "refused, it holds more than tensors"),
        (malicious_raw, "epoch_1.pth: "),
        (text, "epoch_1.pth: "),
        (renamed_class, "another class table"),
        (moved_grid, "its grid and its config disagree"),
        (lost_tensor, "Missing key"),
        (Path.unlink, "no checkpoint"),
    ],
)
@pytest.mark.parametrize("command", ["train", "eval"])
def test_checkpoints_that_cannot_be_used(
    config: Config, drives: Path, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture, command: str,
    spoil: Callable[[Path], None], words: str,
) -> None:  # fmt: skip
    path = Path(shutil.copy(saved, tmp_path))
    spoil(path)
    if command == "train":
        file = write_config(tmp_path / "config.py", config)
        arguments = ["--config", str(file), "--work-dir", str(tmp_path / "work"), "--resume-from", str(path)]
        assert training_command.main(arguments) == 2
    else:
        arguments = ["--checkpoint", str(path), "--data-root", str(drives), "--out", str(tmp_path / "out")]
        assert evaluation_command.main(arguments) == 2
    assert words in sentence(capsys)


def test_a_faithful_model_is_not_evaluated_under_a_condition_that_it_has_not_learned(
    faithful: Config, drives: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "epoch_1.pth"
    Checkpoint(faithful, build_model(faithful).state_dict(), TrainingState()).save(path)
    arguments = ["--checkpoint", str(path), "--data-root", str(drives), "--out", str(tmp_path)]
    assert evaluation_command.main([*arguments, "--condition", "poses"]) == 2
    assert "forecasts as it was trained, with condition 'none'" in sentence(capsys)
