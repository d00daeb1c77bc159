"""The words above a robot: latency and rate of its forecast, and how well it does. No ROS."""

from __future__ import annotations

from collections import deque

import numpy as np

_FORECASTS = 10


class StatusText:
    """Collects figures as they come."""

    def __init__(self) -> None:
        self._stamps: deque[float] = deque(maxlen=_FORECASTS)
        self._latency: dict[str, float] = {}
        self._scores: dict[float, tuple[float, float]] = {}

    def forecast(self, stamp: float) -> None:
        """A forecast from this instant has come. A stamp that goes back starts anew."""
        if self._stamps and stamp < self._stamps[-1]:
            self._stamps.clear()
        self._stamps.append(stamp)

    def latency(self, stages: list[str], seconds: list[float]) -> None:
        """Seconds of each stage of the newest forecast."""
        self._latency = dict(zip(stages, seconds, strict=True))

    def score(self, columns: list[str], rows: np.ndarray) -> None:
        """Running grades: a row for each horizon, with columns `horizon_s`, `iou` and `warp_iou` among others."""
        chosen = rows[:, [columns.index(name) for name in ("horizon_s", "iou", "warp_iou")]].tolist()
        self._scores = {horizon: (forecast, warp) for horizon, forecast, warp in chosen}

    @property
    def text(self) -> str:
        """One line for the forecast's pace, one for each horizon that has been scored."""
        lines = [self._pace()]
        for horizon, (forecast, warp) in sorted(self._scores.items()):
            lines.append(f"+{horizon:.1f} s: IoU {100 * forecast:.0f}%, warp {100 * warp:.0f}%")
        return "\n".join(lines)

    def _pace(self) -> str:
        if not self._stamps:
            return "no forecast yet"
        parts = [f"{name.removesuffix('_s')} {1e3 * value:.0f} ms" for name, value in self._latency.items()]
        if len(self._stamps) > 1 and self._stamps[-1] > self._stamps[0]:
            parts.append(f"{(len(self._stamps) - 1) / (self._stamps[-1] - self._stamps[0]):.1f} Hz")
        return ", ".join(parts)
