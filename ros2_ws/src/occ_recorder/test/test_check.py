"""`check` finds every kind of damage, says which frames are whole, and `quarantine` leaves only those."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from recorded import GRID, jpeg, write_drive

from occ_core.session import Session
from occ_recorder.sessions.check import check_session
from occ_recorder.sessions.damage import ranges
from occ_recorder.sessions.repair import quarantine

LAST = 8


@pytest.fixture(scope="module")
def drive(tmp_path_factory) -> Path:
    return write_drive(tmp_path_factory.mktemp("data"), "rover_0_20240115_120000", LAST)


@pytest.fixture
def folder(drive, tmp_path) -> Path:
    return Path(shutil.copytree(drive, tmp_path / drive.name))


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_session_as_recorded_is_whole(folder):
    report = check_session(folder)
    assert report.damage == () and report.notes == () and report.usable == tuple(range(1, LAST + 1))


def test_frames_of_a_robot_on_its_back_or_that_sees_nothing_are_named(folder):
    for number in (4, 5, 6):
        path = folder / f"poses/{number:06d}.json"
        data = json.loads(path.read_text())
        data["orientation"] = {"w": 0.0, "x": 1.0, "y": 0.0, "z": 0.0}
        path.write_text(json.dumps(data))
    path = folder / "lidar/000007_LIDAR.npy"
    np.save(path, np.zeros((0, 4), np.float32))
    notes = check_session(folder).notes
    assert "frame 4-6: upside down; training leaves them out" in notes
    assert "frame 7: nothing seen; training leaves them out" in notes


# -- bytes: every file of a frame, every way

PARTS = (
    "poses/000003.json", "lidar/000003_LIDAR.npy", "imu/000003_IMU.npy", "occupancy/000003_occupancy.npz",
    "images/000003_CAM_BACK_LEFT.jpg",
)  # fmt: skip


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_by_a_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def one_bit_flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) * 2 // 3] ^= 4
    path.write_bytes(bytes(data))


def zeroed_at_the_end(path: Path) -> None:
    """As after a power cut: the length is there, the last block is not."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))


def replaced_by_something_else(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe" * 40)


def replaced_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink, emptied, cut_in_half, cut_by_a_byte, one_bit_flipped, zeroed_at_the_end,
        replaced_by_something_else, replaced_by_a_folder,
    ],
)  # fmt: skip
def test_damaged_bytes_are_found_and_cost_that_frame_only(folder, part, damage):
    damage(folder / part)
    report = check_session(folder)
    assert report.bad_frames == (3,)
    assert report.usable == (1, 2, 4, 5, 6, 7, 8)
    assert any("000003" in str(found) for found in report.damage)


@pytest.mark.parametrize("part", PARTS)
def test_without_checksums_a_file_that_can_not_be_read_is_found_all_the_same(folder, part):
    (folder / "checksums.jsonl").unlink()
    cut_in_half(folder / part)
    report = check_session(folder)
    assert report.bad_frames == (3,) and any("no checksums" in note for note in report.notes)


# -- meaning: bytes that can be read and say what can't be; the checksums are gone, as in sessions of other writers


