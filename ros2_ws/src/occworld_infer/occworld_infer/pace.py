"""How often to forecast: as often as asked, and no more often than the machine keeps up with. No ROS."""

from __future__ import annotations

import math

_TOLERANCE_S = 0.005
_SMOOTHING = 0.1
_LOAD = 0.9


class Pace:
    """Splits a frame period into as many equal parts as there is time for, since a history needs whole periods.

    period: seconds between a history's frames. max_rate: forecasts a second at most, of each robot. A rate below one in
    a period leaves periods out. Shared by all robots: what one costs, all wait for.
    """

    def __init__(self, period: float, max_rate: float) -> None:
        self._period, self._max_rate = period, max_rate
        self._most = max(1, math.floor(max_rate * period + 1e-6))
        self._cost: float | None = None

    @property
    def step(self) -> float:
        """Seconds between grids that forecasts start from: a whole fraction of the period."""
        if self._cost is None:
            return self._period
        affordable = math.floor(_LOAD * self._period / self._cost)
        return self._period / min(max(affordable, 1), self._most)

    def took(self, seconds: float) -> None:
        """A round of forecasts, one for each robot that waited, took so long."""
        seconds = max(seconds, 1e-6)
        self._cost = seconds if self._cost is None else self._cost + _SMOOTHING * (seconds - self._cost)

    def has_frame(self, stamp: float) -> bool:
        """Whether the instant of a frame is so near to a sweep that the frame comes of it anyway."""
        return abs(stamp - round(stamp / self._period) * self._period) <= _TOLERANCE_S

    def grid_due(self, before: float | None, stamp: float) -> bool:
        """Whether a sweep is the first at or after a multiple of `step`. before: stamp of the last sweep, or None."""
        part = math.floor((stamp + _TOLERANCE_S) / self.step)
        if before is None or stamp <= before:
            return stamp - part * self.step <= _TOLERANCE_S
        return part > math.floor((before + _TOLERANCE_S) / self.step)

    def forecast_due(self, before: float | None, stamp: float) -> bool:
        """Whether `max_rate` allows a forecast. before: stamp of the last one, or None."""
        return before is None or stamp < before or stamp - before >= 1 / self._max_rate - _TOLERANCE_S
