"""What report.html says first, and what it says of the machine and of whose data it is."""

from __future__ import annotations

import os

import pytest

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
