"""Shadows of what moves, on the ground that it stands on: polygons that darken what is drawn below them.

A shadow map for all that moves would cost each pixel of a view a second look; these cost the pixels that they cover.
They lie in the plane that a thing stands on: walls, kerbs and other vehicles get none.
"""

from __future__ import annotations

import numpy as np

from occ_core.loops import compiled

COLUMNS = 5
"""Of `shadow_rows`: position, then how much of the sun and of the sky is kept away."""
_DIRECTIONS = 16
_ANGLES = np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS)
_OUTWARD = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
_LIFT_M = 0.03  # above the ground, which is not as flat as the polygon
_LONGEST = 8.0  # times a thing's height: of a low sun's shadow
_HIDDEN = 0.65  # of the sky, from the ground below a thing
_FADE = 0.15  # of the narrower side of a thing: how far from it the sky is seen whole again
ROWS = 3 * (2 * (_DIRECTIONS - 2) + 2 * _DIRECTIONS)
"""Vertices of a shadow: two outlines, and the soft edge of one."""


@compiled
def shadow_rows(corners, starts, rotations, positions, to_sun):
    """(k, ROWS, COLUMNS) float32 triangles in map, of k things: the outline of each along the sun's rays, which takes
    the sun away, and that from above with a soft edge, which takes some of the sky away.

    corners: (n, 3) float64 metres, of each thing in its own frame, which stands with the lowest of them on the ground;
    starts: (k + 1,) where each thing's begin. rotations: (k, 3, 3) and positions: (k, 3) from there to map. to_sun:
    (3,) unit vector, map.
    """
    rows = np.zeros((len(positions), ROWS, COLUMNS), np.float32)
    for thing in range(len(positions)):
        mesh, turn, place = corners[starts[thing] : starts[thing + 1]], rotations[thing], positions[thing]
        floor, sun = mesh[:, 2].min(), np.zeros(3)
        for k in range(3):
            for axis in range(3):
                sun[axis] += turn[k, axis] * to_sun[k]
        x, y = sun[0] / max(sun[2], 1e-3), sun[1] / max(sun[2], 1e-3)
        shorter = min(1.0, _LONGEST / max(np.hypot(x, y), 1e-9))
        thrown, below = _outline(mesh, floor, x * shorter, y * shorter), _outline(mesh, floor, 0.0, 0.0)
        wide = min(below[:, 0].max() - below[:, 0].min(), below[:, 1].max() - below[:, 1].min())
        edge = below + _FADE * wide * _OUTWARD
        sunless, row = 1.0 if sun[2] > 0 else 0.0, rows[thing]
        for k in range(1, _DIRECTIONS - 1):
            at = 6 * (k - 1)
            for n, corner in enumerate((0, k, k + 1)):
                _put(row[at + n], thrown[corner], floor, turn, place, sunless, 0.0)
                _put(row[at + 3 + n], below[corner], floor, turn, place, 0.0, _HIDDEN)
        for k in range(_DIRECTIONS):
            at, after = 6 * (_DIRECTIONS - 2 + k), (k + 1) % _DIRECTIONS
            for n, corner in ((0, k), (3, k), (5, after)):
                _put(row[at + n], below[corner], floor, turn, place, 0.0, _HIDDEN)
            for n, corner in ((1, k), (2, after), (4, after)):
                _put(row[at + n], edge[corner], floor, turn, place, 0.0, 0.0)
    return rows


@compiled
def _outline(mesh, floor, x, y):
    """(_DIRECTIONS, 2): where corners (n, 3) fall on the floor along a slope of x and y, those that lie farthest out,
    counter-clockwise, some of them twice."""
    out, far = np.empty((_DIRECTIONS, 2)), np.full(_DIRECTIONS, -np.inf)
    for corner in mesh:
        height = corner[2] - floor
        u, v = corner[0] - height * x, corner[1] - height * y
        for k in range(_DIRECTIONS):
            reach = u * _OUTWARD[k, 0] + v * _OUTWARD[k, 1]
            if reach > far[k]:
                far[k], out[k, 0], out[k, 1] = reach, u, v
    return out


@compiled
def _put(row, flat, floor, turn, place, sunless, skyless):
    for k in range(3):
        row[k] = turn[k, 0] * flat[0] + turn[k, 1] * flat[1] + turn[k, 2] * (floor + _LIFT_M) + place[k]
    row[3], row[4] = sunless, skyless
