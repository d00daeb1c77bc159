"""Vehicles: following each other, reserving their way through junctions, and moving. Compiled.

Car following is the Intelligent Driver Model (Treiber, Hennecke, Helbing, Phys. Rev. E 62, 2000). At a junction a
vehicle reserves its movement before it passes the stop line: only while nobody has reserved a movement in conflict with
it, no walker is on a crossing of it, and there is room for the whole vehicle beyond. So nobody stops inside a junction
for others, and what is inside gets out.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from tokyo_sim.traffic.movements import AXLES
from tokyo_sim.traffic.shapes import along, box_distance, boxes_overlap
from tokyo_sim.traffic.tables import Roads
from tokyo_sim.traffic.walking import WALKER_RADIUS_M

ROBOT_RADIUS_M = 0.6
_ACCELERATION, _BRAKING, _HARDEST_BRAKING = 1.6, 2.0, 7.0  # m/s^2
_HEADWAY_S, _GAP_M = 1.2, 2.0
_ROOM_M = 2.0  # beyond the vehicle itself, on the lane that it comes to
_PATIENCE_S = 8.0  # who has waited so long goes before everybody else, walkers included
_OTHER_WAY_S = 6.0  # who has waited so long looks for another way every so often
_NEAR_PATH_M = 0.35  # what stands closer to a vehicle's side than this is in its way
_FREE = 1e9


class Vehicles(NamedTuple):
    """State of n vehicles, changed in place.

    segment, before, after: (n,) where it is, came from (-1 at the start) and goes next. at: metres along the segment,
    of the middle. speed: m/s. reserved: movement, -1 for none. waited: seconds at a standstill. blocked: by a robot.
    length, width, cruise, kind: what it is. pose: (n, 3) x, y, yaw.
    """

    segment: np.ndarray
    before: np.ndarray
    after: np.ndarray
    at: np.ndarray
    speed: np.ndarray
    reserved: np.ndarray
    waited: np.ndarray
    blocked: np.ndarray
    length: np.ndarray
    width: np.ndarray
    cruise: np.ndarray
    kind: np.ndarray
    pose: np.ndarray


@numba.njit(cache=True)
def _point(roads: Roads, before, segment, after, at):
    if at < 0 and before >= 0:
        return along(roads.points, roads.first, roads.length, before, roads.length[before] + at)
    if at > roads.length[segment] and after >= 0:
        return along(roads.points, roads.first, roads.length, after, at - roads.length[segment])
    return along(roads.points, roads.first, roads.length, segment, at)


@numba.njit(cache=True)
def pose_at(roads: Roads, before, segment, after, at, length):
    """x, y, yaw of a vehicle whose axles are on its path."""
    fx, fy = _point(roads, before, segment, after, at + AXLES * length)
    rx, ry = _point(roads, before, segment, after, at - AXLES * length)
    return (fx + rx) / 2, (fy + ry) / 2, np.arctan2(fy - ry, fx - rx)


@numba.njit(cache=True)
def choose_exit(roads: Roads, lane, kind, draw):
    """A movement from the end of a lane for a kind of vehicle. draw: uniform in [0, 1)."""
    begin, end = roads.exits_first[lane], roads.exits_first[lane + 1]
    total = 0.0
    for e in roads.exits[begin:end]:
        if roads.kinds[e] >> kind & 1:
            total += roads.weight[e]
    left = draw * total
    chosen = -1
    for e in roads.exits[begin:end]:
        if roads.kinds[e] >> kind & 1:
            chosen = e
            left -= roads.weight[e]
            if left < 0:
                break
    return chosen


@numba.njit(cache=True)
def drive(roads: Roads, cars: Vehicles, duration, walkers, robots, busy, wanted, closed, held, draws):
    """Move all vehicles by a step of `duration` seconds.

    walkers, robots: (k, 2) metres. busy, wanted: (links,) walkers on a link, walkers that wait for it. closed:
    (links,), set where walkers are to wait. held: (segments,), set to how many vehicles have reserved each. draws: (n,)
    in [0, 1).
    """
    _reserve(roads, cars, duration, robots, busy, wanted, closed, held, draws)
    for i in range(len(cars.at)):
        gain = _acceleration(roads, cars, i, robots)
        cars.speed[i] = min(max(cars.speed[i] + gain * duration, 0.0), cars.cruise[i])
    for i in range(len(cars.at)):
        _move(roads, cars, i, duration, walkers, robots, draws[i])


@numba.njit(cache=True)
def _reserve(roads: Roads, cars: Vehicles, duration, robots, busy, wanted, closed, held, draws):
    """Release what has been passed, and grant what is free."""
    n = len(cars.at)
    held[:] = 0
    closed[:] = 0
    room = roads.length[: roads.lanes].copy()  # free at each lane's start, once all who can leave have left
    for i in range(n):
        segment, half = cars.segment[i], cars.length[i] / 2
        if segment < roads.lanes:
            if cars.reserved[i] == cars.before[i] and cars.at[i] > half + 0.3:
                cars.reserved[i] = -1
            elif cars.reserved[i] >= 0 and cars.reserved[i] == cars.after[i] and cars.waited[i] > 3.0:
                cars.reserved[i] = -1
            if cars.reserved[i] < 0 or cars.reserved[i] != cars.after[i]:
                # Who has reserved the way on will leave, and counts as gone.
                room[segment] = min(room[segment], cars.at[i] - half)
        if cars.reserved[i] >= 0:
            held[cars.reserved[i]] += 1
    for i in range(n):
        if cars.reserved[i] >= 0 and cars.segment[i] != roads.to[cars.reserved[i]]:
            room[roads.to[cars.reserved[i]]] -= cars.length[i] + _ROOM_M
    asking, key = np.empty(n, np.int64), np.empty(n)
    count = 0
    for i in range(n):
        if cars.segment[i] < roads.lanes and cars.reserved[i] < 0 and _comes_next(roads, cars, i):
            late = cars.waited[i] if cars.waited[i] > _PATIENCE_S else 0.0
            asking[count] = i
            key[count] = 10.0 * roads.priority[cars.after[i]] - 100.0 * late + _to_line(roads, cars, i)
            count += 1
    for place in np.argsort(key[:count], kind="mergesort"):
        i = asking[place]
        wanted_movement = cars.after[i]
        if _free(roads, cars, i, robots, busy, wanted, closed, held, room):
            cars.reserved[i] = wanted_movement
            held[wanted_movement] += 1
            room[roads.to[wanted_movement]] -= cars.length[i] + _ROOM_M
        elif cars.waited[i] > _OTHER_WAY_S and cars.waited[i] % 3.0 < duration:
            cars.after[i] = choose_exit(roads, cars.segment[i], cars.kind[i], draws[i])


@numba.njit(cache=True)
def _to_line(roads: Roads, cars: Vehicles, i):
    """Metres from a vehicle's nose to its stop line."""
    return roads.length[cars.segment[i]] - cars.at[i] - cars.length[i] / 2


