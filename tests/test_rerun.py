"""`tokyo export --rerun`: what rerun's own reader finds in the file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import in_process
import numpy as np
import pytest
from recorded import GRID, write_drive

from occ_core.classes import Semantic
from occ_core.poses import Pose
from occ_core.session import Session
from occ_core.topics import CAMERAS
from occworld_infer.grading import Grade
from occworld_infer.viewer.snapshot import PlacedVoxels, PredictedFrame, Snapshot
from tokyo_occworld import rerun_export
from tokyo_occworld.rerun_export import FRAME, HORIZON, TIME, export_rerun

rerun = pytest.importorskip("rerun", reason="no rerun here: make dev")
from rerun.chunk import RrdReader  # noqa: E402

HORIZONS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
CENTRES, CLASSES = "Boxes3D:centers", "Boxes3D:class_ids"


class Rows:
    """What is in a file: by entity, a list of rows, each with its timelines and columns as rerun names them."""

    def __init__(self, path: Path) -> None:
        self.rows: dict[str, list[dict]] = {}
        self.static: set[str] = set()
        for chunk in RrdReader(str(path)).stream():
            if chunk.is_static:
                self.static.add(chunk.entity_path)
            elif not chunk.entity_path.startswith("/__"):
                batch = chunk.to_record_batch()
                kept = [name for name in batch.schema.names if name not in ("log_time", "log_tick")]
                self.rows.setdefault(chunk.entity_path, []).extend(batch.select(kept).to_pylist())

    def column(self, entity: str, column: str, timeline: str, at: float) -> np.ndarray:
        """The column's value in the only row at a time that has it."""
        found = [r for r in self.rows[entity] if r.get(column) is not None and seconds(r.get(timeline)) == at]
        assert len(found) == 1, f"{entity}: {len(found)} rows with {column} at {timeline} {at}"
        return np.array(found[0][column])

    def times(self, entity: str, column: str, timeline: str) -> list[float]:
        rows = (row for row in self.rows[entity] if row.get(column) is not None and row.get(timeline) is not None)
        return sorted({seconds(row[timeline]) for row in rows})


def seconds(value: object) -> float | None:
    return value.total_seconds() if hasattr(value, "total_seconds") else value


def voxels(forward: int, frame: Pose) -> PlacedVoxels:
    """One car voxel, so many cells from the grid's lower corner."""
    classes = np.zeros(GRID.shape, np.uint8)
    classes[forward, 3, 1] = Semantic.CAR
    return PlacedVoxels.of_classes(GRID, classes, frame)


def moments(count: int = 3) -> list[Snapshot]:
    """A rover that drives along x at 1 m/s; a car that is one cell further at each horizon; graded at +1 s."""
    made = []
    for number in range(count):
        here = Pose.from_xyz_rpy(np.array([0.5 * number, 0, 0]), np.zeros(3))
        ahead = tuple(
            voxels(5 + step, here @ Pose.from_xyz_rpy(np.array([0.5 * step, 0, 0]), np.zeros(3)))
            for step in range(1, 7)
        )
        made.append(
            Snapshot(
                "rover_0", 100.0 + 0.5 * number, here, voxels(5, here), np.zeros((4, 3), np.float32),
                {"front": np.full((18, 32, 3), 90, np.uint8)}, forecast=PredictedFrame(HORIZONS, ahead),
                grades=(Grade(1.0, 0.5, 0.25, 0.5, 0.25, 1),),
            )
        )  # fmt: skip
    return made


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rerun") / "out.rrd"
    assert export_rerun(moments(), path, "a drive") == 3
    return path


