"""Two LiDAR sweeps beam by beam."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occ_core.classes import Semantic
from tokyo_sim.engine.lidar import Sweep
from tokyo_sim.engine.robot import LidarSpec

# Ranges differ by their noise, and more the farther a beam reaches: a tenth of a beam's width across a slanted wall.
_TOLERANCE_M, _TOLERANCE_PER_M = 0.1, 0.01
_GROUND = (Semantic.ROAD, Semantic.SIDEWALK, Semantic.TERRAIN, Semantic.WATER, Semantic.BRIDGE)


@dataclass(frozen=True)
class RangeDifference:
    """rays: how many came back in both. bias: median of recorded - engine, metres.

    agreeing: share of `rays` whose ranges agree; upright: the same for what is not ground, which a shift along the
    street does not leave as it is (1 where there is none). missing: share of the engine's returns that the recording
    lacks; extra: share of the recording's that the engine lacks.
    """

    rays: int
    bias: float
    agreeing: float
    upright: float
    missing: float
    extra: float


def range_image(points: np.ndarray, spec: LidarSpec) -> np.ndarray:
    """points: (n, 3) metres in the sensor's frame. Returns (beams, columns) metres, the nearest of each ray, NaN for none.

    A point belongs to the ray that is nearest in elevation and azimuth; above and below the beams it is left out.
    """
    points = points[np.isfinite(points).all(axis=1)].astype(np.float64)
    ranges = np.linalg.norm(points, axis=1)
    points, ranges = points[ranges > 0], ranges[ranges > 0]
    beams, columns = len(spec.elevations), len(spec.azimuths)
    row = _nearest(spec.elevations, np.arcsin(points[:, 2] / ranges))
    step = 2 * np.pi / columns
    azimuth = np.arctan2(points[:, 1], points[:, 0])
    column = np.rint((azimuth - spec.azimuths[0]) / step).astype(int) % columns
    inside = (row >= 0) & (row < beams)
    image = np.full(beams * columns, np.inf)
    np.minimum.at(image, row[inside] * columns + column[inside], ranges[inside])
    return np.where(np.isfinite(image), image, np.nan).reshape(beams, columns)


def _nearest(elevations: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Index of the elevation, ascending (b,), nearest to each angle; -1 and b more than half a step outside."""
    between = (elevations[1:] + elevations[:-1]) / 2
    half = np.array([elevations[1] - elevations[0], elevations[-1] - elevations[-2]]) / 2
    edges = np.concatenate([[elevations[0] - half[0]], between, [elevations[-1] + half[1]]])
    return np.searchsorted(edges, angles) - 1


def compare_ranges(recorded: np.ndarray, engine: Sweep, hidden: np.ndarray) -> RangeDifference:
    """recorded: (b, c) metres, NaN for no return. hidden: (b, c) bool, rays to leave out, as those that met traffic."""
    expected = np.where(hidden, np.nan, engine.ranges.astype(np.float64))
    measured = np.where(hidden, np.nan, recorded)
    both = np.isfinite(expected) & np.isfinite(measured)
    error = measured[both] - expected[both]
    agree = np.abs(error) <= _TOLERANCE_M + _TOLERANCE_PER_M * expected[both]
    upright = ~np.isin(engine.classes[both], _GROUND)
    return RangeDifference(
        rays=int(both.sum()),
        bias=float(np.median(error)) if len(error) else float("nan"),
        agreeing=float(agree.mean()) if len(error) else 0.0,
        upright=float(agree[upright].mean()) if upright.any() else 1.0,
        missing=_share(np.isfinite(expected) & ~np.isfinite(measured), np.isfinite(expected)),
        extra=_share(np.isfinite(measured) & ~np.isfinite(expected), np.isfinite(measured)),
    )


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    return float(part.sum() / max(whole.sum(), 1))
