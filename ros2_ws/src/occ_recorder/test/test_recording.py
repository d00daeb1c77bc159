"""Sweeps in, sessions on disk out; a disk that refuses is a problem said, not the end."""

from __future__ import annotations

import io
import os
import time
from dataclasses import replace
from pathlib import Path
from threading import Event as Signal

import numpy as np
import pytest
from PIL import Image
from processes import PATIENCE_S

from occ_core.grid import VoxelGrid
from occ_core.keyframes import KeyframeBuilder, OccupancySource
from occ_core.poses import Pose
from occ_core.session import Session, SessionInfo, find_sessions
from occ_core.session_log import EventKind, read_events
from occ_core.sync import Odometry, SweepSynchronizer, SyncedSweep
from occ_core.tracker import FrameTracker
from occ_recorder.recording import Mode, RobotRecording
from occ_recorder.reporting import Reporter
from occ_recorder.sessions.check import check_session
from occ_recorder.sessions.describe import describe

GRID = VoxelGrid((-8, -8, -2), (8, 8, 5.5), (0.4, 0.4, 1.25))
MOUNT = Pose.from_xyz_rpy([0, 0, 1], [0, 0, 0])


def recording(root: Path, session_seconds: float = 0.0, mode: Mode = Mode.RECORDING) -> RobotRecording:
    builder = KeyframeBuilder(GRID, OccupancySource.LIDAR)
    tracker = FrameTracker("rover_0", builder, {"lidar_link": MOUNT}, lambda x, y: 0.0)
    return RobotRecording(tracker, SessionInfo("rover_0", GRID, 0.5, "lidar"), root, session_seconds, 95, mode)


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
        occupied = GRID.centers(np.argwhere(session.classes(number)))
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
    end = time.monotonic() + PATIENCE_S
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
def test_a_clock_that_goes_back_ends_the_session_and_marks_it(tmp_path):
    made = recording(tmp_path)
    # None of the later sweeps is a keyframe: the session that is open ends all the same.
    for stamp in (*np.arange(0, 2.05, 0.1), *np.arange(0.6, 0.9, 0.1)):
        made.add(sweep(float(stamp)))
    made.close()
    (session,) = find_sessions(tmp_path)
    assert session.info.suspect == "the clock went back from 2.00 s to 0.60 s" and len(session) == 5
    report = check_session(session.folder)
    assert report.damage == () and any("the clock went back from 2.00 s" in note for note in report.notes)
    assert "suspect (the clock went back" in describe(session.folder).lines()[0]


def test_a_session_is_marked_with_the_first_reason(tmp_path):
    made = recording(tmp_path)
    for tick in range(11):
        made.add(sweep(0.1 * tick))
        if tick == 3:
            made.mark_suspect("2 nodes publish its odometry: simulator and simulator")
    made.mark_suspect("another reason")
    made.close()
    (session,) = find_sessions(tmp_path)
    assert session.info.suspect == "2 nodes publish its odometry: simulator and simulator"
    assert check_session(session.folder).usable == session.numbers == (1, 2, 3)


def test_a_folder_that_can_not_even_be_looked_for_is_a_problem_said(tmp_path):
    made = record(tmp_path / ("n" * 300), 0.6)
    assert made.status.problem and made.status.dropped_frames == 2


def drive(made: RobotRecording, first: float, last: float) -> None:
    """Ten sweeps a second, both ends included."""
    for tick in range(round(first * 10), round(last * 10) + 1):
        made.add(sweep(0.1 * tick))


def stamps(session: Session) -> list[float]:
    return [round(session.state(number).stamp, 3) for number in session.numbers]


def events(session: Session) -> list[tuple[float, EventKind, str]]:
    return [(round(event.time, 3), event.kind, event.label) for event in session.events()]


def test_a_pause_leaves_frames_out_of_the_same_session_which_says_so(tmp_path):
    made = recording(tmp_path)
    drive(made, 0.0, 1.2)
    wait_for(lambda: made.status.frames == 3)
    assert made.pause() and not made.pause()
    drive(made, 1.3, 3.1)
    assert made.start() and not made.start()
    drive(made, 3.2, 4.0)
    made.close()
    (session,) = find_sessions(tmp_path)
    assert stamps(session) == [0, 0.5, 1, 3.5, 4]
    assert events(session) == [(1.2, EventKind.PAUSE, ""), (3.1, EventKind.RESUME, ""), (4.0, EventKind.END, "")]


