"""LiDAR sweeps in, occupancy frames out: multi-sweep accumulation with ego-motion, shared by recorder and forecast."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum

import numpy as np

from occ_core.actors import Actor, owners
from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.frame import Occupancy
from occ_core.grid import VoxelGrid
from occ_core.poses import Pose
from occ_core.voxelize import carve_free_space, voxel_numbers

DEFAULT_WINDOW_S = 3.0
# One return in each cube of this size is enough to fill voxels twice as large, and five times fewer to carry along.
_THIN_M = 0.2
# Sweeps a tenth of a second apart look through nearly the same voxels.
_CARVE_EVERY = 3


class OccupancySource(str, Enum):
    """How a frame's occupancy is made: one sweep, sweeps of a window put together, or the known city."""

    LIDAR = "lidar"
    ACCUMULATED = "accumulated"
    GROUND_TRUTH = "ground_truth"


@dataclass(frozen=True)
class _Sweep:
    """points, origin: metres, map. owner: (n,) uint16 instance of the actor that a point lies on, 0 for none."""

    stamp: float
    points: np.ndarray
    origin: np.ndarray
    owner: np.ndarray
    actors: dict[int, Actor]


class KeyframeBuilder:
    """Holds the sweeps of the last `window` seconds and turns them into grids.

    Labels come from the city map and the actors where they are known; what neither names is `other`.
    """

    def __init__(
        self,
        grid: VoxelGrid,
        source: OccupancySource = OccupancySource.ACCUMULATED,
        window: float = DEFAULT_WINDOW_S,
        city: CityMap | None = None,
    ) -> None:
        if source is OccupancySource.GROUND_TRUTH and city is None:
            raise ValueError("occupancy 'ground_truth' needs the imported city: give its folder")
        self.grid, self.source, self.window, self.city = grid, source, window, city
        self._sweeps: deque[_Sweep] = deque()

    def clear(self) -> None:
        """Forget all sweeps, as after a clock reset."""
        self._sweeps.clear()

    def add(self, stamp: float, points: np.ndarray, sensor: Pose, actors: list[Actor]) -> None:
        """Take a sweep. points: (n, 3) metres in the sensor's frame, NaN allowed. sensor: its pose in `map`.

        actors: what moves, where it is at this stamp, the vehicle itself excluded. ValueError where stamps go back.
        """
        if self._sweeps and stamp <= self._sweeps[-1].stamp:
            raise ValueError(f"sweep at {stamp:.3f} s is not after the last one at {self._sweeps[-1].stamp:.3f} s")
        world = sensor.apply(points[np.isfinite(points).all(axis=1)])
        owner = owners(world, actors)
        if self.source is OccupancySource.ACCUMULATED:
            kept = thinned(world)
            world, owner = world[kept], owner[kept]
        sweep = _Sweep(stamp, world, sensor.position, owner, {actor.instance: actor for actor in actors})
        self._sweeps.append(sweep)
        keep = self.window if self.source is not OccupancySource.LIDAR else 0.0
        while self._sweeps[0].stamp < stamp - keep - 1e-6:
            self._sweeps.popleft()

    def build(self, footprint: Pose, actors: list[Actor]) -> Occupancy:
        """The grid at a `base_footprint` pose in map; actors: where everything that moves is now."""
        if not self._sweeps:
            raise ValueError("no sweep yet: an occupancy frame needs at least one")
        to_grid = footprint.inverse()
        now = {actor.instance: actor for actor in actors}
        observed = np.zeros(self.grid.shape, dtype=bool)
        still = np.zeros(self.grid.size, dtype=bool)
        moving: list[tuple[Actor, np.ndarray]] = []
        newest = len(self._sweeps) - 1
        for number, sweep in enumerate(self._sweeps):
            static = to_grid.apply(sweep.points[sweep.owner == 0])
            cells = voxel_numbers(self.grid, static)
            still[cells[cells >= 0]] = True
            moving += [(now[i], to_grid.apply(points)) for i, points in _carried(sweep, now)]
            if (newest - number) % _CARVE_EVERY == 0:
                # A moving thing's points are carried to where it is now: only the newest sweep's rays to it are real.
                rays = to_grid.apply(sweep.points) if number == newest else static
                carve_free_space(self.grid, to_grid.apply(sweep.origin[None])[0], rays, observed)
        truth, truth_instance = self._truth(footprint, actors)
        if self.source is OccupancySource.GROUND_TRUTH:
            return Occupancy(truth, observed, truth_instance)
        classes = _labelled(still.reshape(self.grid.shape), truth)
        instance = np.zeros(self.grid.shape, dtype=np.uint16)
        for actor, points in moving:
            numbers = voxel_numbers(self.grid, points)
            classes.ravel()[numbers[numbers >= 0]] = actor.semantic
            instance.ravel()[numbers[numbers >= 0]] = actor.instance
        return Occupancy(classes, observed | (classes > 0), instance)

    def _truth(self, footprint: Pose, actors: list[Actor]) -> tuple[np.ndarray, np.ndarray]:
        if self.city is None:
            return np.zeros(self.grid.shape, dtype=np.uint8), np.zeros(self.grid.shape, dtype=np.uint16)
        return self.city.occupancy(self.grid, footprint, actors)


def _carried(sweep: _Sweep, now: dict[int, Actor]) -> list[tuple[int, np.ndarray]]:
    """(instance, points in map) of each actor in a sweep that is still there, its points moved along with it."""
    out = []
    for instance in map(int, np.unique(sweep.owner[sweep.owner > 0])):
        if instance in now:
            carry = now[instance].pose @ sweep.actors[instance].pose.inverse()
            out.append((instance, carry.apply(sweep.points[sweep.owner == instance])))
    return out


def _labelled(occupied: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Class of each occupied voxel: of the known city there, else of a neighbour voxel, else `other`.

    Range noise and calibration put a return at most one voxel away from the surface it came from.
    """
    cells = np.argwhere(occupied)
    labels = truth[tuple(cells.T)]
    top = np.array(occupied.shape) - 1
    for offset in ((0, 0, -1), (0, 0, 1), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)):
        missing = np.flatnonzero(labels == 0)
        if not len(missing):
            break
        labels[missing] = truth[tuple(np.clip(cells[missing] + offset, 0, top).T)]
    labels[labels == 0] = Semantic.OTHER
    classes = np.zeros(occupied.shape, dtype=np.uint8)
    classes[tuple(cells.T)] = labels
    return classes


def thinned(points: np.ndarray) -> np.ndarray:
    """Indices of one point in each cube of a lattice, the first of each. points: (n, 3) metres, map."""
    cells = np.floor(points / _THIN_M).astype(np.int64)
    cells -= cells.min(axis=0, initial=0)
    # 21 bits an axis: 400 km.
    _, first = np.unique((cells[:, 0] << 42) | (cells[:, 1] << 21) | cells[:, 2], return_index=True)
    return first
