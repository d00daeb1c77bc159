"""The history of one drive as a model takes it, and what a model makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from occ_core.grid import VoxelGrid
from occ_core.sparse_grid import SparseGrid, occupied_numbers
from occworld import motion as motions
from occworld.aligned import DensePast
from occworld.bit_columns import BitPast
from occworld.hindcast import hindcast_maps, persistence
from occworld.motion import relative_poses
from occworld.tracks import Tracks, track
from occworld.warp import align

if TYPE_CHECKING:
    from occworld.dataset import Window


@dataclass(frozen=True)
class Scene:
    """frames: history, each in its own frame, oldest first. footprint: (t, 4) in map. pose_13d: (t, 13) in map.

    planned: (steps, 4) future footprints in the current one, if known.
    """

    grid: VoxelGrid
    frames: tuple[SparseGrid, ...]
    footprint: np.ndarray
    pose_13d: np.ndarray
    planned: np.ndarray | None = None

    @classmethod
    def of(cls, grid: VoxelGrid, window: Window, planned: bool) -> Scene:
        """The history of a window; with the true future motion as the plan where `planned`."""
        t = window.history
        future = window.motion[t:] if planned else None
        return cls(grid, window.frames[:t], window.footprint[:t], window.pose_13d[:t], future)

    @cached_property
    def motion(self) -> np.ndarray:
        """(t, 4): every history frame in the current one."""
        return motions.between(self.footprint[-1], self.footprint)

    def step(self, period: float) -> np.ndarray:
        """(4,) float32: the motion of the next `period` seconds at the velocity and yaw rate of this instant.

        Half the error of repeating the last step: that one is the mean over half a second past. Height, which
        odometry tells of the vehicle and not of the ground below it, goes on as in the last step.
        """
        step = motions.from_twist(self.pose_13d[-1, 7:10], self.pose_13d[-1, 12], period)
        step[2] = motions.extrapolate(self.footprint, 1)[0, 2]
        return step.astype(np.float32)

    @cached_property
    def relative(self) -> np.ndarray:
        """(t, 13) float32 for the pose encoder."""
        return relative_poses(self.pose_13d, self.footprint[-1])

    @cached_property
    def aligned(self) -> list[SparseGrid]:
        """The history in the current frame."""
        return [align(self.grid, frame, motion) for frame, motion in zip(self.frames, self.motion, strict=True)]

    @property
    def height(self) -> float:
        """Of the vehicle above the ground, metres."""
        return float(self.pose_13d[-1, 2] - self.footprint[-1, 2])

    @cached_property
    def tracks(self) -> Tracks:
        """What moves, and how fast."""
        return track(self.grid, self.frames, self.motion)

    @cached_property
    def record(self) -> np.ndarray:
        """(t - 1, STRATA) float32: what copy and warp were worth one frame ago, two, and so on, without a plan where
        there is none now."""
        lags = range(1, len(self.frames))
        planned = self.planned is not None
        return np.stack([persistence(self.grid, self.frames, self.motion, lag, planned) for lag in lags])

    def hindcast(self, size: tuple[int, int]) -> np.ndarray:
        """(HINDCASTS, h, w) float32 `hindcast_maps`. size: h, w, patches."""
        if size not in self._hindcasts:
            self._hindcasts[size] = hindcast_maps(self.grid, self.frames, self.motion, size)
        return self._hindcasts[size]

    @cached_property
    def _hindcasts(self) -> dict[tuple[int, int], np.ndarray]:
        return {}

    @cached_property
    def past(self) -> DensePast:
        """The history as dense grids, each in its own frame."""
        return DensePast.of(self.grid, self.frames)

    @cached_property
    def columns(self) -> BitPast:
        """The same as columns of bits."""
        return BitPast.of(self.grid, self.frames)


@dataclass(frozen=True)
class ForecastFrame:
    """The voxels of a grid that may be occupied; all others are empty.

    voxels: (n,) int32 flat numbers, ascending. labels: (n,) uint8 classes, 0 for what is empty after all. odds: (n,)
    float16, of being occupied.
    """

    shape: tuple[int, int, int]
    voxels: np.ndarray
    labels: np.ndarray
    odds: np.ndarray

    @classmethod
    def of_dense(cls, classes: np.ndarray, probability: np.ndarray) -> ForecastFrame:
        """classes: uint8 (X, Y, Z). probability: float16 (X, Y, Z), of which those of empty voxels are not kept."""
        voxels = occupied_numbers(classes)
        return cls(classes.shape, voxels, classes.reshape(-1)[voxels], probability.reshape(-1)[voxels])

    @cached_property
    def classes(self) -> np.ndarray:
        """uint8 (X, Y, Z), 0 empty."""
        return self._dense(self.labels)

    @cached_property
    def probability(self) -> np.ndarray:
        """float16 (X, Y, Z) of being occupied, 0 where it is below every threshold of the model."""
        return self._dense(self.odds)

    def _dense(self, values: np.ndarray) -> np.ndarray:
        out = np.zeros(int(np.prod(self.shape)), values.dtype)
        out[self.voxels] = values
        return out.reshape(self.shape)


@dataclass(frozen=True)
class SceneForecast:
    """frames: one per step, each in its own forecast footprint. motion: (steps, 4) footprints in the current one."""

    frames: tuple[ForecastFrame, ...]
    motion: np.ndarray