def changed_pose(**changes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "poses/000005.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def changed_grid(**changes: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "occupancy/000005_occupancy.npz"
        with np.load(path) as data:
            arrays = dict(data)
        for name, make in changes.items():
            arrays[name] = make(arrays[name])
        np.savez_compressed(path, **{name: array for name, array in arrays.items() if array is not None})

    return change


def changed_table(name: str, make: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / name, make(np.load(folder / name)))


def poisoned(array: np.ndarray) -> np.ndarray:
    array[7, 2] = np.nan
    return array


def class_200(array: np.ndarray) -> np.ndarray:
    array[1, 2, 3] = 200
    return array


def other_camera(folder: Path) -> None:
    (folder / "images/000005_CAM_FRONT.jpg").write_bytes(jpeg(np.random.default_rng(0), 128, 72))


def png_named_jpg(folder: Path) -> None:
    from PIL import Image

    Image.new("RGB", (64, 36)).save(folder / "images/000005_CAM_FRONT.jpg", "PNG")


NAN = float("nan")
SENSELESS = {
    "a position that is not a number": changed_pose(position={"x": NAN, "y": 0, "z": 0}),
    "a position without z": changed_pose(position={"x": 1, "y": 0}),
    "a position in words": changed_pose(position={"x": "far", "y": 0, "z": 0}),
    "a quaternion of length two": changed_pose(orientation={"w": 2, "x": 0, "y": 0, "z": 0}),
    "a velocity that is not finite": changed_pose(
        velocity={"linear": {"x": 1e999, "y": 0, "z": 0}, "angular": {"x": 0, "y": 0, "z": 0}}
    ),
    "no velocity": changed_pose(velocity=None),
    "no time": changed_pose(timestamp=None),
    "a time that is not a number": changed_pose(timestamp=NAN),
    "a time before the frame before": changed_pose(timestamp=100.1),
    "the time of the frame before": changed_pose(timestamp=101.5),
    "a time far ahead": changed_pose(timestamp=1e9),
    "no footprint": changed_pose(base_footprint=None),
    "another pose in pose_13d": changed_pose(pose_13d=[0.0] * 13),
    "half of pose_13d": changed_pose(pose_13d=[0.0] * 6),
    "no pose_13d": changed_pose(pose_13d=None),
    "a grid of another shape": changed_grid(occupancy=lambda a: a[:-1]),
    "instances of another shape": changed_grid(instance=lambda a: a[:, :, :-1]),
    "too few bits": changed_grid(observed=lambda a: a[:-1]),
    "observed as booleans": changed_grid(observed=lambda a: np.zeros(GRID.shape, bool)),
    "classes as floats": changed_grid(occupancy=lambda a: a.astype(np.float32)),
    "instances as bytes": changed_grid(instance=lambda a: a.astype(np.uint8)),
    "a class that there is not": changed_grid(occupancy=class_200),
    "no grid in the file": changed_grid(occupancy=lambda a: None),
    "no observed in the file": changed_grid(observed=lambda a: None),
    "points that are not numbers": changed_table("lidar/000005_LIDAR.npy", poisoned),
    "points in double precision": changed_table("lidar/000005_LIDAR.npy", lambda a: a.astype(np.float64)),
    "points without intensity": changed_table("lidar/000005_LIDAR.npy", lambda a: a[:, :3]),
    "points in one row": changed_table("lidar/000005_LIDAR.npy", np.ravel),
    "IMU samples that are not numbers": changed_table("imu/000005_IMU.npy", poisoned),
    "an image of another size": other_camera,
    "a PNG with a JPEG's name": png_named_jpg,
}


@pytest.mark.parametrize("damage", SENSELESS.values(), ids=SENSELESS)
def test_what_can_not_be_is_found_and_costs_that_frame_only(folder, damage):
    (folder / "checksums.jsonl").unlink()
    damage(folder)
    report = check_session(folder)
    assert report.bad_frames == (5,), report.damage
    assert report.usable == (1, 2, 3, 4, 6, 7, 8)


# -- the session as a whole


def test_a_frame_that_is_gone_altogether_is_missed(folder):
    for path in folder.rglob("000004*"):
        path.unlink()
    report = check_session(folder)
    assert [str(found) for found in report.damage] == ["occupancy: no trace of frame 4"]
    assert report.usable == (1, 2, 3, 5, 6, 7, 8)


@pytest.mark.parametrize("part", ["occupancy", "lidar", "poses", "images"])
def test_a_folder_that_is_gone_costs_all_frames_and_is_named(folder, part):
    shutil.rmtree(folder / part)
    report = check_session(folder)
    if part == "images":  # a session without cameras is one; the checksums know of the images
        assert report.bad_frames == tuple(range(1, LAST + 1))
    else:
        assert report.usable == () and part in str(report.damage[0])


def test_leftovers_of_a_write_that_was_cut_short_are_found_and_cost_no_frame(folder):
    (folder / "lidar/.000009_LIDAR.npy.part").write_bytes(b"half")
    report = check_session(folder)
    assert len(report.damage) == 1 and report.usable == tuple(range(1, LAST + 1))


def test_a_frame_that_was_being_written_is_told_from_one_that_lost_a_file(folder):
    (folder / "occupancy/000008_occupancy.npz").unlink()
    (folder / "occupancy/000002_occupancy.npz").unlink()
    lost, being_written = check_session(folder).damage
    assert "killed" not in str(lost) and lost.frame == 2
    assert "killed" in str(being_written) and being_written.frame == 8


def test_a_strange_file_is_named(folder):
    (folder / "poses/notes.txt").write_text("mine")
    (found,) = check_session(folder).damage
    assert found.file == "poses/notes.txt" and found.frame is None


def test_lines_of_the_logs_that_can_not_be_read_are_counted(folder):
    for name in ("events.jsonl", "checksums.jsonl"):
        path = folder / name
        path.write_bytes(b"{half a line\n" + path.read_bytes())
    assert [str(found) for found in check_session(folder).damage] == [
        "events.jsonl: 1 lines that can't be read",
        "checksums.jsonl: 1 lines that can't be read",
    ]


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (Path.unlink, "missing"),
        (cut_in_half, "not JSON"),
        (emptied, "not JSON"),
        (lambda path: path.write_text("[]"), "description"),
        (lambda path: path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 99})), "99"),
        (lambda path: path.write_text(json.dumps({**json.loads(path.read_text()), "classes": ["cat"]})), "cat"),
    ],
)
def test_a_description_that_can_not_be_used_is_named(folder, damage, sentence):
    damage(folder / "session.json")
    found = check_session(folder).damage[0]
    assert found.file == "session.json" and sentence in found.problem and found.frame is None


