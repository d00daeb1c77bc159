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


@numba.njit(cache=True)
def length_along(line):
    """(n,) metres along a line (n, 2) at its points."""
    out = np.zeros(len(line))
    for i in range(1, len(line)):
        out[i] = out[i - 1] + np.hypot(line[i, 0] - line[i - 1, 0], line[i, 1] - line[i - 1, 1])
    return out


@numba.njit(cache=True)
def swept_boxes(whole, begin, end, length, width, axles, step):
    """(n, 4, 2) corners of a box that goes along a line (k, 2), from its nose at a point to its tail out at another.

    begin, end: indices of the two points. axles: where front and rear keep to the line, lengths from the middle. step:
    metres from box to box at most. Corners: left front and on counter-clockwise.
    """
    at = length_along(whole)
    first, last = at[begin] - length / 2, at[end] + length / 2
    count = int(np.ceil((last + step - first) / step))
    middle = first + step * np.arange(count)
    x, y = np.ascontiguousarray(whole[:, 0]), np.ascontiguousarray(whole[:, 1])
    front, rear = middle + axles * length, middle - axles * length
    front_x, front_y = np.interp(front, at, x), np.interp(front, at, y)
    rear_x, rear_y = np.interp(rear, at, x), np.interp(rear, at, y)
    out = np.empty((count, 4, 2))
    for k in range(count):
        dx, dy = front_x[k] - rear_x[k], front_y[k] - rear_y[k]
        size = max(np.hypot(dx, dy), 1e-9)
        dx, dy = dx / size, dy / size
        mid_x, mid_y = (front_x[k] + rear_x[k]) / 2, (front_y[k] + rear_y[k]) / 2
        for corner in range(4):
            forward = length / 2 if corner == 0 or corner == 3 else -length / 2
            aside = width / 2 if corner < 2 else -width / 2
            out[k, corner, 0] = mid_x + forward * dx - aside * dy
            out[k, corner, 1] = mid_y + forward * dy + aside * dx
    return out


@numba.njit(cache=True)
def boxes_on(mask, lower, cell, boxes):
    """Are the corners of boxes (n, 4, 2), and the middles of their sides, all on a raster's mask?"""
    for k in range(len(boxes)):
        for corner in range(4):
            x, y = boxes[k, corner, 0], boxes[k, corner, 1]
            after = (corner + 1) % 4
            for share in (0.0, 0.5):
                u = x + share * (boxes[k, after, 0] - x)
                v = y + share * (boxes[k, after, 1] - y)
                i = min(max(int(np.floor((u - lower[0]) / cell + 0.5)), 0), mask.shape[0] - 1)
                j = min(max(int(np.floor((v - lower[1]) / cell + 0.5)), 0), mask.shape[1] - 1)
                if not mask[i, j]:
                    return False
    return True
