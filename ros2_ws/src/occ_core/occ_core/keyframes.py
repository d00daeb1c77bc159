"""LiDAR sweeps in, occupancy frames out: multi-sweep accumulation with ego-motion, shared by recorder and forecast."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from occ_core.actors import Actor, owners, rotations
from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.frame import Occupancy
from occ_core.grid import VoxelGrid
from occ_core.labels import columns_about, labels_of
from occ_core.point_filters import MapThinning, ReturnTest, downsampled, in_map
from occ_core.poses import Pose
from occ_core.voxelize import Scan, voxelize

DEFAULT_WINDOW_S = 3.0
# Sweeps a tenth of a second apart look through nearly the same voxels.
_CARVE_EVERY = 3


class OccupancySource(str, Enum):
    """How a frame's occupancy is made: one sweep, sweeps of a window put together, or the known city."""

    LIDAR = "lidar"
    ACCUMULATED = "accumulated"
    GROUND_TRUTH = "ground_truth"


@dataclass(frozen=True)
class _MapSweep:
    """origin, still, moving: metres, map; still: returns from what does not move, moving: from actors.

    owner: (m,) uint16 instance of the actor that each of `moving` lies on. on_owner: the same points in its box.
    """

    stamp: float
    origin: np.ndarray
    still: np.ndarray
    moving: np.ndarray
    owner: np.ndarray
    on_owner: np.ndarray


