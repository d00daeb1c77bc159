"""Movements through junctions: smooth ways from stop lines to lanes that vehicles fit through, and their conflicts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import shapely
from tqdm import tqdm

from tokyo_sim.traffic.actor_types import VEHICLES
from tokyo_sim.traffic.curves import arc, connection, end_direction, sharpest, start_direction
from tokyo_sim.traffic.junctions import STEP_M
from tokyo_sim.traffic.lane import Lane
from tokyo_sim.traffic.road_rasters import RoadRasters
from tokyo_sim.traffic.shapes import boxes_on, swept_boxes

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


def connect(lanes: list[Lane], ground: RoadRasters) -> tuple[list[Movement], list[list[int]]]:
    """All movements, and for each those that it is in conflict with."""
    drivable = ground.drivable()
    coming: dict[int, list[int]] = defaultdict(list)
    going: dict[int, list[int]] = defaultdict(list)
    for number, here in enumerate(lanes):
        coming[here.end].append(number)
        going[here.origin].append(number)
    movements: list[Movement] = []
    conflicts: list[list[int]] = []
    for junction in tqdm(sorted(coming), desc="lanes", unit="junction", disable=None):
        first = len(movements)
        queues = _Queues.of(lanes, coming[junction], going[junction])
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
                if movement := _movement(lanes, lane, to, allowed, queues, ground, drivable):
                    movements.append(movement)
                    stranded &= ~movement.kinds
        conflicts += _conflicts(movements[first:], first)
    return movements, conflicts


def _conflicts(movements: list[Movement], first: int) -> list[list[int]]:
    """For each movement of a junction the others that sweep the same ground. first: the number of the first one."""
    if not movements:
        return []  # a junction that nobody gets through
    areas = [shapely.buffer(movement.swept, _APART_M, quad_segs=2) for movement in movements]
    near: list[list[int]] = [[] for _ in movements]
    for a, b in shapely.STRtree([m.swept for m in movements]).query(areas, predicate="intersects").T:
        if a != b:
            near[a].append(first + int(b))
            near[b].append(first + int(a))
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


def _movement(
    lanes: list[Lane],
    lane: int,
    to: int,
    allowed: int,
    queues: _Queues,
    ground: RoadRasters,
    drivable: np.ndarray,
) -> Movement | None:
    """The way that fits most of the allowed kinds of vehicles; None where none fits any."""
    before, after = lanes[lane], lanes[to]
    candidates = allowed & before.kinds & after.kinds
    raster = ground.raster
    best: tuple[int, np.ndarray, np.ndarray] | None = None
    for stiffness in _STIFFNESSES:
        line = connection(before.line, after.line, stiffness, STEP_M)
        kinds, swept, longest = 0, np.zeros((0, 4, 2)), 0.0
        for number, kind in enumerate(VEHICLES):
            if candidates & (1 << number):
                boxes = footprints(before.line, line, after.line, kind.room)
                if boxes_on(drivable, raster.lower, raster.cell, boxes) and not queues.hit(boxes, (lane, to)):
                    kinds |= 1 << number
                    if kind.room[0] > longest:
                        swept, longest = boxes, kind.room[0]
        if kinds and (best is None or kinds.bit_count() > best[0].bit_count()):
            best = kinds, line, swept
        if best and best[0] == candidates:
            break
    if best is None:
        return None
    kinds, line, swept = best
    speed = float(np.sqrt(_SIDEWAYS_ACCELERATION / max(sharpest(line), 0.005)))
    return Movement(lane, to, line, kinds, speed, _turn(before.line, after.line), _area(swept))


def footprints(before: np.ndarray, line: np.ndarray, after: np.ndarray, size: tuple[float, float]) -> np.ndarray:
    """(n, 4, 2) corners of a box (length, width) that goes along a line, from its nose at the start to its tail out."""
    whole = np.concatenate([before[:-1], line[:-1], after])
    begin, end = len(before) - 1, len(before) + len(line) - 2
    return swept_boxes(whole, begin, end, float(size[0]), float(size[1]), AXLES, _BOX_STEP_M)


def _area(boxes: np.ndarray) -> shapely.Geometry:
    """All that boxes (n, 4, 2) cover one after the other: hulls over a few of them, which are fewer to unite."""
    first = np.arange(0, max(len(boxes) - 1, 1), 3)
    runs = boxes[np.minimum(first[:, None] + np.arange(4), len(boxes) - 1)].reshape(len(first), 16, 2)
    return shapely.union_all(shapely.convex_hull(shapely.linestrings(runs)))


@dataclass(frozen=True)
class _Queues:
    """Where vehicles stand on each lane near a junction. lanes: (q,) the lane of each area in the tree."""

    lanes: np.ndarray
    tree: shapely.STRtree

    @classmethod
    def of(cls, lanes: list[Lane], coming: list[int], going: list[int]) -> _Queues:
        """Those of the lanes that come to a junction and go from it."""
        arriving = set(coming)
        areas = {}
        for number in coming + going:
            line, width = lanes[number].line, lanes[number].width
            near = line[-int(_QUEUE_M / STEP_M) :] if number in arriving else line[: int(_QUEUE_M / STEP_M)]
            areas[number] = shapely.buffer(shapely.LineString(near), width / 2 - 0.15, cap_style="flat")
        return cls(np.array(list(areas)), shapely.STRtree(list(areas.values())))

    def hit(self, boxes: np.ndarray, but: tuple[int, int]) -> bool:
        """Does one of boxes (n, 4, 2) touch a queue on a lane other than these two?"""
        near = self.lanes[self.tree.query(shapely.polygons(boxes), predicate="intersects")[1]]
        return bool((~np.isin(near, but)).any())
