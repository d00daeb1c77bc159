"""One robot's live forecast: frames in, forecasts out, on a thread that always takes the newest. No ROS."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition, Thread

from occ_core.frame import Frame
from occ_core.sync import SyncedSweep
from occ_core.tracker import FrameTracker
from occworld.forecaster import Forecast, Forecaster

_QUEUE_SWEEPS = 20


@dataclass(frozen=True)
class LiveForecast:
    """frame: the keyframe that the forecast starts from.

    Seconds of wall clock, whatever the simulation's pace: to voxelize, in the model, and since the sweep arrived.
    """

    frame: Frame
    forecast: Forecast
    voxelize_s: float
    model_s: float
    total_s: float


class LiveForecaster:
    """Voxelizes every keyframe; forecasts from the newest when the model is free, and never queues frames for it.

    frame_period: seconds; a history with a gap in it is not forecast from. skipped: keyframes without a forecast.
    """

    def __init__(
        self,
        tracker: FrameTracker,
        forecaster: Forecaster,
        frame_period: float,
        deliver: Callable[[LiveForecast], None],
        on_frame: Callable[[Frame], None],
    ) -> None:
        self._tracker, self._forecaster, self._period = tracker, forecaster, frame_period
        self._deliver, self._on_frame = deliver, on_frame
        self._sweeps: deque[tuple[float, SyncedSweep]] = deque(maxlen=_QUEUE_SWEEPS)
        self._history: deque[Frame] = deque(maxlen=forecaster.history)
        self._wake = Condition()
        self._running = True
        self.skipped = 0
        self.problem = ""
        self._thread = Thread(target=self._work, name=f"forecast {tracker.robot}", daemon=True)
        self._thread.start()

    def add(self, sweep: SyncedSweep) -> None:
        """Hand a sweep over; never blocks. The oldest waiting sweep goes when the queue is full."""
        with self._wake:
            self._sweeps.append((time.perf_counter(), sweep))
            self._wake.notify()

    def close(self) -> None:
        """Stop after the forecast in hand."""
        with self._wake:
            self._running = False
            self._wake.notify()
        self._thread.join(timeout=10.0)

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._sweeps or not self._running)
                if not self._running:
                    return
                arrived, sweep = self._sweeps.popleft()
                behind = any(waiting.keyframe for _, waiting in self._sweeps)
            try:
                self._step(arrived, sweep, behind)
            except ValueError as error:
                self.problem = str(error)

    def _step(self, arrived: float, sweep: SyncedSweep, behind: bool) -> None:
        if self._history and sweep.stamp < self._history[-1].state.stamp:
            self._history.clear()
        started = time.perf_counter()
        frame = self._tracker.add(sweep)
        if frame is None:
            return
        if self._history and abs(frame.state.stamp - self._history[-1].state.stamp - self._period) > 0.1 * self._period:
            self._history.clear()
        self._history.append(frame)
        voxelized = time.perf_counter()
        self._on_frame(frame)
        if len(self._history) < self._forecaster.history:
            return
        if behind:
            self.skipped += 1
            return
        grids, states = [f.occupancy.classes for f in self._history], [f.state for f in self._history]
        forecast = self._forecaster(grids, states)
        finished = time.perf_counter()
        self._deliver(LiveForecast(frame, forecast, voxelized - started, finished - voxelized, finished - arrived))