class KeyframeBuilder:
    """Holds the sweeps of the last `window` seconds and turns them into grids.

    Labels come from the city map and the actors where they are known; what neither names is `other`.
    solid: ground truth has the insides of buildings and actors too. threads: of each grid, one for each processor by
    default; who makes several grids at a time needs one for each.
    """

    def __init__(
        self,
        grid: VoxelGrid,
        source: OccupancySource = OccupancySource.ACCUMULATED,
        window: float = DEFAULT_WINDOW_S,
        city: CityMap | None = None,
        solid: bool = False,
        threads: int | None = None,
    ) -> None:
        if source is OccupancySource.GROUND_TRUTH and city is None:
            raise ValueError("occupancy 'ground_truth' needs the imported city: give its folder")
        self.grid, self.source, self.window, self.city = grid, source, window, city
        self._solid, self._threads = solid, threads
        self._sweeps: deque[_MapSweep] = deque()
        self._thinning = MapThinning()

    def clear(self) -> None:
        """Forget all sweeps, as after a clock reset."""
        self._sweeps.clear()

    def add(
        self,
        stamp: float,
        points: np.ndarray,
        sensor: Pose,
        actors: list[Actor],
        itself: Actor | None = None,
        returns: ReturnTest | None = None,
    ) -> None:
        """Take a sweep. points: (n, 3 or more) metres in the sensor's frame, NaN allowed. sensor: its pose in `map`,
        or in another frame that does not jump: that of the actors here, and of `correction` when a grid is built.

        actors: what moves, where it is at this stamp, the vehicle excluded. itself: the vehicle, whose own returns are
        left out. returns: which of the points are any; all finite ones by default. ValueError where stamps go back.
        """
        if self._sweeps and stamp <= self._sweeps[-1].stamp:
            raise ValueError(f"sweep at {stamp:.3f} s is not after the last one at {self._sweeps[-1].stamp:.3f} s")
        if itself is None and self.source is not OccupancySource.LIDAR:
            world = self._thinning.thinned(points, sensor, returns)
        else:
            world = in_map(points if returns is None else points[returns.usable(points)], sensor)
            if itself is not None:
                world = world[owners(world, [itself]) == 0]
            if self.source is not OccupancySource.LIDAR:
                world = world[downsampled(world)]
        owner = owners(world, actors)
        hit = np.flatnonzero(owner)
        still, moving = (np.delete(world, hit, axis=0) if len(hit) else world), world[hit]
        on_owner = _onto(moving, owner[hit], actors)
        self._sweeps.append(_MapSweep(stamp, sensor.position, still, moving, owner[hit], on_owner))
        keep = self.window if self.source is not OccupancySource.LIDAR else 0.0
        while self._sweeps[0].stamp < stamp - keep - 1e-6:
            self._sweeps.popleft()

    def build(
        self, footprint: Pose, actors: list[Actor], stamp: float | None = None, correction: Pose | None = None
    ) -> Occupancy:
        """The grid at a `base_footprint` pose in map; actors: where everything that moves is now.

        stamp: of the frame, seconds, where it is later than the last sweep. correction: the frame that sweeps are
        accumulated in, in map, where it is another (REP 105: odom, which does not jump); actors are in map.
        """
        return self.pending(footprint, actors, stamp, correction)()

    def pending(
        self, footprint: Pose, actors: list[Actor], stamp: float | None = None, correction: Pose | None = None
    ) -> Callable[[], Occupancy]:
        """What makes the grid of `build` of the sweeps that there are now, on whatever thread it is called later.

        ValueError where there is no sweep.
        """
        if not self._sweeps:
            raise ValueError("no sweep yet: an occupancy frame needs at least one")
        newest = self._sweeps[-1]
        keep = (newest.stamp if stamp is None else stamp) - self.window - 1e-6
        sweeps = [s for s in self._sweeps if s.stamp >= keep or s is newest]
        return lambda: self._build(sweeps, footprint, actors, correction)

    def _build(
        self, sweeps: list[_MapSweep], footprint: Pose, actors: list[Actor], correction: Pose | None
    ) -> Occupancy:
        """Of the sweeps of a window, oldest first. Changes nothing here."""
        newest = sweeps[-1]
        to_grid = footprint.inverse() if correction is None else footprint.inverse() @ correction
        actors_in_map = actors
        if correction is not None:
            actors = [replace(a, pose=correction.inverse() @ a.pose) for a in actors]
        scans = [
            Scan(sweep.still, sweep.origin, rays=age % _CARVE_EVERY == 0) for age, sweep in enumerate(reversed(sweeps))
        ]
        # A moving thing's points are carried to where it is now: only the newest sweep's rays to it are real.
        scans.append(Scan(newest.moving, newest.origin, hits=False))
        occupied, observed = voxelize(self.grid, scans, to_grid, self._threads)
        if self.city is not None and self.source is OccupancySource.GROUND_TRUTH:
            truth, instance = self.city.occupancy(self.grid, footprint, actors_in_map, self._solid, self._threads)
            return Occupancy(truth, observed, instance)
        classes = np.zeros(self.grid.shape, dtype=np.uint8)
        classes.ravel()[occupied] = self._labels(occupied, footprint, actors_in_map)
        instance = self._add_moving(sweeps, to_grid, actors, classes, observed)
        return Occupancy(classes, observed, instance)

    def _labels(self, occupied: np.ndarray, footprint: Pose, actors: list[Actor]) -> np.ndarray:
        """(n,) uint8 classes of occupied voxels, (n,) flat numbers. actors: in map."""
        if self.city is None:
            return np.full(len(occupied), Semantic.OTHER, dtype=np.uint8)
        columns = columns_about(occupied, self.grid.shape)
        truth = self.city.classes_in(self.grid, footprint, actors, columns, self._threads)
        return labels_of(occupied, truth, columns, self.grid.shape[2])

    def _add_moving(
        self, sweeps: list[_MapSweep], to_grid: Pose, actors: list[Actor], classes: np.ndarray, observed: np.ndarray
    ) -> np.ndarray:
        """Put the returns from actors that are still there to where these are now. Returns the instances."""
        owner = np.concatenate([sweep.owner for sweep in sweeps])
        here = np.isin(owner, [actor.instance for actor in actors])
        if not here.any():
            return np.broadcast_to(np.uint16(0), self.grid.shape)  # No memory for nothing: it is most of a frame's.
        owner = owner[here]
        world = _from(np.concatenate([sweep.on_owner for sweep in sweeps])[here], owner, actors)
        numbers = self.grid.numbers(to_grid.apply(world))
        numbers, owner = numbers[numbers >= 0], owner[numbers >= 0]
        semantics = np.zeros(int(owner.max(initial=0)) + 1, dtype=np.uint8)
        for actor in actors:
            if actor.instance < len(semantics):
                semantics[actor.instance] = actor.semantic
        classes.ravel()[numbers] = semantics[owner]
        instance = np.zeros(self.grid.shape, dtype=np.uint16)
        instance.ravel()[numbers] = owner
        observed.ravel()[numbers] = True
        return instance


def _rows(owner: np.ndarray, actors: list[Actor]) -> np.ndarray:
    """Which of the actors each instance id is: (n,) int64. owner: (n,) ids, all among those of the actors."""
    ids = np.array([actor.instance for actor in actors], dtype=np.int64)
    order = np.argsort(ids)
    return order[np.searchsorted(ids, owner, sorter=order)]


def _onto(points: np.ndarray, owner: np.ndarray, actors: list[Actor]) -> np.ndarray:
    """Points of map in the frames of their owners' boxes. points: (n, 3); owner: (n,) instances."""
    if not len(points):
        return points
    rows = _rows(owner, actors)
    centres = np.array([actor.pose.position for actor in actors])
    return np.einsum("nij,ni->nj", rotations(actors)[rows], points - centres[rows])


def _from(local: np.ndarray, owner: np.ndarray, actors: list[Actor]) -> np.ndarray:
    """The inverse of `_onto`, with the actors wherever they are."""
    rows = _rows(owner, actors)
    centres = np.array([actor.pose.position for actor in actors])
    return np.einsum("nij,nj->ni", rotations(actors)[rows], local) + centres[rows]
