"""What is measured of an imported city: whether its roads can be seen and driven on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occ_core.citymap import CityMap, raster_heights
from occ_core.classes import Semantic
from occ_core.loops import compiled

_CELL_M, _BLOCK_M = 0.25, 512.0
# Sample points lie on no edge that is on a whole part of a metre.
_OFFSET_M = np.array([0.0954915, 0.0590170])
# Cells within half a metre, the nearest first.
_NEAR = sorted(
    ((i, j) for i in range(-2, 3) for j in range(-2, 3) if 0 < i * i + j * j <= 4),
    key=lambda step: step[0] ** 2 + step[1] ** 2,
)


@dataclass(frozen=True)
class RoadsUnderGround:
    """area: square metres of carriageway and pavement. covered: of them, more than a depth under terrain.

    deepest: metres under it, at most.
    """

    area: float
    covered: float
    deepest: float

    @property
    def share(self) -> float:
        """Of the area that is covered, 0 where there is no road."""
        return self.covered / self.area if self.area else 0.0


def roads_under_ground(city: CityMap, depth: float = 0.02) -> RoadsUnderGround:
    """How much of a city's roads and pavements lies under its terrain, sampled every 0.25 m. depth: metres."""
    road = city.triangles[np.isin(city.classes, (Semantic.ROAD, Semantic.SIDEWALK))].astype(np.float64)
    terrain = city.triangles[city.classes == Semantic.TERRAIN].astype(np.float64)
    total = np.zeros(3)
    for lower in _blocks(road):
        ground = _heights(terrain, lower)
        samples, covered, deepest = _count(_in_cells(road, lower), ground, depth)
        total += samples * _CELL_M**2, covered * _CELL_M**2, 0
        total[2] = max(total[2], deepest)
    return RoadsUnderGround(*total.tolist())


@dataclass(frozen=True)
class HeightsAboveGround:
    """Of carriageways and pavements, metres, the lowest, the middle and the highest of so many samples.

    NaN without samples.
    """

    low: float
    middle: float
    high: float
    samples: int


def roads_above_ground(city: CityMap) -> HeightsAboveGround:
    """How high a city's roads and pavements are above the terrain beside them, sampled every 0.25 m.

    Terrain ends at the edges of roads that have heights: a sample is compared with the nearest terrain within 0.5 m,
    and what has none so near, the inside of a road, is no sample.
    """
    road = city.triangles[np.isin(city.classes, (Semantic.ROAD, Semantic.SIDEWALK))].astype(np.float64)
    terrain = city.triangles[city.classes == Semantic.TERRAIN].astype(np.float64)
    found = [np.zeros(0, np.float32)]
    for lower in _blocks(road):
        ground, surface = _heights(terrain, lower), _heights(road, lower)
        beside = ground.copy()
        for i, j in _NEAR:
            # By rolling, what lies beyond an edge comes from the other side: a seam of two cells is left out.
            beside = np.where(np.isnan(beside), np.roll(ground, (i, j), axis=(0, 1)), beside)
        above = (surface - beside)[2:-2, 2:-2]
        found.append(above[np.isfinite(above)])
    heights = np.concatenate(found)
    if not len(heights):
        return HeightsAboveGround(np.nan, np.nan, np.nan, 0)
    return HeightsAboveGround(float(heights.min()), float(np.median(heights)), float(heights.max()), len(heights))


def _blocks(road: np.ndarray) -> list[np.ndarray]:
    """(2,) metres, the lowest sample point of each block that triangles (n, 3, 3) have a corner in."""
    blocks = np.unique(np.floor(road[:, :, :2].reshape(-1, 2) / _BLOCK_M).astype(int), axis=0)
    return [block * _BLOCK_M + _OFFSET_M for block in blocks]


def _heights(triangles: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """(n, n) float32 metres: the highest of triangles (t, 3, 3) over each sample point of a block, NaN for none."""
    points = round(_BLOCK_M / _CELL_M)
    heights = np.full((points, points), np.nan, dtype=np.float32)
    raster_heights(_in_cells(triangles, lower), heights)
    return heights


def _in_cells(triangles: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Those that reach into the block at (2,) metres, x and y in cells from there."""
    xy = triangles[:, :, :2]
    near = ((xy.min(axis=1) <= lower + _BLOCK_M) & (xy.max(axis=1) >= lower)).all(axis=1)
    scaled = triangles[near]
    scaled[:, :, :2] = (scaled[:, :, :2] - lower) / _CELL_M
    return scaled


@compiled
def _count(triangles, ground, depth):
    """Sample points in triangles, those deeper than so under the ground, and the depth of the deepest."""
    samples, covered, deepest = 0, 0, 0.0
    for t in range(len(triangles)):
        ax, ay, az = triangles[t, 0]
        bx, by, bz = triangles[t, 1]
        cx, cy, cz = triangles[t, 2]
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if area == 0.0:
            continue
        for i in range(max(int(np.ceil(min(ax, bx, cx))), 0), min(int(max(ax, bx, cx)) + 1, ground.shape[0])):
            for j in range(max(int(np.ceil(min(ay, by, cy))), 0), min(int(max(ay, by, cy)) + 1, ground.shape[1])):
                v = ((i - ax) * (cy - ay) - (cx - ax) * (j - ay)) / area
                w = ((bx - ax) * (j - ay) - (i - ax) * (by - ay)) / area
                if v >= 0 and w >= 0 and v + w <= 1:
                    under = ground[i, j] - (az + v * (bz - az) + w * (cz - az))
                    samples += 1
                    covered += under > depth
                    if under > deepest:
                        deepest = under
    return samples, covered, deepest
