"""Trees along the wide streets, in the park and in gardens, and the hedge round the park."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from shapely import LineString, Point, Polygon

from . import codes
from .buildings import Building
from .codes import Code
from .draping import raised_slab
from .faces import Face, revolution
from .lots import LotPlan
from .road_areas import RoadAreas, polygons
from .roadside import spots
from .streets import StreetKind, long_axis
from .terrain import Terrain

HEDGE_HEIGHT_M = 0.9
_ROOT_M = 0.15
_TALL_TREE_M = 3.0
_FROM_KERB_M = {StreetKind.AVENUE: 0.9, StreetKind.STREET: 0.55}
_SPACING_M = {StreetKind.AVENUE: 9.0, StreetKind.STREET: 13.0}
_HEIGHT_M = {StreetKind.AVENUE: (7.0, 10.0), StreetKind.STREET: (4.5, 6.5)}
_CROWN_M = {StreetKind.AVENUE: (4.0, 5.4), StreetKind.STREET: (2.4, 3.2)}


@dataclass(frozen=True, eq=False)
class Tree:
    """A tree: ``foot (3,)`` local metres and its sizes in metres."""

    foot: np.ndarray
    height_m: float
    crown_m: float
    trunk_m: float
    species: Code

    @property
    def size(self) -> Code:
        """Code of the size class."""
        return codes.TALL_TREE if self.height_m >= _TALL_TREE_M else codes.MEDIUM_TREE

    def faces(self) -> list[Face]:
        """Low-poly trunk and crown."""
        x_y, ground = self.foot[:2], self.foot[2]
        radius = self.crown_m / 2
        top = ground + self.height_m
        low = ground + max(0.3 * self.height_m, self.height_m - 1.6 * self.crown_m)
        depth = top - low
        trunk = [(self.trunk_m / 2, ground - _ROOT_M), (self.trunk_m / 2, low + 0.1 * depth)]
        crown = [
            (0.0, low),
            (0.75 * radius, low + 0.18 * depth),
            (radius, low + 0.45 * depth),
            (0.7 * radius, low + 0.8 * depth),
            (0.0, top),
        ]
        return revolution(x_y, trunk, 5) + revolution(x_y, crown, 7)


@dataclass(frozen=True, eq=False)
class Hedge:
    """A clipped hedge as surfaces that follow the ground."""

    faces: tuple[Face, ...]


def plant_trees(
    rng: np.random.Generator,
    roads: RoadAreas,
    lots: LotPlan,
    buildings: list[Building],
    terrain: Terrain,
    sidewalk_m: float,
) -> list[Tree]:
    """All trees of the city; ``sidewalk_m`` is the height of sidewalks over the terrain."""
    trees = _street_trees(rng, roads, terrain, sidewalk_m)
    trees += _park_trees(rng, lots.park, terrain)
    return trees + _garden_trees(rng, buildings, terrain)


def plant_hedge(park: Polygon, terrain: Terrain) -> Hedge:
    """Hedge just inside the park's edge, with a gap for people in the middle of each long side."""
    belt = park.buffer(-0.3, join_style="mitre").difference(park.buffer(-1.1, join_style="mitre"))
    along, _, depth = long_axis(park)
    middle = np.asarray(park.centroid.coords[0])
    across = np.array([-along[1], along[0]]) * depth
    gate = LineString([middle - across, middle + across]).buffer(1.5, cap_style="flat")
    pieces = polygons(belt.difference(gate))
    slabs = [raised_slab(piece, along, terrain, HEDGE_HEIGHT_M, _ROOT_M) for piece in pieces]
    return Hedge(tuple(face for slab in slabs for face in slab))


def _tree(rng: np.random.Generator, point: np.ndarray, ground: float, height_m: float, crown_m: float) -> Tree:
    species = codes.DECIDUOUS_BROADLEAF if rng.random() < 0.6 else codes.EVERGREEN_BROADLEAF
    return Tree(np.append(point, ground), height_m, crown_m, 0.06 + 0.025 * height_m, species)


def _street_trees(rng: np.random.Generator, roads: RoadAreas, terrain: Terrain, sidewalk_m: float) -> list[Tree]:
    pits = roads.sidewalks.buffer(-0.35)
    openings = shapely.union_all([crossing.area for crossing in roads.intersections]).buffer(2.5)
    shapely.prepare(pits)
    shapely.prepare(openings)
    trees = []
    for street in (areas.street for areas in roads.streets if areas.street.kind is not StreetKind.LANE):
        offset = street.carriageway_m / 2 + _FROM_KERB_M[street.kind]
        spacing = _SPACING_M[street.kind]
        for spot in spots(street, offset, spacing, spacing / 2):
            point = Point(spot.point)
            if not pits.contains(point) or openings.contains(point) or rng.random() < 0.05:
                continue
            ground = float(terrain.height(spot.point)) + sidewalk_m
            height, crown = rng.uniform(*_HEIGHT_M[street.kind]), rng.uniform(*_CROWN_M[street.kind])
            trees.append(_tree(rng, spot.point, ground, height, crown))
    return trees


def _park_trees(rng: np.random.Generator, park: Polygon, terrain: Terrain) -> list[Tree]:
    lawn = park.buffer(-3.0)
    x_low, y_low, x_high, y_high = lawn.bounds
    trees: list[Tree] = []
    for _ in range(150):
        point = rng.uniform((x_low, y_low), (x_high, y_high))
        spaced = all(np.hypot(*(point - tree.foot[:2])) > 5.0 for tree in trees)
        if spaced and lawn.contains(Point(point)):
            trees.append(_tree(rng, point, float(terrain.height(point)), rng.uniform(5, 12), rng.uniform(3, 5.5)))
    return trees


def _garden_trees(rng: np.random.Generator, buildings: list[Building], terrain: Terrain) -> list[Tree]:
    """One small tree in the widest free corner of a lot, where a building leaves one."""
    trees = []
    for building in buildings:
        lot = building.lot.outline.buffer(-0.3)
        free = polygons(lot.difference(Polygon(building.footprint).buffer(0.15, join_style="mitre")))
        if not free or rng.random() < 0.2:
            continue
        circle = max((shapely.maximum_inscribed_circle(part) for part in free), key=lambda circle: circle.length)
        if circle.length > 0.6:
            point, crown = np.asarray(circle.coords[0]), min(2 * circle.length, 3.2)
            height = crown * rng.uniform(1.3, 1.9)
            trees.append(_tree(rng, point, float(terrain.height(point)), height, crown))
    return trees
