"""One robot's sweeps to moments, on a thread of its own: grids at the pace that forecasts can follow. No ROS."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Condition, Thread

from occ_core.frame import Frame
from occ_core.sync import SyncedSweep
from occ_core.tracker import FrameTracker
from occworld_infer.history import History, HistoryFrame
from occworld_infer.pace import Pace

_QUEUE_SWEEPS = 20


@dataclass(frozen=True)
class Ready:
    """A history that can be forecast from: moments, oldest first.

    keyframe: the newest is at a whole frame period. arrived: of its sweep, on `time.perf_counter`. voxelize_s: seconds.
    """

    robot: str
    history: tuple[HistoryFrame, ...]
    keyframe: bool
    arrived: float
    voxelize_s: float

    @property
    def stamp(self) -> float:
        """Of the newest moment, seconds."""
        return self.history[-1].state.stamp


@dataclass(frozen=True)
class Seen:
    """A frame, and the history that ends with it: None while that is not whole."""

    frame: Frame
    keyframe: bool
    ready: Ready | None


class LiveTrack:
    """Takes one robot's sweeps as they come and never blocks who hands them over.

    All sweeps are accumulated; grids are made at keyframes and, where no newer sweep waits, in between. deliver: called
    on the track's thread. problem: what is wrong with the newest sweep, '' for nothing. late: sweeps that were dropped
    since the queue was full. tracked: called with a sweep's stamp when all that follows from it is delivered.
    """

    def __init__(
        self,
        robot: str,
        tracker: FrameTracker,
        history: History,
        pace: Pace,
        deliver: Callable[[Seen], None],
        tracked: Callable[[float], None] | None = None,
    ) -> None:
        self._tracked = tracked or (lambda stamp: None)
        self._robot, self._tracker, self._history, self._pace, self._deliver = robot, tracker, history, pace, deliver
        self._sweeps: deque[tuple[float, SyncedSweep]] = deque(maxlen=_QUEUE_SWEEPS)
        self._wake = Condition()
        self._running = True
        self._last: float | None = None
        self.problem = ""
        self.late = 0
        self.failure: BaseException | None = None
        """What ended the thread, if anything did."""
        self._thread = Thread(target=self._work, name=f"voxelize {robot}", daemon=True)
        self._thread.start()

    def add(self, sweep: SyncedSweep) -> None:
        """Hand a sweep over. The oldest waiting one goes when the queue is full."""
        with self._wake:
            self.late += len(self._sweeps) == _QUEUE_SWEEPS
            self._sweeps.append((time.perf_counter(), sweep))
            self._wake.notify()

    def close(self) -> None:
        """Stop after the sweep in hand."""
        with self._wake:
            self._running = False
            self._wake.notify()
        self._thread.join(timeout=10.0)

    def _work(self) -> None:
        try:
            while (taken := self._next()) is not None:
                try:
                    self._step(*taken)
                    self.problem = ""
                except ValueError as error:
                    self.problem = str(error)
                self._tracked(taken[1].stamp)
        except Exception as error:  # the node ends with it; a thread alone would end unheard
            self.failure = error

    def _next(self) -> tuple[float, SyncedSweep, bool] | None:
        """The oldest sweep that waits, and whether a newer one does; None at the end."""
        with self._wake:
            self._wake.wait_for(lambda: self._sweeps or not self._running)
            if not self._running:
                return None
            arrived, sweep = self._sweeps.popleft()
            return arrived, sweep, bool(self._sweeps)

    def _step(self, arrived: float, sweep: SyncedSweep, behind: bool) -> None:
        due = not (sweep.keyframe or sweep.missed or self._pace.has_frame(sweep.stamp))
        between = due and not behind and self._pace.grid_due(self._last, sweep.stamp)
        self._last = sweep.stamp
        started = time.perf_counter()
        frame = self._tracker.add(replace(sweep, keyframe=sweep.keyframe or between))
        if frame is None:
            return
        history = self._history.add(HistoryFrame.of(frame))
        spent = time.perf_counter() - started
        ready = Ready(self._robot, history, sweep.keyframe, arrived, spent) if history else None
        self._deliver(Seen(frame, sweep.keyframe, ready))
