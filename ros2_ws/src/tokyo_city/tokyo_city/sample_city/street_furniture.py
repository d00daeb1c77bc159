"""Utility poles on the lanes, lights, signals and vending machines on the wide streets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from shapely import Point, Polygon

from . import codes
from .buildings import Building
from .codes import Code
from .faces import Face, prism, rectangle, revolution
from .lots import Lot, LotPlan, largest_rectangle
from .road_areas import Intersection, RoadAreas
from .roadside import Spot, spots
from .streets import StreetKind, StreetPlan
from .terrain import Terrain

_ROOT_M = 0.15
# Utility poles stand on the lot side of the lane's edge, in the strip that every building leaves free.
_POLE_FROM_EDGE_M = 0.25
_VENDING_M = (1.05, 0.72, 1.83)


@dataclass(frozen=True, eq=False)
class Furniture:
    """One piece of street furniture: its PLATEAU codes and outward surfaces in local metres."""

    kind: Code
    facility: Code
    faces: tuple[Face, ...]


def place_furniture(
    rng: np.random.Generator,
    plan: StreetPlan,
    roads: RoadAreas,
    lots: LotPlan,
    buildings: list[Building],
    terrain: Terrain,
    sidewalk_m: float,
) -> list[Furniture]:
    """All street furniture; ``sidewalk_m`` is the height of sidewalks over the terrain."""
    built = shapely.union_all([Polygon(building.footprint) for building in buildings])
    taken = shapely.union_all([built, roads.carriageways, roads.sidewalks]).buffer(0.05)
    sidewalks = roads.sidewalks.buffer(-0.02)
    openings = shapely.union_all([crossing.area for crossing in roads.intersections]).buffer(1.5)
    for area in (taken, sidewalks, openings):
        shapely.prepare(area)

    placed: list[Furniture] = []
    for street in plan.streets:
        if street.kind is StreetKind.LANE:
            side, offset = int(rng.choice([-1, 1])), street.width_m / 2 + _POLE_FROM_EDGE_M
            for spot in spots(street, offset, rng.uniform(24, 30), rng.uniform(4, 12), (side,)):
                if plan.site.contains(Point(spot.point)) and not taken.intersects(Point(spot.point).buffer(0.18)):
                    placed.append(_utility_pole(rng, spot, float(terrain.height(spot.point))))
            continue
        for spot in spots(street, street.carriageway_m / 2 + 0.5, 27.0, 9.0):
            if sidewalks.contains(Point(spot.point)) and not openings.contains(Point(spot.point)):
                placed.append(_street_light(spot, float(terrain.height(spot.point)) + sidewalk_m))
        for spot in spots(street, street.width_m / 2 - 0.45, 31.0, 15.0):
            machine = _vending_outline(spot)
            if rng.random() < 0.4 and sidewalks.contains(Polygon(machine)):
                placed.append(_vending_machine(machine, float(terrain.height(spot.point)) + sidewalk_m))
    placed += [
        _traffic_light(*corner, float(terrain.height(corner[0].point)) + sidewalk_m)
        for crossing in roads.intersections
        if crossing.street.kind is not StreetKind.LANE
        for corner in _signal_corners(crossing)
        if sidewalks.contains(Point(corner[0].point))
    ]
    built_lots = {building.lot for building in buildings}
    for lot in (lot for lot in lots.lots if lot not in built_lots):
        placed += _parking_machines(lot, roads, terrain)
    return placed


def _box(centre: np.ndarray, along: np.ndarray, length: float, width: float, low: float, high: float) -> list[Face]:
    return prism(rectangle(centre, along, length, width), low, high)


def _utility_pole(rng: np.random.Generator, spot: Spot, ground: float) -> Furniture:
    faces = revolution(spot.point, [(0.17, ground - _ROOT_M), (0.1, ground + 11.5)], 6)
    for height in (10.9, 10.1):
        arm = spot.point + 0.75 * spot.to_road
        faces += _box(arm, spot.to_road, 1.5, 0.1, ground + height, ground + height + 0.1)
    if rng.random() < 0.35:
        transformer = spot.point + 0.5 * spot.along
        faces += revolution(transformer, [(0.28, ground + 8.0), (0.28, ground + 9.0)], 8)
    return Furniture(codes.UTILITY_POLE, codes.COMMUNICATION_FACILITY, tuple(faces))


def _street_light(spot: Spot, ground: float) -> Furniture:
    faces = revolution(spot.point, [(0.1, ground - _ROOT_M), (0.07, ground + 8.0)], 6)
    faces += _box(spot.point + 0.9 * spot.to_road, spot.to_road, 1.8, 0.08, ground + 7.9, ground + 8.0)
    faces += _box(spot.point + 2.0 * spot.to_road, spot.to_road, 0.6, 0.28, ground + 7.85, ground + 8.0)
    return Furniture(codes.LIGHTING, codes.TRAFFIC_FACILITY, tuple(faces))


def _traffic_light(spot: Spot, reach_m: float, ground: float) -> Furniture:
    """Post, arm over the carriageway and a Japanese horizontal signal head."""
    faces = revolution(spot.point, [(0.12, ground - _ROOT_M), (0.09, ground + 6.0)], 6)
    arm, head = spot.point + reach_m / 2 * spot.to_road, spot.point + (reach_m - 0.6) * spot.to_road
    faces += _box(arm, spot.to_road, reach_m, 0.1, ground + 5.8, ground + 5.9)
    faces += _box(head, spot.to_road, 1.25, 0.3, ground + 5.2, ground + 5.65)
    return Furniture(codes.TRAFFIC_LIGHT, codes.TRAFFIC_FACILITY, tuple(faces))


def _signal_corners(crossing: Intersection) -> list[tuple[Spot, float]]:
    """Posts outside the corners of a crossing, arms across its longer sides, and the length of the arms (m)."""
    ring = np.asarray(crossing.area.exterior.coords)[:-1]
    if len(ring) != 4:
        return []
    corners = []
    for i, corner in enumerate(ring):
        sides = np.stack([ring[i - 1], ring[(i + 1) % 4]]) - corner
        lengths = np.linalg.norm(sides, axis=1)
        inward = sides / lengths[:, None]
        across = inward[np.argmax(lengths)]
        spot = Spot(corner - 0.7 * inward.sum(axis=0), inward[np.argmin(lengths)], across)
        corners.append((spot, float(min(5.0, 0.7 + 0.4 * lengths.max()))))
    return corners


def _vending_outline(spot: Spot) -> np.ndarray:
    return rectangle(spot.point, spot.along, _VENDING_M[0], _VENDING_M[1])


def _vending_machine(outline: np.ndarray, ground: float) -> Furniture:
    return Furniture(
        codes.VENDING_MACHINE, codes.OTHER_FACILITY, tuple(prism(outline, ground - 0.05, ground + _VENDING_M[2]))
    )


def _parking_machines(lot: Lot, roads: RoadAreas, terrain: Terrain) -> list[Furniture]:
    """Vending machine at the street side of a lot that has become a coin parking."""
    inner = lot.outline.buffer(-0.8, join_style="mitre")
    if inner.is_empty:
        return []
    ring = largest_rectangle(inner, lot.front)
    middles = (ring + np.roll(ring, -1, axis=0)) / 2
    carriageways = roads.carriageways
    front = min(range(4), key=lambda i: carriageways.distance(Point(middles[i])))
    along = ring[(front + 1) % 4] - ring[front]
    if np.linalg.norm(along) < 2 * _VENDING_M[0]:
        return []
    along /= np.linalg.norm(along)
    to_road = np.array([along[1], -along[0]])
    spot = Spot(middles[front] - 0.5 * to_road, along, to_road)
    return [_vending_machine(_vending_outline(spot), float(terrain.height(spot.point)))]