def test_rerun_s_own_command_can_load_it(file: Path) -> None:
    command = Path(sys.executable).with_name("rerun")
    done = subprocess.run([command, "rrd", "verify", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (entry,) = RrdReader(str(file)).recordings()
    assert entry.application_id == "tokyo_occworld" and entry.recording_id == "a drive"


def test_every_frame_has_its_occupancy_poses_images_and_scores_at_its_number_and_time(file: Path) -> None:
    rows = Rows(file)
    assert "/map" in rows.static, "names and colours of the classes"
    assert rows.times("/map/rover_0/occupancy", CENTRES, FRAME) == [1, 2, 3]
    assert rows.times("/map/rover_0/occupancy", CENTRES, TIME) == [100.0, 100.5, 101.0]
    for number in (1, 2, 3):
        expected = voxels(5, Pose.identity()).centres
        assert np.allclose(rows.column("/map/rover_0/occupancy", CENTRES, FRAME, number), expected, atol=1e-5)
        assert rows.column("/map/rover_0/occupancy", CLASSES, FRAME, number).tolist() == [Semantic.CAR]
        moved = rows.column("/map/rover_0/occupancy", "Transform3D:translation", FRAME, number)
        assert np.allclose(moved, [[0.5 * (number - 1), 0, 0]], atol=1e-6)
    assert rows.times("/camera/rover_0/front", "EncodedImage:blob", FRAME) == [1, 2, 3]
    assert rows.column("/score/rover_0/t1_0/forecast", "Scalars:scalars", FRAME, 2).tolist() == [0.5]
    assert rows.column("/score/rover_0/t1_0/warp", "Scalars:scalars", FRAME, 2).tolist() == [0.25]


def test_each_horizon_is_an_entity_and_the_film_goes_through_them(file: Path) -> None:
    rows = Rows(file)
    names = {f"/map/rover_0/forecast/t{h:.1f}".replace(".", "_") for h in HORIZONS}
    assert names <= set(rows.rows)
    for step in range(7):
        expected = voxels(5 + step, Pose.identity()).centres
        film = rows.column("/map/rover_0/film", CENTRES, HORIZON, 20 + step)
        assert np.allclose(film, expected, atol=1e-5)
        place = rows.column("/map/rover_0/film", "Transform3D:translation", HORIZON, 20 + step)
        assert np.allclose(place, [[0.5 + 0.5 * step, 0, 0]], atol=1e-6), "each in the footprint forecast for it"
        if step:
            name = f"/map/rover_0/forecast/t{0.5 * step:.1f}".replace(".", "_")
            assert np.allclose(rows.column(name, CENTRES, FRAME, 2), expected, atol=1e-5)
    assert rows.times("/map/rover_0/film", CENTRES, HORIZON) == [10 * n + k for n in (1, 2, 3) for k in range(7)]
    assert rows.times("/map/rover_0/film", CENTRES, FRAME) == []


def test_the_command_exports_a_recorded_session(tmp_path: Path) -> None:
    folder = write_drive(tmp_path, "rover_0_20240115_120000", frames=4)
    out = tmp_path / "sub/out.rrd"
    done = in_process.tokyo("export", folder, "--rerun", out, "--frames", "3")
    assert done.returncode == 0 and "3 frames" in done.stdout, done.stderr
    rows = Rows(out)
    assert rows.times("/map/rover_0/occupancy", CENTRES, FRAME) == [1, 2, 3]
    session = Session.open(folder)
    occupied = session.classes(session.numbers[1])
    labels = rows.column("/map/rover_0/occupancy", CLASSES, FRAME, 2)
    assert np.array_equal(labels, occupied[occupied > 0])
    assert {f"/camera/rover_0/{camera}" for camera in CAMERAS} <= set(rows.rows)
    assert list(out.parent.iterdir()) == [out]


def test_what_can_not_be_exported_is_said_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes.rrd").write_text("not a recording")
    folder = write_drive(tmp_path, "rover_0_20240115_120000", frames=1, cameras=False)
    for options, words in (
        ([folder, "--rerun", tmp_path / "notes.rrd"], "is not a file of rerun's"),
        ([tmp_path / "none", "--rerun", tmp_path / "o.rrd"], "no session"),
        ([folder, folder, "--rerun", tmp_path / "o.rrd"], "one session of each robot"),
        ([folder, "--rerun", tmp_path / "o.rrd", "--frames", "0"], "--frames is 0"),
    ):
        done = in_process.tokyo("export", *options)
        assert done.returncode == 2 and words in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr

    def broken():
        yield moments()[0]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        export_rerun(broken(), tmp_path / "broken.rrd", "x")
    assert not list(tmp_path.glob("*broken*"))
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(ValueError, match="pip install 'rerun-sdk"):
        rerun_export.require_rerun()
