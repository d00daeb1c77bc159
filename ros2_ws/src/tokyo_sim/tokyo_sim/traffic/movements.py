"""Movements through junctions: smooth ways from stop lines to lanes that vehicles fit through, and their conflicts."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import numpy as np
import shapely

from occ_core.progress import Steps
from occ_core.threads import thread_count
from tokyo_sim.raster import Raster
from tokyo_sim.traffic.actor_types import VEHICLES
from tokyo_sim.traffic.curves import arc, end_direction, sharpest_of_each, start_direction
from tokyo_sim.traffic.junctions import STEP_M
from tokyo_sim.traffic.lane import Lane
from tokyo_sim.traffic.road_rasters import DRIVABLE, RoadRasters
from tokyo_sim.traffic.shapes import bezier, boxes_meet, boxes_on, swept_boxes

AXLES = 0.3  # front and rear axle keep to the path; each is so many lengths from the middle
_STIFFNESSES = (0.4, 0.55, 0.3, 0.67)
STRAIGHT_RAD = np.radians(35)
_SIDEWAYS_ACCELERATION = 2.0  # m/s^2, comfortable in a turn
_APART_M = 0.2  # kept between the areas that two vehicles sweep
_BOX_STEP_M = 0.8
_QUEUE_M = 12.0  # where others wait at a stop line, or have just come past it


@dataclass(frozen=True)
class Movement:
    """line: (n, 2) metres in map, from the end of `lane` to the start of the lane `to`. kinds: bits of vehicles.

    speed: m/s at which it can be driven. turn: radians, positive to the left. swept: what vehicles cover on it.
    """

    lane: int
    to: int
    line: np.ndarray
    kinds: int
    speed: float
    turn: float
    swept: shapely.Geometry

    @property
    def length(self) -> float:
        """Metres."""
        return float(arc(self.line)[-1])


@dataclass(frozen=True)
class Way:
    """A movement before it is known whether anybody gets on from there. longest: the kind of the longest vehicle."""

    lane: int
    to: int
    line: np.ndarray
    kinds: int
    longest: int


def ways_between(lanes: list[Lane], ground: RoadRasters) -> list[Way]:
    """All ways through junctions, those of one junction after those of another."""
    coming: dict[int, list[int]] = defaultdict(list)
    going: dict[int, list[int]] = defaultdict(list)
    for number, here in enumerate(lanes):
        coming[here.end].append(number)
        going[here.origin].append(number)
    ways: list[Way] = []
    for junction in Steps(sorted(coming), desc="lanes", unit="junction", disable=None):
        queues = _Queues.of(lanes, coming[junction], going[junction])
        drivable = _Drivable.of(lanes, coming[junction], going[junction], ground)
        for lane in coming[junction]:
            onward: list[int] = []
            back: list[int] = []
            for to in going[junction]:
                if _wanted(lanes, lane, to, coming[junction], going[junction]):
                    (back if _beside(lanes[to], lanes[lane], opposite=True) else onward).append(to)
            stranded = lanes[lane].kinds
            for to in onward + back:
                # Nobody turns back who can go on.
                allowed = stranded if to in back else lanes[lane].kinds
                if way := _way(lanes, lane, to, allowed, queues, drivable):
                    ways.append(way)
                    stranded &= ~way.kinds
    return ways


def movements_of(ways: list[Way], lanes: list[Lane]) -> tuple[list[Movement], list[list[int]]]:
    """Movements on ways, whose lanes are these; and for each those that it is in conflict with."""
    with ThreadPoolExecutor(thread_count()) as threads:
        areas = threads.map(partial(_swept, lanes), ways)
        swept = list(Steps(areas, desc="movements", total=len(ways), unit="movement", disable=None))
    bends = sharpest_of_each([way.line for way in ways])
    speeds = np.sqrt(_SIDEWAYS_ACCELERATION / np.maximum(bends, 0.005)).tolist()
    movements = [
        Movement(
            way.lane, way.to, way.line, way.kinds, speed, _turn(lanes[way.lane].line, lanes[way.to].line), area
        )
        for way, speed, area in zip(ways, speeds, swept, strict=True)
    ]  # fmt: skip
    conflicts: list[list[int]] = []
    for _, group in groupby(movements, key=lambda movement: lanes[movement.lane].end):
        conflicts += _conflicts(list(group), len(conflicts))
    return movements, conflicts


def _conflicts(movements: list[Movement], first: int) -> list[list[int]]:
    """For each movement of a junction the others that sweep the same ground. first: the number of the first one."""
    areas = shapely.buffer([movement.swept for movement in movements], _APART_M, quad_segs=2)
    near: list[list[int]] = [[] for _ in movements]
    for a, b in shapely.STRtree([m.swept for m in movements]).query(areas, predicate="intersects").T.tolist():
        if a != b:
            near[a].append(first + b)
            near[b].append(first + a)
    return [sorted(set(others)) for others in near]


def _wanted(lanes: list[Lane], lane: int, to: int, coming: list[int], going: list[int]) -> bool:
    """Turns are made from and to the lane on their side; straight on goes from lane to lane."""
    here, there = lanes[lane], lanes[to]
    if not here.kinds & there.kinds:
        return False
    # Lanes of the same two streets that this kind of vehicle could use instead, innermost first.
    starts = sorted(lanes[n].rank for n in coming if _beside(lanes[n], here) and lanes[n].kinds & there.kinds)
    ends = sorted(lanes[n].rank for n in going if _beside(lanes[n], there) and lanes[n].kinds & here.kinds)
    turn = _turn(here.line, there.line)
    if turn > STRAIGHT_RAD:
        return here.rank == starts[-1] and there.rank == ends[-1]
    if turn < -STRAIGHT_RAD:
        return here.rank == starts[0] and there.rank == ends[0]
    return ends.index(there.rank) == min(starts.index(here.rank), len(ends) - 1)


def _beside(a: Lane, b: Lane, opposite: bool = False) -> bool:
    """Are two lanes of the same section and go the same way, or opposite ways?"""
    return a.section == b.section and (a.forward == b.forward) != opposite


def _turn(before: np.ndarray, after: np.ndarray) -> float:
    """Radians from the end of one line to the start of another; a half turn is one to the right, where others come."""
    (ax, ay), (bx, by) = end_direction(before), start_direction(after)
    angle = float(np.arctan2(ax * by - ay * bx, ax * bx + ay * by))
    return -abs(angle) if abs(angle) > np.radians(165) else angle


def _way(lanes: list[Lane], lane: int, to: int, allowed: int, queues: _Queues, drivable: _Drivable) -> Way | None:
    """The way that fits most of the allowed kinds of vehicles; None where none fits any."""
    before, after = lanes[lane], lanes[to]
    candidates = allowed & before.kinds & after.kinds
    others = queues.on_lanes((lane, to))
    best: Way | None = None
    for stiffness in _STIFFNESSES:
        line = bezier(before.line, after.line, stiffness, STEP_M)
        fitting = []
        for number, kind in enumerate(VEHICLES):
            if candidates & (1 << number):
                boxes = footprints(before.line, line, after.line, kind.room)
                if drivable.below(boxes) and not queues.hit(boxes, others):
                    fitting.append(number)
        if len(fitting) > (best.kinds.bit_count() if best else 0):
            longest = max(fitting, key=lambda number: VEHICLES[number].room[0])
            best = Way(lane, to, line, sum(1 << number for number in fitting), longest)
        if best and best.kinds == candidates:
            break
    return best


def footprints(before: np.ndarray, line: np.ndarray, after: np.ndarray, size: tuple[float, float]) -> np.ndarray:
    """(n, 4, 2) corners of a box (length, width) that goes along a line, from its nose at the start to its tail out."""
    near = _points_near(size[0])
    before, after = before[-near:], after[:near]
    whole = np.concatenate([before[:-1], line[:-1], after])
    begin, end = len(before) - 1, len(before) + len(line) - 2
    return swept_boxes(whole, begin, end, float(size[0]), float(size[1]), AXLES, _BOX_STEP_M)


def _points_near(length: float) -> int:
    """Points of a lane, from its end at a junction, that a box of a length may reach."""
    return int(2 * length / STEP_M) + 2


def _swept(lanes: list[Lane], way: Way) -> shapely.Geometry:
    """All that the longest vehicle covers: hulls over a few of its boxes, which are fewer to unite."""
    boxes = footprints(lanes[way.lane].line, way.line, lanes[way.to].line, VEHICLES[way.longest].room)
    first = np.arange(0, max(len(boxes) - 1, 1), 3)
    runs = boxes[np.minimum(first[:, None] + np.arange(4), len(boxes) - 1)].reshape(len(first), 16, 2)
    return shapely.union_all(shapely.convex_hull(shapely.linestrings(runs)))


@dataclass(frozen=True)
class _Drivable:
    """Where vehicles may drive around a junction. mask: (n, m) bool, of a raster's cells from `first` (2,) on."""

    raster: Raster
    first: np.ndarray
    mask: np.ndarray

    @classmethod
    def of(cls, lanes: list[Lane], coming: list[int], going: list[int], ground: RoadRasters) -> _Drivable:
        """As far as any vehicle gets on a way from a lane that comes to a junction to one that goes from it."""
        length, width = (max(kind.room[axis] for kind in VEHICLES) for axis in (0, 1))
        near = _points_near(length)
        points = [lanes[number].line[-near:] for number in coming] + [lanes[number].line[:near] for number in going]
        ends = np.array([lanes[number].line[-1] for number in coming] + [lanes[number].line[0] for number in going])
        arms = max(_STIFFNESSES) * float(np.linalg.norm(np.ptp(ends, axis=0)))
        reach = float(np.hypot(length, width)) / 2 + ground.raster.cell
        low = np.minimum(np.min(np.concatenate(points), axis=0), ends.min(axis=0) - arms) - reach
        high = np.maximum(np.max(np.concatenate(points), axis=0), ends.max(axis=0) + arms) + reach
        first, last = ground.raster.cells(np.array([low, high]))
        return cls(ground.raster, first, ground.part(first, last + 1) & DRIVABLE > 0)

    def below(self, boxes: np.ndarray) -> bool:
        """Are boxes (n, 4, 2) all on it?"""
        return bool(boxes_on(self.mask, self.first, self.raster.lower, self.raster.cell, boxes))


