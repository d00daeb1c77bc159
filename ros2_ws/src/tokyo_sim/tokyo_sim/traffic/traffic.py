"""Cars, lorries, bicycles and walkers that keep to the streets, to the left, and to a distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occ_core.actors import Actor
from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.poses import Pose
from tokyo_sim.traffic.lanes import StreetNetwork


@dataclass(frozen=True)
class _Kind:
    """share: of all actors. size: length, width, height, metres. speed: m/s. narrowest: street width it enters."""

    semantic: Semantic
    share: float
    size: tuple[float, float, float]
    speed: float
    narrowest: float


_KINDS = (
    _Kind(Semantic.CAR, 0.42, (4.3, 1.75, 1.5), 7.5, 5.5),
    _Kind(Semantic.TRUCK_BUS, 0.1, (8.5, 2.4, 3.0), 6.0, 8.0),
    _Kind(Semantic.BICYCLE, 0.13, (1.7, 0.6, 1.7), 4.0, 0.0),
    _Kind(Semantic.PEDESTRIAN, 0.35, (0.5, 0.6, 1.7), 1.3, 0.0),
)
_WALK_BESIDE_M = 1.4  # walkers keep this far outside the carriageway
_HEADWAY_S, _GAP_M = 1.2, 2.5
_MOST_BRAKING, _MOST_ACCELERATION = 4.0, 1.8
_FIRST_INSTANCE = 100


class _Traveller:
    """One actor on its way through the network."""

    def __init__(self, instance: int, kind: _Kind, streets: StreetNetwork, rng: np.random.Generator) -> None:
        self.instance, self.kind, self._streets, self._rng = instance, kind, streets, rng
        wide = [edge for edge in streets.edges if streets.width(edge) >= kind.narrowest]
        lengths = np.array([len(streets.line(edge, edge[0])) for edge in wide], dtype=float)
        self._edge = wide[rng.choice(len(wide), p=lengths / lengths.sum())]
        self._node = self._edge[rng.integers(2)]
        self.path = self._lane(self._edge, self._node)
        self._ahead()
        self.travelled = float(rng.uniform(0, self._length[-1] * 0.5))
        self.size = np.array(kind.size) * rng.uniform(0.92, 1.08)
        self.cruise = kind.speed * rng.uniform(0.8, 1.15)
        self.speed = self.cruise

    def _lane(self, edge: tuple[int, int, int], start: int) -> np.ndarray:
        """The street's centre line moved to the left, where traffic keeps in Japan; walkers keep off the road."""
        line = self._streets.line(edge, start)
        direction = np.gradient(line, axis=0) if len(line) > 1 else np.array([[1.0, 0.0]])
        direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-9)
        width = self._streets.width(edge)
        walks = self.kind.semantic is Semantic.PEDESTRIAN
        offset = width / 2 + _WALK_BESIDE_M if walks and width > 7 else width / (2.4 if walks else 4)
        return line + offset * np.column_stack([-direction[:, 1], direction[:, 0]])

    def _ahead(self) -> None:
        """Add the next street to the path, and forget what lies far behind."""
        a, b, _ = self._edge
        self._node = b if self._node == a else a
        self._edge = self._streets.next_street(self._edge, self._node, self._rng, self.kind.narrowest)
        lane = self._lane(self._edge, self._node)
        # Cut the corner: the ends of two lanes at a junction do not meet.
        keep = 2 if len(lane) > 5 else 0
        if len(self.path) > 5:
            self.path = self.path[: len(self.path) - keep]
        self.path = np.concatenate([self.path, lane[keep:]])
        self._length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(self.path, axis=0), axis=1))])

    def place(self, at: float) -> np.ndarray:
        """(2,) metres in map at a distance along the path."""
        return np.array([np.interp(at, self._length, self.path[:, axis]) for axis in (0, 1)])

    def advance(self, distance: float) -> None:
        """Go on along the path."""
        self.travelled += distance
        while self.travelled > self._length[-1] - 15:
            self._ahead()
            cut = int(np.searchsorted(self._length, self.travelled - 20))
            if cut > 0:
                self.travelled -= self._length[cut]
                self.path = self.path[cut:]
                self._length = self._length[cut:] - self._length[cut]


class Traffic:
    """Seeded traffic of a number of actors. ValueError where there are actors but no streets."""

    def __init__(self, city: CityMap, streets: StreetNetwork, actors: int, rng: np.random.Generator) -> None:
        if actors and not streets.edges:
            raise ValueError(f"{actors} actors need streets, and this city has no roads: use 0 actors")
        self._city = city
        kinds = rng.choice(len(_KINDS), size=actors, p=[kind.share for kind in _KINDS])
        widest = max((streets.width(edge) for edge in streets.edges), default=0)
        fitting = [k if _KINDS[k].narrowest <= widest else len(_KINDS) - 1 for k in kinds]
        self._travellers = [
            _Traveller(_FIRST_INSTANCE + number, _KINDS[kind], streets, rng) for number, kind in enumerate(fitting)
        ]

    def step(self, duration: float, robots: np.ndarray) -> None:
        """Move everybody. robots: (n, 2) metres in map, what traffic yields to besides itself."""
        if not self._travellers:
            return
        positions = np.array([traveller.place(traveller.travelled) for traveller in self._travellers])
        halves = np.array([traveller.size[0] / 2 for traveller in self._travellers])
        others = np.concatenate([positions, np.reshape(robots, (-1, 2))])
        other_halves = np.concatenate([halves, np.full(len(others) - len(halves), 0.6)])
        for number, traveller in enumerate(self._travellers):
            ahead = traveller.place(traveller.travelled + 3.0) - positions[number]
            direction = ahead / max(float(np.linalg.norm(ahead)), 1e-6)
            away = others - positions[number]
            forward = away @ direction
            beside = np.abs(away @ np.array([-direction[1], direction[0]]))
            lane = traveller.size[1] / 2 + 0.7
            blocking = (forward > 0.1) & (beside < lane)
            blocking[number] = False
            gap = (forward - other_halves - halves[number])[blocking].min(initial=np.inf)
            # Keep a time headway to the nearest thing in the lane; a step can brake or gain only so much.
            wanted = np.clip((gap - _GAP_M) / _HEADWAY_S, 0, traveller.cruise)
            change = np.clip(wanted - traveller.speed, -_MOST_BRAKING * duration, _MOST_ACCELERATION * duration)
            traveller.speed = float(max(traveller.speed + change, 0.0))
            traveller.advance(traveller.speed * duration)

    def actors(self) -> list[Actor]:
        """Where everybody is now."""
        return [self._actor(traveller) for traveller in self._travellers]

    def _actor(self, traveller: _Traveller) -> Actor:
        here, ahead = traveller.place(traveller.travelled), traveller.place(traveller.travelled + 1.0)
        yaw = np.arctan2(*(ahead - here)[::-1])
        ground = self._city.ground_height(*here)
        position = np.array([*here, ground + traveller.size[2] / 2])
        return Actor(
            instance=traveller.instance,
            semantic=traveller.kind.semantic,
            pose=Pose(position, np.array([np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)])),
            size=traveller.size,
            velocity=traveller.speed * np.array([np.cos(yaw), np.sin(yaw), 0.0]),
        )