def test_after_a_stop_a_start_begins_another_session(tmp_path):
    made = recording(tmp_path)
    drive(made, 0.0, 1.0)
    assert made.stop() and not made.stop()
    wait_for(lambda: made.status.frames == 3 and made.status.session == "")
    drive(made, 1.1, 2.0)
    assert made.start()
    drive(made, 2.1, 3.0)
    made.close()
    assert [stamps(session) for session in find_sessions(tmp_path)] == [[0, 0.5, 1], [2.5, 3]]
    assert [events(session) for session in find_sessions(tmp_path)] == [
        [(1.0, EventKind.END, "")],
        [(3.0, EventKind.END, "")],
    ]


def test_a_recording_that_is_to_wait_begins_with_start(tmp_path):
    made = recording(tmp_path, mode=Mode.STOPPED)
    drive(made, 0.0, 1.0)
    made.start()
    drive(made, 1.1, 2.0)
    made.close()
    assert [stamps(session) for session in find_sessions(tmp_path)] == [[1.5, 2]]


def test_the_first_frame_after_a_pause_holds_the_sweeps_that_came_during_it(tmp_path):
    builder = KeyframeBuilder(GRID, OccupancySource.ACCUMULATED, window=1.0)
    tracker = FrameTracker("rover_0", builder, {"lidar_link": MOUNT}, lambda x, y: 0.0)
    made = RobotRecording(tracker, SessionInfo("rover_0", GRID, 0.5, "accumulated"), tmp_path, 0.0, 95)
    made.pause()
    drive(made, 0.0, 0.9)
    made.start()
    made.add(sweep(1.0))
    made.close()
    (session,) = find_sessions(tmp_path)
    walls = GRID.centers(np.argwhere(session.classes(1)))[:, 0]
    assert np.ptp(walls) > 0.7, "the wall goes along with the vehicle: one sweep is a plane, ten are a metre deep"


def test_marks_are_noted_with_the_time_of_the_newest_sweep(tmp_path):
    made = recording(tmp_path)
    assert not made.mark("nobody listens yet")
    drive(made, 0.0, 0.7)
    wait_for(lambda: made.status.session != "")
    assert made.mark("near miss") and made.mark('"quotes", new\nlines and 信号')
    made.close()
    (session,) = find_sessions(tmp_path)
    assert events(session)[:2] == [
        (0.7, EventKind.MARK, "near miss"),
        (0.7, EventKind.MARK, '"quotes", new\nlines and 信号'),
    ]


@pytest.fixture
def standstill(monkeypatch) -> Signal:
    """A disk that does not answer until the signal is set."""
    go, fsync = Signal(), os.fsync

    def wait(descriptor: int) -> None:
        go.wait(60)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", wait)
    return go


def test_a_disk_that_stands_still_costs_whole_frames_that_are_counted_and_listed(tmp_path, standstill):
    made = recording(tmp_path)
    for number in range(60):
        made.add(sweep(0.5 * number))
        wait_for(lambda: made._queue.empty())
    wait_for(lambda: made.status.dropped_frames >= 18)
    assert "disk is too slow" in made.status.problem and made.status.dropped_sweeps == 0
    standstill.set()
    wait_for(lambda: made.status.frames > 0 and made._disk._queue.empty())
    drive(made, 30.0, 30.0)
    made.close()
    (session,) = find_sessions(tmp_path)
    lost = [time for time, kind, _ in events(session) if kind is EventKind.DROPPED]
    assert sorted(stamps(session) + lost) == [0.5 * number for number in range(61)]
    assert len(lost) == made.status.dropped_frames and len(session) == made.status.frames


def test_the_grid_after_dropped_frames_is_as_if_none_had_been_dropped(tmp_path, standstill):
    def last_grid(root: Path, wait: bool) -> np.ndarray:
        builder = KeyframeBuilder(GRID, OccupancySource.ACCUMULATED, window=3.0)
        tracker = FrameTracker("rover_0", builder, {"lidar_link": MOUNT}, lambda x, y: 0.0)
        made = RobotRecording(tracker, SessionInfo("rover_0", GRID, 0.5, "accumulated"), root, 0.0, 95)
        for tick in range(0, 256):
            made.add(sweep(0.1 * tick))
            wait_for(lambda: made._queue.empty())
            if wait and tick % 100 == 99:
                standstill.set()
                wait_for(lambda: made._disk._queue.empty())
        standstill.set()
        wait_for(lambda: made._disk._queue.empty())
        drive(made, 25.6, 26.0)
        made.close()
        assert (made.status.dropped_frames > 0) is not wait
        (session,) = find_sessions(root)
        return session.classes(session.numbers[-1])

    assert (last_grid(tmp_path / "slow", wait=False) == last_grid(tmp_path / "fast", wait=True)).all()


