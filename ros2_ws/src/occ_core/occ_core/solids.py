"""The insides of closed surfaces: winding numbers along the columns of a grid."""

from __future__ import annotations

import numpy as np

from occ_core.loops import compiled


def fill_insides(
    triangles: np.ndarray,
    classes: np.ndarray,
    instances: np.ndarray,
    priority: np.ndarray,
    occupancy: np.ndarray,
    instance: np.ndarray,
) -> None:
    """Give the voxels whose centre lies inside of a body its class and instance, where what they have ranks lower.

    triangles: (n, 3, 3) float64, voxel units, also those above and below the grid. classes: (n,) uint8. instances: (n,)
    uint16: triangles of one instance bound one body. priority: rank by class id. occupancy uint8 and instance uint16,
    (X, Y, Z), are changed. Inside is where the winding number is not 0: bodies may overlap and be inside out.
    A column in which a surface does not close is left as it is: a leak costs that column, and not the frame.
    """
    nx, ny, nz = occupancy.shape
    column, height, up, which = _crossings(triangles, nx, ny)
    order = np.lexsort((height, instances[which], column))
    _fill(
        column[order], height[order], up[order], classes[which[order]], instances[which[order]], priority,
        occupancy.reshape(nx * ny, nz), instance.reshape(nx * ny, nz),
    )  # fmt: skip


@compiled
def _crossings(triangles, nx, ny):
    """Where vertical lines through the middles of columns pass through triangles.

    Returns (m,) column numbers, heights in voxels, +1 where a triangle faces up and -1 where down, and its number.
    """
    columns, heights, ups, which = [0] * 0, [0.0] * 0, [0] * 0, [0] * 0
    for t in range(len(triangles)):
        ax, ay, az = triangles[t, 0]
        bx, by, bz = triangles[t, 1]
        cx, cy, cz = triangles[t, 2]
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if area == 0.0:
            continue
        first_i, last_i = _middles(min(ax, bx, cx), max(ax, bx, cx), nx)
        first_j, last_j = _middles(min(ay, by, cy), max(ay, by, cy), ny)
        for i in range(first_i, last_i + 1):
            for j in range(first_j, last_j + 1):
                x, y = i + 0.5, j + 0.5
                if _beside(ax, ay, bx, by, x, y) ^ _beside(bx, by, cx, cy, x, y) ^ _beside(cx, cy, ax, ay, x, y):
                    v = ((x - ax) * (cy - ay) - (cx - ax) * (y - ay)) / area
                    w = ((bx - ax) * (y - ay) - (x - ax) * (by - ay)) / area
                    columns.append(i * ny + j)
                    heights.append(az + v * (bz - az) + w * (cz - az))
                    ups.append(1 if area > 0 else -1)
                    which.append(t)
    return np.array(columns), np.array(heights), np.array(ups), np.array(which)


@compiled(inline="always")
def _middles(low, high, count):
    """First and last of an axis's cells whose middle lies between two coordinates."""
    first, last = max(np.ceil(low - 0.5), 0.0), min(np.floor(high - 0.5), count - 1.0)
    return (int(first), int(last)) if first <= last else (1, 0)


@compiled(inline="always")
def _beside(ax, ay, bx, by, x, y):
    """Does a line from (x, y) along +x meet an edge? Its two triangles get the same answer, whichever way it runs."""
    if ay > by:
        ax, ay, bx, by = bx, by, ax, ay
    return ay <= y < by and x < ax + (y - ay) * ((bx - ax) / (by - ay))


@compiled
def _fill(column, height, up, classes, instances, priority, occupancy, instance):
    """Crossings are sorted by column, instance and height; occupancy, instance: (columns, nz)."""
    nz = occupancy.shape[1]
    begin = 0
    while begin < len(column):
        end, total = begin, 0
        while end < len(column) and column[end] == column[begin] and instances[end] == instances[begin]:
            total += up[end]
            end += 1
        winding = 0
        for n in range(begin, end - 1 if total == 0 else begin):
            winding += up[n]
            if winding == 0:
                continue
            first, last = _middles(height[n], height[n + 1], nz)
            for k in range(first, last + 1):
                if priority[occupancy[column[n], k]] < priority[classes[n]]:
                    occupancy[column[n], k] = classes[n]
                    instance[column[n], k] = instances[n]
        begin = end
