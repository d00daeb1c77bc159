"""Frames and events to disk on a thread of its own, behind a bounded queue: a slow disk costs whole, counted frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from queue import Queue
from threading import Lock, Thread

from occ_core.frame import Frame
from occ_core.session import SessionError, SessionInfo, SessionWriter, session_name
from occ_core.session_log import Event, EventKind
from occ_recorder.status import RecordingStatus

_QUEUE_FRAMES = 40  # compressed, about 1 MB each: 20 s of a disk that stands still
_FRAMES_BEING_MADE = 4  # 20 MB each


def wait_for_room(queue: Queue, limit: int, thread: Thread) -> None:
    """Block until a queue holds fewer than so many things. RuntimeError where the thread that empties it has ended."""
    with queue.not_full:  # which `get` notifies, of queues without a bound too
        while not queue.not_full.wait_for(lambda: len(queue.queue) < limit, timeout=1.0):
            if not thread.is_alive():
                raise RuntimeError(f"thread '{thread.name}' has ended before its work was done")


def went_back(newest: float, stamp: float) -> str:
    """Why a session is suspect whose clock went from one time to an earlier one, seconds."""
    return f"the clock went back from {newest:.2f} s to {stamp:.2f} s"


class SessionThread:
    """Owns the session being written. Counts into `status`.

    session_seconds: a new session begins after so much recorded time, 0 for never, and when the clock goes back.
    lossless: wait where the queue is full. now: the date that a session is named after.
    """

    def __init__(
        self,
        info: SessionInfo,
        root: Path,
        session_seconds: float,
        status: RecordingStatus,
        lossless: bool = False,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        self._info, self._root, self._seconds, self._status = info, Path(root), session_seconds, status
        self._lossless, self._now = lossless, now
        self._writer: SessionWriter | None = None
        self._began = self._last = 0.0
        self._unsaid: deque[Event] = deque(maxlen=1000)
        self._counting = Lock()
        self._queue: Queue[Callable[[], None] | None] = Queue()
        self._thread = Thread(target=self._work, name=f"write {info.agent}", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """False once the thread has ended."""
        return self._thread.is_alive()

    def write(self, frame: Frame) -> None:
        """Hand a frame over. One that finds the queue full is dropped, which the session will say; or waits."""
        if self._lossless:
            wait_for_room(self._queue, _QUEUE_FRAMES, self._thread)
        if self._queue.qsize() >= _QUEUE_FRAMES:
            self.drop(frame.state.stamp, f"{self._info.agent}: the disk is too slow, frames are dropped")
        else:
            self._queue.put(lambda: self._write(frame))

    def write_made(self, stamp: float, frame: Future[Frame]) -> None:
        """Hand over a frame that is still being made; waits while several are. One that can't be made is dropped."""
        wait_for_room(self._queue, _FRAMES_BEING_MADE, self._thread)
        self._queue.put(lambda: self._write_made(stamp, frame))

    def _write_made(self, stamp: float, future: Future[Frame]) -> None:
        try:
            frame = future.result()
        except (ValueError, OSError) as error:
            self.drop(stamp, str(error))
        else:
            self._write(frame)

    def drop(self, stamp: float, why: str) -> None:
        """Count a frame that was lost, and have the session say so with its next frame."""
        with self._counting:
            self._status.dropped_frames += 1
            self._status.problem = why
            self._unsaid.append(Event(stamp, EventKind.DROPPED, why))

    def note(self, event: Event) -> None:
        """Add an event to the session that is open when its turn comes."""
        self._queue.put(lambda: self._note(event))

    def end(self, suspect: str = "") -> None:
        """Finish the session after all that was handed over; the next frame begins another.

        suspect: why it is not to be trusted, '' where it is.
        """
        self._queue.put(lambda: self._end(suspect))

    def mark_suspect(self, why: str) -> None:
        """Mark the session that is open when its turn comes."""
        self._queue.put(lambda: self._writer.mark_suspect(why) if self._writer else None)

    def close(self) -> None:
        """Write what is queued, finish the session, stop the thread."""
        self.end()
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            try:
                work()
            except SessionError as error:
                self._status.problem = str(error)

    def _write(self, frame: Frame) -> None:
        stamp = frame.state.stamp
        over = self._seconds and stamp - self._began >= self._seconds - 1e-6
        try:
            if self._writer is not None and (over or stamp < self._last):
                with suppress(SessionError):  # that the old session can't be finished is no reason to lose this frame
                    self._end(went_back(self._last, stamp) if stamp < self._last else "")
            if self._writer is None:
                self._writer = SessionWriter(self._folder(), self._info)
                self._began = stamp
                self._status.sessions += 1
                self._status.session = self._writer.folder.name
            self._last = stamp
            self._writer.write(frame)
        except (SessionError, ValueError, OSError) as error:
            self.drop(stamp, str(error))
            if self._writer is not None and not self._writer.folder.is_dir():
                self._writer = None  # somebody took the folder away: the next frame begins another
                self._status.session = ""
        else:
            self._status.frames += 1
            self._say_dropped(self._writer)

    def _note(self, event: Event) -> None:
        if self._writer is None:
            self._status.problem = f"{self._info.agent}: no session is open, nowhere to note '{event.label}'"
        else:
            self._writer.note(event)

    def _end(self, suspect: str = "") -> None:
        writer, self._writer = self._writer, None
        self._status.session = ""
        if writer is not None:
            if suspect:
                self._status.problem = f"{self._info.agent}: {suspect}, the session ends and is marked as suspect"
                writer.mark_suspect(suspect)
            self._say_dropped(writer)
            writer.end(self._last)

    def _say_dropped(self, writer: SessionWriter) -> None:
        while self._unsaid:
            writer.note(self._unsaid[0])
            self._unsaid.popleft()

    def _folder(self) -> Path:
        """A name that is not taken: the time of day, moved on by seconds where two sessions begin within one."""
        when = self._now()
        while (folder := self._root / session_name(self._info.agent, when)).exists():
            when += timedelta(seconds=1)
        return folder
