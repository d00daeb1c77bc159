"""Lane graph and walkways as flat arrays, which compiled code can follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tokyo_sim.traffic.lane import Lane
from tokyo_sim.traffic.lane_graph import LaneGraph
from tokyo_sim.traffic.movements import STRAIGHT_RAD, Movement
from tokyo_sim.traffic.walkways import Walkways

_BACK_RAD = np.radians(150)
_LANE_SPEED = 14.0  # m/s, 50 km/h


class Roads(NamedTuple):
    """Lanes and then movements, as segments.

    points: (n, 2), equally spaced along each segment; first: (k + 1,) where each segment's begin. length, speed: (k,).
    kinds: (k,) bits. to, lane: (k,) the lanes that a movement leads to and comes from, -1 for lanes. priority: (k,),
    the lowest goes first. weight: (k,), how often a movement is chosen. exits, conflicts, links: lists in one array,
    those of segment i from `..._first[i]` to `..._first[i + 1]`; links are crossings and corners of walkers.
    """

    lanes: int
    points: np.ndarray
    first: np.ndarray
    length: np.ndarray
    speed: np.ndarray
    kinds: np.ndarray
    to: np.ndarray
    lane: np.ndarray
    priority: np.ndarray
    weight: np.ndarray
    exits: np.ndarray
    exits_first: np.ndarray
    conflicts: np.ndarray
    conflicts_first: np.ndarray
    links: np.ndarray
    links_first: np.ndarray


class Ways(NamedTuple):
    """Walkways, as `Roads` has segments. movements: the segments that a link is in conflict with.

    mask, lower, cell: the raster of where walkers may be.
    """

    points: np.ndarray
    first: np.ndarray
    length: np.ndarray
    link: np.ndarray
    back: np.ndarray
    hold: np.ndarray
    safe_end: np.ndarray
    onward: np.ndarray
    onward_first: np.ndarray
    movements: np.ndarray
    movements_first: np.ndarray
    mask: np.ndarray
    lower: np.ndarray
    cell: float


def road_tables(graph: LaneGraph, walkways: Walkways) -> Roads:
    """The tables of a lane graph."""
    lanes, movements = graph.lanes, graph.movements
    count = len(lanes)
    exits: list[list[int]] = [[] for _ in lanes]
    for number, movement in enumerate(movements):
        exits[movement.lane].append(count + number)
    links: list[list[int]] = [[] for _ in movements]
    none: list[list[int]] = [[] for _ in lanes]
    segments: list[Lane | Movement] = [*lanes, *movements]
    for link, crossed in enumerate(walkways.crossed):
        for number in crossed:
            links[number].append(link)
    points, first = _flat_points([item.line for item in segments])
    widest: dict[int, float] = {}
    for lane in lanes:
        widest[lane.end] = max(widest.get(lane.end, 0.0), graph.sections[lane.section].width)
    minor = [graph.sections[lane.section].width < widest[lane.end] - 1.0 for lane in lanes]
    return Roads(
        count,
        points,
        first,
        np.array([item.length for item in segments], dtype=np.float64),
        np.array([_LANE_SPEED] * count + [m.speed for m in movements], dtype=np.float64),
        np.array([item.kinds for item in segments], dtype=np.int64),
        np.array([-1] * count + [m.to for m in movements], dtype=np.int64),
        np.array([-1] * count + [m.lane for m in movements], dtype=np.int64),
        np.array([0] * count + [3 * minor[m.lane] + _order(m) for m in movements], dtype=np.int64),
        np.array([0.0] * count + [_weight(m) for m in movements]),
        *_flat(exits + [[] for _ in movements]),
        *_flat(none + [[count + other for other in others] for others in graph.conflicts]),
        *_flat(none + links),
    )


def way_tables(walkways: Walkways, graph: LaneGraph) -> Ways:
    """The tables of the walkways beside a lane graph."""
    points, first = _flat_points([way.line for way in walkways.ways])
    raster = graph.ground.raster if graph.ground else None
    return Ways(
        points,
        first,
        np.array([np.linalg.norm(np.diff(way.line, axis=0), axis=1).sum() for way in walkways.ways], dtype=np.float64),
        np.array([way.link for way in walkways.ways], dtype=np.int64),
        np.array([way.back for way in walkways.ways], dtype=np.int64),
        np.array([way.hold for way in walkways.ways], dtype=np.float64),
        np.array([way.safe_end for way in walkways.ways], dtype=bool),
        *_flat(walkways.onward),
        *_flat([[len(graph.lanes) + number for number in crossed] for crossed in walkways.crossed]),
        walkways.mask,
        raster.lower if raster else np.zeros(2),
        raster.cell if raster else 1.0,
    )


def _order(movement: Movement) -> int:
    """Straight on before left turns, left turns before right turns and who turns back."""
    return 0 if abs(movement.turn) < STRAIGHT_RAD else 1 if movement.turn > 0 else 2


def _weight(movement: Movement) -> float:
    if abs(movement.turn) < STRAIGHT_RAD:
        return 3.0
    return 2.0 if abs(movement.turn) < _BACK_RAD else 0.3


def _flat(lists: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    first = np.concatenate([[0], np.cumsum([len(items) for items in lists])]).astype(np.int64)
    return np.array([item for items in lists for item in items], dtype=np.int64), first


def _flat_points(lines: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    first = np.concatenate([[0], np.cumsum([len(line) for line in lines])]).astype(np.int64)
    return (np.concatenate(lines) if lines else np.zeros((0, 2))), first
