"""Who goes through a junction: a vehicle reserves its movement before it passes the stop line. Compiled.

It is granted only while nobody has reserved a movement in conflict with it, no walker is on a crossing of it, and there
is room for the whole vehicle beyond. So nobody stops inside a junction for others, and what is inside gets out.
"""

from __future__ import annotations

import numpy as np

from occ_core.loops import compiled
from tokyo_sim.traffic.tables import Roads
from tokyo_sim.traffic.vehicles import BRAKING, NEAR_PATH_M, ROBOT_RADIUS_M, Vehicles, choose_exit

_ROOM_M = 2.0  # beyond the vehicle itself, on the lane that it comes to
_PATIENCE_S = 8.0  # who has waited so long goes before everybody else, walkers included
_OTHER_WAY_S = 6.0  # who has waited so long looks for another way every so often


@compiled
def reserve(roads: Roads, cars: Vehicles, duration, robots, busy, wanted, closed, held, draws):
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


@compiled
def _to_line(roads: Roads, cars: Vehicles, i):
    """Metres from a vehicle's nose to its stop line."""
    return roads.length[cars.segment[i]] - cars.at[i] - cars.length[i] / 2


@compiled
def _comes_next(roads: Roads, cars: Vehicles, i):
    """Does a vehicle come to its stop line soon, with nobody ahead who is not going through?"""
    v = cars.speed[i]
    if cars.blocked[i] or _to_line(roads, cars, i) > v * v / (2 * BRAKING) + v + 4.0:
        return False
    for u in range(len(cars.at)):
        if cars.segment[u] == cars.segment[i] and cars.at[u] > cars.at[i] and cars.reserved[u] != cars.after[u]:
            return False
    return True


@compiled
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
    near = cars.width[i] / 2 + ROBOT_RADIUS_M + 2 * NEAR_PATH_M
    for k in range(len(robots)):
        for p in range(roads.first[movement], roads.first[movement + 1]):
            if np.hypot(roads.points[p, 0] - robots[k, 0], roads.points[p, 1] - robots[k, 1]) < near:
                free = False
    return free
