"""The lane graph: directed lanes on every section, movements through every junction, and what gets in whose way.

Traffic keeps left (Road Traffic Act of Japan, article 17). A lane ends at a stop line; a movement leads from there to
the start of another lane. Two movements are in conflict where the areas that vehicles sweep on them overlap.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from occ_core.citymap import CityMap
from tokyo_sim.traffic.actor_types import ALL_VEHICLES, BICYCLE, VEHICLES
from tokyo_sim.traffic.curves import arc, piece, to_the_left
from tokyo_sim.traffic.junctions import STEP_M, Section, sections
from tokyo_sim.traffic.lane import Lane
from tokyo_sim.traffic.lanes import StreetNetwork
from tokyo_sim.traffic.movements import Movement, Way, movements_of, ways_between
from tokyo_sim.traffic.road_rasters import SIDEWALK, RoadRasters

_GUTTER_M = 0.2  # kept free beside a kerb
_WALKING_STRIP_M = 0.8  # kept free at the edge of a carriageway without sidewalk
_BICYCLE_LANE_M = 1.0
_NARROWEST_CAR_LANE_M, _WIDEST_LANE_M = 2.0, 3.0
_SHORTEST_ROUND_M = 60.0  # lanes on which a vehicle could only turn round and round are not for it
_MEDIAN_M = 1.0  # half of a median, with a gutter


@dataclass(frozen=True)
class LaneGraph:
    """conflicts[m]: the movements that a movement m is in conflict with. ground, sections: what it was laid on."""

    lanes: list[Lane] = field(default_factory=list)
    movements: list[Movement] = field(default_factory=list)
    conflicts: list[list[int]] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    ground: RoadRasters | None = None

    @classmethod
    def of(cls, city: CityMap, streets: StreetNetwork) -> LaneGraph:
        """The lane graph of a city; an empty one where it has no streets."""
        if not streets.edges:
            return cls()
        parts = sections(streets)
        ground = RoadRasters.of(city, [part.line for part in parts])
        lanes = [lane for number, part in enumerate(parts) for lane in _lanes(number, part, ground)]
        lanes, ways = _drivable_round(lanes, ways_between(lanes, ground))
        movements, conflicts = movements_of(ways, lanes)
        return cls(lanes, movements, conflicts, parts, ground)

    def leaving(self, lane: int) -> list[int]:
        """Movements from the end of a lane."""
        return [number for number, movement in enumerate(self.movements) if movement.lane == lane]


def _lanes(number: int, section: Section, ground: RoadRasters) -> list[Lane]:
    """Lanes of both directions, counted from the centre line outwards; a bicycle lane where there is room for one."""
    start, end = section.setbacks[0], section.length - section.setbacks[1]
    centre = piece(section.line, start, end, STEP_M)
    median = _MEDIAN_M if ground.on(SIDEWALK, centre).mean() > 0.3 else 0.0
    out = []
    for forward in (True, False):
        line = centre if forward else centre[::-1]
        kerb = has_sidewalk(section, forward, ground)
        usable = section.width / 2 - (_GUTTER_M if kerb else _WALKING_STRIP_M)
        origin, goal = section.junctions if forward else section.junctions[::-1]

        def lane(offset: float, width: float, kinds: int, rank: int) -> Lane:
            moved = to_the_left(line, offset)  # noqa: B023
            moved = piece(moved, 0.0, float(arc(moved)[-1]), STEP_M)
            return Lane(moved, width, kinds, number, forward, rank, origin, goal)  # noqa: B023

        cycling = usable - median >= _BICYCLE_LANE_M + _NARROWEST_CAR_LANE_M + 0.7
        driving = usable - median - (_BICYCLE_LANE_M if cycling else 0.0)
        count = max(int(driving / _WIDEST_LANE_M), 1)
        width = driving / count
        kinds = _kinds_fitting(width) & (~(1 << BICYCLE) if cycling else ALL_VEHICLES)
        if kinds:
            out += [lane(median + (rank + 0.5) * width, width, kinds, rank) for rank in range(count)]
        if cycling:
            out.append(lane(usable - _BICYCLE_LANE_M / 2, _BICYCLE_LANE_M, 1 << BICYCLE, count))
    return out


def has_sidewalk(section: Section, forward: bool, ground: RoadRasters) -> bool:
    """Is there a sidewalk along most of a section's left side, looking forward or back?"""
    line = piece(section.line, section.setbacks[0], section.length - section.setbacks[1], STEP_M)
    beside = to_the_left(line if forward else line[::-1], section.width / 2 + 1.0)
    return bool(ground.on(SIDEWALK, beside).mean() > 0.7)


def _kinds_fitting(width: float) -> int:
    """Bits of the vehicles that fit on a lane with 10 cm to spare."""
    return sum(1 << number for number, kind in enumerate(VEHICLES) if kind.room[1] + 0.1 <= width)


def _drivable_round(lanes: list[Lane], ways: list[Way]) -> tuple[list[Lane], list[Way]]:
    """Keep, for each kind of vehicle, the parts of the graph in which every lane leads to every other.

    Nobody ends up on a lane that leads nowhere. Returns lanes and ways, renumbered.
    """
    import networkx as nx  # takes a moment to load

    lane_kinds, way_kinds = [0] * len(lanes), [0] * len(ways)
    for bit in (1 << number for number in range(len(VEHICLES))):
        graph = nx.DiGraph((way.lane, way.to) for way in ways if way.kinds & bit)
        part: dict[int, int] = {}
        for number, lanes_of_part in enumerate(nx.strongly_connected_components(graph)):
            if sum(lanes[lane].length for lane in lanes_of_part) >= _SHORTEST_ROUND_M:
                part |= dict.fromkeys(lanes_of_part, number)
        for number, way in enumerate(ways):
            if way.kinds & bit and way.lane in part and part[way.lane] == part.get(way.to):
                way_kinds[number] |= bit
                lane_kinds[way.lane] |= bit
    new_lane = {old: new for new, old in enumerate(number for number, kinds in enumerate(lane_kinds) if kinds)}
    return (
        [replace(lanes[old], kinds=lane_kinds[old]) for old in new_lane],
        [
            replace(way, kinds=kinds, lane=new_lane[way.lane], to=new_lane[way.to])
            for way, kinds in zip(ways, way_kinds, strict=True)
            if kinds
        ],
    )
