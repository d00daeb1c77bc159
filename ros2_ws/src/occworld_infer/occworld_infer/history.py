"""The last frames of a robot, and those among them that a forecast from the newest one starts from. No ROS."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from occ_core.frame import Frame, VehicleState
from occ_core.sparse_grid import SparseGrid
from occworld import motion as motions


@dataclass(frozen=True)
class HistoryFrame:
    """What a forecast needs of a frame: occupied voxels in its own footprint, and the vehicle's motion."""

    state: VehicleState
    voxels: SparseGrid

    @classmethod
    def of(cls, frame: Frame) -> HistoryFrame:
        """Of a frame, whose dense grids are not kept: 50 kB stay of 20 MB."""
        return cls(frame.state, SparseGrid.from_dense(frame.occupancy.classes))

    @property
    def footprint(self) -> np.ndarray:
        """(4,) float64 x y z yaw in map."""
        return motions.from_pose(self.state.footprint)


class History:
    """Slides: every frame may be the newest of a history, whose others are whole periods before it.

    length: frames of a history. period: seconds between them. A frame that was lost is stood in for by its neighbour
    in a 10 Hz stream: every frame comes with its own pose, so that this blurs what moves and nothing else.
    """

    def __init__(self, length: int, period: float) -> None:
        self._length, self._period, self._tolerance = length, period, 0.21 * period
        self._moments: deque[HistoryFrame] = deque()

    def clear(self) -> None:
        """Forget all."""
        self._moments.clear()

    def add(self, frame: HistoryFrame) -> tuple[HistoryFrame, ...] | None:
        """Take a frame. Returns the history that ends with it, oldest first; None where a part of that is missing.

        A stamp that is not after the last one starts everything anew.
        """
        stamp = frame.state.stamp
        if self._moments and stamp <= self._moments[-1].state.stamp:
            self.clear()
        self._moments.append(frame)
        while self._moments[0].state.stamp < stamp - (self._length - 1) * self._period - self._tolerance:
            self._moments.popleft()
        due = [stamp - age * self._period for age in reversed(range(self._length))]
        chosen = [min(self._moments, key=lambda m: abs(m.state.stamp - at)) for at in due]
        apart = max(abs(m.state.stamp - at) for m, at in zip(chosen, due, strict=True))
        return tuple(chosen) if apart <= self._tolerance else None
