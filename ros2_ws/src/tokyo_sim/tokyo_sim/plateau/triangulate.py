"""Polygons with holes to triangles, and roofs to convex collision prisms."""

from __future__ import annotations

import mapbox_earcut
import numpy as np

_FLAT_M2 = 1e-6
_NEXT, _AFTER = [1, 2, 0], [2, 0, 1]
# A roof steeper than this has next to no area seen from above; its neighbours' prisms fill the space below it.
_MIN_ROOF_NORMAL_Z = 0.1


def newell_normal(ring: np.ndarray) -> np.ndarray:
    """Normal of a ring (n, 3), as long as twice its area, right-handed to its orientation.

    Source: Newell's method (Sutherland, Sproull, Schumacker, 1974); exact for non-planar rings too.
    """
    # About the first point, its own two terms are zero.
    spokes = ring[1:] - ring[0]
    return _cross(spokes[:-1], spokes[1:]).sum(axis=0)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cross products of rows (n, 3); numpy's own spends ten times the work on arguments of a few rows."""
    return a[:, _NEXT] * b[:, _AFTER] - a[:, _AFTER] * b[:, _NEXT]


def triangulate(rings: tuple[np.ndarray, ...]) -> np.ndarray:
    """rings: exterior, then interiors, each (n, 3) float64 metres. Returns (k, 3, 3), oriented as the exterior.

    A ring without area gives no triangle.
    """
    normal = newell_normal(rings[0])
    area = np.linalg.norm(normal)
    if area < _FLAT_M2:
        return np.zeros((0, 3, 3))
    if len(rings) == 1 and len(rings[0]) == 3:
        return rings[0][None]
    # Drop the axis most along the normal; keep handedness so that triangles come out oriented as the ring.
    drop = int(np.argmax(np.abs(normal)))
    keep = [(1, 2), (2, 0), (0, 1)][drop]
    points = np.concatenate(rings)
    ends = np.cumsum([len(ring) for ring in rings], dtype=np.uint32)
    origin = points[0]
    index = mapbox_earcut.triangulate_float64((points - origin)[:, keep], ends).reshape(-1, 3)
    triangles = points[index.astype(np.int64)]
    normals = _cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    flipped = normals @ normal < 0
    triangles[flipped] = triangles[flipped][:, ::-1]
    return triangles[(normals**2).sum(axis=1) > _FLAT_M2**2]


def roof_prisms(rings: tuple[np.ndarray, ...], base_z: float) -> list[np.ndarray]:
    """Convex solids between an upward polygon and a base: [(2 k, 3)] corners, upper then lower. Metres.

    A convex roof gives one prism, any other one per triangle; a polygon that does not face up gives none.
    """
    normal = newell_normal(rings[0])
    if normal[2] < _MIN_ROOF_NORMAL_Z * max(float(np.linalg.norm(normal)), _FLAT_M2):
        return []
    pieces = [rings[0]] if len(rings) == 1 and _is_convex(rings[0]) else list(triangulate(rings))
    prisms = []
    for top in pieces:
        if top[:, 2].max() - base_z > 0.05:
            bottom = top.copy()
            bottom[:, 2] = base_z
            prisms.append(np.concatenate([top, bottom]))
    return prisms


def _is_convex(ring: np.ndarray) -> bool:
    """Seen from above, and flat enough that one plane holds it."""
    edges = np.roll(ring, -1, axis=0) - ring
    turns = edges[:, 0] * np.roll(edges[:, 1], -1) - edges[:, 1] * np.roll(edges[:, 0], -1)
    winding = np.abs(np.unwrap(np.arctan2(edges[:, 1], edges[:, 0]), period=2 * np.pi))
    normal = newell_normal(ring)
    off_plane = np.abs((ring - ring.mean(axis=0)) @ (normal / np.linalg.norm(normal))).max()
    return bool((turns >= -1e-9).all() and np.ptp(winding) < 2 * np.pi and off_plane < 0.05)
