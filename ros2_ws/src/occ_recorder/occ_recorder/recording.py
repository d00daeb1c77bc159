"""One robot's recording: synced sweeps in, sessions on disk out, on a thread of its own. No ROS."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from queue import Full, Queue
from threading import Thread

import numpy as np
from PIL import Image

from occ_core.session import SessionError, SessionInfo, SessionWriter, session_name
from occ_core.sync import SyncedSweep
from occ_core.topics import CAMERAS
from occ_core.tracker import FrameTracker

_QUEUE_SWEEPS = 60


@dataclass
class RecordingStatus:
    """Counts for /diagnostics. problem: what is wrong, in words, '' while all is well."""

    frames: int = 0
    sessions: int = 0
    dropped_sweeps: int = 0
    dropped_frames: int = 0
    problem: str = ""


class RobotRecording:
    """Writes frames as they come; what the disk can't keep up with is dropped whole, and counted.

    session_seconds: a new session begins after so much recorded time, 0 for never, and when the clock goes back.
    """

    def __init__(
        self, tracker: FrameTracker, info: SessionInfo, root: Path, session_seconds: float, jpeg_quality: int
    ) -> None:
        self.status = RecordingStatus()
        self._tracker, self._info, self._root = tracker, info, Path(root)
        self._seconds, self._quality = session_seconds, jpeg_quality
        self._writer: SessionWriter | None = None
        self._began = 0.0
        self._queue: Queue[SyncedSweep | None] = Queue(_QUEUE_SWEEPS)
        self._thread = Thread(target=self._work, name=f"record {tracker.robot}")
        self._thread.start()

    def add(self, sweep: SyncedSweep) -> None:
        """Hand a sweep over; never blocks."""
        try:
            self._queue.put_nowait(sweep)
        except Full:
            self.status.dropped_sweeps += 1
            self.status.dropped_frames += sweep.keyframe
            self.status.problem = f"{self._tracker.robot}: the disk or the CPU is too slow, frames are dropped"

    def close(self) -> None:
        """Write what is queued, then stop."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (sweep := self._queue.get()) is not None:
            try:
                self._record(sweep)
            except (SessionError, ValueError, OSError) as error:
                self.status.problem = str(error)
                self.status.dropped_frames += sweep.keyframe

    def _record(self, sweep: SyncedSweep) -> None:
        frame = self._tracker.add(sweep)
        if frame is None:
            return
        over = self._seconds and sweep.stamp - self._began >= self._seconds - 1e-6
        if self._writer is None or over or sweep.stamp < self._began:
            self._writer = SessionWriter(self._folder(), self._info)
            self._began = sweep.stamp
            self.status.sessions += 1
        jpegs = {CAMERAS[camera]: _jpeg(pixels, self._quality) for camera, pixels in sweep.images.items()}
        self._writer.write(replace(frame, images=jpegs))
        self.status.frames += 1
        self.status.problem = ""

    def _folder(self) -> Path:
        """A name that is not taken: the time of day, moved on by seconds where two sessions begin within one."""
        when = datetime.now()
        while (folder := self._root / session_name(self._tracker.robot, when)).exists():
            when += timedelta(seconds=1)
        return folder


def _jpeg(pixels: np.ndarray, quality: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