def test_of_another_version_the_frames_are_checked_all_the_same(folder):
    path = folder / "session.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 99}))
    cut_in_half(folder / PARTS[0])
    assert check_session(folder).usable == (1, 2, 4, 5, 6, 7, 8)


def test_one_wrong_stamp_costs_one_frame_not_all_after_it(folder):
    changed_pose(timestamp=1e9)(folder)
    assert 6 in check_session(folder).usable


def test_a_check_changes_nothing(folder):
    cut_in_half(folder / PARTS[0])
    before = files(folder)
    check_session(folder)
    assert files(folder) == before


def test_quarantine_leaves_whole_frames_and_deletes_nothing(folder):
    cut_in_half(folder / PARTS[0])
    (folder / PARTS[3].replace("3_occ", "6_occ")).unlink()
    (folder / "lidar/.000009_LIDAR.npy.part").write_bytes(b"half")
    before = sorted(files(folder).values())
    moved = quarantine(check_session(folder))
    assert sorted(files(folder).values()) == before and len(moved) == 10 + 9 + 1
    report = check_session(folder)
    assert report.damage == () and report.usable == (1, 2, 4, 5, 7, 8)
    assert report.notes == ("frame 3, 6 in quarantine",)
    assert Session.open(folder).numbers == report.usable


def test_a_second_quarantine_overwrites_nothing_of_the_first(folder):
    for _ in range(3):
        (folder / "poses/notes.txt").write_text("mine")
        quarantine(check_session(folder))
    assert len(list((folder / "quarantine/poses").iterdir())) == 3


def test_numbers_are_written_as_ranges():
    assert ranges(()) == "none"
    assert ranges((4,)) == "4"
    assert ranges((1, 2, 3, 7, 9, 10)) == "1-3, 7, 9-10"