def test_a_cpu_that_is_too_slow_costs_sweeps_and_frames_that_are_counted(tmp_path):
    made = recording(tmp_path)
    hold = Signal()
    made._queue.put(hold.wait)  # as a grid that takes long
    drive(made, 0.0, 11.9)
    assert made.status.dropped_sweeps == 20 and made.status.dropped_frames == 4
    assert "CPU is too slow" in made.status.problem
    hold.set()
    wait_for(lambda: made._queue.empty())
    drive(made, 12.0, 12.0)
    made.close()
    (session,) = find_sessions(tmp_path)
    assert len(session) == 21 and [e for e in events(session) if e[1] is EventKind.DROPPED]


def test_the_imu_samples_of_a_keyframe_are_kept(tmp_path):
    samples = np.arange(21.0).reshape(3, 7)
    made = recording(tmp_path)
    made.add(replace(sweep(0.0), imu=samples))
    made.close()
    (session,) = find_sessions(tmp_path)
    assert (session.imu(1) == samples).all()


def test_when_the_sessions_folder_is_taken_away_the_next_frame_begins_another(tmp_path):
    made = recording(tmp_path / "data")
    drive(made, 0.0, 1.0)
    wait_for(lambda: made.status.frames == 3)
    (tmp_path / "data").rename(tmp_path / "taken")
    drive(made, 1.1, 3.0)
    made.close()
    (kept,) = find_sessions(tmp_path / "taken")
    (new,) = find_sessions(tmp_path / "data")
    assert stamps(kept) == [0, 0.5, 1] and stamps(new) == [2, 2.5, 3]
    assert [(time, kind) for time, kind, _ in events(new)][:1] == [(1.5, EventKind.DROPPED)]


def test_a_frame_that_an_image_is_missing_from_is_counted_and_listed(tmp_path):
    made = recording(tmp_path)
    made.add(sweep(0.0))
    made.add(replace(sweep(0.5), keyframe=False, missed="no image of back at a keyframe"))
    made.add(sweep(1.0))
    made.close()
    (session,) = find_sessions(tmp_path)
    assert stamps(session) == [0, 1] and made.status.dropped_frames == 1
    assert events(session)[0] == (0.5, EventKind.DROPPED, "rover_0: no image of back at a keyframe")


# -- what is said each second


def reporter(made: RobotRecording) -> tuple[Reporter, SweepSynchronizer]:
    synchronizer = SweepSynchronizer(0.5)
    return Reporter(made, synchronizer), synchronizer


def test_a_problem_is_said_once_when_it_happens_and_its_count_for_ever(tmp_path):
    made = recording(tmp_path)
    said, synchronizer = reporter(made)
    made.add(sweep(0.0, frame_id="rover_0/sonar"))
    synchronizer.dropped["no actors at a sweep"] = 3
    wait_for(lambda: made.status.dropped_frames == 1)
    first, second = said.next(), said.next()
    assert "sonar" in first.problem and "no actors at a sweep: 3 times" in first.problem and second.problem == ""
    assert second.values["dropped frames"] == 1 and second.values["no actors at a sweep"] == 3
    made.close()


def test_silence_is_said_after_five_seconds(tmp_path):
    made = recording(tmp_path)
    said, _ = reporter(made)
    made.add(sweep(0.1))
    problems = [said.next().problem for _ in range(7)]
    assert problems[:5] == [""] * 5 and "no sweep" in problems[5] and "no sweep" in problems[6]
    made.add(sweep(0.2))
    assert said.next().problem == ""
    made.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_robot_that_turns_over_is_said_and_noted_and_so_is_that_it_stands_again(tmp_path):
    made = recording(tmp_path)
    over = Pose.from_xyz_rpy(np.zeros(3), np.radians([178.0, 0, 0]))
    for tick in range(31):
        whole = sweep(tick / 10)
        odometry = replace(whole.odometry, pose=over) if 10 <= tick <= 20 else whole.odometry
        made.add(replace(whole, odometry=odometry, keyframe=tick % 5 == 0))
    made.close()
    assert made.status.problem == "rover_0: upside down, training leaves such frames out"
    (session,) = find_sessions(tmp_path)
    noted = [(event.time, event.label) for event in read_events(session.folder) if event.kind is EventKind.CONDITION]
    assert noted == [(1.0, "upside down"), (2.5, "well")]


def test_a_thread_that_ends_with_an_error_is_said(tmp_path):
    made = recording(tmp_path)
    said, _ = reporter(made)
    made._queue.put(lambda: 1 // 0)
    wait_for(lambda: not made.alive)
    assert "ended with an error" in said.next().problem
    made.close()
