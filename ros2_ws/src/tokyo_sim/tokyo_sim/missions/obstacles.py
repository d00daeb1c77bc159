"""How high things stand, and ways through between them."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import shapely

from occ_core.citymap import CityMap
from occ_core.classes import GROUND_CLASSES
from occ_core.components import connected
from occ_core.loops import compiled
from tokyo_sim.raster import Raster

_CELL_M = 1.0
_CLEARANCE_M = 3.0
_ABOUT_M = 40.0
_SIGHT_M = 30.0  # a grid reaches 40 m: what stands within this is well inside it
_THING_CELLS = 4  # a ward has tens of millions of cells
_LOOK_CELLS = 64  # around a place, at first
_HIGHEST_STEP_M = 0.5  # from cell to cell: steeper than that no rover drives


class ObstacleMap:
    """Top heights of everything that is not ground, one metre cells, grown by a clearance.

    wheels: for what drives; places without ground, and steps that no wheel gets over, are in its way at any height.
    clearance: metres to what stands, and to such places. step: the highest that wheels are sent over, metres in one.
    about: (n, 2) metres in map, what it holds with 40 m around; the whole city by default.
    """

    def __init__(
        self,
        city: CityMap,
        wheels: bool = False,
        clearance: float = _CLEARANCE_M,
        step: float = _HIGHEST_STEP_M,
        about: np.ndarray | None = None,
    ) -> None:
        standing = city.triangles[~np.isin(city.classes, GROUND_CLASSES)]
        if about is None:
            self._raster = Raster.covering(city.triangles, _CELL_M, margin=20.0)
        else:
            lower, upper = about.min(axis=0) - _ABOUT_M, about.max(axis=0) + _ABOUT_M
            self._raster = Raster(np.floor(lower), _CELL_M, tuple(np.ceil(upper - lower).astype(int).tolist()))
            low, high = standing[:, :, :2].min(axis=1), standing[:, :, :2].max(axis=1)
            standing = standing[((low < upper) & (high > lower)).all(axis=1)]
        tops = np.full(self._raster.shape, -np.inf, dtype=np.float32)
        if len(standing):
            tops = np.nan_to_num(self._raster.highest(standing), nan=-np.inf)
            # Walls and poles may fall between the cells' points: points along their edges count too.
            _raise_along_edges(standing, self._raster.lower, self._raster.cell, tops)
        self._stands = np.isfinite(tops)
        if wheels:
            tops[_without_way(city, self._raster, step)] = np.inf
        self._tops = _grown(tops, int(np.ceil(clearance / _CELL_M)))
        self._region_height = np.nan

    def free(self, xy: np.ndarray, height: float) -> np.ndarray:
        """(n,) bool: nothing reaches within the clearance of points (n, 2) in map at a height in map, metres."""
        return self._tops[tuple(self._raster.cells(xy).T)] < height - _CLEARANCE_M

    @cached_property
    def _things(self) -> np.ndarray:
        """Where something stands, to a few cells, (n, 2) metres in map."""
        coarse = np.zeros(np.array(self._stands.shape) // _THING_CELLS + 1, bool)
        coarse[tuple(np.argwhere(self._stands).T // _THING_CELLS)] = True
        return self._raster.xy(np.argwhere(coarse) * _THING_CELLS)

    @cached_property
    def _things_tree(self) -> shapely.STRtree:
        return shapely.STRtree(shapely.points(self._things))

    @property
    def anything(self) -> bool:
        """Does anything stand in this city?"""
        return len(self._things) > 0

    def in_sight(self, xy: np.ndarray) -> np.ndarray:
        """(n,) bool: something stands so near to points (n, 2) in map, metres, that a grid about them shows it."""
        seen = np.zeros(len(xy), bool)
        if len(xy):
            nearer = np.nextafter(_SIGHT_M, 0)
            near, _ = self._things_tree.query_nearest(shapely.points(xy), max_distance=nearer, all_matches=False)
            seen[near] = True
        return seen

    def near_things(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """(at most count, 2) metres in map: random places, each with something in sight of it. None where nothing
        stands."""
        if not self.anything:
            return np.zeros((0, 2))
        things = self._things[rng.integers(len(self._things), size=count)]
        angle, away = rng.uniform(0, 2 * np.pi, count), rng.uniform(_CLEARANCE_M, _SIGHT_M, count)
        return things + away[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])

    def way(self, start: np.ndarray, goal: np.ndarray, height: float) -> np.ndarray:
        """Shortest way at one height, (n, 2) metres in map, between the free places nearest to start and goal.

        The goal's is one that can be reached: a yard between buildings is not. Around the city all is free.
        """
        region = self._regions(height)
        straight = _straight(start[:2], goal[:2])
        if (region[tuple(self._raster.cells(straight).T)] > 0).all():
            return straight
        begin = _nearest(region, self._raster.cells(start[:2]))
        end = _nearest(region, self._raster.cells(goal[:2]), int(region[begin]))
        return self._raster.xy(_shortest(region, begin, end))

    def _regions(self, height: float) -> np.ndarray:
        """Connected free cells at a height, numbered from 1; 0 is blocked. The last height is remembered."""
        if self._region_height != height:
            self._region = connected(self._tops < height - _CLEARANCE_M)
            self._region_height = height
        return self._region

    def standing_height(self, xy: np.ndarray) -> float:
        """Height in map of the highest thing within the clearance of a place, -inf where nothing stands."""
        return float(self._tops[tuple(self._raster.cells(np.asarray(xy)[:2]))])


def _without_way(city: CityMap, raster: Raster, highest: float) -> np.ndarray:
    """Bool cells where there is no ground, or a step in it to a neighbour."""
    axes = (raster.lower[axis] + np.arange(raster.shape[axis]) * raster.cell for axis in (0, 1))
    ground = city.ground_heights(*axes)
    out = np.isnan(ground)
    for axis in (0, 1):
        step = np.abs(np.diff(ground, axis=axis)) > highest
        for part, beside in ((out, step), (out[::-1, ::-1], step[::-1, ::-1])):
            part[tuple(slice(None, -1) if a == axis else slice(None) for a in (0, 1))] |= beside
    return out


def _grown(heights: np.ndarray, reach: int) -> np.ndarray:
    """The highest within so many cells along both axes."""
    for _ in range(heights.ndim):
        out = heights.copy()
        for step in range(1, reach + 1):
            np.maximum(out[step:], heights[:-step], out=out[step:])
            np.maximum(out[:-step], heights[step:], out=out[:-step])
        heights = out.T
    return heights


def _window(cell: np.ndarray, reach: int, shape: tuple[int, ...]) -> tuple[np.ndarray, tuple[slice, ...]]:
    """The first cell of what is within a reach of one along both axes, and that part of an array of a shape."""
    low, high = np.maximum(cell - reach, 0), np.minimum(cell + reach + 1, shape)
    return low, tuple(map(slice, low, high))


def _nearest(region: np.ndarray, cell: np.ndarray, wanted: int = 0) -> tuple[int, int]:
    """The cell nearest to one that is in a region of this number, or in any. ValueError where none is.

    It is looked for further and further out: a city has tens of millions of cells.
    """
    reach = _LOOK_CELLS
    while True:
        low, part = _window(cell, reach, region.shape)
        free = np.argwhere(region[part] == wanted if wanted else region[part] > 0) + low
        away = ((free - cell) ** 2).sum(axis=1)
        whole = region[part].shape == region.shape
        if len(free) and (whole or away.min() <= reach**2):
            nearest = free[np.argmin(away)]
            return int(nearest[0]), int(nearest[1])
        if whole:
            raise ValueError("there is no free place for this robot at that height: fly higher, or choose another city")
        reach *= 2


def _shortest(region: np.ndarray, begin: tuple[int, int], end: tuple[int, int]) -> np.ndarray:
    """(n, 2) cells of the shortest way between two of one region, over cells of any.

    Looked for within a reach of its beginning: a way that is no longer has not left it, and none outside is shorter.
    """
    from skimage.graph import MCP_Geometric  # takes a moment to load

    reach = 2 * int(np.abs(np.subtract(end, begin)).max()) + _LOOK_CELLS
    while True:
        low, part = _window(np.array(begin), reach, region.shape)
        search = MCP_Geometric(np.where(region[part] > 0, 1.0, -1.0))
        goal = tuple((np.array(end) - low).tolist())
        costs, _ = search.find_costs([tuple((np.array(begin) - low).tolist())], [goal])
        if costs[goal] <= reach or region[part].shape == region.shape:
            return np.array(search.traceback(goal)) + low
        reach *= 2


def _straight(start: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """(n, 2) points from start to goal, half a cell or less apart."""
    steps = max(int(np.ceil(np.linalg.norm(np.subtract(goal, start)) / (_CELL_M / 2))), 1)
    return np.linspace(start, goal, steps + 1)


@compiled
def _raise_along_edges(triangles, lower, cell, tops):
    """Raise cells to the top of each triangle (n, 3, 3) at points along its edges, a cell or less apart.

    lower: (2,) metres, the first cell's point. tops: (x, y) metres; points outside count for the cells at the edge.
    """
    for t in range(len(triangles)):
        top = max(triangles[t, 0, 2], triangles[t, 1, 2], triangles[t, 2, 2])
        for corner in range(3):
            x, y = triangles[t, corner, 0], triangles[t, corner, 1]
            dx, dy = triangles[t, (corner + 1) % 3, 0] - x, triangles[t, (corner + 1) % 3, 1] - y
            count = int(np.ceil(np.sqrt(dx * dx + dy * dy) / cell)) + 1
            for place in range(count):
                i = np.rint((x + dx * (place / count) - lower[0]) / cell)
                j = np.rint((y + dy * (place / count) - lower[1]) / cell)
                i, j = min(max(int(i), 0), tops.shape[0] - 1), min(max(int(j), 0), tops.shape[1] - 1)
                tops[i, j] = max(tops[i, j], top)
