"""Kinds of traffic: how large, how fast, and how many of each."""

from __future__ import annotations

from dataclasses import dataclass

from occ_core.classes import Semantic

LARGEST, SMALLEST = 1.06, 0.94  # sizes vary between these, times the kind's


@dataclass(frozen=True)
class ActorType:
    """share: of all actors. size: length, width, height, metres. speed: m/s, on a free road."""

    name: str
    semantic: Semantic
    share: float
    size: tuple[float, float, float]
    speed: float

    @property
    def room(self) -> tuple[float, float]:
        """Length and width of the largest of this kind, metres."""
        return LARGEST * self.size[0], LARGEST * self.size[1]


VEHICLES = (
    ActorType("car", Semantic.CAR, 0.40, (4.3, 1.75, 1.5), 8.0),
    ActorType("truck", Semantic.TRUCK_BUS, 0.08, (6.2, 2.0, 2.8), 7.0),
    ActorType("bus", Semantic.TRUCK_BUS, 0.05, (9.0, 2.3, 3.1), 6.5),
    ActorType("bicycle", Semantic.BICYCLE, 0.12, (1.7, 0.6, 1.7), 4.2),
)
BICYCLE = len(VEHICLES) - 1
ALL_VEHICLES = (1 << len(VEHICLES)) - 1
"""Sets of vehicle kinds are bits: 1 << index in VEHICLES."""

WALKER = ActorType("pedestrian", Semantic.PEDESTRIAN, 0.35, (0.4, 0.55, 1.7), 1.3)
