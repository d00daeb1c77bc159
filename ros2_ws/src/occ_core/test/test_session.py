"""Sessions on disk: what is written is read back, frames are whole or not there, damage is named."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from occ_core.classes import NAMES
from occ_core.frame import Frame, Occupancy, VehicleState
from occ_core.grid import VoxelGrid
from occ_core.poses import Pose
from occ_core.session import Session, SessionError, SessionInfo, SessionWriter, find_sessions

GRID = VoxelGrid((-4, -4, -2), (4, 4, 5.5), (0.4, 0.4, 1.25))
INFO = SessionInfo(
    "drone_0", GRID, 0.5, "lidar", city="tokyo", seed=3, sensors={"lidar_link": [1, 2, 3]}, versions={"numpy": "2"}
)


def make_frame(number: int, grid: VoxelGrid = GRID) -> Frame:
    rng = np.random.default_rng(number)
    classes = rng.integers(0, 16, grid.shape).astype(np.uint8)
    occupancy = Occupancy(classes, rng.random(grid.shape) < 0.5, classes.astype(np.uint16) * 300)
    base = Pose.from_xyz_rpy(rng.normal(0, 1000, 3), rng.uniform(-1, 1, 3))
    level = Pose.from_xyz_rpy(np.zeros(3), [0, 0, 0.3])
    state = VehicleState(0.1 + number / 3, base, rng.normal(size=3), rng.normal(size=3), level)
    return Frame(state, rng.normal(size=(500, 4)).astype(np.float32), occupancy, {"CAM_FRONT": rng.bytes(1000)})


@pytest.fixture
def session(tmp_path) -> Session:
    writer = SessionWriter(tmp_path / "drone_0_20240115_120000", INFO)
    for number in (1, 2, 3):
        assert writer.write(make_frame(number)) == number
    return Session.open(writer.folder)


def test_threads_read_headers_one_after_the_other(session, monkeypatch):
    # CPython 3.11 raises SystemError when two of them are parsed at once.
    inside, most, read = [], [], np.lib.format.read_array

    def slow(*arguments, **options):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.005)
        inside.pop()
        return read(*arguments, **options)

    monkeypatch.setattr(np.lib.format, "read_array", slow)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: (session.occupancy(number), session.points(number)), session.numbers * 4))
    assert len(most) == 48 and max(most) == 1


def test_what_was_written_is_read_back_bit_for_bit(session):
    assert session.numbers == (1, 2, 3) and session.info == INFO
    for number in session.numbers:
        written, state = make_frame(number), session.state(number)
        assert state.stamp == written.state.stamp
        assert (state.pose_13d == written.state.pose_13d).all()
        assert np.allclose(state.footprint.matrix, written.state.footprint.matrix, atol=1e-15)
        occupancy = session.occupancy(number)
        for name in ("classes", "observed", "instance"):
            read, wrote = getattr(occupancy, name), getattr(written.occupancy, name)
            assert read.dtype == wrote.dtype and (read == wrote).all()
        assert session.classes(number).dtype == np.uint8 and (session.classes(number) == occupancy.classes).all()
        assert session.points(number).tobytes() == written.points.tobytes()
        assert session.image_path(number, "CAM_FRONT").read_bytes() == written.images["CAM_FRONT"]


def test_grids_of_another_class_table_are_read_by_name(session):
    """With the ids in another order, and without some: `other` is what such a table never writes."""
    path = session.folder / "session.json"
    names = ["water", "empty", *[name for name in NAMES if name not in ("water", "empty", "other")]]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"classes": names}))
    again = Session.open(session.folder)
    assert again.info.classes == tuple(names)
    stored, read = make_frame(1).occupancy.classes, again.occupancy(1).classes
    assert (again.classes(1) == read).all()
    assert read.dtype == np.uint8
    for number, name in enumerate([*names, "other"]):
        assert (read[stored == number] == NAMES.index(name)).all()
    assert json.loads(json.dumps(again.info.to_json()))["classes"] == names


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["empty", "cat"], "not known here: cat"), (["building", "road"], "'empty' among them"),
        (["empty", "road", "road"], "each name once"), (7, "int"), (None, "NoneType"),
    ],
)  # fmt: skip
def test_a_class_table_that_means_nothing_here_is_refused(session, names, words):
    path = session.folder / "session.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"classes": names}))
    with pytest.raises(SessionError, match=words):
        Session.open(session.folder)


def test_a_session_of_a_million_frames_has_the_frames_that_it_has(tmp_path):
    writer = SessionWriter(tmp_path / "long", INFO)
    for number in (999_999, 1_000_000, 1_000_001):
        writer.frames_written = number - 1
        assert writer.write(make_frame(number)) == number
    # Neither is a frame: no number is written with fewer than six digits, or with more zeros.
    for name in ("12_occupancy.npz", "0000012_occupancy.npz"):
        (writer.folder / "occupancy" / name).touch()
    session = Session.open(writer.folder)
    assert session.numbers == (999_999, 1_000_000, 1_000_001)
    assert session.state(1_000_000).stamp == make_frame(1_000_000).state.stamp


def test_writing_the_same_frames_twice_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        SessionWriter(tmp_path / name, INFO).write(make_frame(1))
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(files) == 6  # a picture, points, poses, grids; checksums and the session's description
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


def test_pose_files_say_13_numbers_and_their_frames(session):
    data = json.loads((session.folder / "poses/000001.json").read_text())
    assert len(data["pose_13d"]) == 13
    assert data["pose_13d"][3] == data["orientation"]["w"] and data["pose_13d"][7] == data["velocity"]["linear"]["x"]
    assert (data["frame_id"], data["child_frame_id"], data["grid_frame_id"]) == ("map", "base_link", "base_footprint")


def test_a_frame_of_another_grid_is_refused(tmp_path):
    writer = SessionWriter(tmp_path / "s", INFO)
    with pytest.raises(ValueError, match="shape"):
        writer.write(make_frame(1, VoxelGrid((0, 0, 0), (1, 1, 1), (0.5, 0.5, 0.5))))
    assert len(Session.open(writer.folder)) == 0


def test_a_frame_without_its_occupancy_does_not_exist_yet(session):
    (session.folder / "occupancy/000003_occupancy.npz").rename(session.folder / "occupancy/.000003.part")
    assert Session.open(session.folder).numbers == (1, 2)


READERS = {
    "poses/000002.json": "state",
    "occupancy/000002_occupancy.npz": "occupancy",
    "lidar/000002_LIDAR.npy": "points",
}


def empty(data: bytes) -> bytes:
    return b""


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def scrambled(data: bytes) -> bytes:
    middle = len(data) // 3
    return data[:middle] + bytes(255 - b for b in data[middle : middle + 200]) + data[middle + 200 :]


def other(data: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n\xff\xfe" * 40


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        *(("poses/000002.json", damage) for damage in (empty, cut, scrambled, other, None)),
        *(("occupancy/000002_occupancy.npz", damage) for damage in (empty, cut, other, None)),
        *(("lidar/000002_LIDAR.npy", damage) for damage in (empty, cut, other, None)),
    ],
)
def test_a_damaged_or_missing_file_is_named(session, file, damage):
    path = session.folder / file
    data = path.read_bytes()
    path.unlink()
    if damage:
        path.write_bytes(damage(data))
    with pytest.raises(SessionError, match="000002"):
        getattr(session, READERS[file])(2)
    if file.startswith("occupancy"):
        with pytest.raises(SessionError, match="000002"):
            session.classes(2)
    assert session.state(1).stamp and session.classes(1).any()


def test_bytes_changed_anywhere_in_an_occupancy_file_never_go_unnoticed(session):
    rng = np.random.default_rng(0)
    path = session.folder / "occupancy/000002_occupancy.npz"
    whole = path.read_bytes()
    before = session.occupancy(2)
    for _ in range(400):
        data = bytearray(whole)
        data[rng.integers(len(data))] ^= int(rng.integers(1, 256))
        path.write_bytes(bytes(data))
        try:
            after = session.occupancy(2)
        except SessionError as error:
            assert "000002_occupancy.npz" in str(error)
        else:  # bytes that mean nothing, as a date
            assert (after.classes == before.classes).all() and (after.observed == before.observed).all()


@pytest.mark.parametrize(
    "damage",
    [empty, cut, lambda _: b"{}"] + [other, lambda _: b"[]", lambda _: b'"text"'],
)
def test_a_damaged_session_json_is_named(session, damage):
    path = session.folder / "session.json"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SessionError, match=r"session\.json"):
        Session.open(session.folder)


@pytest.mark.parametrize(
    "change", [{"format_version": 99}, {"classes": ["empty", "cat"]}, {"grid": {"lower": [0, 0, 0]}}, {"grid": None}]
)
def test_a_session_of_another_version_class_table_or_grid_is_refused(session, change):
    path = session.folder / "session.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(SessionError, match=r"session\.json"):
        Session.open(session.folder)


def test_a_folder_without_a_session_says_so(tmp_path):
    with pytest.raises(SessionError, match=r"session\.json is missing"):
        Session.open(tmp_path)
    with pytest.raises(SessionError, match="no sessions"):
        find_sessions(tmp_path)


def test_sessions_are_found_by_name(tmp_path):
    for name in ("b", "a", "c"):
        SessionWriter(tmp_path / name, INFO)
    (tmp_path / "not_a_session").mkdir()
    assert [session.name for session in find_sessions(tmp_path)] == ["a", "b", "c"]


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "taken").write_text("")
    for folder in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(SessionError, match="taken"):
            SessionWriter(folder, INFO)


def test_an_existing_session_is_not_written_into(session):
    with pytest.raises(SessionError, match=session.name):
        SessionWriter(session.folder, INFO)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes into read-only folders")
def test_a_read_only_folder_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(SessionError, match="Permission denied"):
        SessionWriter(tmp_path / "s", INFO)


@pytest.mark.parametrize("folder", ["images", "lidar", "poses", "occupancy"])
def test_a_frame_that_the_disk_refuses_leaves_the_earlier_ones(tmp_path, folder):
    writer = SessionWriter(tmp_path / "s", INFO)
    writer.write(make_frame(1))
    good, bad = writer.folder / folder, tmp_path / "away"
    good.rename(bad)
    good.write_text("in the way")
    with pytest.raises(SessionError, match="frame 2"):
        writer.write(make_frame(2))
    good.unlink()
    bad.rename(good)
    assert Session.open(writer.folder).numbers == (1,)
    assert writer.write(make_frame(2)) == 2
    assert Session.open(writer.folder).numbers == (1, 2)
