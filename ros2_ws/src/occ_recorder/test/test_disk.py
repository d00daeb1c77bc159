"""A disk that is full, read-only or gone: a sentence, whole and counted losses, and every earlier frame intact."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from recorded import GRID, frame

from occ_core.session import Session, SessionError, SessionInfo, SessionWriter, find_sessions
from occ_core.session_log import EventKind
from occ_recorder.session_thread import SessionThread
from occ_recorder.sessions.check import check_session
from occ_recorder.status import RecordingStatus

INFO = SessionInfo("rover_0", GRID, 0.5, "lidar")


def make(index: int):
    return frame(index, (0.0, 0.0), 4.0, 0, cameras=True)


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 400 kB, some ten frames."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def assert_intact(folder: Path, stamps: list[float]) -> None:
    report = check_session(folder)
    assert report.damage == ()
    session = Session.open(folder)
    assert [session.state(number).stamp for number in session.numbers] == stamps


def test_a_full_disk_is_said_and_earlier_frames_stay_whole(small_disk):
    status = RecordingStatus()
    thread = SessionThread(INFO, small_disk, 0.0, status)
    for index in range(30):
        thread.write(make(index))
    thread.close()
    (session,) = find_sessions(small_disk)
    assert "No space left on device" in status.problem and session.name in status.problem
    assert status.frames + status.dropped_frames == 30 and status.frames == len(session) > 3
    assert_intact(session.folder, [100 + 0.5 * index for index in range(len(session))])


def test_when_there_is_space_again_recording_goes_on_in_the_same_session_which_lists_what_it_lost(small_disk):
    (small_disk / "ballast").write_bytes(bytes(250_000))
    status = RecordingStatus()
    thread = SessionThread(INFO, small_disk, 0.0, status)
    for index in range(8):
        thread.write(make(index))
    thread._queue.put((small_disk / "ballast").unlink)
    for index in range(8, 11):
        thread.write(make(index))
    thread.close()
    (session,) = find_sessions(small_disk)
    lost = sorted(event.time for event in session.events() if event.kind is EventKind.DROPPED)
    kept = [session.state(number).stamp for number in session.numbers]
    assert len(lost) == status.dropped_frames > 0 and kept[-3:] == [104.0, 104.5, 105.0]
    assert sorted(kept + lost) == [100 + 0.5 * index for index in range(11)]
    assert_intact(session.folder, kept)


def test_a_disk_without_room_for_a_session_gets_none_and_is_not_littered(small_disk):
    (small_disk / "ballast").write_bytes(bytes(400 * 1024))
    status = RecordingStatus()
    thread = SessionThread(INFO, small_disk, 0.0, status)
    for index in range(3):
        thread.write(make(index))
    thread.close()
    assert "can't start session" in status.problem and status.dropped_frames == 3
    assert [path.name for path in small_disk.iterdir()] == ["ballast"]


def test_a_disk_that_becomes_read_only_is_said_and_earlier_frames_stay_whole(small_disk):
    writer = SessionWriter(small_disk / "s", INFO)
    writer.write(make(0))
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(SessionError, match="frame 2 of .*Read-only file system"):
        writer.write(make(1))
    with pytest.raises(SessionError, match="Read-only file system"):
        SessionWriter(small_disk / "another", INFO)
    assert_intact(writer.folder, [100.0])


LIMITED = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_disk import INFO, make
from occ_core.session import SessionError, SessionWriter
writer = SessionWriter(Path(sys.argv[1]), INFO)
writer.write(make(0)), writer.write(make(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
for attempt in range(3):
    try:
        writer.write(make(2))
    except SessionError as error:
        print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(writer.write(make(2)))
"""


def test_a_file_that_may_not_grow_is_said_and_its_number_is_used_again(tmp_path):
    """A limit on file sizes refuses the second half of a write, as a full disk does, and needs no root."""
    folder = tmp_path / "s"
    command = [sys.executable, "-c", LIMITED, str(folder), str(Path(__file__).parent)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert len(out) == 4 and all("frame 3" in line and "File too large" in line for line in out[:3]) and out[3] == "3"
    assert_intact(folder, [100.0, 100.5, 101.0])


def test_a_log_that_may_not_grow_keeps_its_whole_lines(tmp_path):
    from occ_core.session_log import append

    path = tmp_path / "log.jsonl"
    append(path, {"a": 1})
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 5, hard))
    try:
        with pytest.raises(OSError):
            append(path, {"b": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
