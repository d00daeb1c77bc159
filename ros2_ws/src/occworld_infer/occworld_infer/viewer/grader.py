"""Forecasts graded while they are shown: when their time has come, against what is then observed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from occworld import motion as motions
from occworld.baselines import warp
from occworld_infer.viewer.moment import Foreseen, Grade, Voxels

_MEAN_S = 10.0
_SAME_S = 0.05


@dataclass(frozen=True)
class _Expected:
    """Voxel numbers of a forecast and of the baseline for a stamp to come."""

    stamp: float
    horizon: float
    forecast: np.ndarray
    warp: np.ndarray


@dataclass(frozen=True)
class _Counts:
    """(2,) voxels in both and in either, for the forecast and for the baseline."""

    stamp: float
    horizon: float
    forecast: np.ndarray
    warp: np.ndarray


class Grader:
    """One robot's. IoU as the learner counts it: voxel by voxel, each grid in its own footprint, all voxels.

    IoU of a horizon is of the voxels of the last ten seconds together, not a mean of ratios.
    """

    def __init__(self) -> None:
        self._expected: deque[_Expected] = deque()
        self._counts: deque[_Counts] = deque()
        self._last = -np.inf

    def observe(self, stamp: float, now: Voxels) -> tuple[Grade, ...]:
        """What is there now; the grades of all horizons that a forecast has reached, the nearest first."""
        if stamp <= self._last:
            self._expected.clear(), self._counts.clear()
        self._last = stamp
        due = [e for e in self._expected if abs(e.stamp - stamp) <= _SAME_S]
        self._expected = deque(e for e in self._expected if e.stamp > stamp + _SAME_S)
        for e in due:
            both = _overlap(e.forecast, now.numbers), _overlap(e.warp, now.numbers)
            self._counts.append(_Counts(stamp, e.horizon, *both))
        while self._counts and self._counts[0].stamp < stamp - _MEAN_S:
            self._counts.popleft()
        return tuple(self._grade(horizon) for horizon in sorted({c.horizon for c in self._counts}))

    def expect(self, stamp: float, forecast: Foreseen, now: Voxels, before: Voxels) -> None:
        """Remember a forecast made at a stamp from `now`. before: the frame half a second earlier, for the baseline."""
        classes = np.zeros(now.grid.size, np.uint8)
        classes[now.numbers] = now.labels
        history = np.array([motions.from_pose(before.frame), motions.from_pose(now.frame)])
        moved = warp(now.grid, classes.reshape(now.grid.shape), history, len(forecast.voxels))
        for horizon, voxels, grid in zip(forecast.horizons_s, forecast.voxels, moved, strict=True):
            baseline = np.flatnonzero(grid).astype(np.int32)
            self._expected.append(_Expected(stamp + horizon, horizon, voxels.numbers, baseline))

    def _grade(self, horizon: float) -> Grade:
        counts = [c for c in self._counts if c.horizon == horizon]
        forecast, baseline = sum(c.forecast for c in counts), sum(c.warp for c in counts)
        return Grade(horizon, _iou(forecast), _iou(baseline))


def _overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(2,) int64: how many of two lists of distinct voxel numbers are in both, and in either."""
    both = len(np.intersect1d(a, b, assume_unique=True))
    return np.array([both, len(a) + len(b) - both])


def _iou(counts: np.ndarray) -> float:
    both, either = counts
    return float(both / either) if either else 1.0
