"""One robot's recording: synced sweeps in, sessions on disk out. No ROS.

One thread makes frames of sweeps, two compress images, one writes, so that neither callbacks nor grids wait for the
disk. The queues before the first and the last are bounded.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from enum import Enum
from pathlib import Path
from queue import Queue
from threading import Thread

import numpy as np

from occ_core.condition import Condition, ConditionWatch
from occ_core.frame import Frame, VehicleState
from occ_core.frame_files import jpeg
from occ_core.session import SessionInfo
from occ_core.session_log import Event, EventKind
from occ_core.sync import SAME_INSTANT_S, SyncedSweep
from occ_core.topics import CAMERAS
from occ_core.tracker import FrameTracker, PendingFrame
from occ_recorder.session_thread import SessionThread, wait_for_room, went_back
from occ_recorder.status import RecordingStatus

_QUEUE_SWEEPS = 100  # 10 s, 100 MB: images are compressed while their sweep waits
_QUEUE_OF_A_BAG = 20  # its keyframes come faster than they are compressed: four of them are 100 MB
_JPEG_THREADS = 2


class Mode(str, Enum):
    """Whether keyframes become frames. Sweeps are accumulated all the time, so that a start needs no run-up."""

    RECORDING = "recording"
    PAUSED = "paused"
    STOPPED = "stopped"


class RobotRecording:
    """Writes frames as they come; what the disk or the CPU can't keep up with is dropped whole, and counted.

    session_seconds: a new session begins after so much recorded time, 0 for never, and when the clock goes back.
    newest: stamp of the last sweep that came, seconds. lossless: wait instead of dropping, as a bag can. now: the date
    that a session is named after. makers: threads that make grids beside the one that accumulates; 0: none, it makes
    them itself.
    """

    def __init__(
        self,
        tracker: FrameTracker,
        info: SessionInfo,
        root: Path,
        session_seconds: float,
        jpeg_quality: int,
        mode: Mode = Mode.RECORDING,
        lossless: bool = False,
        now: Callable[[], datetime] = datetime.now,
        makers: int = 0,
    ) -> None:
        self.status = RecordingStatus()
        self.mode = mode
        self._tracker, self._quality = tracker, jpeg_quality
        self.newest = 0.0
        self._watch, self._how = ConditionWatch(), Condition.WELL
        self._limit = _QUEUE_OF_A_BAG if lossless else _QUEUE_SWEEPS
        self._lossless = lossless
        self._disk = SessionThread(info, root, session_seconds, self.status, lossless, now)
        threads = min(len(CAMERAS), os.cpu_count() or 1) if lossless else _JPEG_THREADS
        self._compressing = ThreadPoolExecutor(threads, f"compress {tracker.robot}")
        self._makers = ThreadPoolExecutor(makers, f"make {tracker.robot}") if makers else None
        self._queue: Queue[Callable[[], None] | None] = Queue()
        self._thread = Thread(target=self._work, name=f"record {tracker.robot}", daemon=True)
        self._thread.start()

    def add(self, sweep: SyncedSweep) -> None:
        """Hand a sweep over; never blocks, unless lossless."""
        # A frame between sweeps may follow one that is some milliseconds late.
        if sweep.stamp < self.newest - SAME_INSTANT_S:
            back = went_back(self.newest, sweep.stamp)
            self._queue.put(lambda: self._disk.end(back))
            self.newest = sweep.stamp
        self.newest = max(self.newest, sweep.stamp)
        if self.mode is not Mode.RECORDING:
            sweep = replace(sweep, keyframe=False, images={}, imu=None, missed="")
        if sweep.missed:
            self._disk.drop(sweep.stamp, f"{self._tracker.robot}: {sweep.missed}")
        if self._lossless:
            wait_for_room(self._queue, self._limit, self._thread)
        if self._queue.qsize() < self._limit:
            images = {
                CAMERAS[camera]: self._compressing.submit(_jpeg, pixels, self._quality)
                for camera, pixels in sweep.images.items()
            }
            sweep = replace(sweep, images={})
            self._queue.put(lambda: self._make_frame(sweep, images))
            return
        self.status.dropped_sweeps += 1
        self.status.problem = f"{self._tracker.robot}: the CPU is too slow, sweeps are dropped"
        if sweep.keyframe:
            self._disk.drop(sweep.stamp, self.status.problem)

    @property
    def alive(self) -> bool:
        """False once a thread has ended with an error, which it has printed."""
        return self._thread.is_alive() and self._disk.alive

    def start(self) -> bool:
        """Go on after a pause, in the same session, or begin a new one after a stop; False while recording."""
        if self.mode is Mode.RECORDING:
            return False
        if self.mode is Mode.PAUSED:
            self._note(EventKind.RESUME)
        self.mode = Mode.RECORDING
        return True

    def pause(self) -> bool:
        """Leave the session open and write no frames; False where nothing is being recorded."""
        if self.mode is not Mode.RECORDING:
            return False
        self.mode = Mode.PAUSED
        self._note(EventKind.PAUSE)
        return True

    def stop(self) -> bool:
        """Finish the session; False where that is done already."""
        if self.mode is Mode.STOPPED:
            return False
        self.mode = Mode.STOPPED
        self._queue.put(self._disk.end)
        return True

    def mark_suspect(self, why: str) -> None:
        """Say in the session that is open why it is not to be trusted."""
        self.status.problem = f"{self._tracker.robot}: {why}"
        self._queue.put(lambda: self._disk.mark_suspect(why))

    def mark(self, label: str) -> bool:
        """Note the instant of the newest sweep in the session; False where none is open."""
        if not self.status.session:
            return False
        self._note(EventKind.MARK, label)
        return True

    def close(self) -> None:
        """Write what is queued, finish the session, then stop."""
        self._queue.put(None)
        self._thread.join()
        self._disk.close()
        self._compressing.shutdown()
        if self._makers is not None:
            self._makers.shutdown()

    def _note(self, kind: EventKind, label: str = "") -> None:
        if self.status.session:
            event = Event(self.newest, kind, label)
            self._queue.put(lambda: self._disk.note(event))

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            work()

    def _look_after(self, state: VehicleState) -> None:
        """Say, and note in the session, when a robot turns over, gets stuck and the like, and when that is over."""
        how = self._watch.add(state.stamp, state.base_link, state.linear)
        if how is not self._how:
            if how is not Condition.WELL:
                self.status.problem = f"{self._tracker.robot}: {how.value}, training leaves such frames out"
            self._disk.note(Event(state.stamp, EventKind.CONDITION, how.value))
            self._how = how

    def _make_frame(self, sweep: SyncedSweep, images: dict[str, Future[bytes]]) -> None:
        try:
            pending = self._tracker.begin(sweep)
            if pending is None:
                return
            if self._makers is None:
                self._disk.write(_whole(pending, images, sweep.imu))
            else:
                self._disk.write_made(sweep.stamp, self._makers.submit(_whole, pending, images, sweep.imu))
            self._look_after(pending.state)
        except (ValueError, OSError) as error:
            self.status.problem = str(error)
            if sweep.keyframe:
                self._disk.drop(sweep.stamp, str(error))


def _whole(pending: PendingFrame, images: dict[str, Future[bytes]], imu: np.ndarray | None) -> Frame:
    frame = pending.make()
    return replace(frame, images={channel: image.result() for channel, image in images.items()}, imu=imu)


def _jpeg(image: np.ndarray | bytes, quality: int) -> bytes:
    if isinstance(image, bytes):
        return image  # It came as a JPEG: compressing it again would only lose.
    return jpeg(image, quality)
