"""What the overlay shows of one robot: now, the forecast, and what came of an earlier forecast. No ROS."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from occ_core.classes import COLOURS, DYNAMIC_IDS
from occ_core.grid import TOKYO_GRID, VoxelGrid
from occ_core.poses import Pose
from occworld_infer.forecast_message import HeardForecast
from occworld_infer.lattice import CELL, Voxels

NOW, MISSED, FALSE = "now", "check missed", "check false"
HORIZON_COLOURS = np.array(
    [(255, 214, 64), (255, 164, 40), (245, 110, 50), (224, 62, 84), (176, 42, 130), (112, 46, 160)], np.uint8
)
"""(6, 3) sRGB from the nearest horizon to the furthest; those of other numbers of horizons lie between."""
_MISSED_COLOUR, _FALSE_COLOUR = (0, 200, 120), (235, 0, 200)
_NOW_ALPHA, _NEAR_ALPHA, _FAR_ALPHA, _CHECK_ALPHA = 0.9, 0.7, 0.25, 0.35
_KEPT_S = 4.0
_STEP_M = 0.2
_SWEEP_S = 0.11  # between sweeps, and a little: forecasts may come with any of them


@dataclass(frozen=True)
class Layer:
    """name: what it is, as in the marker's namespace. palette: (k, 4) RGBA 0-1, row by the labels of its voxels.

    base: height of the lattice's cells 0, metres in map. cell: (3,) metres.
    """

    name: str
    voxels: Voxels
    palette: np.ndarray
    base: float
    cell: np.ndarray = field(default_factory=CELL.copy)


@dataclass(frozen=True)
class LayerGrids:
    """The grids of one instant on the lattice: what is observed, by 0, and forecasts, by seconds ahead."""

    stamp: float
    grids: dict[float, Voxels] = field(default_factory=dict)


def placed(stamp: float, points: np.ndarray, frame: Pose, base: float, cell: np.ndarray = CELL) -> LayerGrids:
    """The horizons of a cloud of GRID_POINT in a frame, whose pose in map is given, as grids on the lattice.

    base: height of the lattice's cells 0, metres in map. cell: (3,) metres, its cells.
    """
    centres = _carried(np.stack([points[axis] for axis in "xyz"]), frame, base)
    horizons, labels = np.array(points["horizon"]), np.array(points["label"])
    # Whoever made the cloud may have mixed them; ours come one after the other.
    if (horizons[1:] < horizons[:-1]).any():
        order = np.argsort(horizons, kind="stable")
        centres, horizons, labels = centres[order], horizons[order], labels[order]
    ends = [*np.flatnonzero(np.diff(horizons)) + 1, len(horizons)] if len(horizons) else []
    grids = {}
    for begin, end in pairwise([0, *ends]):
        grids[round(float(horizons[begin]), 3)] = Voxels.gathered(centres[begin:end], labels[begin:end], cell)
    return LayerGrids(stamp, grids)


def _carried(points: np.ndarray, frame: Pose, base: float) -> np.ndarray:
    """(3, n) points of a frame, given by its pose in map, as (n, 3) float64 in map, heights from `base`."""
    x, y, z = points.astype(np.float64)
    # Written out: a product of matrices wakes the threads of a BLAS, which then spin.
    rows = zip(frame.rotation, frame.position - [0.0, 0.0, base], strict=True)
    return np.stack([a * x + b * y + c * z + start for (a, b, c), start in rows], axis=1)


class RobotLayers:
    """The newest observation and forecast, and forecasts of the last seconds. A stamp that goes back starts anew.

    by_class: the forecast in the colours of its classes, else of its horizons. check: seconds ahead at which an
    earlier forecast is laid over what is observed. grid: whose voxels come.
    """

    def __init__(self, by_class: bool, check: float, grid: VoxelGrid = TOKYO_GRID) -> None:
        self._by_class, self._check, self._grid, self._cell = by_class, check, grid, np.array(grid.voxel)
        self._base = np.inf
        self._now = LayerGrids(-np.inf)
        self._forecasts: deque[LayerGrids] = deque()

    def observe(self, stamp: float, points: np.ndarray, frame: Pose) -> None:
        """Take what is occupied now: GRID_POINT of horizon 0 in the footprint, whose pose in map is given."""
        self._follow(frame)
        if stamp < self._now.stamp:
            self._forecasts.clear()
        self._now = placed(stamp, points, frame, self._base, self._cell)

    def expect(self, stamp: float, points: np.ndarray, frame: Pose) -> None:
        """Take a forecast: GRID_POINT of all horizons in the footprint of its stamp."""
        self._follow(frame)
        self._keep(placed(stamp, points, frame, self._base, self._cell))

    def foresee(self, stamp: float, heard: HeardForecast, frame: Pose) -> None:
        """Take a typed forecast, whose grid and poses are its own. frame: the footprint of its stamp, in map."""
        grids = {}
        for horizon, voxels in heard.voxels.items():
            self._grid, self._cell = voxels.grid, np.array(voxels.grid.voxel)
            self._follow(frame)
            centres = _carried(voxels.centres.T, frame @ voxels.frame, self._base)
            grids[round(horizon, 3)] = Voxels.gathered(centres, voxels.labels, self._cell)
        self._keep(LayerGrids(stamp, grids))

    def _keep(self, forecast: LayerGrids) -> None:
        stamp = forecast.stamp
        if self._forecasts and stamp < self._forecasts[-1].stamp:
            self._forecasts.clear()
        self._forecasts.append(forecast)
        while self._forecasts[0].stamp < stamp - _KEPT_S:
            self._forecasts.popleft()

    def _follow(self, frame: Pose) -> None:
        """Voxels are tall: the lattice has a height at which its cells meet the grid's voxels.

        It keeps that until the ground has risen or fallen by _STEP_M, so that on a slope not everything changes with
        each frame.
        """
        floor = float(frame.position[2]) + self._grid.lower[2]
        if abs(floor - self._base) > _STEP_M:
            self._base = floor

    def layers(self) -> list[Layer]:
        """Now; the forecast ahead, nearest first; and where the forecast of `check` seconds ago was wrong.

        What moves is in the layer of each horizon. What stands still is in the first layer that has it only: a voxel
        whose class is in an earlier layer, there or in a cell beside (resampling moves a surface by up to one), is
        left out, so that the city is drawn once.
        """
        now = self._now.grids.get(0.0, Voxels.empty())
        layers = [Layer(NOW, now, _palette(COLOURS, _NOW_ALPHA), self._base, self._cell)]
        if self._forecasts:
            grids = self._forecasts[-1].grids
            shown = [now]
            for number, horizon in enumerate(sorted(grids)):
                voxels = _not_shown(grids[horizon], shown)
                shown.append(voxels)
                layers.append(self._ahead(horizon, voxels, number / max(len(grids) - 1, 1)))
        return layers + self._checked(now)

    def _ahead(self, horizon: float, voxels: Voxels, part: float) -> Layer:
        """part: 0 for the nearest horizon to 1 for the furthest."""
        alpha = _NEAR_ALPHA + (_FAR_ALPHA - _NEAR_ALPHA) * part
        name = f"+{horizon:.1f} s"
        if self._by_class:
            return Layer(name, voxels, _palette(COLOURS, alpha), self._base, self._cell)
        at = part * (len(HORIZON_COLOURS) - 1)
        colour = [np.interp(at, range(len(HORIZON_COLOURS)), channel) for channel in HORIZON_COLOURS.T]
        return self._plain(name, voxels, tuple(colour), alpha)

    def _checked(self, now: Voxels) -> list[Layer]:
        made = self._now.stamp - self._check
        forecast = min(self._forecasts, key=lambda moment: abs(moment.stamp - made), default=LayerGrids(-np.inf))
        expected = forecast.grids.get(self._check)
        if expected is None or abs(forecast.stamp - made) > _SWEEP_S:
            return []
        missed, false = now.chosen(~now.beside(expected)), expected.chosen(~expected.beside(now))
        return [
            self._plain(MISSED, missed, _MISSED_COLOUR, _CHECK_ALPHA),
            self._plain(FALSE, false, _FALSE_COLOUR, _CHECK_ALPHA),
        ]

    def _plain(self, name: str, voxels: Voxels, colour: tuple[float, ...], alpha: float) -> Layer:
        """All voxels in one colour, so that boxes need not end where classes do."""
        palette = _palette(np.array([(0, 0, 0), colour]), alpha)
        return Layer(name, Voxels(voxels.cells, np.ones(len(voxels), np.uint8)), palette, self._base, self._cell)


def _not_shown(voxels: Voxels, shown: list[Voxels]) -> Voxels:
    """Voxels without those that stand still and are shown already."""
    known = np.zeros(len(voxels), bool)
    for others in shown:
        left = np.flatnonzero(~known)
        known[left] = voxels.chosen(left).beside(others)
    return voxels.chosen(~known | np.isin(voxels.labels, DYNAMIC_IDS))


def _palette(colours: np.ndarray, alpha: float) -> np.ndarray:
    rgb = colours.astype(np.float32) / 255.0
    return np.column_stack([rgb, np.full(len(rgb), alpha, np.float32)])
