"""Vehicles: following each other, stopping where they have no right of way, and moving. Compiled.

Car following is the Intelligent Driver Model (Treiber, Hennecke, Helbing, Phys. Rev. E 62, 2000).
"""

from __future__ import annotations

import numpy as np

from occ_core.loops import compiled
from tokyo_sim.traffic.right_of_way import reserve
from tokyo_sim.traffic.shapes import box_distance, boxes_overlap
from tokyo_sim.traffic.tables import Roads
from tokyo_sim.traffic.vehicles import BRAKING, NEAR_PATH_M, ROBOT_RADIUS_M, Vehicles, choose_exit, point, pose_at
from tokyo_sim.traffic.walking import WALKER_RADIUS_M

_ACCELERATION, _HARDEST_BRAKING = 1.6, 7.0  # m/s^2
_HEADWAY_S, _GAP_M = 1.2, 2.0
_GAP_TO_WALKERS_M = 1.0
_FREE = 1e9


@compiled
def drive(roads: Roads, cars: Vehicles, duration, walkers, robots, busy, wanted, closed, held, draws):
    """Move all vehicles by a step of `duration` seconds.

    walkers, robots: (k, 2) metres. busy, wanted: (links,) walkers on a link, walkers that wait for it. closed:
    (links,), set where walkers are to wait. held: (segments,), set to how many vehicles have reserved each. draws: (n,)
    in [0, 1).
    """
    reserve(roads, cars, duration, robots, busy, wanted, closed, held, draws)
    for i in range(len(cars.at)):
        gain = _acceleration(roads, cars, i, walkers, robots)
        cars.speed[i] = min(max(cars.speed[i] + gain * duration, 0.0), cars.cruise[i])
    for i in range(len(cars.at)):
        _move(roads, cars, i, duration, walkers, robots, draws[i])


@compiled
def _idm(v, wanted, gap, closing, least):
    """Acceleration towards a wanted speed behind something at a gap, m/s^2."""
    keep = least + max(v * _HEADWAY_S + v * closing / (2 * np.sqrt(_ACCELERATION * BRAKING)), 0.0)
    gain = _ACCELERATION * (1 - (v / wanted) ** 4 - (keep / max(gap, 0.05)) ** 2)
    return max(gain, -_HARDEST_BRAKING)


@compiled
def _acceleration(roads: Roads, cars: Vehicles, i, walkers, robots):
    segment, after, at, v = cars.segment[i], cars.after[i], cars.at[i], cars.speed[i]
    left = roads.length[segment] - at
    on_lane = segment < roads.lanes
    going = not on_lane or cars.reserved[i] == after
    wanted = min(cars.cruise[i], roads.speed[segment])
    if on_lane and going:
        wanted = min(wanted, np.sqrt(roads.speed[after] ** 2 + 2 * BRAKING * 0.7 * max(left, 0.0)))
    gap, speed = _leader(roads, cars, i, going)
    gain = _idm(v, wanted, gap, v - speed, _GAP_M)
    if not going:
        gain = min(gain, _idm(v, wanted, left - cars.length[i] / 2 + _GAP_M - 0.5, v, _GAP_M))
    robot = _obstacle(roads, cars, i, robots, ROBOT_RADIUS_M + NEAR_PATH_M, going)
    walker = _obstacle(roads, cars, i, walkers, WALKER_RADIUS_M, going)
    cars.blocked[i] = min(robot, walker) < 4.0
    gain = min(gain, _idm(v, wanted, robot, v, _GAP_M))
    return min(gain, _idm(v, wanted, walker, v, _GAP_TO_WALKERS_M))


@compiled
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


@compiled
def _obstacle(roads: Roads, cars: Vehicles, i, places, radius, going):
    """Gap to the nearest place (k, 2) whose circle of a radius is on the path ahead, metres."""
    v, half = cars.speed[i], cars.length[i] / 2
    sight = v * v / (2 * BRAKING) + v + 8.0
    if not going:
        sight = min(sight, roads.length[cars.segment[i]] - cars.at[i] - half)
    nearest = _FREE
    for k in range(len(places)):
        x, y = places[k, 0], places[k, 1]
        if np.hypot(x - cars.pose[i, 0], y - cars.pose[i, 1]) > sight + half + 2.0:
            continue
        ahead = half - 0.5
        while ahead < half + min(sight, nearest):
            px, py = point(roads, cars.before[i], cars.segment[i], cars.after[i], cars.at[i] + ahead)
            if np.hypot(px - x, py - y) < cars.width[i] / 2 + radius:
                nearest = min(nearest, ahead - half)
                break
            ahead += 0.5
    return nearest


@compiled
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


@compiled
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