@numba.njit(cache=True)
def _comes_next(roads: Roads, cars: Vehicles, i):
    """Does a vehicle come to its stop line soon, with nobody ahead who is not going through?"""
    v = cars.speed[i]
    if cars.blocked[i] or _to_line(roads, cars, i) > v * v / (2 * _BRAKING) + v + 4.0:
        return False
    for u in range(len(cars.at)):
        if cars.segment[u] == cars.segment[i] and cars.at[u] > cars.at[i] and cars.reserved[u] != cars.after[u]:
            return False
    return True


@numba.njit(cache=True)
def _free(roads: Roads, cars: Vehicles, i, robots, busy, wanted, closed, held, room):
    movement = cars.after[i]
    patient = cars.waited[i] < _PATIENCE_S
    free = room[roads.to[movement]] >= cars.length[i] + _ROOM_M
    for link in roads.links[roads.links_first[movement] : roads.links_first[movement + 1]]:
        if not patient:
            closed[link] = 1
        if busy[link] > 0 or (wanted[link] > 0 and patient):
            free = False
    for other in roads.conflicts[roads.conflicts_first[movement] : roads.conflicts_first[movement + 1]]:
        if held[other] > 0:
            free = False
    near = cars.width[i] / 2 + ROBOT_RADIUS_M + 2 * _NEAR_PATH_M
    for k in range(len(robots)):
        for p in range(roads.first[movement], roads.first[movement + 1]):
            if np.hypot(roads.points[p, 0] - robots[k, 0], roads.points[p, 1] - robots[k, 1]) < near:
                free = False
    return free


@numba.njit(cache=True)
def _idm(v, wanted, gap, closing, least):
    """Acceleration towards a wanted speed behind something at a gap, m/s^2."""
    keep = least + max(v * _HEADWAY_S + v * closing / (2 * np.sqrt(_ACCELERATION * _BRAKING)), 0.0)
    gain = _ACCELERATION * (1 - (v / wanted) ** 4 - (keep / max(gap, 0.05)) ** 2)
    return max(gain, -_HARDEST_BRAKING)


@numba.njit(cache=True)
def _acceleration(roads: Roads, cars: Vehicles, i, robots):
    segment, after, at, v = cars.segment[i], cars.after[i], cars.at[i], cars.speed[i]
    left = roads.length[segment] - at
    on_lane = segment < roads.lanes
    going = not on_lane or cars.reserved[i] == after
    wanted = min(cars.cruise[i], roads.speed[segment])
    if on_lane and going:
        wanted = min(wanted, np.sqrt(roads.speed[after] ** 2 + 2 * _BRAKING * 0.7 * max(left, 0.0)))
    gap, speed = _leader(roads, cars, i, going)
    gain = _idm(v, wanted, gap, v - speed, _GAP_M)
    if not going:
        gain = min(gain, _idm(v, wanted, left - cars.length[i] / 2 + _GAP_M - 0.5, v, _GAP_M))
    gap = _obstacle(roads, cars, i, robots, going)
    cars.blocked[i] = gap < 4.0
    return min(gain, _idm(v, wanted, gap, v, _GAP_M))