@dataclass(frozen=True)
class _Queues:
    """Where vehicles stand on each lane near a junction. lanes: (q,) the lane of each area.

    points, first, of_ring, bounds: the areas' rings, as `boxes_meet` takes them.
    """

    lanes: np.ndarray
    points: np.ndarray
    first: np.ndarray
    of_ring: np.ndarray
    bounds: np.ndarray

    @classmethod
    def of(cls, lanes: list[Lane], coming: list[int], going: list[int]) -> _Queues:
        """Those of the lanes that come to a junction and go from it."""
        near = {number: lanes[number].line[: int(_QUEUE_M / STEP_M)] for number in going}
        near |= {number: lanes[number].line[-int(_QUEUE_M / STEP_M) :] for number in coming}
        widths = np.array([lanes[number].width for number in near])
        lines = [shapely.LineString(line) for line in near.values()]
        areas = shapely.buffer(lines, widths / 2 - 0.15, cap_style="flat")
        rings, of_ring = shapely.get_rings(areas, return_index=True)
        points, of_point = shapely.get_coordinates(rings, return_index=True)
        first = np.searchsorted(of_point, np.arange(len(rings) + 1))
        return cls(np.array(list(near)), points, first, of_ring, shapely.bounds(areas))

    def on_lanes(self, lanes: tuple[int, int]) -> np.ndarray:
        """(q,) bool: areas on one of two lanes."""
        return (self.lanes == lanes[0]) | (self.lanes == lanes[1])

    def hit(self, boxes: np.ndarray, but: np.ndarray) -> bool:
        """Does one of boxes (n, 4, 2) touch an area that is none of those, (q,) bool?"""
        return bool(boxes_meet(boxes, self.points, self.first, self.of_ring, self.bounds, but))
