"""Rays through a grid of bits: the compiled inner loop of the voxelizer.

Positions are fixed-point numbers of voxels with 32 bits after the point: sums of integers do not round, so that a ray
can't run past its end, and moves by less than 1e-6 of a voxel. It steps from face to face of its longest axis; where it
leaves a layer of its shortest axis the run is cut, so that the innermost loop marks two voxels and decides nothing.

Follows: Amanatides and Woo, "A Fast Voxel Traversal Algorithm for Ray Tracing", Eurographics 1987.
"""

from __future__ import annotations

import numpy as np

from occ_core.bits import mark
from occ_core.loops import compiled

_BITS = 32
_ONE = float(1 << _BITS)


@compiled
def trace(points, rotation, translation, start, lower, voxel, shape, part, parts, hits, rays, occupied, observed):
    """Set the bits of voxels that points lie in, `occupied`, and of voxels that their rays cross, `observed`.

    points: (n, 3) float64, metres, of which every `parts`-th from `part` on. rotation, translation: to the grid.
    start: (3,) where rays begin, voxel units. hits, rays: whether returns are occupied, whether to follow their rays.
    occupied, observed: uint64 as of `occ_core.bits`. Points that are not finite are ignored.
    """
    nx, ny, nz = shape
    stride_y = 64 * ((nz + 63) // 64)
    stride_x = ny * stride_y
    ax, ay, az = start[0], start[1], start[2]
    starts_inside = 0 <= ax < nx and 0 <= ay < ny and 0 <= az < nz
    begin_x, begin_y, begin_z = np.int64(ax * _ONE), np.int64(ay * _ONE), np.int64(az * _ONE)
    for n in range(part, len(points), parts):
        x, y, z = points[n, 0], points[n, 1], points[n, 2]
        # A division and not a product with the inverse, as in `VoxelGrid.index`, so that edges agree.
        qx = (rotation[0, 0] * x + rotation[0, 1] * y + rotation[0, 2] * z + translation[0] - lower[0]) / voxel[0]
        qy = (rotation[1, 0] * x + rotation[1, 1] * y + rotation[1, 2] * z + translation[1] - lower[1]) / voxel[1]
        qz = (rotation[2, 0] * x + rotation[2, 1] * y + rotation[2, 2] * z + translation[2] - lower[2]) / voxel[2]
        if not np.isfinite(qx + qy + qz):
            continue
        ends_inside = 0 <= qx < nx and 0 <= qy < ny and 0 <= qz < nz
        if ends_inside and hits:
            cell = np.int64(qx) * stride_x + np.int64(qy) * stride_y + np.int64(qz)
            mark(occupied, cell)
        if not rays:
            continue
        if starts_inside and ends_inside:
            x0, y0, z0 = begin_x, begin_y, begin_z
            x1, y1, z1 = np.int64(qx * _ONE), np.int64(qy * _ONE), np.int64(qz * _ONE)
        else:
            enter, leave = _clip(ax, qx, nx, 0.0, 1.0)
            enter, leave = _clip(ay, qy, ny, enter, leave)
            enter, leave = _clip(az, qz, nz, enter, leave)
            if enter > leave:
                continue
            x0, x1 = _fixed(ax, qx, enter, nx), _fixed(ax, qx, leave, nx)
            y0, y1 = _fixed(ay, qy, enter, ny), _fixed(ay, qy, leave, ny)
            z0, z1 = _fixed(az, qz, enter, nz), _fixed(az, qz, leave, nz)
        dx, dy, dz = abs(x1 - x0), abs(y1 - y0), abs(z1 - z0)
        # m, u, v: the longest, middle and shortest axis. One call of each kind, so that it is compiled in line.
        if dz <= dx and dz <= dy:
            if dx >= dy:
                m0, m1, stride_m, u0, u1, stride_u = x0, x1, stride_x, y0, y1, stride_y
            else:
                m0, m1, stride_m, u0, u1, stride_u = y0, y1, stride_y, x0, x1, stride_x
            _march_level(m0, m1, stride_m >> 6, u0, u1, stride_u >> 6, z0, z1, observed)
            continue
        if dx >= dy and dx >= dz:
            m0, m1, stride_m, u0, u1, stride_u, v0, v1, stride_v = x0, x1, stride_x, z0, z1, 1, y0, y1, stride_y
        elif dy >= dz:
            m0, m1, stride_m, u0, u1, stride_u, v0, v1, stride_v = y0, y1, stride_y, z0, z1, 1, x0, x1, stride_x
        elif dx >= dy:
            m0, m1, stride_m, u0, u1, stride_u, v0, v1, stride_v = z0, z1, 1, x0, x1, stride_x, y0, y1, stride_y
        else:
            m0, m1, stride_m, u0, u1, stride_u, v0, v1, stride_v = z0, z1, 1, y0, y1, stride_y, x0, x1, stride_x
        _march(m0, m1, stride_m, u0, u1, stride_u, v0, v1, stride_v, observed)


@compiled(inline="always")
def _march_level(m0, m1, words_m, u0, u1, words_u, z0, z1, observed):
    """`_march` of a ray whose shortest axis is z, as nearly all are: all that it marks between two layers is one bit
    of the words of columns. words_m, words_u: from a column to the next along an axis, words."""
    steps, to_first, u, du = _course(m0, m1, u0, u1)
    layer = z0 >> _BITS
    turns = abs((z1 >> _BITS) - layer)
    row = (m0 >> _BITS) * words_m
    word, bit = row + (layer >> 6), np.uint64(1) << np.uint64(layer & 63)
    observed[np.uintp(word + (u0 >> _BITS) * words_u)] |= bit
    jump = words_m if m1 >= m0 else -words_m
    done = 0
    if turns > 0:
        turn = 1 if z1 >= z0 else -1
        height = float(abs(z1 - z0))
        m_per_z, u_per_z = abs(m1 - m0) / height, (u1 - u0) / height
        fall = float(_to_face(z0, z1))
        for _ in range(turns):
            along = fall * m_per_z
            upto = _steps_within(along, to_first, steps)
            for _ in range(done, upto):
                column = word + (u >> _BITS) * words_u
                observed[np.uintp(column)] |= bit
                observed[np.uintp(column + jump)] |= bit
                word += jump
                u += du
            done = max(done, upto)
            column = ((u0 + np.int64(fall * u_per_z)) >> _BITS) * words_u
            observed[np.uintp(word + column)] |= bit
            word -= layer >> 6
            layer += turn
            word, bit = word + (layer >> 6), np.uint64(1) << np.uint64(layer & 63)
            observed[np.uintp(word + column)] |= bit
            fall += _ONE
    for _ in range(done, steps):
        column = word + (u >> _BITS) * words_u
        observed[np.uintp(column)] |= bit
        observed[np.uintp(column + jump)] |= bit
        word += jump
        u += du
    observed[np.uintp(word + (u1 >> _BITS) * words_u)] |= bit


@compiled(inline="always")
def _march(m0, m1, stride_m, u0, u1, stride_u, v0, v1, stride_v, observed):
    """Mark a ray's voxels. m, u, v: fixed-point ends along the longest, middle and shortest axis."""
    steps, to_first, u, du = _course(m0, m1, u0, u1)
    turns = abs((v1 >> _BITS) - (v0 >> _BITS))
    row = (m0 >> _BITS) * stride_m + (v0 >> _BITS) * stride_v
    mark(observed, row + (u0 >> _BITS) * stride_u)
    jump = stride_m if m1 >= m0 else -stride_m
    done = 0
    if turns > 0:
        turn = stride_v if v1 >= v0 else -stride_v
        height = float(abs(v1 - v0))
        m_per_v, u_per_v = abs(m1 - m0) / height, (u1 - u0) / height
        fall = float(_to_face(v0, v1))
        for _ in range(turns):
            along = fall * m_per_v
            upto = _steps_within(along, to_first, steps)
            while done < upto:
                cell = row + (u >> _BITS) * stride_u
                mark(observed, cell)
                mark(observed, cell + jump)
                row += jump
                u += du
                done += 1
            cell = row + ((u0 + np.int64(fall * u_per_v)) >> _BITS) * stride_u
            mark(observed, cell)
            mark(observed, cell + turn)
            row += turn
            fall += _ONE
    while done < steps:
        cell = row + (u >> _BITS) * stride_u
        mark(observed, cell)
        mark(observed, cell + jump)
        row += jump
        u += du
        done += 1
    mark(observed, row + (u1 >> _BITS) * stride_u)


@compiled(inline="always")
def _course(m0, m1, u0, u1):
    """Steps from face to face of m; how far the first face is; u there, and what a step adds to it."""
    steps = abs((m1 >> _BITS) - (m0 >> _BITS))
    to_first = float(_to_face(m0, m1))
    slope = (u1 - u0) / float(max(abs(m1 - m0), 1))
    # Increments are cut towards zero: they never add up to more than u1 - u0.
    return steps, to_first, u0 + (np.int64(slope * to_first) if steps else 0), np.int64(slope * _ONE)


@compiled(inline="always")
def _steps_within(along, to_first, steps):
    """Faces of m that lie within a distance along it."""
    return min(np.int64((along - to_first) / _ONE) + 1, steps) if along >= to_first else 0


@compiled(inline="always")
def _to_face(begin, end):
    """Fixed-point distance from a position to the first face on the way."""
    cell = begin >> _BITS
    return ((cell + 1) << _BITS) - begin if end >= begin else begin - (cell << _BITS)


@compiled(inline="always")
def _clip(a, q, top, enter, leave):
    """Narrow the part [enter, leave] of a segment from a to q to 0 ... top; enter > leave where nothing is left."""
    d = q - a
    if d == 0.0:
        return (enter, leave) if 0.0 <= a < top else (1.0, 0.0)
    t0, t1 = -a / d, (top - a) / d
    return max(enter, min(t0, t1)), min(leave, max(t0, t1))


@compiled(inline="always")
def _fixed(a, q, part, top):
    """A place on the segment from a to q as a fixed-point number within the grid; its ends exactly."""
    place = a if part == 0.0 else q if part == 1.0 else a + part * (q - a)
    return min(max(np.int64(place * _ONE), 0), (np.int64(top) << _BITS) - 1)