@numba.njit(cache=True)
def _leader(roads: Roads, cars: Vehicles, i, going):
    """Gap to the vehicle ahead, metres, and its speed."""
    segment, at = cars.segment[i], cars.at[i]
    left = roads.length[segment] - at
    on_lane = segment < roads.lanes
    beyond = roads.to[cars.after[i]] if on_lane else -1
    nearest, speed = _FREE, 0.0
    for u in range(len(cars.at)):
        other = cars.segment[u]
        if other == segment:
            away = cars.at[u] - at
        elif going and other == cars.after[i]:
            away = left + cars.at[u]
        elif going and on_lane and other == beyond:
            away = left + roads.length[cars.after[i]] + cars.at[u]
        elif on_lane and other >= roads.lanes and roads.lane[other] == segment:
            # It turns off another way, and its tail is still here.
            away = left + cars.at[u] if cars.at[u] - cars.length[u] / 2 < 0.5 else _FREE
        else:
            continue
        away -= (cars.length[i] + cars.length[u]) / 2
        if u != i and (other != segment or cars.at[u] > at) and away < nearest:
            nearest, speed = away, cars.speed[u]
    return nearest, speed


@numba.njit(cache=True)
def _obstacle(roads: Roads, cars: Vehicles, i, robots, going):
    """Gap to the nearest robot on the path ahead, metres."""
    v, half = cars.speed[i], cars.length[i] / 2
    sight = v * v / (2 * _BRAKING) + v + 8.0
    if not going:
        sight = min(sight, roads.length[cars.segment[i]] - cars.at[i] - half)
    nearest = _FREE
    for k in range(len(robots)):
        x, y = robots[k, 0], robots[k, 1]
        if np.hypot(x - cars.pose[i, 0], y - cars.pose[i, 1]) > sight + half + 2.0:
            continue
        ahead = half - 0.5
        while ahead < half + sight:
            px, py = _point(roads, cars.before[i], cars.segment[i], cars.after[i], cars.at[i] + ahead)
            if np.hypot(px - x, py - y) < cars.width[i] / 2 + ROBOT_RADIUS_M + _NEAR_PATH_M:
                nearest = min(nearest, ahead - half)
                break
            ahead += 0.5
    return nearest


@numba.njit(cache=True)
def _move(roads: Roads, cars: Vehicles, i, duration, walkers, robots, draw):
    """Go on along the path, or stay where the place ahead is taken."""
    segment, before, after = cars.segment[i], cars.before[i], cars.after[i]
    at = cars.at[i] + cars.speed[i] * duration
    if segment < roads.lanes and cars.reserved[i] != after:
        at = max(min(at, roads.length[segment] - cars.length[i] / 2), cars.at[i])
    if at > roads.length[segment]:
        at -= roads.length[segment]
        before, segment = segment, after
        after = roads.to[segment]
        if after < 0:
            after = choose_exit(roads, segment, cars.kind[i], draw)
    x, y, yaw = pose_at(roads, before, segment, after, at, cars.length[i])
    if _taken(cars, i, x, y, yaw, walkers, robots):
        cars.speed[i] = 0.0
    else:
        cars.segment[i], cars.before[i], cars.after[i], cars.at[i] = segment, before, after, at
        cars.pose[i, 0], cars.pose[i, 1], cars.pose[i, 2] = x, y, yaw
    if cars.speed[i] > 0.3:
        cars.waited[i] = 0.0
    else:
        cars.waited[i] += duration


@numba.njit(cache=True)
def _taken(cars: Vehicles, i, x, y, yaw, walkers, robots):
    """Would a vehicle there touch anybody whom it does not touch already?"""
    length, width = cars.length[i], cars.width[i]
    ox, oy, oyaw = cars.pose[i]
    for u in range(len(cars.at)):
        if u != i and abs(cars.pose[u, 0] - x) < 12.0 and abs(cars.pose[u, 1] - y) < 12.0:
            ux, uy, uyaw = cars.pose[u]
            other = ux, uy, uyaw, cars.length[u], cars.width[u]
            if boxes_overlap(x, y, yaw, length, width, *other, 0.05) and not boxes_overlap(
                ox, oy, oyaw, length, width, *other, 0.05
            ):
                return True
    for k in range(len(walkers) + len(robots)):
        px, py = walkers[k] if k < len(walkers) else robots[k - len(walkers)]
        radius = WALKER_RADIUS_M if k < len(walkers) else ROBOT_RADIUS_M
        if abs(px - x) < 8.0 and abs(py - y) < 8.0:
            now = box_distance(ox, oy, oyaw, length, width, px, py)
            if box_distance(x, y, yaw, length, width, px, py) < min(radius, now):
                return True
    return False
