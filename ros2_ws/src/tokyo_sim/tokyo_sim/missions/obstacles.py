"""How high things stand, and ways through between them."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter
from skimage.graph import MCP_Geometric

from occ_core.citymap import GROUND_CLASSES, CityMap
from tokyo_sim.raster import Raster

_CELL_M = 1.0
_CLEARANCE_M = 3.0


class NoWay(Exception):
    """There is no free way between two places; the sentence says which."""


class ObstacleMap:
    """Top heights of everything that is not ground, one metre cells, grown by a clearance."""

    def __init__(self, city: CityMap) -> None:
        self._raster = Raster.covering(city.triangles, _CELL_M, margin=20.0)
        standing = city.triangles[~np.isin(city.classes, GROUND_CLASSES)]
        tops = np.full(self._raster.shape, -np.inf, dtype=np.float32)
        if len(standing):
            tops = np.nan_to_num(self._raster.highest(standing), nan=-np.inf)
            # Thin things may fall between the cells' points: their corners count too.
            corners = standing.reshape(-1, 3)
            np.maximum.at(tops, tuple(self._raster.cells(corners[:, :2]).T), corners[:, 2])
        reach = 2 * int(np.ceil(_CLEARANCE_M / _CELL_M)) + 1
        self._tops = maximum_filter(tops, size=reach)

    def free(self, xy: np.ndarray, height: float) -> np.ndarray:
        """(n,) bool: nothing reaches within the clearance of points (n, 2) in map at a height in map, metres."""
        return self._tops[tuple(self._raster.cells(xy).T)] < height - _CLEARANCE_M

    def way(self, start: np.ndarray, goal: np.ndarray, height: float) -> np.ndarray:
        """Shortest way at one height, (n, 2) metres in map, from the free places nearest to start and goal.

        NoWay where they are not connected.
        """
        cost = np.where(self._tops < height - _CLEARANCE_M, 1.0, -1.0)
        begin, end = (self._nearest_free(cost, place) for place in (start, goal))
        search = MCP_Geometric(cost)
        search.find_costs([begin], [end])
        try:
            cells = np.array(search.traceback(end))
        except ValueError as error:
            raise NoWay(f"no free way at {height:.0f} m from {start[:2]} to {goal[:2]}") from error
        return self._raster.xy(cells)

    def _nearest_free(self, cost: np.ndarray, place: np.ndarray) -> tuple[int, int]:
        free = np.argwhere(cost > 0)
        if not len(free):
            raise NoWay("nothing is free at this height")
        nearest = free[np.argmin(((free - self._raster.cells(place[:2])) ** 2).sum(axis=1))]
        return int(nearest[0]), int(nearest[1])

    def standing_height(self, xy: np.ndarray) -> float:
        """Height in map of the highest thing within the clearance of a place, -inf where nothing stands."""
        return float(self._tops[tuple(self._raster.cells(np.asarray(xy)[:2]))])
