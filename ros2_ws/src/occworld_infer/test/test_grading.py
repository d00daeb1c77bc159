"""Forecasts graded when their time has come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from occ_core.classes import NUM_CLASSES
from occ_core.frame import Occupancy
from occ_core.grid import VoxelGrid
from occ_core.sparse_grid import SparseGrid
from occworld.baselines import warp
from occworld.metrics import confusion, score
from occworld_infer.grading import Grader

GRID = VoxelGrid((-4.0, -4.0, 0.0), (4.0, 4.0, 4.0), (0.5, 0.5, 1.0))
HORIZONS = (0.5, 1.0)
STILL = np.zeros((2, 4))


def occupancy(classes: np.ndarray, observed: np.ndarray | None = None) -> Occupancy:
    seen = np.ones(GRID.shape, bool) if observed is None else observed
    return Occupancy(classes, seen, np.zeros(GRID.shape, np.uint16))


def random_grid(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.where(random.random(GRID.shape) < 0.2, random.integers(1, NUM_CLASSES, GRID.shape), 0).astype(np.uint8)


@settings(deadline=None)
@given(st.integers(0, 50), st.floats(-2, 2), st.floats(-2, 2), st.floats(-1, 1))
def test_a_grade_is_the_evaluators_iou_beside_that_of_its_warp(seed: int, x: float, y: float, yaw: float) -> None:
    now, predicted, truth = random_grid(seed), random_grid(seed + 1), random_grid(seed + 2)
    seen = np.random.default_rng(seed + 3).random(GRID.shape) < 0.5
    history = np.array([[0, 0, 0, 0], [x, y, 0, yaw]])
    grader = Grader(GRID)
    grader.expect(1.0, HORIZONS, [np.flatnonzero(predicted)] * 2, SparseGrid.from_dense(now), history)
    (grade,) = grader.observe(1.5, occupancy(truth, seen))
    baseline, bits = warp(GRID, now, history, 2)[0], np.packbits(seen)
    assert grade.horizon_s == 0.5 and grade.count == 1
    assert grade.iou == pytest.approx(score(confusion(predicted, truth), 0.5).iou)
    assert grade.warp_iou == pytest.approx(score(confusion(baseline, truth), 0.5).iou)
    assert grade.observed_iou == pytest.approx(score(confusion(predicted, truth, bits), 0.5).iou)
    assert grade.observed_warp_iou == pytest.approx(score(confusion(baseline, truth, bits), 0.5).iou)


def test_every_horizon_is_graded_when_its_own_time_comes_and_once() -> None:
    grader, now = Grader(GRID), random_grid(1)
    grader.expect(
        1.0, HORIZONS, [np.flatnonzero(now), np.flatnonzero(random_grid(2))], SparseGrid.from_dense(now), STILL
    )
    assert grader.observe(1.2, occupancy(now)) == ()
    assert [(g.horizon_s, g.iou) for g in grader.observe(1.5, occupancy(now))] == [(0.5, 1.0)]
    grades = grader.observe(2.0, occupancy(now))
    assert [g.count for g in grades] == [1, 1]
    assert grades[1].iou < 0.5 and grades[1].warp_iou == 1.0
    assert [g.count for g in grader.observe(2.02, occupancy(now))] == [1, 1]


def test_a_frame_that_never_came_leaves_no_grade() -> None:
    grader, now = Grader(GRID), random_grid(1)
    grader.expect(1.0, HORIZONS, [np.flatnonzero(now)] * 2, SparseGrid.from_dense(now), STILL)
    assert [g.horizon_s for g in grader.observe(2.0, occupancy(now))] == [1.0]


def test_a_forecast_that_comes_when_its_time_is_over_is_graded_all_the_same() -> None:
    grader, now = Grader(GRID), random_grid(1)
    for stamp in (1.5, 2.0):
        assert grader.observe(stamp, occupancy(now)) == ()
    grader.expect(1.0, HORIZONS, [np.flatnonzero(now)] * 2, SparseGrid.from_dense(now), STILL)
    assert [(g.horizon_s, g.iou) for g in grader.observe(2.5, occupancy(random_grid(2)))] == [(0.5, 1.0), (1.0, 1.0)]


def test_grades_are_of_the_last_seconds_only() -> None:
    grader, now = Grader(GRID, memory_s=5.0), random_grid(1)
    for stamp in np.arange(0.0, 20.0, 0.5):
        grader.observe(stamp, occupancy(now))
        grader.expect(stamp, HORIZONS, [np.flatnonzero(now)] * 2, SparseGrid.from_dense(now), STILL)
    assert [g.count for g in grader.observe(20.0, occupancy(now))] == [11, 11]


def test_a_clock_that_goes_back_starts_the_grades_anew() -> None:
    grader, now = Grader(GRID), random_grid(1)
    for stamp in (50.0, 50.5, 0.0):
        grades = grader.observe(stamp, occupancy(now))
        grader.expect(stamp, HORIZONS, [np.flatnonzero(now)] * 2, SparseGrid.from_dense(now), STILL)
    assert grades == ()
    assert [g.count for g in grader.observe(0.5, occupancy(now))] == [1]


def test_nothing_foreseen_where_nothing_is_is_right() -> None:
    grader, empty = Grader(GRID), np.zeros(GRID.shape, np.uint8)
    grader.expect(0.0, HORIZONS, [np.flatnonzero(empty)] * 2, SparseGrid.from_dense(empty), STILL)
    assert grader.observe(0.5, occupancy(empty))[0].iou == 1.0


def test_a_forecast_of_the_old_clock_that_comes_after_it_went_back_is_never_graded() -> None:
    grader, now, other = Grader(GRID), random_grid(1), random_grid(2)
    for stamp in (2.0, 0.0):
        grader.observe(stamp, occupancy(now))
    # The model has taken its time: this is from before.
    grader.expect(2.0, HORIZONS, [np.flatnonzero(other)] * 2, SparseGrid.from_dense(now), STILL)
    for stamp in np.arange(0.5, 4.0, 0.5):
        assert grader.observe(stamp, occupancy(now)) == ()
