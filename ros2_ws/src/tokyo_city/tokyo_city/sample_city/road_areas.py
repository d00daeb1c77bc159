"""Where on the plan traffic goes: carriageways, intersections, sidewalks and medians, without overlaps.

The areas follow the PLATEAU rule that adjoining traffic areas share their borders and never overlap
(standard product specification, tran:TrafficArea and tran:AuxiliaryTrafficArea).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import shapely
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from .streets import Street, StreetKind, StreetPlan

# A lane is extended this far to meet the kerb of a wide street or the far edge of a lane.
_REACH_M = 9.0
_MEDIAN_SETBACK_M = 5.0
_SLIVER_M2 = 0.05
# Overlays are snapped to this grid, since borders that all but coincide make exact overlays fail.
_GRID_M = 1e-4
_TOUCHING_M = 1e-3


@dataclass(frozen=True, eq=False)
class StreetAreas:
    """The parts of one street outside intersections, as polygons in local metres."""

    street: Street
    carriageway: tuple[Polygon, ...]
    sidewalk: tuple[Polygon, ...]
    median: tuple[Polygon, ...]


@dataclass(frozen=True, eq=False)
class Intersection:
    """The area where carriageways meet and the street whose direction it is surveyed along."""

    area: Polygon
    street: Street


@dataclass(frozen=True, eq=False)
class RoadAreas:
    """All traffic areas of a street plan."""

    streets: tuple[StreetAreas, ...]
    intersections: tuple[Intersection, ...]

    @cached_property
    def carriageways(self) -> BaseGeometry:
        """Everything that cars drive on, intersections included."""
        parts = [area for street in self.streets for area in street.carriageway]
        return _union(parts + [crossing.area for crossing in self.intersections])

    @cached_property
    def sidewalks(self) -> BaseGeometry:
        """All sidewalks, as one area."""
        return _union([area for street in self.streets for area in street.sidewalk])


def polygons(geometry: BaseGeometry) -> tuple[Polygon, ...]:
    """The polygons of a geometry in a fixed order, without slivers left by cutting."""
    parts = getattr(geometry, "geoms", (geometry,))
    kept = [part for part in parts if isinstance(part, Polygon) and part.area > _SLIVER_M2]
    return tuple(sorted(kept, key=lambda part: part.centroid.coords[0]))


def survey_road_areas(plan: StreetPlan) -> RoadAreas:
    """Divide the rights of way of a plan into traffic areas."""
    wide = [street for street in plan.streets if street.kind is not StreetKind.LANE]
    lanes = [street for street in plan.streets if street.kind is StreetKind.LANE]
    kerb_to_kerb = {lane: lane.area for lane in lanes}
    for street in wide:
        kerb_to_kerb[street] = street.band(street.carriageway_m).intersection(plan.site, grid_size=_GRID_M)
    wide_carriageways = _union([kerb_to_kerb[street] for street in wide])
    pavements = _union([street.area for street in wide]).difference(wide_carriageways, grid_size=_GRID_M)

    crossings = [
        Intersection(area, first)
        for i, first in enumerate(wide)
        for second in wide[i + 1 :]
        for area in polygons(kerb_to_kerb[first].intersection(kerb_to_kerb[second], grid_size=_GRID_M))
    ]
    mouths = [Intersection(area, lane) for lane in lanes for area in _extension(lane, pavements)]
    lane_junctions = _merge_junctions(lanes)
    intersections = crossings + mouths + lane_junctions
    streets = []
    paved = wide_carriageways
    for street in plan.streets:
        shared = [crossed.area for crossed in intersections if crossed.area.intersects(street.area)]
        median = polygons(_median(street, plan.site, crossings))
        carriageway = kerb_to_kerb[street].difference(_union([*shared, *median]), grid_size=_GRID_M)
        sidewalk = Polygon()
        if street.sidewalk_m:
            sidewalk = street.area.difference(_union([paved, *shared]), grid_size=_GRID_M)
            paved = _union([paved, sidewalk])
        streets.append(StreetAreas(street, polygons(carriageway), polygons(sidewalk), median))
    return RoadAreas(tuple(streets), tuple(intersections))


def _union(parts: list[BaseGeometry]) -> BaseGeometry:
    return shapely.union_all(parts, grid_size=_GRID_M)


def _extension(lane: Street, onto: BaseGeometry) -> tuple[Polygon, ...]:
    """What the lane, prolonged past both ends, covers of the area it runs into."""
    near = lane.area.buffer(_REACH_M, cap_style="flat", join_style="mitre")
    reached = lane.band(lane.width_m).intersection(near, grid_size=_GRID_M).intersection(onto, grid_size=_GRID_M)
    return tuple(part for part in polygons(reached) if part.distance(lane.area) < _TOUCHING_M)


def _merge_junctions(lanes: list[Street]) -> list[Intersection]:
    """T and staggered cross junctions of lanes; overlapping ones are one intersection."""
    junctions = []
    for through in lanes:
        ends = [
            part
            for lane in lanes
            if lane is not through and lane.area.distance(through.area) < _TOUCHING_M
            for part in _extension(lane, through.area)
        ]
        junctions += [Intersection(area, through) for area in polygons(_union(ends))]
    return junctions


def _median(street: Street, site: Polygon, crossings: list[Intersection]) -> BaseGeometry:
    if not street.median_m:
        return Polygon()
    openings = [crossing.area.buffer(_MEDIAN_SETBACK_M, join_style="mitre") for crossing in crossings]
    island = street.band(street.median_m).intersection(site, grid_size=_GRID_M)
    return island.difference(_union(openings), grid_size=_GRID_M)
