"""Whatever a frame or an event is, it comes back from disk bit for bit."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from occ_core.frame import Frame, Occupancy, VehicleState
from occ_core.grid import VoxelGrid
from occ_core.poses import Pose
from occ_core.session import Session, SessionError, SessionInfo, SessionWriter
from occ_core.session_log import Event, EventKind, append_checksums, append_event, read_checksums, read_events
from occ_core.split_file import PARTS, SessionSplit, read_split, write_split

finite = st.floats(-1e9, 1e9)
vectors = st.tuples(finite, finite, finite).map(np.array)
poses = st.builds(
    lambda xyz, rpy: Pose.from_xyz_rpy(xyz, rpy), vectors, st.tuples(*[st.floats(-np.pi, np.pi)] * 3).map(np.array)
)
states = st.builds(VehicleState, st.floats(0, 1e10), poses, vectors, vectors, poses)
grids = st.builds(
    lambda shape, voxel: VoxelGrid((-1, -2, 0), tuple(np.add((-1, -2, 0), np.multiply(shape, voxel))), voxel),
    st.tuples(*[st.integers(1, 9)] * 3),
    st.tuples(*[st.sampled_from([0.25, 0.5, 1.0, 1.25])] * 3),
)
tables = {4: (np.float32, st.floats(-1e6, 1e6, width=32)), 7: (np.float64, finite)}
words = st.text(max_size=30)


@st.composite
def frames(draw, grid: VoxelGrid) -> Frame:
    def table(columns: int) -> np.ndarray:
        dtype, numbers = tables[columns]
        return draw(hnp.arrays(dtype, (draw(st.integers(0, 5)), columns), elements=numbers))

    occupancy = Occupancy(
        draw(hnp.arrays(np.uint8, grid.shape, elements=st.integers(0, 15))),
        draw(hnp.arrays(bool, grid.shape)),
        draw(hnp.arrays(np.uint16, grid.shape)),
    )
    images = draw(st.dictionaries(st.sampled_from(["CAM_FRONT", "CAM_BACK"]), st.binary(max_size=50)))
    imu = table(7) if draw(st.booleans()) else None
    return Frame(draw(states), table(4), occupancy, images, imu)


@settings(max_examples=40)
@given(st.data(), grids)
def test_frames(data, grid):
    written = data.draw(st.lists(frames(grid), max_size=3))
    with tempfile.TemporaryDirectory() as folder:
        writer = SessionWriter(Path(folder) / "rover_0", SessionInfo("rover_0", grid, 0.5, "lidar"))
        for frame in written:
            writer.write(frame)
        session = Session.open(writer.folder)
        assert session.info == writer.info and session.numbers == tuple(range(1, len(written) + 1))
        for number, frame in zip(session.numbers, written, strict=True):
            state = session.state(number)
            assert state.stamp == frame.state.stamp and (state.pose_13d[:3] == frame.state.pose_13d[:3]).all()
            assert np.allclose(state.pose_13d, frame.state.pose_13d, rtol=0, atol=1e-15)
            assert (state.footprint.position == frame.state.footprint.position).all()
            assert session.points(number).tobytes() == frame.points.tobytes()
            grids_read = session.occupancy(number)
            for name in ("classes", "observed", "instance"):
                assert np.array_equal(getattr(grids_read, name), getattr(frame.occupancy, name))
            for channel, jpeg in frame.images.items():
                assert session.image_path(number, channel).read_bytes() == jpeg
            if frame.imu is None:
                with pytest.raises(SessionError, match="IMU"):
                    session.imu(number)
            else:
                assert session.imu(number).tobytes() == frame.imu.tobytes()


@given(st.lists(st.builds(Event, finite, st.sampled_from(EventKind), words)), st.dictionaries(words, st.integers(0)))
def test_events_and_checksums(events, sums):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for event in events:
            append_event(folder, event)
        append_checksums(folder, sums)
        assert read_events(folder) == events and read_checksums(folder) == sums


@given(st.lists(words, unique=True), st.data(), st.floats(0, 1e3))
def test_splits(names, data, gap):
    sides = data.draw(st.lists(st.sampled_from([*PARTS, "left_out"]), min_size=len(names), max_size=len(names)))
    parts = {
        side: tuple(name for name, its in zip(names, sides, strict=True) if its == side)
        for side in (*PARTS, "left_out")
    }
    split = SessionSplit("place", gap=gap, **parts)
    with tempfile.TemporaryDirectory() as folder:
        write_split(Path(folder), split)
        assert read_split(Path(folder)) == split


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["stamp", "linear", "angular"])
def test_numbers_that_json_can_not_hold_are_refused_and_leave_nothing(tmp_path, bad, where):
    grid = VoxelGrid((0, 0, 0), (1, 1, 1), (1, 1, 1))
    values = {"stamp": 1.0, "linear": np.zeros(3), "angular": np.zeros(3)}
    values[where] = bad if where == "stamp" else np.array([0, bad, 0])
    state = VehicleState(base_link=Pose.identity(), footprint=Pose.identity(), **values)
    empty = Occupancy(np.zeros((1, 1, 1), np.uint8), np.zeros((1, 1, 1), bool), np.zeros((1, 1, 1), np.uint16))
    writer = SessionWriter(tmp_path / "s", SessionInfo("rover_0", grid, 0.5, "lidar"))
    with pytest.raises(ValueError, match="not finite"):
        writer.write(Frame(state, np.zeros((0, 4), np.float32), empty))
    assert [path.name for path in writer.folder.rglob("*") if path.is_file()] == ["session.json"]
