"""What report.html says first, and what it says of the machine and of whose data it is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure
from PIL import Image, ImageSequence

from occ_core.classes import Semantic
from occ_core.grid import TOKYO_GRID
from tokyo_occworld.demo import pictures
from tokyo_occworld.demo.report import _hardware, _page, verdict

LIVE = {
    "forecasts": 20,
    "latency_s": {
        "sweep to forecast": {"p50": 0.918, "p95": 1.7, "max": 1.9},
        "model": {"p50": 0.6, "p95": 1, "max": 1},
    },
}


def evaluation(forecast: float, copy: float = 0.09, warp: float = 0.11) -> dict:
    ious = {"forecast": forecast, "copy": copy, "warp": warp, "warp_oracle": 0.4}
    return {"scores": {name: [{"horizon_s": 3.0, "iou": iou, "miou": 0.1}] for name, iou in ious.items()}}


def body(**more: object) -> dict:
    machine = {"processor": "Some CPU", "cores": 2, "memory_gb": 8.0}
    return {
        "seed": 7, "machine": machine, "stages": [{"name": "city", "seconds": 3.0}], "missing": [], "wall_time_s": 3.0,
        "city": {"attribution": "3D city model: Project PLATEAU"}, "generated_city": True, "sessions": {"rover_0": 40},
        "evaluation": evaluation(0.16), "live": LIVE,
    } | more  # fmt: skip


def test_the_verdict_is_two_sentences_with_the_gain_over_doing_nothing() -> None:
    assert verdict(evaluation(0.16), LIVE) == (
        "What LiDAR will see of the street 3 s ahead was forecast, on drives that were not trained on, with an IoU of"
        " 16.0%: 5.0 points more than the better of changing nothing (9.0%) and moving the present on (11.0%)."
        " Live, a forecast is there 0.92 s after its LiDAR sweep (median of 20)."
    )


@pytest.mark.parametrize(
    ("scores", "live", "words"),
    [
        (evaluation(0.08), LIVE, "3.0 points less than"),
        (evaluation(0.16, copy=0.15), LIVE, "1.0 points more than"),
        (None, LIVE, "Nothing was evaluated"),
        (evaluation(0.16), None, "No live forecast was measured."),
        (evaluation(0.16), LIVE | {"forecasts": 0}, "No live forecast was measured."),
    ],
)
def test_it_does_not_say_more_than_was_measured(scores: dict | None, live: dict | None, words: str) -> None:
    assert words in verdict(scores, live)


def test_the_page_has_verdict_picture_words_and_tables_in_this_order() -> None:
    page = _page(body(), [("forecast.png", "Truth beside forecast"), ("iou.png", "IoU"), ("city.png", "The city")])
    marks = ['class="verdict"', "pictures/forecast.png", "warp-oracle</dt>", "<h2>IoU", "pictures/iou.png", "Some CPU"]
    places = [page.index(mark) for mark in marks]
    assert places == sorted(places)
    assert "2 cores" in page and "8.0 GB" in page


def test_plateau_is_credited_where_its_data_was_used_only() -> None:
    shown = [("forecast.png", "Truth beside forecast")]
    assert "Project PLATEAU" not in _page(body(), shown)
    assert "Project PLATEAU" in _page(body(generated_city=False), shown)


def test_without_an_evaluation_the_page_is_still_whole() -> None:
    page = _page(body(evaluation=None, live=None, missing=["train: it failed"]), [("city.png", "The city")])
    assert "Missing: train: it failed" in page and "pictures/city.png" in page


def test_the_machine_is_this_one() -> None:
    found = _hardware()
    assert found["cores"] == len(os.sched_getaffinity(0)) and found["memory_gb"] > 0.1 and found["processor"]


# -- pictures


SCORES = {
    "forecast": [{"horizon_s": 0.5, "iou": 0.75, "miou": 0.5}, {"horizon_s": 1.0, "iou": 0.5, "miou": 0.25}],
    "copy": [{"horizon_s": 0.5, "iou": 0.5, "miou": 0.25}, {"horizon_s": 1.0, "iou": 0.4, "miou": 0.5}],
    "warp": [{"horizon_s": 0.5, "iou": 0.7, "miou": 0.3}, {"horizon_s": 1.0, "iou": 0.3, "miou": 0.1}],
    "warp_oracle": [{"horizon_s": 0.5, "iou": 0.9, "miou": 0.9}, {"horizon_s": 1.0, "iou": 0.9, "miou": 0.9}],
}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Figures instead of files."""
    figures: list[Figure] = []
    monkeypatch.setattr(pictures, "_save", lambda figure, path: figures.append(figure))
    yield figures
    for figure in figures:
        pyplot.close(figure)


