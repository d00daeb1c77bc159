"""Where walkers walk: along sidewalks and road edges, round corners, and over crossings.

On a street without sidewalk walkers keep to the right edge, facing traffic (Road Traffic Act of Japan, article 10).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace

import numpy as np
import shapely

from tokyo_sim.raster import dilated
from tokyo_sim.traffic.curves import arc, piece, resample, tangents, to_the_left
from tokyo_sim.traffic.junctions import CROSSING_M, STEP_M, Section
from tokyo_sim.traffic.lane_graph import LaneGraph, has_sidewalk
from tokyo_sim.traffic.road_rasters import BUILDING, CELL_M, ROAD, SIDEWALK, RoadRasters

_SIDEWALK_MIDDLE_M = 1.0  # from the kerb
_EDGE_M = 0.4  # from the edge of a road without sidewalk
_PASSING_M = 0.38  # those who come and those who go keep so far to their left of the middle
_WALKER_M = 0.45  # half of what a walker needs
_FARTHEST_CORNER_M = 40.0
_COST = {"sidewalk": 1.0, "road": 4.0, "elsewhere": 30.0}  # per metre round a corner


@dataclass(frozen=True)
class Walkway:
    """line: (n, 2) metres in map, in walking direction. link: number of the crossing or corner that it is, or -1.

    back: the walkway that leads the other way, or -1. hold: metres along the line to where walkers wait for the link
    that comes next, safe from vehicles. safe_end: no vehicle comes to where it ends.
    """

    line: np.ndarray
    link: int = -1
    back: int = -1
    hold: float = 0.0
    safe_end: bool = True


@dataclass(frozen=True)
class Walkways:
    """onward[w]: walkways that begin where w ends. crossed[l]: movements that a link is in conflict with.

    mask: raster of `ground`, where walkers may be.
    """

    ways: list[Walkway] = field(default_factory=list)
    onward: list[list[int]] = field(default_factory=list)
    crossed: list[list[int]] = field(default_factory=list)
    mask: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), dtype=bool))

    @classmethod
    def of(cls, graph: LaneGraph) -> Walkways:
        """Those beside a lane graph's sections."""
        if graph.ground is None:
            return cls()
        return _Builder(graph, graph.ground).walkways()


@dataclass(frozen=True)
class _Arm:
    """A section's end at a junction. ends: where walkers stand to its left and right, looking away from it."""

    section: int
    end: int
    ends: tuple[np.ndarray, np.ndarray]
    outward: np.ndarray


