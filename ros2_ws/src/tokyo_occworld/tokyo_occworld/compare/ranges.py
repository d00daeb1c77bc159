"""Two LiDAR sweeps beam by beam."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occ_core.classes import GROUND_CLASSES
from tokyo_sim.engine.lidar import Sweep
from tokyo_sim.engine.robot import LidarSpec

# Ranges differ by their noise, and by half a pixel of the depth images that Gazebo's rays are read from: 0.0008 rad,
# which is 0.005 of the range on ground that a beam meets at nine degrees.
_TOLERANCE_M, _TOLERANCE_PER_M = 0.1, 0.005


@dataclass(frozen=True)
class RangeImage:
    """A sweep by its rays. ranges: (beams, columns) metres, NaN where nothing came back.

    off_ray: median angle between a point and the ray that it is taken for, degrees; 0 for no points.
    """

    ranges: np.ndarray
    off_ray: float


@dataclass(frozen=True)
class RangeDifference:
    """rays: how many came back in both. off_ray: as in the recording. bias: median of recorded - engine, metres.

    agreeing: share of `rays` whose ranges agree; upright, ground: the same for walls and the like, and for what is
    below them (1 where there is none): a shift along the street leaves the ground as it is, one upwards the walls.
    missing: share of the engine's returns that the recording lacks; extra: of the recording's that the engine lacks.
    """

    rays: int
    off_ray: float
    bias: float
    agreeing: float
    upright: float
    ground: float
    missing: float
    extra: float


def range_image(points: np.ndarray, spec: LidarSpec) -> RangeImage:
    """The nearest point of each ray. points: (n, 3) metres in the sensor's frame.

    A point belongs to the ray that is nearest in elevation and azimuth; above and below the beams it is left out.
    """
    points = points[np.isfinite(points).all(axis=1)].astype(np.float64)
    ranges = np.linalg.norm(points, axis=1)
    points, ranges = points[ranges > 0], ranges[ranges > 0]
    beams, columns = len(spec.elevations), len(spec.azimuths)
    elevation, azimuth = np.arcsin(points[:, 2] / ranges), np.arctan2(points[:, 1], points[:, 0])
    row = _nearest(spec.elevations, elevation)
    column = np.rint((azimuth - spec.azimuths[0]) / (2 * np.pi / columns)).astype(int) % columns
    inside = (row >= 0) & (row < beams)
    row, column, elevation, azimuth = (values[inside] for values in (row, column, elevation, azimuth))
    image = np.full(beams * columns, np.inf)
    np.minimum.at(image, row * columns + column, ranges[inside])
    around = np.angle(np.exp(1j * (azimuth - spec.azimuths[column]))) * np.cos(elevation)
    off = np.hypot(elevation - spec.elevations[row], around)
    grid = np.where(np.isfinite(image), image, np.nan).reshape(beams, columns)
    return RangeImage(grid, float(np.degrees(np.median(off))) if len(off) else 0.0)


def _nearest(elevations: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Index of the elevation, ascending (b,), nearest to each angle; -1 and b more than half a step outside."""
    between = (elevations[1:] + elevations[:-1]) / 2
    half = np.array([elevations[1] - elevations[0], elevations[-1] - elevations[-2]]) / 2
    edges = np.concatenate([[elevations[0] - half[0]], between, [elevations[-1] + half[1]]])
    return np.searchsorted(edges, angles) - 1


def compare_ranges(recorded: RangeImage, engine: Sweep, hidden: np.ndarray) -> RangeDifference:
    """hidden: (beams, columns) bool, rays to leave out, as those that met traffic."""
    expected = np.where(hidden, np.nan, engine.ranges.astype(np.float64))
    measured = np.where(hidden, np.nan, recorded.ranges)
    both = np.isfinite(expected) & np.isfinite(measured)
    error = measured[both] - expected[both]
    agree = np.abs(error) <= _TOLERANCE_M + _TOLERANCE_PER_M * expected[both]
    ground = np.isin(engine.classes[both], GROUND_CLASSES)
    return RangeDifference(
        rays=int(both.sum()),
        off_ray=recorded.off_ray,
        bias=float(np.median(error)) if len(error) else 0.0,
        agreeing=float(agree.mean()) if len(error) else 0.0,
        upright=float(agree[~ground].mean()) if (~ground).any() else 1.0,
        ground=float(agree[ground].mean()) if ground.any() else 1.0,
        missing=_share(np.isfinite(expected) & ~np.isfinite(measured), np.isfinite(expected)),
        extra=_share(np.isfinite(measured) & ~np.isfinite(expected), np.isfinite(measured)),
    )


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    return float(part.sum() / max(whole.sum(), 1))
