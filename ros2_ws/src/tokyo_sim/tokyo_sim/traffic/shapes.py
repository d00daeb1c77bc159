"""Places on polylines and boxes in the plane, compiled."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True)
def along(points, first, length, number, at):
    """x, y at a distance along line `number`; straight on before its start and past its end."""
    begin, count = first[number], first[number + 1] - first[number]
    place = at / length[number] * (count - 1)
    i = min(max(int(np.floor(place)), 0), count - 2)
    t = place - i
    a, b = points[begin + i], points[begin + i + 1]
    return a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])


@numba.njit(cache=True)
def boxes_overlap(x, y, yaw, length, width, x2, y2, yaw2, length2, width2, margin):
    """Do two boxes come closer than a margin, metres? By separating axes."""
    dx, dy = x2 - x, y2 - y
    if dx * dx + dy * dy > (0.5 * (length + width + length2 + width2) + margin) ** 2:
        return False
    turn = yaw2 - yaw
    c, s = abs(np.cos(turn)), abs(np.sin(turn))
    forward, aside = dx * np.cos(yaw) + dy * np.sin(yaw), dy * np.cos(yaw) - dx * np.sin(yaw)
    if abs(forward) > (length + length2 * c + width2 * s) / 2 + margin:
        return False
    if abs(aside) > (width + length2 * s + width2 * c) / 2 + margin:
        return False
    forward, aside = dx * np.cos(yaw2) + dy * np.sin(yaw2), dy * np.cos(yaw2) - dx * np.sin(yaw2)
    if abs(forward) > (length2 + length * c + width * s) / 2 + margin:
        return False
    return abs(aside) <= (width2 + length * s + width * c) / 2 + margin


@numba.njit(cache=True)
def box_distance(x, y, yaw, length, width, px, py):
    """Metres from a point to a box, 0 inside."""
    dx, dy = px - x, py - y
    forward = max(abs(dx * np.cos(yaw) + dy * np.sin(yaw)) - length / 2, 0.0)
    aside = max(abs(dy * np.cos(yaw) - dx * np.sin(yaw)) - width / 2, 0.0)
    return np.hypot(forward, aside)
