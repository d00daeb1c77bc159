"""The state of vehicles, and where it puts them on the ground. Compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from occ_core.loops import compiled
from tokyo_sim.traffic.movements import AXLES
from tokyo_sim.traffic.shapes import along
from tokyo_sim.traffic.tables import Roads

ROBOT_RADIUS_M = 0.6
BRAKING = 2.0  # m/s^2
NEAR_PATH_M = 0.35  # what stands closer to a vehicle's side than this is in its way


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


@compiled
def point(roads: Roads, before, segment, after, at):
    """x, y on a vehicle's path, metres along its segment: the segment before and the one after belong to it."""
    if at < 0 and before >= 0:
        return along(roads.points, roads.first, roads.length, before, roads.length[before] + at)
    if at > roads.length[segment] and after >= 0:
        return along(roads.points, roads.first, roads.length, after, at - roads.length[segment])
    return along(roads.points, roads.first, roads.length, segment, at)


@compiled
def pose_at(roads: Roads, before, segment, after, at, length):
    """x, y, yaw of a vehicle whose axles are on its path."""
    fx, fy = point(roads, before, segment, after, at + AXLES * length)
    rx, ry = point(roads, before, segment, after, at - AXLES * length)
    return (fx + rx) / 2, (fy + ry) / 2, np.arctan2(fy - ry, fx - rx)


@compiled
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
