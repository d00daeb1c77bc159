"""The ground: a smooth height function and the triangulated relief sampled from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

MAX_SLOPE = 0.04
MEAN_ELEVATION_M = 21.0
TIN_CELL_M = 5.0
# Roads are chords of the height function up to a carriageway long, and the relief is chords of one cell: together
# they miss it by less than 0.04 m, so this much keeps the relief under every road.
ROAD_CLEARANCE_M = 0.08

_TILT_SHARE, _HILL_SHARE, _ROLL_SHARE = 0.15, 0.6, 0.25


@dataclass(frozen=True)
class Wave:
    """One plane cosine of the terrain: direction (rad from east), length (m), phase (rad), amplitude (m)."""

    heading: float
    length_m: float
    phase: float
    amplitude_m: float

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Height of the wave at points, metres."""
        distance = np.cos(self.heading) * x + np.sin(self.heading) * y
        return self.amplitude_m * np.cos(2 * np.pi * distance / self.length_m + self.phase)


@dataclass(frozen=True)
class Terrain:
    """Height of streets and lots above sea level as a function of local metres; steepest slope ``MAX_SLOPE``."""

    tilt: tuple[float, float]
    waves: tuple[Wave, ...]

    def height(self, points: np.ndarray) -> np.ndarray:
        """Heights ``(n,)`` metres at ``points (n, 2 or more)`` local metres."""
        x, y = points[..., 0], points[..., 1]
        return MEAN_ELEVATION_M + self.tilt[0] * x + self.tilt[1] * y + sum(wave(x, y) for wave in self.waves)


def roll_terrain(rng: np.random.Generator) -> Terrain:
    """Draw a gently rolling terrain; the slopes of its parts add up to at most ``MAX_SLOPE``."""
    heading = rng.uniform(0, 2 * np.pi)
    tilt = MAX_SLOPE * _TILT_SHARE * np.array([np.cos(heading), np.sin(heading)])
    waves = []
    for share, shortest, longest in ((_HILL_SHARE, 260.0, 330.0), (_ROLL_SHARE, 180.0, 220.0)):
        length = rng.uniform(shortest, longest)
        amplitude = share * MAX_SLOPE * length / (2 * np.pi)
        waves.append(Wave(rng.uniform(0, 2 * np.pi), length, rng.uniform(0, 2 * np.pi), amplitude))
    return Terrain((float(tilt[0]), float(tilt[1])), tuple(waves))


def relief_tin(terrain: Terrain, half_size_m: float, roads: BaseGeometry) -> np.ndarray:
    """Triangles ``(n, 3, 3)`` local metres, facing up, over the square of half side ``half_size_m``.

    Every vertex of a triangle that can touch ``roads`` is lowered by ``ROAD_CLEARANCE_M``.
    """
    cells = int(np.ceil(2 * half_size_m / TIN_CELL_M))
    line = np.linspace(-half_size_m, half_size_m, cells + 1)
    x, y = np.meshgrid(line, line)
    points = np.column_stack([x.ravel(), y.ravel()])
    near_road = roads.buffer(TIN_CELL_M * np.sqrt(2))
    shapely.prepare(near_road)
    lowered = shapely.contains_xy(near_road, points[:, 0], points[:, 1])
    vertices = np.column_stack([points, terrain.height(points) - ROAD_CLEARANCE_M * lowered])
    corner = (np.arange(cells)[:, None] * (cells + 1) + np.arange(cells)).ravel()
    south_east = np.column_stack([corner, corner + 1, corner + cells + 2])
    north_west = np.column_stack([corner, corner + cells + 2, corner + cells + 1])
    return vertices[np.stack([south_east, north_west], axis=1).reshape(-1, 3)]
