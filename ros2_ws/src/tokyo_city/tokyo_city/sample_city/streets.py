"""The street plan: one avenue, three streets, and lanes that split what is left into convex blocks.

Rights of way never overlap but where two of the wide streets cross, and blocks are what no right of way covers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import numpy as np
from shapely import Polygon, box
from shapely.ops import unary_union

from .faces import rectangle

MIN_SIZE_M = 320.0
MAX_SIZE_M = 2000.0


class StreetKind(Enum):
    """Rank of a street; the higher value wins where a lot fronts two."""

    LANE = 1
    STREET = 2
    AVENUE = 3


@dataclass(frozen=True, eq=False)
class Street:
    """A straight street: its line (``origin``, unit ``along``), its cross-section (m) and its right of way."""

    kind: StreetKind
    origin: np.ndarray
    along: np.ndarray
    width_m: float
    sidewalk_m: float
    median_m: float
    area: Polygon

    @property
    def carriageway_m(self) -> float:
        """Width between kerbs, median included."""
        return self.width_m - 2 * self.sidewalk_m

    def band(self, width_m: float, length_m: float = 2 * MAX_SIZE_M) -> Polygon:
        """Rectangle of ``width_m`` about the street's line."""
        return Polygon(rectangle(self.origin, self.along, length_m, width_m))


@dataclass(frozen=True, eq=False)
class StreetPlan:
    """The square site, its streets (wide ones first) and its blocks, all in local metres."""

    site: Polygon
    streets: tuple[Street, ...]
    blocks: tuple[Polygon, ...]

    @cached_property
    def rights_of_way(self) -> Polygon:
        """All streets with their sidewalks, as one area."""
        return unary_union([street.area for street in self.streets])


def plan_streets(rng: np.random.Generator, size_m: float) -> StreetPlan:
    """Draw the street plan of a square of side ``size_m`` centred on the origin."""
    if not MIN_SIZE_M <= size_m <= MAX_SIZE_M:
        raise ValueError(
            f"size_m is {size_m:g}: the avenue, streets and towers fit squares of {MIN_SIZE_M:g} to {MAX_SIZE_M:g} m"
        )
    site = box(-size_m / 2, -size_m / 2, size_m / 2, size_m / 2)
    heading = rng.choice([-1, 1]) * np.radians(rng.uniform(8, 16))
    avenue = (StreetKind.AVENUE, heading, rng.uniform(-0.06, 0.06), 25.0, 4.0, 1.5)
    side = rng.choice([-1, 1])
    wide = [avenue]
    for turn, offset in ((0.0, side * rng.uniform(0.25, 0.3)), (90.0, -0.22), (90.0, 0.24)):
        turned = heading + np.radians(turn + rng.uniform(-4, 4))
        wide.append((StreetKind.STREET, turned, offset + rng.uniform(-0.03, 0.03), rng.uniform(9.5, 12), 2.0, 0.0))
    streets = [_wide_street(site, size_m, *line) for line in wide]
    remaining = site.difference(unary_union([street.area for street in streets]))
    blocks: list[Polygon] = []
    for region in sorted(remaining.geoms, key=lambda region: region.centroid.coords[0]):
        lanes, parts = _split_by_lanes(rng, region)
        streets += lanes
        blocks += parts
    return StreetPlan(site, tuple(streets), tuple(blocks))


def direction(heading: float) -> np.ndarray:
    """Unit vector of a heading in radians from east."""
    return np.array([np.cos(heading), np.sin(heading)])


def long_axis(polygon: Polygon) -> tuple[np.ndarray, float, float]:
    """Unit vector along the longer side of the smallest enclosing rectangle, and that rectangle's two sides (m)."""
    corners = np.asarray(polygon.minimum_rotated_rectangle.exterior.coords)
    sides = corners[1:3] - corners[:2]
    lengths = np.linalg.norm(sides, axis=1)
    longer = int(lengths[1] > lengths[0])
    return sides[longer] / lengths[longer], float(lengths[longer]), float(lengths[1 - longer])


def _wide_street(
    site: Polygon,
    size_m: float,
    kind: StreetKind,
    heading: float,
    offset: float,
    width_m: float,
    sidewalk_m: float,
    median_m: float,
) -> Street:
    origin = size_m * offset * direction(heading + np.pi / 2)
    line = Street(kind, origin, direction(heading), width_m, sidewalk_m, median_m, site)
    return Street(kind, origin, line.along, width_m, sidewalk_m, median_m, line.band(width_m).intersection(site))


def _split_by_lanes(rng: np.random.Generator, region: Polygon) -> tuple[list[Street], list[Polygon]]:
    """Cut a convex region by lanes until its parts are the size of Tokyo blocks: two rows of lots deep."""
    along, length, depth = long_axis(region)
    if length < rng.uniform(58, 88) and depth < rng.uniform(34, 48):
        return [], [region]
    heading = np.arctan2(along[1], along[0]) + np.pi / 2 + np.radians(rng.normal(0, 3.5))
    middle = np.asarray(region.minimum_rotated_rectangle.centroid.coords[0])
    origin = middle + along * length * rng.uniform(-0.13, 0.13)
    width = rng.uniform(4.0, 5.5)
    across = direction(heading)
    strip = Polygon(rectangle(origin, across, 2 * MAX_SIZE_M, width))
    lanes = [Street(StreetKind.LANE, origin, across, width, 0.0, 0.0, region.intersection(strip))]
    blocks: list[Polygon] = []
    parts = region.difference(strip).geoms
    for part in sorted(parts, key=lambda part: float(np.dot(part.centroid.coords[0], along))):
        more_lanes, more_blocks = _split_by_lanes(rng, part)
        lanes += more_lanes
        blocks += more_blocks
    return lanes, blocks
