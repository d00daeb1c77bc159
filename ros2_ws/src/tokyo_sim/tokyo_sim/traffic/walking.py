"""Walkers: along walkways, round each other, and over crossings when these are free. Compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from occ_core.loops import compiled
from tokyo_sim.traffic.shapes import along, box_distance
from tokyo_sim.traffic.tables import Ways

WALKER_RADIUS_M = 0.37  # of a circle round the largest walker, whichever way it faces
_ROBOT_RADIUS_M = 0.6
_AHEAD_M = 0.8  # a walker aims so far along its way
_FORESIGHT_S = 0.7
_ARRIVED_M = 0.45
_STUCK_S, _OTHER_WAY_S = 3.0, 25.0
_MOST_NEIGHBOURS = 24
_TURNS = np.array([0.0, 0.5, -0.5, 1.0, -1.0, 1.7, -1.7])  # radians off the straight line, left first


class Walkers(NamedTuple):
    """State of n walkers, changed in place.

    way, at: the walkway, and metres along it of the point aimed at. next_way: -1 until one is chosen at the end.
    waited: seconds without getting on. cruise: m/s. pose: (n, 3) x, y, yaw. velocity: (n, 2) m/s.
    """

    way: np.ndarray
    at: np.ndarray
    next_way: np.ndarray
    waited: np.ndarray
    cruise: np.ndarray
    pose: np.ndarray
    velocity: np.ndarray


@compiled
def walk(ways: Ways, walkers: Walkers, duration, boxes, robots, busy, wanted, closed, held, draws):
    """Move all walkers by a step of `duration` seconds.

    boxes: (k, 5) x, y, yaw, length, width of vehicles. robots: (r, 2). busy, wanted: (links,), set to who is on a link
    and who waits for it. closed: links not to be entered. held: (segments,) reservations. draws: (n,) in [0, 1).
    """
    busy[:] = 0
    wanted[:] = 0
    for i in range(len(walkers.at)):
        if _on_link(ways, walkers, i):
            busy[ways.link[walkers.way[i]]] += 1
    for i in range(len(walkers.at)):
        waiting = _go_on(ways, walkers, i, busy, wanted, closed, held, draws[i])
        x, y = walkers.pose[i, 0], walkers.pose[i, 1]
        moved = False
        if not waiting:
            moved = _step(ways, walkers, i, duration, boxes, robots)
        walkers.velocity[i, 0] = (walkers.pose[i, 0] - x) / duration
        walkers.velocity[i, 1] = (walkers.pose[i, 1] - y) / duration
        walkers.waited[i] = 0.0 if moved else walkers.waited[i] + duration
        way = walkers.way[i]
        if walkers.waited[i] > _STUCK_S and not waiting and ways.back[way] >= 0 and ways.link[way] < 0:
            walkers.at[i] = max(ways.length[way] - walkers.at[i], 0.0)
            walkers.way[i], walkers.next_way[i], walkers.waited[i] = ways.back[way], -1, 0.0


@compiled
def _on_link(ways: Ways, walkers: Walkers, i):
    """Is a walker in the way of vehicles? Not one that waits at the end, where that is beside the road."""
    way = walkers.way[i]
    return ways.link[way] >= 0 and (walkers.next_way[i] < 0 or not ways.safe_end[way])


@compiled
def _go_on(ways: Ways, walkers: Walkers, i, busy, wanted, closed, held, draw):
    """Move the point that is aimed at; where a walkway is left choose the next. True while that is not free."""
    way = walkers.way[i]
    x, y = walkers.pose[i, 0], walkers.pose[i, 1]
    px, py = along(ways.points, ways.first, ways.length, way, walkers.at[i])
    while walkers.at[i] < ways.hold[way] and np.hypot(px - x, py - y) < _AHEAD_M:
        walkers.at[i] = min(walkers.at[i] + 0.2, ways.hold[way])
        px, py = along(ways.points, ways.first, ways.length, way, walkers.at[i])
    if walkers.at[i] < ways.hold[way] or np.hypot(px - x, py - y) > _ARRIVED_M:
        return False
    if walkers.next_way[i] < 0 or walkers.waited[i] > _OTHER_WAY_S:
        begin, end = ways.onward_first[way], ways.onward_first[way + 1]
        was_busy = _on_link(ways, walkers, i)
        walkers.next_way[i] = ways.onward[begin + int(draw * (end - begin))]
        walkers.waited[i] = 0.0
        if was_busy and not _on_link(ways, walkers, i):
            busy[ways.link[way]] -= 1
    link = ways.link[walkers.next_way[i]]
    if link >= 0:
        # Who is among the links of a junction goes on: the vehicles that they are closed for wait for that.
        free = closed[link] == 0 or ways.link[way] >= 0
        for movement in ways.movements[ways.movements_first[link] : ways.movements_first[link + 1]]:
            free = free and held[movement] == 0
        if not free:
            wanted[link] += 1
            return True
        busy[link] += 1
    if _on_link(ways, walkers, i):
        busy[ways.link[way]] -= 1
    walkers.way[i], walkers.at[i], walkers.next_way[i] = walkers.next_way[i], 0.0, -1
    return False


@compiled
def _step(ways: Ways, walkers: Walkers, i, duration, boxes, robots):
    """Walk straight, or round who is in the way, or slower. False where nothing of this is possible."""
    x, y = walkers.pose[i, 0], walkers.pose[i, 1]
    px, py = along(ways.points, ways.first, ways.length, walkers.way[i], walkers.at[i])
    heading = np.arctan2(py - y, px - x)
    near = np.empty((_MOST_NEIGHBOURS, 4))
    count = 0
    for u in range(len(walkers.at)):
        ux, uy = walkers.pose[u, 0], walkers.pose[u, 1]
        if u != i and abs(ux - x) < 3.0 and abs(uy - y) < 3.0 and count < _MOST_NEIGHBOURS:
            near[count] = ux, uy, walkers.velocity[u, 0], walkers.velocity[u, 1]
            count += 1
    for effort in (1.0, 0.5):
        for turn in _TURNS:
            speed = effort * walkers.cruise[i]
            vx, vy = speed * np.cos(heading + turn), speed * np.sin(heading + turn)
            nx, ny = x + vx * duration, y + vy * duration
            foresight = _FORESIGHT_S if effort == 1.0 else 0.0
            if not _allowed(ways, x, y, nx, ny) or _met(near[:count], x, y, vx, vy, duration, foresight):
                continue
            if _touches(boxes, robots, x, y, nx, ny):
                continue
            walkers.pose[i, 0], walkers.pose[i, 1] = nx, ny
            turned = (np.arctan2(vy, vx) - walkers.pose[i, 2] + np.pi) % (2 * np.pi) - np.pi
            most = 5.0 * duration
            walkers.pose[i, 2] += min(max(turned, -most), most)
            return True
    return False


@compiled
def _allowed(ways: Ways, x, y, nx, ny):
    """Is a place one where walkers may be? Who is outside may go anywhere."""
    return _inside(ways, nx, ny) or not _inside(ways, x, y)


@compiled
def _inside(ways: Ways, x, y):
    i = int(np.rint((x - ways.lower[0]) / ways.cell))
    j = int(np.rint((y - ways.lower[1]) / ways.cell))
    return 0 <= i < ways.mask.shape[0] and 0 <= j < ways.mask.shape[1] and ways.mask[i, j]


@compiled
def _met(near, x, y, vx, vy, duration, foresight):
    """Would a walker be too near another now, or after some time if both go on?"""
    for k in range(len(near)):
        now = np.hypot(near[k, 0] - x, near[k, 1] - y)
        for time in (duration, foresight):
            ahead = time if time > duration else 0.0
            dx = near[k, 0] + near[k, 2] * ahead - x - vx * time
            dy = near[k, 1] + near[k, 3] * ahead - y - vy * time
            if np.hypot(dx, dy) < min(2 * WALKER_RADIUS_M, now) and time > 0:
                return True
    return False


@compiled
def _touches(boxes, robots, x, y, nx, ny):
    for k in range(len(boxes)):
        if abs(boxes[k, 0] - nx) < 7.0 and abs(boxes[k, 1] - ny) < 7.0:
            bx, by, yaw, length, width = boxes[k]
            now = box_distance(bx, by, yaw, length, width, x, y)
            if box_distance(bx, by, yaw, length, width, nx, ny) < min(WALKER_RADIUS_M, now):
                return True
    for k in range(len(robots)):
        now = np.hypot(robots[k, 0] - x, robots[k, 1] - y)
        if np.hypot(robots[k, 0] - nx, robots[k, 1] - ny) < min(WALKER_RADIUS_M + _ROBOT_RADIUS_M, now):
            return True
    return False
