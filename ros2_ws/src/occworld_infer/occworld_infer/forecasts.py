"""The model's thread: forecasts for all robots that wait, each from its newest moment, in one pass. No ROS."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition, Thread

from occworld.forecaster import Forecast, Forecaster, ObservedPast
from occworld_infer.live_track import Ready
from occworld_infer.pace import Pace


@dataclass(frozen=True)
class LiveForecast:
    """Seconds of wall clock, whatever the simulation's pace: since the model began, with all robots that waited, and
    since the sweep arrived."""

    ready: Ready
    forecast: Forecast
    model_s: float
    total_s: float


class ForecastLoop:
    """Runs the model whenever a robot waits. Nothing queues: a robot's newer history takes the place of its older one.

    deliver: called on the loop's thread, once for each forecast. made, skipped: forecasts, and histories that went
    without one, by robot.
    """

    def __init__(self, forecaster: Forecaster, pace: Pace, deliver: Callable[[LiveForecast], None]) -> None:
        self._forecaster, self._pace, self._deliver = forecaster, pace, deliver
        self._waiting: dict[str, Ready] = {}
        self._last: dict[str, float] = {}
        self._wake = Condition()
        self._running = True
        self.made: dict[str, int] = {}
        self.skipped: dict[str, int] = {}
        self.failure: BaseException | None = None
        """What ended the thread, if anything did."""
        self._thread = Thread(target=self._work, name="forecast", daemon=True)
        self._thread.start()

    def offer(self, ready: Ready) -> bool:
        """Ask for a forecast; never blocks. False where none is due."""
        with self._wake:
            if not self._pace.forecast_due(self._last.get(ready.robot), ready.stamp):
                return False
            if ready.robot in self._waiting:
                self.skipped[ready.robot] = self.skipped.get(ready.robot, 0) + 1
            self._waiting[ready.robot] = ready
            self._wake.notify()
            return True

    def close(self) -> None:
        """Stop after the forecasts in hand."""
        with self._wake:
            self._running = False
            self._wake.notify()
        self._thread.join(timeout=30.0)

    def _work(self) -> None:
        try:
            while batch := self._next():
                self._forecast(batch)
        except Exception as error:  # the node ends with it; a thread alone would end unheard
            self.failure = error

    def _next(self) -> list[Ready]:
        with self._wake:
            self._wake.wait_for(lambda: self._waiting or not self._running)
            batch = list(self._waiting.values()) if self._running else []
            self._waiting.clear()
            self._last |= {ready.robot: ready.stamp for ready in batch}
            return batch

    def _forecast(self, batch: list[Ready]) -> None:
        started = time.perf_counter()
        pasts = [ObservedPast(tuple(m.voxels for m in r.history), tuple(m.state for m in r.history)) for r in batch]
        for ready, forecast in zip(batch, self._forecaster.batch(pasts), strict=True):
            now = time.perf_counter()
            self.made[ready.robot] = self.made.get(ready.robot, 0) + 1
            self._deliver(LiveForecast(ready, forecast, now - started, now - ready.arrived))
        voxelize = sum(ready.voxelize_s for ready in batch)
        self._pace.took(time.perf_counter() - started + voxelize)
