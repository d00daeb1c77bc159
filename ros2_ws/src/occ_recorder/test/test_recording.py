"""Sweeps in, sessions on disk out; a disk that refuses is a problem said, not the end."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from occ_core.grid import VoxelGrid
from occ_core.keyframes import KeyframeBuilder, OccupancySource
from occ_core.poses import Pose
from occ_core.session import SessionInfo, find_sessions
from occ_core.sync import Odometry, SyncedSweep
from occ_core.tracker import FrameTracker
from occ_recorder.recording import RobotRecording

GRID = VoxelGrid((-8, -8, -2), (8, 8, 5.5), (0.4, 0.4, 1.25))
MOUNT = Pose.from_xyz_rpy([0, 0, 1], [0, 0, 0])


def recording(root: Path, session_seconds: float = 0.0) -> RobotRecording:
    builder = KeyframeBuilder(GRID, OccupancySource.LIDAR)
    tracker = FrameTracker("rover_0", builder, {"lidar_link": MOUNT}, lambda x, y: 0.0)
    return RobotRecording(tracker, SessionInfo("rover_0", GRID, 0.5, "lidar"), root, session_seconds, jpeg_quality=95)


def sweep(stamp: float, frame_id: str = "rover_0/lidar_link", images: bool = False) -> SyncedSweep:
    """A wall 3 m ahead; every fifth sweep is a keyframe."""
    wall = [(3.1, y, z, 0.5) for y in np.arange(-2, 2, 0.1) for z in np.arange(-0.9, 1, 0.2)]
    points = np.array([*wall, (np.nan,) * 4], dtype=np.float32)
    pose = Pose.from_xyz_rpy([stamp, 0, 0.38], [0, 0, 0])
    odometry = Odometry(stamp, pose, np.array([1.0, 0, 0]), np.zeros(3))
    pictures = {"front": np.full((36, 64, 3), (200, 30, 60), np.uint8)} if images else {}
    return SyncedSweep(stamp, points, frame_id, odometry, [], round(stamp * 10) % 5 == 0, pictures)


def record(root: Path, seconds: float, session_seconds: float = 0.0, **kwargs) -> RobotRecording:
    made = recording(root, session_seconds)
    for tick in range(round(seconds * 10)):
        made.add(sweep(0.1 * tick, **kwargs))
    made.close()
    return made


def test_keyframes_become_frames_with_points_grid_and_pictures(tmp_path):
    made = record(tmp_path, 2.0, images=True)
    (session,) = find_sessions(tmp_path)
    assert session.numbers == (1, 2, 3, 4) and session.name.startswith("rover_0_")
    assert (made.status.frames, made.status.sessions, made.status.problem) == (4, 1, "")
    for number in session.numbers:
        state = session.state(number)
        assert state.stamp == pytest.approx((number - 1) * 0.5)
        assert state.base_link.position == pytest.approx([state.stamp, 0, 0.38]) and state.footprint.position[2] == 0
        points = session.points(number)
        assert len(points) == 400 and points.dtype == np.float32 and np.isfinite(points).all()
        assert points[:, 0] == pytest.approx(np.full(400, 3.1)) and points[:, 2].min() == pytest.approx(0.48, abs=0.01)
        occupied = GRID.centers(np.argwhere(session.occupancy(number).classes))
        assert len(occupied) and np.abs(occupied[:, 0] - 3.1).max() < 0.41
        picture = np.asarray(Image.open(io.BytesIO(session.image_path(number, "CAM_FRONT").read_bytes())))
        assert picture.shape == (36, 64, 3) and np.abs(picture.mean(axis=(0, 1)) - [200, 30, 60]).max() < 4


def test_a_new_session_begins_after_so_many_seconds(tmp_path):
    made = record(tmp_path, 5.0, session_seconds=2.0)
    sessions = find_sessions(tmp_path)
    assert [len(session) for session in sessions] == [4, 4, 2] and made.status.sessions == 3
    assert [session.state(1).stamp for session in sessions] == pytest.approx([0, 2, 4])


def test_two_recordings_of_the_same_second_do_not_share_a_folder(tmp_path):
    for _ in range(3):
        record(tmp_path, 0.6)
    assert [len(session) for session in find_sessions(tmp_path)] == [2, 2, 2]


def test_without_a_keyframe_nothing_is_written(tmp_path):
    made = recording(tmp_path)
    made.add(sweep(0.1))
    made.close()
    assert not list(tmp_path.iterdir()) and made.status.sessions == 0


def test_a_disk_that_refuses_is_a_problem_said_and_frames_counted(tmp_path):
    (tmp_path / "data").write_text("a file in the folder's place")
    made = record(tmp_path / "data", 2.0)
    assert "data" in made.status.problem and made.status.frames == 0 and made.status.dropped_frames == 4


def wait_for(condition) -> None:
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    assert condition()


def test_a_disk_that_refuses_for_a_while_costs_the_frames_of_that_while(tmp_path):
    made = recording(tmp_path)
    made.add(sweep(0.0))
    wait_for(lambda: made.status.frames == 1)
    (folder,) = tmp_path.iterdir()
    (folder / "lidar").rename(folder / "away")
    made.add(sweep(0.5))
    wait_for(lambda: made.status.dropped_frames == 1)
    assert "frame 2" in made.status.problem
    (folder / "away").rename(folder / "lidar")
    made.add(sweep(1.0))
    made.close()
    (session,) = find_sessions(tmp_path)
    assert [session.state(n).stamp for n in session.numbers] == [0.0, 1.0]


def test_a_cloud_in_an_unknown_frame_is_a_problem_said(tmp_path):
    made = record(tmp_path, 0.6, frame_id="rover_0/sonar")
    assert "sonar" in made.status.problem and made.status.frames == 0 and made.status.dropped_frames == 2


def test_recording_goes_on_after_a_clock_reset(tmp_path):
    made = recording(tmp_path)
    for stamp in (100.0, 100.1, 100.5, 0.0, 0.1, 0.5, 1.0):
        made.add(sweep(stamp))
    made.close()
    assert made.status.frames == 5


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_folder_that_can_not_even_be_looked_for_is_a_problem_said(tmp_path):
    made = record(tmp_path / ("n" * 300), 0.6)
    assert made.status.problem and made.status.dropped_frames == 2
