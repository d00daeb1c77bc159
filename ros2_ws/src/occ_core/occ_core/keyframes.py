"""LiDAR sweeps in, occupancy frames out: multi-sweep accumulation with ego-motion, shared by recorder and forecast."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum

import numpy as np

from occ_core.actors import Actor
from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.frame import Occupancy
from occ_core.grid import VoxelGrid
from occ_core.poses import Pose
from occ_core.voxelize import carve_free_space, voxelize_points


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
        window: float = 1.0,
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
        owner = np.zeros(len(world), dtype=np.uint16)
        for actor in actors:
            owner[actor.contains(world)] = actor.instance
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
        points, origins, owners = [], [], []
        now = {actor.instance: actor for actor in actors}
        for sweep in self._sweeps:
            moved = _follow(sweep, now)
            points.append(to_grid.apply(moved))
            owners.append(sweep.owner)
            origins.append(np.broadcast_to(to_grid.apply(sweep.origin[None]), moved.shape))
        local, owner = np.concatenate(points), np.concatenate(owners)
        # A moving thing's points were carried to where it is now: only the newest sweep's rays to it are real.
        real = (owner == 0) | (np.arange(len(local)) >= len(local) - len(points[-1]))
        observed = carve_free_space(self.grid, np.concatenate(origins)[real], local[real])
        if self.city is not None:
            truth, truth_instance = self.city.occupancy(self.grid, footprint, actors)
            if self.source is OccupancySource.GROUND_TRUTH:
                return Occupancy(truth, observed, truth_instance)
        else:
            truth = np.zeros(self.grid.shape, dtype=np.uint8)
        labels = _label(self.grid, local, truth)
        for instance, actor in now.items():
            labels[owner == instance] = actor.semantic
        labels[(owner > 0) & ~np.isin(owner, list(now))] = Semantic.EMPTY
        classes = voxelize_points(self.grid, local, labels)
        return Occupancy(classes, observed | (classes > 0), _instances(self.grid, local, owner, classes, now))


def _follow(sweep: _Sweep, now: dict[int, Actor]) -> np.ndarray:
    """A sweep's points in `map`, those on an actor carried along with it."""
    if not sweep.owner.any():
        return sweep.points
    moved = sweep.points.copy()
    for instance in np.unique(sweep.owner[sweep.owner > 0]):
        if int(instance) in now:
            on_it = sweep.owner == instance
            carry = now[int(instance)].pose @ sweep.actors[int(instance)].pose.inverse()
            moved[on_it] = carry.apply(sweep.points[on_it])
    return moved


def _label(grid: VoxelGrid, points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Class of each point: of its voxel in the known city, else of a neighbour voxel, else `other`.

    Range noise and calibration put a return at most one voxel away from the surface it came from.
    """
    indices, inside = grid.index(points)
    labels = truth[tuple(indices.T)]
    top = np.array(grid.shape) - 1
    for offset in ((0, 0, -1), (0, 0, 1), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)):
        missing = np.flatnonzero(inside & (labels == 0))
        if not len(missing):
            break
        labels[missing] = truth[tuple(np.clip(indices[missing] + offset, 0, top).T)]
    labels[inside & (labels == 0)] = Semantic.OTHER
    labels[~inside] = Semantic.EMPTY
    return labels


def _instances(
    grid: VoxelGrid, points: np.ndarray, owner: np.ndarray, classes: np.ndarray, now: dict[int, Actor]
) -> np.ndarray:
    instance = np.zeros(grid.shape, dtype=np.uint16)
    indices, inside = grid.index(points)
    for number, actor in now.items():
        on_it = tuple(indices[inside & (owner == number)].T)
        named = classes[on_it] == actor.semantic
        instance[tuple(axis[named] for axis in on_it)] = number
    return instance
