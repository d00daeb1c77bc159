"""A writer killed at 100 random moments: every session opens, at most the frame being written is missing."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from recorded import GRID, frame

from occ_core.session import Session
from occ_recorder.sessions.check import check_session
from occ_recorder.sessions.repair import quarantine

KILLS = 100

# One process that has imported everything forks a writer per kill: a writer is a real process, and starts in no time.
# It reports each frame that `write` has returned from through a pipe, which outlives it. It is killed while it begins
# the session or after up to four frames, some time into the next.
FORKER = """
import os, random, signal, struct, sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from recorded import GRID, frame
from occ_core.session import SessionInfo, SessionWriter
from occ_core.session_log import Event, EventKind
root, moments = Path(sys.argv[1]), random.Random(5)
frames = [frame(index, (0.0, 0.0), 4.0, 0, cameras=True) for index in range(60)]
for kill in range(int(sys.argv[3])):
    reader, reports = os.pipe()
    child = os.fork()
    if child == 0:
        writer = SessionWriter(root / f"rover_0_{kill:03d}", SessionInfo("rover_0", GRID, 0.5, "lidar"))
        os.write(reports, b"\\0")
        for made in frames:
            writer.note(Event(made.state.stamp, EventKind.MARK, "next"))
            writer.write(made)
            os.write(reports, b"+")
        os._exit(0)
    os.close(reports)
    begun, returned = time.perf_counter(), -1
    for _ in range(moments.randrange(6)):
        returned += len(os.read(reader, 1))
    time.sleep(moments.uniform(0, (time.perf_counter() - begun) / max(returned, 1) if returned >= 0 else 0.01))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while part := os.read(reader, 1000):
        returned += len(part)
    os.close(reader)
    sys.stdout.buffer.write(struct.pack("<i", returned))
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> list[tuple[Path, int]]:
    """Session folders, and how many frames each writer had finished when it was killed; -1: it had no session yet."""
    root = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-c", FORKER, str(root), str(Path(__file__).parent), str(KILLS)]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=os.environ).stdout
    folders = [root / f"rover_0_{kill:03d}" for kill in range(KILLS)]
    pairs = list(zip(folders, struct.unpack(f"<{KILLS}i", out), strict=True))
    assert all(folder.exists() or finished == -1 for folder, finished in pairs)
    return [(folder, finished) for folder, finished in pairs if folder.exists()]


def test_every_session_opens_and_lacks_at_most_the_frame_that_was_being_written(killed):
    for folder, finished in killed:
        session = Session.open(folder)
        assert session.numbers == tuple(range(1, len(session) + 1))
        assert max(finished, 0) <= len(session) <= max(finished, 0) + 1
    lengths = [finished for _, finished in killed]
    assert len(killed) > 0.7 * KILLS and len(set(lengths)) > 3, "kills came after different numbers of frames"


def test_every_frame_that_is_there_is_what_was_written(killed):
    originals = [frame(index, (0.0, 0.0), 4.0, 0, cameras=True) for index in range(60)]
    for folder, _ in killed:
        session = Session.open(folder)
        for number, original in zip(session.numbers, originals, strict=False):
            assert session.state(number).stamp == original.state.stamp
            assert (session.points(number) == original.points).all() and (session.imu(number) == original.imu).all()
            grids = session.occupancy(number)
            assert grids.classes.shape == GRID.shape
            for name in ("classes", "observed", "instance"):
                assert np.array_equal(getattr(grids, name), getattr(original.occupancy, name))
            for channel, jpeg in original.images.items():
                assert session.image_path(number, channel).read_bytes() == jpeg


def test_check_finds_nothing_but_the_frame_that_was_being_written_and_repair_puts_it_away(killed):
    interrupted = 0
    for folder, _ in killed:
        frames = Session.open(folder).numbers
        report = check_session(folder)
        assert report.usable == frames
        for damage in report.damage:
            assert "being written" in damage.problem or "interrupted" in damage.problem, damage
        interrupted += bool(report.damage)
        quarantine(report)
        assert check_session(folder).damage == () and Session.open(folder).numbers == frames
    assert interrupted > 10, "kills came in the middle of frames"
