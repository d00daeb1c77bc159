"""Settings on a command line, and where a run writes without being told."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import train as training_command
from runs import LEARNER, write_config

from occworld.checkpoint import Checkpoint
from occworld.config import Config, ConfigError, FastConfig, with_settings
from occworld.trainer import Trainer


def test_any_field_can_be_set(faithful: Config) -> None:
    config = with_settings(
        faithful,
        ["optimizer.lr=3e-4", "model.pose_hidden=32", "data.agent_type=rover", "max_epochs=3",
         "training.recompute=True", "data_root=elsewhere/of mine", "data.voxel_size=[0.8, 0.8, 1.25]",
         "optimizer.grad_clip=1"],
    )  # fmt: skip
    wanted = replace(
        faithful, data_root="elsewhere/of mine", optimizer=replace(faithful.optimizer, lr=3e-4, grad_clip=1.0),
        model=replace(faithful.model, pose_hidden=32), data=replace(faithful.data, agent_type="rover"),
        training=replace(faithful.training, max_epochs=3, recompute=True),
    )  # fmt: skip
    assert config == wanted and isinstance(config.optimizer.grad_clip, float)


def test_another_architecture_begins_with_its_own_defaults(faithful: Config) -> None:
    config = with_settings(faithful, ["model.architecture=fast", "model.patch=8"])
    assert config.model == FastConfig(patch=8)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("optimizer.rl=1", "--set: unknown key 'optimizer.rl', the nearest is 'optimizer.lr'"),
        ("optimizer.lr=fast", "--set: 'optimizer.lr' is of type float, got 'fast'"),
        ("training.batch_size=1.5", "--set: 'training.batch_size' is of type int, got 1.5"),
        ("training.batch_size=0", "training.batch_size is at least 1, got 0"),
        ("optimiser.lr=1", "there is no section 'optimiser'"),
        ("optimizer.lr", "SECTION.FIELD=VALUE is wanted"),
        ("optimizer=3", "--set: 'optimizer' is a dict of settings, got 3"),
        ("model.code_dim=17", "differs from code_dim 17"),
    ],
)
def test_what_is_no_setting_is_one_sentence(
    faithful: Config, tmp_path: Path, capsys: pytest.CaptureFixture, setting: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=r"^--set"):
        with_settings(faithful, [setting])
    file = write_config(tmp_path / "config.py", faithful)
    arguments = ["--config", str(file), "--work-dir", str(tmp_path / "work"), "--check", "--set", setting]
    assert training_command.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line and not (tmp_path / "work").exists()


def test_settings_reach_the_run_and_named_options_come_after_them() -> None:
    arguments = training_command.arguments(
        ["--config", str(LEARNER / "config/demo_tokyo.py"), "--set", "optimizer.lr=1", "model.patch=8",
         "--set", "training.seed=5", "--lr", "0.5"]
    )  # fmt: skip
    config = training_command._config(arguments)
    assert (config.optimizer.lr, config.model.patch, config.training.seed) == (0.5, 8, 5)


def test_a_run_without_a_work_folder_writes_into_checkpoints(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = write_config(tmp_path / "config.py", config)
    assert training_command.main(["--config", str(file), "--max-steps", "2"]) == 0
    assert (tmp_path / "checkpoints/best.pth").is_file()


def test_curves_are_rows_too_and_a_resumed_run_goes_on_with_them(config: Config, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    short, long = (replace(config, training=replace(config.training, max_epochs=epochs)) for epochs in (1, 2))
    Trainer(short, tmp_path).fit()
    Trainer(long, tmp_path, Checkpoint.load(tmp_path / "epoch_1.pth")).fit()
    with open(tmp_path / "curves.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    events = EventAccumulator(str(tmp_path / "logs"))
    events.Reload()
    for tag in ("val/iou_3s", "stage2/total", "learning_rate"):
        wanted = [event.value for event in events.Scalars(tag)]
        found = [row for row in rows if row["name"] == tag]
        assert [int(row["step"]) for row in found] == [event.step for event in events.Scalars(tag)] and len(found) > 1
        assert [float(row["value"]) for row in found] == pytest.approx(wanted, rel=1e-6)