def test_gains_are_points_ahead_of_the_better_baseline_that_a_forecast_could_be() -> None:
    assert pictures.gains(SCORES, "iou") == pytest.approx([5.0, 10.0])
    assert pictures.gains(SCORES, "miou") == pytest.approx([20.0, -25.0])


def test_the_axes_of_the_scores_show_differences_and_hold_every_value(drawn: list[Figure], tmp_path: Path) -> None:
    pictures.iou_by_horizon({"scores": SCORES}, tmp_path / "iou.png")
    iou, miou, gain = drawn[0].axes
    assert iou.get_ylim() == pytest.approx((24.0, 96.0)), "30 to 90 and a tenth of that: not from zero"
    assert miou.get_ylim() == pytest.approx((2.0, 98.0))
    assert {line.get_label() for line in iou.lines} == {"forecast", "copy", "warp", "warp-oracle"}
    assert [bar.get_height() for bar in gain.patches] == pytest.approx([5.0, 10.0, 20.0, -25.0])


@pytest.mark.parametrize("count", [2, 40, 3000])
def test_every_value_of_a_training_curve_is_a_point(drawn: list[Figure], tmp_path: Path, count: int) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as board:
        for step in range(count):
            board.add_scalar("loss", 1.0 / (step + 1), step)
            board.add_scalar("constant", 0.0, step)
            board.add_scalar("val_class_1s/car", step, step)
            for horizon in ("0.5s", "1s"):
                board.add_scalar(f"val/iou_{horizon}", step, step)
    pictures.training_curves(tmp_path, tmp_path / "training.png")
    shown = {axis.get_title(): axis.lines for axis in drawn[0].axes if axis.lines}
    assert set(shown) == {"loss", "val/iou"}
    assert [line.get_label() for line in shown["val/iou"]] == ["0.5s", "1s"]
    for line in (*shown["loss"], *shown["val/iou"]):
        assert line.get_marker() == "." and len(line.get_xdata()) == count


def test_the_moving_picture_has_truth_beside_the_forecast_at_each_horizon(tmp_path: Path) -> None:
    grids = np.zeros((8, *TOKYO_GRID.shape), np.uint8)
    for step, grid in enumerate(grids):
        grid[60:140, 60:140, 1] = Semantic.ROAD
        grid[70 + 8 * step : 80 + 8 * step, 98:102, 2:4] = Semantic.CAR
    samples = tmp_path / "samples.npz"
    # The forecast is the truth of one step before.
    np.savez_compressed(samples, current=grids[1], truth=grids[2:], forecast=grids[1:-1])
    pictures.forecast_in_3d(samples, tmp_path / "forecast.webp")
    with Image.open(tmp_path / "forecast.webp") as film:
        frames = [np.asarray(frame.convert("RGB")).astype(int) for frame in ImageSequence.Iterator(film)]
    assert len(frames) == 7 and len({frame.shape for frame in frames}) == 1
    half, room = (frames[0].shape[1] - 18) // 2, slice(40, -40)
    lefts, rights = [f[room, :half] for f in frames], [f[room, half + 18 :] for f in frames]
    assert np.abs(lefts[0] - rights[0]).mean() < 1, "now is on both sides"
    came, said = [car(view) for view in lefts], [car(view) for view in rights]
    assert said[1:] == pytest.approx(came[:-1], abs=1.5), "what was forecast is what came half a second before"
    assert all(abs(a - b) > 4 for a, b in zip(came, came[1:], strict=False)), "and that it moved can be seen"


def car(view: np.ndarray) -> float:
    """Middle row of the blue pixels."""
    rows, _ = np.nonzero(view[:, :, 2] - view[:, :, 0] > 80)
    return float(rows.mean())


def test_the_iou_that_a_picture_says() -> None:
    forecast, truth = np.array([[1, 1, 0, 0]], np.uint8), np.array([[0, 3, 5, 0]], np.uint8)
    assert pictures.iou_of(forecast, truth) == pytest.approx(1 / 3)
    assert pictures.iou_of(0 * forecast, 0 * truth) == 1.0
