"""Histories that slide: which moments a forecast starts from."""

from __future__ import annotations

import numpy as np
import pytest

from occ_core.frame import VehicleState
from occ_core.poses import Pose
from occ_core.sparse_grid import SparseGrid
from occworld_infer.history import History, HistoryFrame


def moment(stamp: float) -> HistoryFrame:
    state = VehicleState(stamp, Pose.identity(), np.zeros(3), np.zeros(3), Pose.identity())
    return HistoryFrame(state, SparseGrid.from_dense(np.zeros((2, 2, 2), np.uint8)))


def stamps(history: History, *at: float) -> list[float] | None:
    """The history after the last of some stamps."""
    for stamp in at:
        chosen = history.add(moment(stamp))
    return None if chosen is None else [m.state.stamp for m in chosen]


def test_four_frames_half_a_second_apart() -> None:
    history = History(4, 0.5)
    assert stamps(history, 0.5, 1.0, 1.5) is None
    assert stamps(history, 2.0) == [0.5, 1.0, 1.5, 2.0]


def test_every_sweep_ends_a_history_of_its_own() -> None:
    history = History(4, 0.5)
    stamps(history, *np.arange(0, 21) / 10)
    assert stamps(history, 2.1) == pytest.approx([0.6, 1.1, 1.6, 2.1])
    assert stamps(history, 2.2) == pytest.approx([0.7, 1.2, 1.7, 2.2])


def test_a_lost_sweep_is_stood_in_for_by_the_next() -> None:
    assert stamps(History(4, 0.5), 0.5, 1.1, 1.5, 2.0) == [0.5, 1.1, 1.5, 2.0]


def test_a_gap_leaves_no_history_until_it_has_passed() -> None:
    history = History(4, 0.5)
    assert stamps(history, 0.5, 1.0, 2.0, 2.5, 3.0) is None
    assert stamps(history, 3.5) == [2.0, 2.5, 3.0, 3.5]


@pytest.mark.parametrize("back", [1.9, 2.0, 0.5, -3.0])
def test_a_stamp_that_goes_back_or_comes_twice_starts_anew(back: float) -> None:
    history = History(4, 0.5)
    assert stamps(history, 0.5, 1.0, 1.5, 2.0) is not None
    assert stamps(history, back, back + 0.5, back + 1.0) is None
    assert stamps(history, back + 1.5) is not None


def test_it_keeps_no_more_than_it_needs() -> None:
    history = History(4, 0.5)
    stamps(history, *np.arange(0, 500) / 10)
    assert len(history._moments) <= 17
