"""What is published of a forecast: horizons, classes and probabilities that are wanted, in the current footprint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import occworld_infer.shipped as shipped
from occ_core.classes import NAMES
from occ_core.grid import VoxelGrid
from occ_core.poses import Pose
from occworld.forecaster import Forecast
from occworld.scene import ForecastFrame
from occworld_infer.prediction import PublishedPart, prediction_points

GRID = VoxelGrid((-4.0, -4.0, 0.0), (4.0, 4.0, 4.0), (0.5, 0.5, 1.0))
HORIZONS = (0.5, 1.0)
ALL = tuple(NAMES[1:])
CAR, BUILDING = NAMES.index("car"), NAMES.index("building")


@pytest.fixture
def forecast() -> Forecast:
    """A car and a building at both horizons; the car is likely, the building less so."""
    classes, odds = np.zeros((2, *GRID.shape), np.uint8), np.zeros((2, *GRID.shape), np.float16)
    classes[:, 3, 4, 1], odds[:, 3, 4, 1] = CAR, 0.9
    classes[:, 8, 2, 3], odds[:, 8, 2, 3] = BUILDING, 0.6
    path = np.array([[1.0, 0.5, 0.3], [2.0, 1.5, 0.6]])
    frames = tuple(ForecastFrame.of_dense(*pair) for pair in zip(classes, odds, strict=True))
    return Forecast(HORIZONS, frames, path, np.array([0.1, 0.2]))


def points(forecast: Forecast, wanted: PublishedPart) -> np.ndarray:
    return prediction_points(GRID, forecast, wanted)


def test_voxels_are_carried_from_the_footprint_to_come_into_the_current_one(forecast: Forecast) -> None:
    made = points(forecast, PublishedPart(HORIZONS, 0.0, ALL))
    assert len(made) == 4
    for horizon, (x, y, yaw), z in zip(HORIZONS, forecast.path, forecast.path_z, strict=True):
        (car,) = made[(made["label"] == CAR) & (made["horizon"] == horizon)]
        there = Pose.from_xyz_rpy([x, y, z], [0, 0, yaw]).apply(GRID.centers(np.array([[3, 4, 1]])))
        assert np.allclose([car["x"], car["y"], car["z"]], there[0], atol=1e-5)
        assert car["probability"] == pytest.approx(0.9, abs=1e-3)


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (PublishedPart((1.0,), 0.0, ALL), 2),
        (PublishedPart(HORIZONS, 0.7, ALL), 2),
        (PublishedPart(HORIZONS, 0.0, ("building",)), 2),
        (PublishedPart((0.5,), 0.7, ("car",)), 1),
        (PublishedPart(HORIZONS, 0.95, ALL), 0),
        (PublishedPart((), 0.0, ALL), 0),
    ],
)
def test_only_what_is_wanted_is_left(forecast: Forecast, wanted: PublishedPart, count: int) -> None:
    made = points(forecast, wanted)
    assert len(made) == count
    assert set(made["horizon"].tolist()) <= set(wanted.horizons_s)
    assert {NAMES[label] for label in made["label"]} <= set(wanted.classes)
    assert (made["probability"] >= wanted.min_probability - 1e-3).all()


def test_a_class_and_a_horizon_that_are_not_there_are_named() -> None:
    with pytest.raises(ValueError, match="'classes': no class lava"):
        PublishedPart(HORIZONS, 0.0, ("car", "lava")).check(HORIZONS)
    with pytest.raises(ValueError, match=r"'horizons': the checkpoint has none of \[4.0\] s; it has 0.5, 1 s"):
        PublishedPart((0.5, 4.0), 0.0, ALL).check(HORIZONS)


def test_the_shipped_checkpoint_is_found_or_its_absence_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "files", lambda package: tmp_path)
    with pytest.raises(FileNotFoundError, match="comes without checkpoints/tokyo.safetensors"):
        shipped.shipped_checkpoint()
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/tokyo.safetensors").touch()
    assert shipped.shipped_checkpoint() == tmp_path / "checkpoints/tokyo.safetensors"
