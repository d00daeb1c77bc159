"""Splits hold whole sessions; by place, no street is on two sides."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from recorded import GRID, write_drive

from occ_core.poses import Pose
from occ_core.session import Session, SessionError, find_sessions
from occ_core.split_file import SessionSplit, read_split, write_split
from occ_recorder.sessions.split import Shares, split_by_place, split_by_session

REACH = float(np.hypot(8, 8))  # of GRID


class Drive(SimpleNamespace):
    """What a split asks a session for, without files: paths in a property test come by the hundred."""

    def __len__(self) -> int:
        return len(self.path)

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(range(1, len(self.path) + 1))

    def state(self, number: int) -> SimpleNamespace:
        return SimpleNamespace(footprint=Pose.from_xyz_rpy([*self.path[number - 1], 0], [0, 0, 0]))


def drive(name: str, path: np.ndarray) -> Session:
    return Drive(name=name, folder=Path(name), path=path, info=SimpleNamespace(agent=name[:7], grid=GRID))


@st.composite
def drives(draw) -> list[Session]:
    """3 to 14 random walks somewhere in a city of 600 m."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(3, 14))
    walks = [np.cumsum(rng.normal(size=(rng.integers(1, 30), 2)) * 3, axis=0) for _ in range(count)]
    return [drive(f"rover_0_{n:02d}", rng.uniform(0, 600, 2) + walk) for n, walk in enumerate(walks)]


shares = st.sampled_from([Shares(0.8, 0.2, 0.0), Shares(0.6, 0.2, 0.2), Shares(0.5, 0.5, 0.0)])


def parts_of(split: SessionSplit) -> dict[str, set[str]]:
    return {part: set(getattr(split, part)) for part in ("train", "val", "test", "left_out")}


@settings(max_examples=60)
@given(drives(), shares)
def test_by_place_every_session_is_in_one_part_and_parts_are_further_apart_than_grids_reach(sessions, wished):
    try:
        split = split_by_place(sessions, wished)
    except SessionError:
        assume(False)
    parts = parts_of(split)
    assert sorted(name for names in parts.values() for name in names) == [session.name for session in sessions]
    assert parts["train"] and parts["val"] and bool(parts["test"]) == (wished.test > 0)
    paths = {session.name: session.path for session in sessions}
    used = [part for part in ("train", "val", "test") if parts[part]]
    for i, a in enumerate(used):
        for b in used[i + 1 :]:
            one, other = (np.concatenate([paths[name] for name in parts[part]]) for part in (a, b))
            nearest = np.linalg.norm(one[:, None] - other[None], axis=2).min()
            assert nearest > split.gap >= 2 * REACH - 1e-9


@settings(max_examples=60)
@given(drives(), shares, st.integers(0, 1000))
def test_by_session_every_session_is_in_one_part_the_same_for_a_seed_in_any_order(sessions, wished, seed):
    split = split_by_session(sessions, wished, seed)
    parts = parts_of(split)
    assert sorted(name for names in parts.values() for name in names) == [session.name for session in sessions]
    assert parts["train"] and parts["val"] and bool(parts["test"]) == (wished.test > 0) and not parts["left_out"]
    assert split_by_session(sessions[::-1], wished, seed) == split


def test_by_session_shares_are_met_as_closely_as_whole_drives_allow():
    sessions = [drive(f"rover_0_{n:03d}", np.zeros((40, 2))) for n in range(50)]
    split = split_by_session(sessions, Shares(0.7, 0.2, 0.1), 3)
    assert [len(split.train), len(split.val), len(split.test)] == [35, 10, 5]


def test_by_session_each_part_has_each_agent_type():
    sessions = [drive(f"{kind}_0_{n}", np.zeros((9, 2))) for kind in ("drone", "rover") for n in range(4)]
    split = split_by_session(sessions, Shares(0.5, 0.25, 0.25), 1)
    for part in (split.train, split.val, split.test):
        assert {name.split("_")[0] for name in part} == {"drone", "rover"}


def test_by_place_a_drive_that_crosses_the_border_is_left_out_not_cut():
    west = [drive(f"rover_0_w{n}", np.array([[10.0 * n, 0], [10.0 * n + 5, 50]])) for n in range(4)]
    east = [drive(f"rover_0_e{n}", np.array([[300.0 + n, 0], [300.0 + n, 9]])) for n in range(2)]
    across = drive("rover_0_across", np.column_stack([np.linspace(0, 300, 20), np.zeros(20)]))
    split = split_by_place([*west, *east, across], Shares(0.7, 0.3, 0.0))
    assert split.left_out == ("rover_0_across",)
    assert split.val in (tuple(s.name for s in east), tuple(s.name for s in west))


def test_places_that_are_too_close_are_an_error_that_helps():
    sessions = [drive(f"rover_0_{n}", np.array([[float(n), 0]])) for n in range(6)]
    with pytest.raises(SessionError, match="further apart.*--gap.*by session"):
        split_by_place(sessions, Shares(0.8, 0.2, 0.0))


def test_a_gap_smaller_than_the_grid_reaches_is_refused():
    with pytest.raises(ValueError, match="frames would share streets"):
        split_by_place([drive("rover_0_0", np.zeros((1, 2)))], Shares(0.8, 0.2, 0.0), gap=REACH - 0.1)


@pytest.mark.parametrize("wrong", [(1, 0, 0), (0, 1, 0), (0.9, 0.2, 0), (1.1, -0.1, 0), (0.8, float("nan"), 0.2)])
def test_shares_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match="add up to 1"):
        Shares(*wrong)


def test_too_few_drives_for_the_parts_are_an_error_that_helps():
    with pytest.raises(SessionError, match="2 sessions of type rover for 3 parts"):
        split_by_session([drive(f"rover_0_{n}", np.zeros((3, 2))) for n in range(2)], Shares(0.6, 0.2, 0.2), 0)


def test_recorded_sessions_are_split_by_place_and_the_file_is_read_back(tmp_path):
    for n, x in enumerate((0.0, 5.0, 500.0)):
        write_drive(tmp_path, f"rover_0_2024011{n}_120000", 3, (x, 0.0), seed=n, cameras=False)
    split = split_by_place(find_sessions(tmp_path), Shares(0.7, 0.3, 0.0))
    assert split.val == ("rover_0_20240112_120000",) and len(split.train) == 2
    assert write_split(tmp_path, split).name == "split.json"
    assert read_split(tmp_path) == split and read_split(tmp_path / "nowhere") is None


def test_a_session_in_two_parts_is_refused():
    with pytest.raises(ValueError, match="more than one part: a"):
        SessionSplit("session", train=("a", "b"), val=("a",))
