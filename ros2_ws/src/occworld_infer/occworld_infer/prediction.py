"""A forecast as one cloud: which of its voxels are wanted, and where they are in the current footprint. No ROS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occ_core.classes import NAMES
from occ_core.grid import VoxelGrid
from occworld.forecaster import Forecast
from occworld.scene import ForecastFrame
from occworld_infer.grids import GRID_POINT, moved, voxel_points


@dataclass(frozen=True)
class PublishedPart:
    """Which part of forecasts is published.

    horizons_s: seconds ahead. min_probability: of being occupied, 0-1. classes: names.
    """

    horizons_s: tuple[float, ...]
    min_probability: float
    classes: tuple[str, ...]

    def check(self, horizons_s: tuple[float, ...]) -> None:
        """ValueError for a class that is none and for a horizon that a model does not forecast."""
        if unknown := sorted(set(self.classes) - set(NAMES[1:])):
            raise ValueError(f"parameter 'classes': no class {', '.join(unknown)}; there are {', '.join(NAMES[1:])}")
        if unknown := [h for h in self.horizons_s if not np.isclose(h, horizons_s).any()]:
            there = ", ".join(f"{h:g}" for h in horizons_s)
            raise ValueError(f"parameter 'horizons': the checkpoint has none of {unknown} s; it has {there} s")

    def has(self, horizon: float) -> bool:
        """Is this horizon, seconds, published?"""
        return bool(np.isclose(horizon, self.horizons_s).any())

    def of(self, frame: ForecastFrame) -> np.ndarray:
        """(n,) bool: which voxels of a frame are published."""
        named = np.isin(NAMES, self.classes)[frame.labels] & (frame.labels > 0)
        return named & (frame.odds.astype(np.float32) >= self.min_probability)


def occupied(forecast: Forecast) -> tuple[np.ndarray, ...]:
    """(n,) int32 flat numbers of the occupied voxels, ascending, for each horizon."""
    return tuple(frame.voxels[frame.labels > 0] for frame in forecast.frames)


def prediction_points(grid: VoxelGrid, forecast: Forecast, wanted: PublishedPart) -> np.ndarray:
    """(n,) GRID_POINT of all wanted horizons, each carried from its own footprint into the current one."""
    clouds = [np.zeros(0, GRID_POINT)]
    for step, horizon in enumerate(forecast.horizons_s):
        if not wanted.has(horizon):
            continue
        frame = forecast.frames[step]
        chosen = wanted.of(frame)
        odds = frame.odds[chosen].astype(np.float32)
        points = voxel_points(grid, frame.voxels[chosen], frame.labels[chosen], horizon, odds)
        ahead, aside, yaw = forecast.path[step]
        clouds.append(moved(points, ahead, aside, forecast.path_z[step], yaw))
    return np.concatenate(clouds)
