"""What is measured of an imported city: whether its roads can be seen and driven on."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from occ_core.citymap import CityMap, raster_heights
from occ_core.classes import Semantic

_CELL_M, _BLOCK_M = 0.25, 512.0
# Sample points lie on no edge that is on a whole part of a metre.
_OFFSET_M = np.array([0.0954915, 0.0590170])


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
    points = round(_BLOCK_M / _CELL_M)
    total = np.zeros(3)
    for block in np.unique(np.floor(road[:, :, :2].reshape(-1, 2) / _BLOCK_M).astype(int), axis=0):
        lower = block * _BLOCK_M + _OFFSET_M
        ground = np.full((points, points), np.nan, dtype=np.float32)
        raster_heights(_in_cells(terrain, lower), ground)
        samples, covered, deepest = _count(_in_cells(road, lower), ground, depth)
        total += samples * _CELL_M**2, covered * _CELL_M**2, 0
        total[2] = max(total[2], deepest)
    return RoadsUnderGround(*total.tolist())


def _in_cells(triangles: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Those that reach into the block at (2,) metres, x and y in cells from there."""
    xy = triangles[:, :, :2]
    near = ((xy.min(axis=1) <= lower + _BLOCK_M) & (xy.max(axis=1) >= lower)).all(axis=1)
    scaled = triangles[near]
    scaled[:, :, :2] = (scaled[:, :, :2] - lower) / _CELL_M
    return scaled


@numba.njit(cache=True)
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
