"""Traffic: cars, trucks, buses, bicycles and walkers that keep to their lanes, to the rules, and to a distance."""

from __future__ import annotations

import numpy as np

from occ_core.actors import Actor
from occ_core.citymap import CityMap
from occ_core.poses import Pose
from tokyo_sim.traffic.actor_spawn import kinds_of, place_vehicles, place_walkers, sizes_of
from tokyo_sim.traffic.actor_types import VEHICLES, WALKER, ActorType
from tokyo_sim.traffic.driving import drive
from tokyo_sim.traffic.lane_graph import LaneGraph
from tokyo_sim.traffic.tables import road_tables, way_tables
from tokyo_sim.traffic.walking import walk
from tokyo_sim.traffic.walkways import Walkways

_FIRST_INSTANCE = 100
_LONGEST_STEP_S = 0.1
_FLYING_M = 4.0


class Traffic:
    """Seeded traffic of a number of actors. ValueError where there are actors but no streets.

    robots: (n, 2) or (n, 3) metres in map, which nobody is placed near. ways: beside the graph; laid here where they
    are not given. Kinds that fit on no street of the city, and vehicles beyond what its streets hold, are replaced by
    walkers.
    """

    def __init__(
        self,
        city: CityMap,
        graph: LaneGraph,
        actors: int,
        rng: np.random.Generator,
        robots: np.ndarray | None = None,
        ways: Walkways | None = None,
    ) -> None:
        if actors and not graph.sections:
            raise ValueError(f"{actors} actors need streets, and this city has no roads: use 0 actors")
        self._city, self._rng = city, rng
        graph = graph if actors else LaneGraph()
        walkways = (Walkways.of(graph) if ways is None else ways) if actors else Walkways()
        self._roads, self._ways = road_tables(graph, walkways), way_tables(walkways, graph)
        clear = np.zeros((0, 2)) if robots is None else np.asarray(robots)[:, :2]
        wanted = kinds_of(actors, self._roads, rng)
        self._vehicles, driving = place_vehicles(self._roads, wanted, clear, rng)
        self._walkers = place_walkers(self._ways, actors - len(driving), clear, rng)
        self._kinds: list[ActorType] = [VEHICLES[kind] for kind in driving] + [WALKER] * (actors - len(driving))
        self._sizes = sizes_of(self._kinds, rng, self._vehicles)
        links = len(walkways.crossed)
        self._busy, self._wanted, self._closed = (np.zeros(links, np.int64) for _ in range(3))
        self._held = np.zeros(len(self._roads.length), np.int64)

    def step(self, duration: float, robots: np.ndarray) -> None:
        """Move everybody by a time in seconds.

        robots: (n, 2) or (n, 3) metres in map, what traffic yields to besides itself; not those that fly.
        """
        if not self._kinds:
            return
        on_ground = self._on_ground(np.asarray(robots, dtype=np.float64))
        steps = max(int(np.ceil(duration / _LONGEST_STEP_S - 1e-9)), 1)
        for _ in range(steps):
            self._step(duration / steps, on_ground)

    def _on_ground(self, robots: np.ndarray) -> np.ndarray:
        if robots.size == 0 or robots.shape[1] == 2:
            return np.ascontiguousarray(robots.reshape(-1, 2))
        above = robots[:, 2] - self._city.heights(robots[:, :2])
        return np.ascontiguousarray(robots[above < _FLYING_M, :2])

    def _step(self, duration: float, robots: np.ndarray) -> None:
        draws = self._rng.random(len(self._kinds))
        cars, walkers = self._vehicles, self._walkers
        count = len(cars.at)
        boxes = np.column_stack([cars.pose, cars.length, cars.width])
        links = self._busy, self._wanted, self._closed
        walk(self._ways, walkers, duration, boxes, robots, *links, self._held, draws[count:])
        drive(self._roads, cars, duration, walkers.pose[:, :2], robots, *links, self._held, draws[:count])

    def actors(self) -> list[Actor]:
        """Where everybody is now: vehicles first, then walkers, always in the same order."""
        if not self._kinds:
            return []
        cars, walkers = self._vehicles, self._walkers
        pose = np.concatenate([cars.pose, walkers.pose])
        along = np.column_stack([np.cos(cars.pose[:, 2]), np.sin(cars.pose[:, 2])])
        flat = np.concatenate([cars.speed[:, None] * along, walkers.velocity])
        height = self._city.heights(pose[:, :2]) + self._sizes[:, 2] / 2
        position = np.column_stack([pose[:, :2], height])
        orientation = np.zeros((len(pose), 4))
        orientation[:, 0], orientation[:, 3] = np.cos(pose[:, 2] / 2), np.sin(pose[:, 2] / 2)
        velocity = np.column_stack([flat, np.zeros(len(flat))])
        return [
            Actor(
                instance=_FIRST_INSTANCE + number,
                semantic=kind.semantic,
                pose=Pose(position[number], orientation[number]),
                size=self._sizes[number],
                velocity=velocity[number],
            )
            for number, kind in enumerate(self._kinds)
        ]
