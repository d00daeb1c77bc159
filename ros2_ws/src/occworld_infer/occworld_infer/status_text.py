"""The words above a robot: latency and rate of its forecast, and how well it does. No ROS."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import asdict

from occworld_infer.forecast_message import Latency
from occworld_infer.grading import Grade

_FORECASTS = 10


class StatusText:
    """Collects figures as they come."""

    def __init__(self) -> None:
        self._stamps: deque[float] = deque(maxlen=_FORECASTS)
        self._latency: Latency | None = None
        self._scores: dict[float, tuple[float, float]] = {}

    def forecast(self, stamp: float) -> None:
        """A forecast from this instant has come. A stamp that goes back starts anew."""
        if self._stamps and stamp < self._stamps[-1]:
            self._stamps.clear()
        self._stamps.append(stamp)

    def latency(self, latency: Latency) -> None:
        """What the newest forecast took."""
        self._latency = latency

    def score(self, grades: Sequence[Grade]) -> None:
        """Running grades, of each horizon."""
        self._scores = {grade.horizon_s: (grade.iou, grade.warp_iou) for grade in grades}

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
        took = asdict(self._latency) if self._latency is not None else {}
        parts = [f"{name.removesuffix('_s')} {1e3 * value:.0f} ms" for name, value in took.items()]
        if len(self._stamps) > 1 and self._stamps[-1] > self._stamps[0]:
            parts.append(f"{(len(self._stamps) - 1) / (self._stamps[-1] - self._stamps[0]):.1f} Hz")
        return ", ".join(parts)
