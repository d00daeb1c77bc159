"""Places on polylines and boxes in the plane, compiled."""

from __future__ import annotations

import numpy as np

from occ_core.loops import compiled


@compiled
def along(points, first, length, number, at):
    """x, y at a distance along line `number`; straight on before its start and past its end."""
    begin, count = first[number], first[number + 1] - first[number]
    place = at / length[number] * (count - 1)
    i = min(max(int(np.floor(place)), 0), count - 2)
    t = place - i
    a, b = points[begin + i], points[begin + i + 1]
    return a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])


@compiled
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


@compiled
def box_distance(x, y, yaw, length, width, px, py):
    """Metres from a point to a box, 0 inside."""
    dx, dy = px - x, py - y
    forward = max(abs(dx * np.cos(yaw) + dy * np.sin(yaw)) - length / 2, 0.0)
    aside = max(abs(dy * np.cos(yaw) - dx * np.sin(yaw)) - width / 2, 0.0)
    return np.hypot(forward, aside)


@compiled
def length_along(line):
    """(n,) metres along a line (n, 2) at its points."""
    out = np.zeros(len(line))
    for i in range(1, len(line)):
        out[i] = out[i - 1] + np.hypot(line[i, 0] - line[i - 1, 0], line[i, 1] - line[i - 1, 1])
    return out


@compiled
def rows_beside(rows, line, distance):
    """How many of rows (n, k, 2) of points come, from the first one on, within a distance of a point of a line (m, 2).

    All of them where none is clear.
    """
    for n in range(len(rows)):
        near = False
        for k in range(rows.shape[1]):
            x, y = rows[n, k, 0], rows[n, k, 1]
            for m in range(len(line)):
                dx, dy = line[m, 0] - x, line[m, 1] - y
                if dx * dx + dy * dy <= distance * distance:
                    near = True
                    break
            if near:
                break
        if not near:
            return n
    return len(rows)


@compiled
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


@compiled
def boxes_on(mask, begin, lower, cell, boxes):
    """Are the corners of boxes (n, 4, 2), and the middles of their sides, all on a mask of a raster's cells?

    begin: (2,) the raster's cell that is the mask's first. lower, cell: of the raster.
    """
    for k in range(len(boxes)):
        for corner in range(4):
            x, y = boxes[k, corner, 0], boxes[k, corner, 1]
            after = (corner + 1) % 4
            for share in (0.0, 0.5):
                u = x + share * (boxes[k, after, 0] - x)
                v = y + share * (boxes[k, after, 1] - y)
                i = int(np.floor((u - lower[0]) / cell + 0.5)) - begin[0]
                j = int(np.floor((v - lower[1]) / cell + 0.5)) - begin[1]
                if not (0 <= i < mask.shape[0] and 0 <= j < mask.shape[1] and mask[i, j]):
                    return False
    return True


@compiled
def bezier(before, after, stiffness, step):
    """(n, 2) a cubic Bezier curve from the end of a line (k, 2) to the start of another, tangent to both.

    stiffness: length of the control arms over the distance between the ends. step: metres between points, about.
    """
    ax, ay, bx, by = before[-1, 0], before[-1, 1], after[0, 0], after[0, 1]
    reach = stiffness * np.hypot(bx - ax, by - ay)
    ux, uy = ax - before[-2, 0], ay - before[-2, 1]
    vx, vy = after[1, 0] - bx, after[1, 1] - by
    leaving, arriving = reach / max(np.hypot(ux, uy), 1e-9), reach / max(np.hypot(vx, vy), 1e-9)
    curve = np.empty((41, 2))
    for k in range(41):
        t = k / 40
        p, q, r, s = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3
        curve[k, 0] = p * ax + q * (ax + leaving * ux) + r * (bx - arriving * vx) + s * bx
        curve[k, 1] = p * ay + q * (ay + leaving * uy) + r * (by - arriving * vy) + s * by
    length = length_along(curve)
    at = np.linspace(0, length[-1], max(int(np.ceil(length[-1] / step)), 1) + 1)
    out = np.empty((len(at), 2))
    for axis in range(2):
        out[:, axis] = np.interp(at, length, np.ascontiguousarray(curve[:, axis]))
    return out


@compiled
def boxes_meet(boxes, points, first, of_ring, bounds, skipped):
    """Does one of boxes (n, 4, 2), corners counter-clockwise, have a point in common with one of several areas?

    points: (m, 2) of the areas' rings, closed, ring r from first[r] on; of_ring: (r,) the area that each bounds, in
    order. bounds: (a, 4) x and y, lowest and highest, of the areas. skipped: (a,) bool, areas that don't matter.
    """
    for k in range(len(boxes)):
        low_x, high_x = boxes[k, :, 0].min(), boxes[k, :, 0].max()
        low_y, high_y = boxes[k, :, 1].min(), boxes[k, :, 1].max()
        inside, last = False, -1
        for ring in range(len(of_ring)):
            area = of_ring[ring]
            if area != last:
                if inside:
                    return True
                inside, last = False, area
            if skipped[area] or low_x > bounds[area, 2] or high_x < bounds[area, 0]:
                continue
            if low_y > bounds[area, 3] or high_y < bounds[area, 1]:
                continue
            x, y = boxes[k, 0, 0], boxes[k, 0, 1]
            for n in range(first[ring], first[ring + 1] - 1):
                ax, ay, bx, by = points[n, 0], points[n, 1], points[n + 1, 0], points[n + 1, 1]
                if _in_box(boxes[k], ax, ay, bx, by):
                    return True
                if (ay > y) != (by > y) and x < ax + (y - ay) / (by - ay) * (bx - ax):
                    inside = not inside
        if inside:
            return True
    return False


@compiled
def _in_box(corners, ax, ay, bx, by):
    """Does a line from a to b pass through a box (4, 2), corners counter-clockwise? Source: Cyrus and Beck, 1978."""
    enters, leaves = 0.0, 1.0
    for side in range(4):
        x, y = corners[side]
        along_x, along_y = corners[(side + 1) % 4, 0] - x, corners[(side + 1) % 4, 1] - y
        start = along_x * (ay - y) - along_y * (ax - x)
        end = along_x * (by - y) - along_y * (bx - x)
        if start < 0 and end < 0:
            return False
        if start < 0:
            enters = max(enters, start / (start - end))
        elif end < 0:
            leaves = min(leaves, start / (start - end))
        if enters > leaves:
            return False
    return True
