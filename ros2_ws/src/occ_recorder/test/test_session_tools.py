"""Describing, picturing and merging sessions, and which folders are meant."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from recorded import GRID, write_drive

from occ_core.classes import Semantic
from occ_core.grid_pictures import oblique_view, top_view
from occ_core.session import Session, SessionError, find_sessions
from occ_recorder.sessions.describe import describe, histogram
from occ_recorder.sessions.frame_pictures import view_session, write_page
from occ_recorder.sessions.merge import merge
from occ_recorder.sessions.session_folders import session_folders

NAME = "rover_0_20240115_120000"


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


# -- info


def test_a_description_counts_what_was_recorded(tmp_path):
    folder = write_drive(tmp_path, NAME, frames=5, speed=4.0)
    found = describe(folder)
    assert (found.frames, found.duration, found.distance) == (5, pytest.approx(2.0), pytest.approx(8.0))
    assert found.size == sum(map(len, files(folder).values())) and found.cameras == 6
    grids = [Session.open(folder).occupancy(number) for number in range(1, 6)]
    assert found.class_counts.tolist() == np.bincount(np.ravel([g.classes for g in grids]), minlength=16).tolist()
    assert found.observed == pytest.approx(np.mean([g.observed for g in grids]))


def test_the_histogram_is_of_occupied_voxels_the_largest_first():
    counts = np.zeros(16, int)
    counts[[0, Semantic.ROAD, Semantic.CAR]] = 1000, 3, 1
    assert histogram(counts) == "road 75%, car 25%"
    assert histogram(np.zeros(16, int)) == "all empty"


def test_a_session_without_frames_is_described(tmp_path):
    found = describe(write_drive(tmp_path, NAME, frames=0))
    assert (found.frames, found.duration, found.distance, found.observed) == (0, 0, 0, 0)


# -- view


def test_pictures_of_the_first_the_last_and_frames_between_are_drawn(tmp_path):
    session = Session.open(write_drive(tmp_path, NAME, frames=7))
    pictures = view_session(session, 3, tmp_path / "out")
    assert [picture.name for picture in pictures] == ["000001.png", "000004.png", "000007.png"]
    for picture in pictures:
        pixels = np.asarray(Image.open(picture).convert("RGB"))
        assert pixels.shape[1] == 1120 and (pixels < 250).any(axis=2).mean() > 0.2
    page = write_page(tmp_path / "out", {session.name: pictures}).read_text()
    assert all(f'src="{NAME}/{picture.name}"' in page for picture in pictures)


def test_sessions_without_cameras_and_with_fewer_frames_than_asked_for_are_drawn(tmp_path):
    session = Session.open(write_drive(tmp_path, NAME, frames=2, cameras=False))
    assert len(view_session(session, 9, tmp_path / "out")) == 2


def test_the_oblique_view_shows_the_near_block_before_the_far_one():
    """A car's voxel behind (towards -x), lower and nearer to the eye than a building's, on the same line of sight."""
    classes = np.zeros(GRID.shape, np.uint8)
    classes[20:30, 10:30, 0:5] = Semantic.BUILDING
    alone = oblique_view(GRID, classes, 400)
    classes[2:4, 10:30, 0:2] = Semantic.CAR
    both = oblique_view(GRID, classes, 400)
    blue = (both[:, :, 2].astype(int) - both[:, :, 0] > 60).any(axis=1)
    rows = np.flatnonzero(blue)
    assert len(rows) and rows.min() > both.shape[0] / 2, "what is near is at the bottom"
    assert not (alone[:, :, 2].astype(int) - alone[:, :, 0] > 60).any()


def test_an_empty_grid_has_pictures_too():
    empty = np.zeros(GRID.shape, np.uint8)
    assert (oblique_view(GRID, empty, 200) == 255).all() and (top_view(empty) == 255).all()


# -- merge


def test_merged_sessions_are_copies_and_the_sources_stay(tmp_path):
    sources = [write_drive(tmp_path / place, NAME, 2, seed=n, cameras=False) for n, place in enumerate("abc")]
    before = [files(source) for source in sources]
    merged = merge(sources, tmp_path / "all")
    assert [m.target.name for m in merged] == [NAME, f"{NAME}_2", f"{NAME}_3"] and not any(m.already for m in merged)
    assert [files(m.target) for m in merged] == before == [files(source) for source in sources]
    assert len(find_sessions(tmp_path / "all")) == 3


def test_merging_again_copies_nothing_twice(tmp_path):
    sources = [write_drive(tmp_path / place, NAME, 2, seed=n, cameras=False) for n, place in enumerate("ab")]
    merge(sources, tmp_path / "all")
    before = files(tmp_path / "all")
    again = merge([*sources, tmp_path / "all" / NAME], tmp_path / "all")
    assert all(m.already for m in again) and [m.target.name for m in again] == [NAME, f"{NAME}_2", NAME]
    assert files(tmp_path / "all") == before


def test_a_folder_that_is_no_session_stops_a_merge_before_anything_is_copied(tmp_path):
    source = write_drive(tmp_path / "a", NAME, 1, cameras=False)
    (tmp_path / "b").mkdir()
    with pytest.raises(SessionError, match=r"session\.json is missing"):
        merge([source, tmp_path / "b"], tmp_path / "all")
    assert not (tmp_path / "all").exists()


def test_a_merge_that_fails_half_way_leaves_no_half_session(tmp_path):
    source = write_drive(tmp_path / "a", NAME, 2, cameras=False)
    (source / "lidar/dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(SessionError, match="merging into"):
        merge([source], tmp_path / "all")
    assert not list((tmp_path / "all").iterdir())


def test_a_copy_under_way_is_not_taken_for_a_session(tmp_path):
    source = write_drive(tmp_path, NAME, 1, cameras=False)
    shutil.copytree(source, tmp_path / f".{NAME}.123.part")
    assert [session.name for session in find_sessions(tmp_path)] == [NAME]
    assert session_folders([tmp_path]) == [source]


# -- places


def test_folders_are_sessions_or_hold_sessions_and_each_is_taken_once(tmp_path):
    a, b = (write_drive(tmp_path / "data", f"rover_0_2024011{n}_120000", 1, cameras=False) for n in (1, 2))
    (a / "session.json").unlink()
    assert session_folders([tmp_path / "data", b]) == [a, b]
    assert session_folders([b, tmp_path / "data"]) == [b, a]


@pytest.mark.parametrize("name", ["nowhere", "empty", "file"])
def test_what_holds_no_session_is_named(tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(SessionError, match=name):
        session_folders([tmp_path / name])
