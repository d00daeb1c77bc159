"""What a run writes down: curves, pictures, tables."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from occworld.config import Config
from occworld.trainer import Trainer


def _short(config: Config, **training: int) -> Config:
    quick = replace(config.optimizer, lr=4e-3), replace(config.lr_config, warmup_iters=2)
    return replace(config, optimizer=quick[0], lr_config=quick[1], training=replace(config.training, **training))


def test_tensorboard_has_what_a_run_did(faithful: Config, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer = Trainer(_short(faithful, tokenizer_epochs=2, max_epochs=2), tmp_path)
    evaluation = trainer.fit()
    events = EventAccumulator(str(tmp_path / "logs"))
    events.Reload()
    curves = {tag: [event.value for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    steps = range(10, trainer.progress.step + 1, 10)
    assert [event.step for event in events.Scalars("learning_rate")] == list(steps)
    for tag in ("total", "classes", "code", "codebook_use", "perplexity"):
        assert len(curves[f"stage1/{tag}"]) + len(curves[f"stage2/{tag}"]) == len(steps)
    assert curves["stage1/total"][-1] < curves["stage1/total"][0]
    assert all(1 <= value <= faithful.model.num_codes for value in curves["stage1/perplexity"])
    assert all(0 < value <= 1 for value in curves["stage1/codebook_use"])
    assert all(value > 0 for tag in ("samples_per_s", "peak_memory_gb", "learning_rate") for value in curves[tag])
    last = evaluation.scores["forecast"][-1]
    assert curves["val/iou_3s"][-1] == pytest.approx(last.iou) and last.per_class
    for name, value in last.per_class.items():
        assert curves[f"val_class_3s/{name}"][-1] == pytest.approx(value)
    assert len(events.Images("truth above, forecast below")) == 2


def test_the_averages_are_those_of_one_two_and_three_seconds(faithful: Config, tmp_path: Path) -> None:
    evaluation = Trainer(_short(faithful, tokenizer_epochs=0, max_epochs=1), tmp_path).fit()
    rows = {row.horizon_s: row for row in evaluation.scores["warp"]}
    assert evaluation.average["warp"]["iou"] == pytest.approx(sum(rows[s].iou for s in (1.0, 2.0, 3.0)) / 3)
    assert evaluation.average["warp"]["miou"] == pytest.approx(sum(rows[s].miou for s in (1.0, 2.0, 3.0)) / 3)
    body = json.loads((tmp_path / "metrics.json").read_text())
    assert [row["horizon_s"] for row in body["scores"]["forecast"]] == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    assert (tmp_path / "metrics.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
