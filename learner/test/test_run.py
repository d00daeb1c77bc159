"""Whole runs: training, resuming, evaluating, forecasting, and files that must be refused."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import eval as evaluation_command
import export as export_command
import numpy as np
import pytest
import torch
import train as training_command
from street import SMALL_GRID

from occ_core.grid import TOKYO_GRID
from occ_core.session import find_sessions
from occworld.checkpoint import Checkpoint
from occworld.checkpoint_file import CheckpointError
from occworld.config import Config
from occworld.forecaster import Forecaster
from occworld.trainer import Trainer, TrainingError


@pytest.fixture(scope="module")
def finished(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one tokenizer epoch and two forecast epochs."""
    work = tmp_path_factory.mktemp("run")
    Trainer(config, work).fit()
    return work


def test_a_run_leaves_what_the_guide_says(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert {"tokenizer_1.pth", "epoch_1.pth", "epoch_2.pth", "best.pth", "metrics.json", "logs"} <= names
    assert list(finished.glob("train_*.log")) and list(finished.glob("logs/events.out.*"))
    metrics = json.loads((finished / "metrics.json").read_text())
    methods = {"forecast", "copy", "warp", "warp_oracle"}
    assert (
        set(metrics["scores"]) == set(metrics["observed"]) == set(metrics["average"]) == set(metrics["vpq"]) == methods
    )
    assert set(metrics["paths"]["forecast"]) == {
        "ade", "fde", "l2_1s", "l2_2s", "l2_3s", "collision_1s", "collision_2s", "collision_3s",
    }  # fmt: skip


def test_tensorboard_has_curves_and_pictures(finished: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(finished / "logs"))
    events.Reload()
    wanted = {
        "stage1/total",
        "stage1/perplexity",
        "stage2/codebook_use",
        "learning_rate",
        "samples_per_s",
        "val/iou_1s",
    }
    assert wanted <= set(events.Tags()["scalars"])
    assert any(tag.startswith("val_class_3s/") for tag in events.Tags()["scalars"])
    picture = events.Images("truth above, forecast below")[-1]
    assert (picture.height, picture.width) == (2 * 44, 6 * 44)


def test_an_exported_model_is_the_same_model_with_a_card(finished: Path, drives: Path, tmp_path: Path) -> None:
    arguments = ["--checkpoint", str(finished / "best.pth"), "--data-root", str(drives), "--out", str(tmp_path)]
    assert export_command.main([*arguments, "--command", "python train.py --seed 42", "--max-windows", "1"]) == 0
    there, here = Checkpoint.load(finished / "best.pth"), Checkpoint.load(tmp_path / "model.safetensors")
    assert here.config.model == there.config.model and here.progress == there.progress
    assert all(torch.equal(there.weights[key], here.weights[key]) for key in there.weights)
    card = (tmp_path / "README.md").read_text()
    assert (
        "python train.py --seed 42" in card
        and "4 sessions, 56 frames" in card
        and "no plan" in card
        and "planned poses" in card
    )
    again = [*arguments, "--command", "again", "--max-windows", "1", "--unseen", str(drives)]
    assert export_command.main(again) == 0 and "a city that it has not seen" in (tmp_path / "README.md").read_text()
    (tmp_path / "half.safetensors").write_bytes((tmp_path / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="not a whole checkpoint"):
        Checkpoint.load(tmp_path / "half.safetensors")


@pytest.mark.parametrize("name", ["tokenizer_1.pth", "epoch_1.pth"])
def test_a_resumed_run_equals_an_unbroken_one(config: Config, finished: Path, tmp_path: Path, name: str) -> None:
    Trainer(config, tmp_path, Checkpoint.load(finished / name)).fit()
    unbroken, resumed = (Checkpoint.load(folder / "epoch_2.pth").weights for folder in (finished, tmp_path))
    assert all(torch.equal(unbroken[key], resumed[key]) for key in unbroken)


def test_a_forecaster_answers_and_checks(finished: Path, drives: Path) -> None:
    forecaster = Forecaster.load(finished / "best.pth", grid=SMALL_GRID)
    session = find_sessions(drives)[0]
    grids = [session.classes(n) for n in session.numbers[:4]]
    states = [session.state(n) for n in session.numbers[:4]]
    result = forecaster(grids, states)
    assert result.horizons_s == (0.5, 1.0, 1.5, 2.0, 2.5, 3.0) and result.path.shape == (6, 3)
    assert all(grid.shape == SMALL_GRID.shape and grid.dtype == np.uint8 for grid in result.classes)
    plan = [session.state(n).footprint for n in session.numbers[4:10]]
    assert np.allclose(
        forecaster(grids, states, plan).path[0, :2], (states[-1].footprint.inverse() @ plan[0]).position[:2]
    )
    with pytest.raises(ValueError, match="needs 4 grids and states, got 3 and 4"):
        forecaster(grids[1:], states)
    with pytest.raises(CheckpointError, match="made for another grid"):
        Forecaster.load(finished / "best.pth", grid=TOKYO_GRID)


def test_the_eval_command_writes_tables_and_a_sample(finished: Path, drives: Path, tmp_path: Path) -> None:
    arguments = ["--checkpoint", str(finished / "best.pth"), "--data-root", str(drives), "--out", str(tmp_path)]
    assert evaluation_command.main([*arguments, "--max-windows", "2"]) == 0
    assert "| warp-oracle |" in (tmp_path / "metrics.md").read_text()
    with np.load(tmp_path / "samples.npz", allow_pickle=False) as sample:
        assert sample["truth"].shape == sample["forecast"].shape == (6, *SMALL_GRID.shape)


class _Malice:
    def __reduce__(self):
        return (print, ("this must never run",))


def test_a_malicious_pickle_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    torch.save({"format": 1, "weights": _Malice()}, tmp_path / "zip.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(_Malice()))
    for path in tmp_path.iterdir():
        with pytest.raises(CheckpointError):
            Checkpoint.load(path)
    assert "this must never run" not in capsys.readouterr().out


def test_a_truncated_checkpoint_and_another_class_table_are_sentences(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "half.pth").write_bytes((finished / "best.pth").read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="not a whole checkpoint"):
        Checkpoint.load(tmp_path / "half.pth")
    body = torch.load(finished / "best.pth", weights_only=True)
    torch.save({**body, "classes": ["empty", "cat"]}, tmp_path / "cat.pth")
    with pytest.raises(CheckpointError, match="another class table"):
        Checkpoint.load(tmp_path / "cat.pth")


def test_a_loss_that_is_not_a_number_names_the_batch(config: Config, tmp_path: Path) -> None:
    trainer = Trainer(replace(config, training=replace(config.training, tokenizer_epochs=0)), tmp_path)
    with torch.no_grad():
        trainer.model.pose_encoder.net[0].weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"loss is nan in stage 2 on (drone|rover)_0_\d+_\d+ from frame \d+"):
        trainer.fit()


def test_bad_usage_exits_with_two(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    missing = ["--config", str(tmp_path / "none.py"), "--work-dir", str(tmp_path)]
    assert training_command.main(missing) == 2
    demo = str(Path(training_command.__file__).parent / "config/demo_tokyo.py")
    assert training_command.main(["--config", demo, "--work-dir", str(tmp_path), "--resume"]) == 2
    assert training_command.main(["--config", demo, "--work-dir", str(tmp_path), "--data-root", str(tmp_path)]) == 2
    errors = capsys.readouterr().err
    assert "no config file" in errors and "nothing to resume" in errors and "no sessions in" in errors
