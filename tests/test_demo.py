"""The demo, shortened: every stage for real, and a second run that finds all of it up to date."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import in_process
import numpy as np
import pytest
from PIL import Image

from tokyo_occworld.demo.tour import LARGEST, draw_tour

HORIZONS = [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
# `tokyo`, with a live stage that ends after a few forecasts.
_SHORT_LIVE = (
    "from tokyo_occworld.demo import live; live._WANTED_FORECASTS = 5; from tokyo_occworld.cli.main import main; main()"
)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


def arguments(out: Path, city: Path) -> list[str]:
    """The shortest demo that has all stages, on the CityGML of the small city."""
    source = str(city.parent / "citygml")
    short = ["--drives", "2", "--drive-seconds", "6", "--steps", "24"]  # each tenth is drawn
    return ["demo", "--out", str(out), "--city-source", source, *short]


@pytest.mark.timeout(1200)
def test_the_demo_goes_round_the_whole_loop(out: Path, city: Path) -> None:
    command = [sys.executable, "-c", _SHORT_LIVE, *arguments(out, city)]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert result.returncode == 0, result.stdout[-4000:]
    report = json.loads((out / "report.json").read_text())
    assert [s["name"] for s in report["stages"]] == ["city", "drive 01", "drive 02", "train", "evaluate", "live"]
    assert report["missing"] == []
    assert len(report["sessions"]) == 4
    scores = report["evaluation"]["scores"]
    assert set(scores) == {"forecast", "copy", "warp", "warp_oracle"}
    for method, rows in scores.items():
        assert [row["horizon_s"] for row in rows] == HORIZONS, method
        assert all(0 <= row[name] <= 1 for row in rows for name in ("iou", "miou"))
    # Knowing where the vehicle will be helps: a mirrored or swapped axis in frames, poses or warp shows here.
    assert all(a["iou"] > b["iou"] for a, b in zip(scores["warp_oracle"], scores["copy"], strict=True))
    assert scores["warp_oracle"][0]["iou"] > 0.5
    assert report["live"]["horizons_s"] == HORIZONS
    assert report["live"]["latency_s"]["model"]["p50"] > 0
    assert list((out / "training/logs").rglob("events.out.*"))


def test_its_report_has_pictures_that_show_something(out: Path) -> None:
    page = (out / "report.html").read_text()
    pictures = list((out / "pictures").glob("*.png"))
    assert len(pictures) >= 6
    for picture in pictures:
        assert f"pictures/{picture.name}" in page
        pixels = np.asarray(Image.open(picture).convert("RGB").resize((64, 64))).reshape(-1, 3)
        assert len(np.unique(pixels, axis=0)) > 30, picture.name
    assert page.index("pictures/forecast.webp") == page.index("pictures/"), "truth beside the forecast comes first"
    with Image.open(out / "pictures/forecast.webp") as film:
        assert film.n_frames == 1 + len(HORIZONS)


def test_the_tour_s_pictures_are_drawn_from_its_folder(out: Path, tmp_path: Path) -> None:
    drawn = draw_tour(out, tmp_path)
    assert {path.name for path in drawn} >= {"tour_grid.png", "tour_forecast.png", "tour_scores.png"}
    assert sorted(tmp_path.iterdir()) == sorted(drawn)
    for path in drawn:
        pixels = np.asarray(Image.open(path).convert("RGB").resize((64, 64))).reshape(-1, 3)
        assert path.stat().st_size <= LARGEST and len(np.unique(pixels, axis=0)) > 30, path.name
    with pytest.raises(FileNotFoundError, match="make demo"):
        draw_tour(tmp_path, tmp_path)


def test_a_second_run_reuses_every_stage(out: Path, city: Path) -> None:
    again = in_process.tokyo(*arguments(out, city))
    assert again.returncode == 0 and again.stdout.count("up to date") == 6
