"""A forecast that grades itself while it runs: each against what is observed when its time has come. No ROS."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np

from occ_core.frame import Occupancy
from occ_core.grid import VoxelGrid
from occ_core.sparse_grid import SparseGrid
from occworld import motion as motions
from occworld.warp import resample_voxels

DEFAULT_MEMORY_S = 30.0
_SAME_INSTANT_S = 0.05
_PATIENCE_S = 5.0


@dataclass(frozen=True)
class Grade:
    """IoU, occupied or not, of the forecasts made `horizon_s` before now, and of the warp baseline made then.

    observed: over voxels that LiDAR has seen at the later time, occupied or free; the others are over all voxels.
    count: graded forecasts in the memory. Over all their voxels together, as the learner's evaluator counts.
    """

    horizon_s: float
    iou: float
    warp_iou: float
    observed_iou: float
    observed_warp_iou: float
    count: int


@dataclass(frozen=True)
class _Expectation:
    """One horizon of a forecast made at `due - horizon_s`: occupied voxels, and how the warp baseline moves `now`."""

    due: float
    horizon_s: float
    forecast: np.ndarray
    now: SparseGrid
    motion: np.ndarray


@dataclass(frozen=True)
class _Fact:
    """What was there at a stamp. occupied, observed: (ceil(grid.size / 8),) uint8, bits of the voxels."""

    stamp: float
    occupied: np.ndarray
    observed: np.ndarray

    @classmethod
    def of(cls, stamp: float, occupancy: Occupancy) -> _Fact:
        return cls(stamp, np.packbits(occupancy.classes.reshape(-1) > 0), np.packbits(occupancy.observed))


@dataclass(frozen=True)
class _Count:
    """voxels: (4, 2) int64, rows as the IoUs of Grade, voxels in both and in either."""

    stamp: float
    horizon_s: float
    voxels: np.ndarray


class Grader:
    """One robot's grades, each over the last `memory_s` seconds.

    A forecast and what then happened are compared voxel by voxel, each grid in its own `base_footprint`. One that a
    slow model delivers after its time has come is graded too, up to some seconds late.
    """

    def __init__(self, grid: VoxelGrid, memory_s: float = DEFAULT_MEMORY_S) -> None:
        self._grid, self._memory = grid, memory_s
        self._expected: deque[_Expectation] = deque()
        self._facts: deque[_Fact] = deque()
        self._counts: deque[_Count] = deque()
        self._last = -np.inf
        self._lock = Lock()

    def clear(self) -> None:
        """Forget all, as after a clock reset."""
        with self._lock:
            self._expected.clear()
        self._facts.clear()
        self._counts.clear()

    def expect(
        self, stamp: float, horizons_s: Sequence[float], forecast: Sequence[np.ndarray], now: SparseGrid,
        history: np.ndarray,
    ) -> None:  # fmt: skip
        """Keep a forecast made at a stamp, seconds. May be called from another thread than the rest.

        forecast: (n,) int flat numbers of the occupied voxels per horizon, in the footprint forecast for it; horizons a
        constant step apart. now: the grid that it starts from. history: (t, 4) x y z yaw of the history's footprints
        in map, oldest first, one step apart: the baseline moves on as between the last two.
        """
        moves = motions.extrapolate(history, len(horizons_s))
        expected = [
            _Expectation(stamp + horizon, horizon, voxels, now, motion)
            for horizon, voxels, motion in zip(horizons_s, forecast, moves, strict=True)
        ]
        with self._lock:
            self._expected.extend(expected)

    def observe(self, stamp: float, occupancy: Occupancy) -> tuple[Grade, ...]:
        """What is there at a stamp. Returns the running grades, nearest horizon first; none while none came due.

        A stamp that is not after the last one starts everything anew.
        """
        if stamp <= self._last:
            self.clear()
        self._last = stamp
        with self._lock:
            # A slow model may answer after the clock went back: a forecast from what is still to come is of before.
            ours = [e for e in self._expected if e.due - e.horizon_s <= stamp + _SAME_INSTANT_S]
            due = [e for e in ours if e.due <= stamp + _SAME_INSTANT_S]
            self._expected = deque(e for e in ours if e.due > stamp + _SAME_INSTANT_S)
        self._facts.append(_Fact.of(stamp, occupancy))
        while self._facts[0].stamp < stamp - _PATIENCE_S:
            self._facts.popleft()
        for fact in self._facts:
            if now_due := [e for e in due if abs(e.due - fact.stamp) <= _SAME_INSTANT_S]:
                self._grade_all(stamp, fact, now_due)
        while self._counts and self._counts[0].stamp < stamp - self._memory:
            self._counts.popleft()
        return tuple(self._grade(horizon) for horizon in sorted({c.horizon_s for c in self._counts}))

    def _grade_all(self, stamp: float, fact: _Fact, due: list[_Expectation]) -> None:
        truth, seen = (np.unpackbits(bits, count=self._grid.size).view(bool) for bits in (fact.occupied, fact.observed))
        sizes = np.count_nonzero(truth), np.count_nonzero(truth & seen)
        for e in due:
            voxels = np.concatenate([_overlaps(numbers, truth, seen, sizes) for numbers in (e.forecast, self._warp(e))])
            self._counts.append(_Count(stamp, e.horizon_s, voxels[[0, 2, 1, 3]]))

    def _warp(self, e: _Expectation) -> np.ndarray:
        """The baseline's voxels. Made when they are due, since a forecast that is not graded needs none."""
        return resample_voxels(self._grid, e.now.voxels, e.motion)

    def _grade(self, horizon: float) -> Grade:
        counts = [c.voxels for c in self._counts if c.horizon_s == horizon]
        ious = [float(both / either) if either else 1.0 for both, either in np.sum(counts, axis=0)]
        return Grade(horizon, *ious, count=len(counts))


def _overlaps(numbers: np.ndarray, truth: np.ndarray, seen: np.ndarray, sizes: tuple[int, int]) -> np.ndarray:
    """(2, 2) int64 of all voxels and of seen ones: how many are in both, and in either. numbers: occupied voxels.

    sizes: how many voxels are true, and true and seen.
    """
    right, known = truth[numbers], seen[numbers]
    both, both_seen = np.count_nonzero(right), np.count_nonzero(right & known)
    either = len(numbers) + sizes[0] - both
    return np.array([[both, either], [both_seen, np.count_nonzero(known) + sizes[1] - both_seen]])
