"""How often forecasts are made, by stamps alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from occworld_infer.pace import Pace

SWEEPS = [round(0.1 * i, 1) for i in range(1, 101)]


def due(pace: Pace, stamps: list[float]) -> list[float]:
    before: list[float | None] = [None, *stamps[:-1]]
    return [stamp for last, stamp in zip(before, stamps, strict=True) if pace.grid_due(last, stamp)]


def test_it_begins_with_one_grid_a_period_until_a_forecast_was_timed() -> None:
    assert due(Pace(0.5, 10.0), SWEEPS[:12]) == [0.5, 1.0]


def test_a_fast_model_forecasts_with_every_sweep() -> None:
    pace = Pace(0.5, 10.0)
    pace.took(0.02)
    assert due(pace, SWEEPS) == SWEEPS


def test_a_model_of_200_ms_forecasts_twice_a_period_and_a_slow_one_once() -> None:
    pace = Pace(0.5, 10.0)
    pace.took(0.2)
    assert due(pace, SWEEPS[4:14]) == [0.5, 0.8, 1.0, 1.3]
    slow = Pace(0.5, 10.0)
    slow.took(3.0)
    assert due(slow, SWEEPS[:10]) == [0.5, 1.0]


def test_max_rate_is_kept_however_fast_the_model_is() -> None:
    pace = Pace(0.5, 4.0)
    pace.took(0.001)
    assert len(due(pace, SWEEPS)) == 40


def test_a_rate_below_one_a_period_leaves_forecasts_out() -> None:
    pace = Pace(0.5, 0.5)
    made: list[float] = []
    for stamp in np.arange(0.5, 20.1, 0.5):
        if pace.forecast_due(made[-1] if made else None, stamp):
            made.append(float(stamp))
    assert made == [0.5 + 2 * i for i in range(10)]
    assert pace.forecast_due(before=100.0, stamp=0.5), "a clock that went back does not silence it"


def test_one_slow_forecast_does_not_change_the_pace() -> None:
    pace = Pace(0.5, 10.0)
    for seconds in [0.05] * 20 + [0.3]:
        pace.took(seconds)
    assert pace.step == pytest.approx(0.1)


@given(st.integers(1, 5), st.floats(0.0, 0.004))
def test_every_grid_has_one_a_whole_period_before_it(parts: int, jitter: float) -> None:
    pace = Pace(0.5, 2.0 * parts)
    pace.took(0.001)
    grids = {round(10 * stamp) for stamp in due(pace, [s + jitter * (i % 2) for i, s in enumerate(SWEEPS)])}
    assert all(grid - 5 in grids for grid in grids if grid > 5)