class _Builder:
    def __init__(self, graph: LaneGraph, ground: RoadRasters) -> None:
        self._graph, self._ground = graph, ground
        self._starts: dict[int, list[int]] = defaultdict(list)  # node -> walkways from it
        self._ends: list[int] = []  # node at each walkway's end
        self._ways: list[Walkway] = []
        self._links: list[shapely.Geometry] = []
        self._nodes = 0
        self._swept = shapely.STRtree(np.array([movement.swept for movement in graph.movements], dtype=object))

    def walkways(self) -> Walkways:
        """Along the sections first, then the crossings and corners of each junction."""
        arms: dict[int, list[tuple[_Arm, tuple[int, int]]]] = defaultdict(list)
        for number, section in enumerate(self._graph.sections):
            sides, corners = self._sides(section)
            for end in (0, 1):
                # The left side looking away from the end is the left of the line at its start, the right at its end.
                left, right = (0, 1) if end == 0 else (1, 0)
                at = 0 if end == 0 else -1
                arm = _Arm(number, end, (sides[left][at], sides[right][at]), self._outward(section, end))
                nodes = corners[left][end], corners[right][end]
                arms[section.junctions[end]].append((arm, nodes))
                self._link(resample(np.array([arm.ends[0], arm.ends[1]]), STEP_M), *nodes)
        for junction in sorted(arms):
            self._corners(arms[junction])
        onward = [self._onward(number) for number in range(len(self._ways))]
        return Walkways([self._with_hold(way) for way in self._ways], onward, self._crossed(), self._mask())

    def _sides(self, section: Section) -> tuple[list[np.ndarray], list[tuple[int, int]]]:
        """Walk lines to the left and right of a section's line, along it, and the nodes at their ends."""
        middle = CROSSING_M / 2
        start, end = section.setbacks[0] - middle, section.length - section.setbacks[1] + middle
        centre = piece(section.line, start, end, STEP_M)
        lines, nodes = [], []
        for sign in (1, -1):
            kerb = has_sidewalk(section, sign > 0, self._ground)
            line = to_the_left(centre, sign * (section.width / 2 + (_SIDEWALK_MIDDLE_M if kerb else -_EDGE_M)))
            a, b = self._node(), self._node()
            if kerb:
                self._both_ways(line, a, b, -1, _PASSING_M)
            elif sign > 0:
                self._add(line[::-1], b, a)
            else:
                self._add(line, a, b)
            lines.append(line)
            nodes.append((a, b))
        return lines, nodes

    def _outward(self, section: Section, end: int) -> np.ndarray:
        line = section.line if end == 0 else section.line[::-1]
        return tangents(line)[min(int(section.setbacks[end] / STEP_M), len(line) - 1)]

    def _corners(self, arms: list[tuple[_Arm, tuple[int, int]]]) -> None:
        """Join neighbouring arms of a junction, round the corner between them."""
        if len(arms) < 2:
            return
        middle = np.mean([end for arm, _ in arms for end in arm.ends], axis=0)
        order = sorted(arms, key=lambda item: np.arctan2(*(np.mean(item[0].ends, axis=0) - middle)[::-1]))
        for (arm, nodes), (other, other_nodes) in zip(order, order[1:] + order[:1], strict=True):
            line = self._round_corner(arm.ends[0], other.ends[1])
            if line is not None:
                self._link(line, nodes[0], other_nodes[1])

    def _round_corner(self, start: np.ndarray, end: np.ndarray) -> np.ndarray | None:
        """The best way on foot between two places that does not cut through a building; None where there is none."""
        if np.linalg.norm(end - start) > _FARTHEST_CORNER_M:
            return None
        from scipy.ndimage import uniform_filter1d  # these take a moment to load, and walkways are laid once
        from skimage.graph import route_through_array

        raster = self._ground.raster
        cells = raster.cells(np.array([start, end]))
        low = np.maximum(cells.min(axis=0) - 16, 0)
        high = np.minimum(cells.max(axis=0) + 17, raster.shape)
        cover = self._ground.part(low, high)
        cost = np.full(cover.shape, _COST["elsewhere"])
        cost[cover & ROAD > 0] = _COST["road"]
        cost[cover & SIDEWALK > 0] = _COST["sidewalk"]
        cost[dilated(cover & BUILDING > 0)] = -1
        for cell in cells - low:
            cost[tuple(cell)] = 1.0
        try:
            route, _ = route_through_array(cost, tuple(cells[0] - low), tuple(cells[1] - low))
        except ValueError:
            return None
        line = np.concatenate([[start], raster.xy(np.array(route[1:-1]).reshape(-1, 2) + low), [end]])
        smooth = uniform_filter1d(line, size=5, axis=0, mode="nearest") if len(line) > 5 else line
        return resample(np.concatenate([[start], smooth[1:-1], [end]]), STEP_M)

    def _node(self) -> int:
        self._nodes += 1
        return self._nodes - 1

    def _link(self, line: np.ndarray, a: int, b: int) -> None:
        self._links.append(shapely.buffer(shapely.LineString(line), _WALKER_M + _PASSING_M, quad_segs=2))
        self._both_ways(line, a, b, len(self._links) - 1, _PASSING_M)

    def _both_ways(self, line: np.ndarray, a: int, b: int, link: int, aside: float) -> None:
        there = self._add(to_the_left(line, aside) if len(line) > 2 else line, a, b, link, len(self._ways) + 1)
        self._add(to_the_left(line[::-1], aside) if len(line) > 2 else line[::-1], b, a, link, there)

    def _add(self, line: np.ndarray, a: int, b: int, link: int = -1, back: int = -1) -> int:
        number = len(self._ways)
        self._ways.append(Walkway(piece(line, 0.0, float(arc(line)[-1]), STEP_M), link, back))
        self._starts[a].append(number)
        self._ends.append(b)
        return number

    def _onward(self, number: int) -> list[int]:
        """Not back, unless there is no other way on."""
        ways = self._starts[self._ends[number]]
        return [way for way in ways if way != self._ways[number].back] or ways

    def _with_hold(self, way: Walkway) -> Walkway:
        near = np.zeros(len(way.line), dtype=bool)
        near[self._swept.query(shapely.points(way.line), predicate="dwithin", distance=_WALKER_M)[0]] = True
        safe = np.flatnonzero(~near)
        # On a link there is no waiting: whoever is on it goes to its end.
        hold = safe[-1] if len(safe) and way.link < 0 else len(way.line) - 1 if way.link >= 0 else 0
        return replace(way, hold=float(arc(way.line)[hold]), safe_end=not near[-1])

    def _crossed(self) -> list[list[int]]:
        out: list[list[int]] = [[] for _ in self._links]
        links = np.array(self._links, dtype=object)
        for link, movement in np.transpose(self._swept.query(links, predicate="intersects")):
            out[link].append(int(movement))
        return [sorted(movements) for movements in out]

    def _mask(self) -> np.ndarray:
        """Sidewalks, and what lies beside the walkways."""
        mask = np.zeros(self._ground.raster.shape, dtype=bool)
        for way in self._ways:
            cells = self._ground.raster.cells(way.line)
            mask[cells[:, 0], cells[:, 1]] = True
        for _ in range(max(int(_WALKER_M / CELL_M), 1)):
            mask = dilated(mask)
        for rows, cover in self._ground.strips():
            mask[rows] |= cover & SIDEWALK > 0
            mask[rows] &= cover & BUILDING == 0
        return mask
