"""All polygons of a tile to triangles at once: corners of three and four by arrays, the rest by ear cutting.

Where the points of a polygon lie in no plane, as those of a ramp may, triangles decide what its surface is: such ones
are Delaunay's, between points that are near each other. Ears may join both ends of a ramp and stand on edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import mapbox_earcut
import numpy as np
import shapely

from tokyo_city.plateau.model import Polygons
from tokyo_city.plateau.repair import repaired

_SAME_POINT_M = 1e-3  # the resolution of PLATEAU heights
_FLAT_M2 = 1e-6
# A ring with less than this share of the area of its lobes crosses itself, if it is wider than a line.
_CANCELLED, _WIDE_M = 1e-3, 0.02
# A triangulation that misses this share of its polygon's area, or as much too much, crosses itself.
_AREA_TOLERANCE = 1e-3
_BENT_M = 0.1
_KEPT_AXES = np.array([(1, 2), (2, 0), (0, 1)])


@dataclass(frozen=True)
class Triangles:
    """corners: (t, 3) indices into points. polygons: (t,) the polygon of each.

    points: those of the polygons, and what mending had to add. sources: (k,) for each added point, the nearest one of
    its polygon. mended: how many polygons crossed themselves.
    """

    corners: np.ndarray
    polygons: np.ndarray
    points: np.ndarray
    sources: np.ndarray
    mended: int


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cross products of rows (n, 3); numpy's own spends four times the time."""
    (ax, ay, az), (bx, by, bz) = a.T, b.T
    out = np.empty((len(a), 3))
    out[:, 0] = ay * bz - az * by
    out[:, 1] = az * bx - ax * bz
    out[:, 2] = ax * by - ay * bx
    return out


def normals_of(triangles: np.ndarray) -> np.ndarray:
    """(n, 3) normals of triangles (n, 3, 3), as long as twice their area."""
    return cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])


def newell_normals(points: np.ndarray, starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(r, 3) normals of rings, as long as twice their area, right-handed to their orientation.

    points: (n, 3). starts, counts: (r,) first point and number of points of each ring, one after the other.
    Source: Newell's method (Sutherland, Sproull, Schumacker, 1974); exact for non-planar rings too.
    """
    filled = counts > 0
    ring = np.repeat(np.arange(len(counts)), counts)
    spokes = points - points[starts[ring]]
    following = np.arange(len(points)) + 1
    ends = (starts + counts)[filled]
    following[ends - 1] = starts[filled]
    out = np.zeros((len(counts), 3))
    if filled.any():
        out[filled] = np.add.reduceat(cross(spokes, spokes[following]), starts[filled], axis=0)
    return out


def without_repeated_points(polygons: Polygons) -> tuple[Polygons, np.ndarray]:
    """Rings without closing points and without a point twice in a row; and the index of each point that is left.

    Interior rings of fewer than three points go; polygons whose exterior has fewer stay, without area.
    """
    counts = np.diff(polygons.rings)
    following = np.arange(len(polygons.points)) + 1
    filled = counts > 0
    following[polygons.rings[1:][filled] - 1] = polygons.rings[:-1][filled]
    step = polygons.points - polygons.points[following] if len(polygons.points) else polygons.points
    keep = (step**2).sum(axis=1) > _SAME_POINT_M**2
    left = np.bincount(np.repeat(np.arange(len(counts)), counts)[keep], minlength=len(counts))
    interior = np.ones(len(counts), dtype=bool)
    interior[polygons.firsts[:-1]] = False
    hollow = interior & (left < 3)
    keep &= ~np.repeat(hollow, counts)
    left = left[~hollow]
    firsts = (
        np.concatenate([[0], np.cumsum(np.add.reduceat(~hollow, polygons.firsts[:-1]))])
        if len(polygons)
        else polygons.firsts
    )
    rings = np.concatenate([[0], np.cumsum(left)])
    columns = (polygons.objects, polygons.kinds, polygons.classes, polygons.lods)
    return Polygons(polygons.points[keep], rings, firsts, *columns), np.flatnonzero(keep)


def triangulate(polygons: Polygons) -> Triangles:
    """Triangles of polygons in metres, oriented as their exterior rings; polygons without area give none.

    Rings must be without repeated points.
    """
    counts, starts = np.diff(polygons.rings), polygons.rings[:-1]
    exterior = polygons.firsts[:-1]
    normals = newell_normals(polygons.points, starts, counts)
    facing = normals[exterior]
    corners = counts[exterior]
    solid = (corners >= 3) & ((facing**2).sum(axis=1) > _FLAT_M2**2)
    crossed = _crossed(polygons, np.flatnonzero((corners >= 4) & ~solid), facing)
    solid[crossed] = True
    simple = solid & (np.diff(polygons.firsts) == 1)
    simple[crossed] = False
    first = starts[exterior]

    parts, owners = [], []
    three = np.flatnonzero(simple & (corners == 3))
    parts.append(first[three, None] + np.arange(3))
    owners.append(three)
    four = np.flatnonzero(simple & (corners == 4))
    quads, crossing = _split_quads(polygons.points, first[four], facing[four])
    parts.append(quads)
    owners.append(np.repeat(four[~crossing], 2))
    rest = np.concatenate([np.flatnonzero(solid & ~(simple & (corners <= 4))), four[crossing]])
    _crossed(polygons, rest, facing)
    indices, polygon, added, sources, mended = _cut_ears(polygons, rest, facing, normals)
    parts.append(indices)
    owners.append(polygon)

    index, owner = np.concatenate(parts), np.concatenate(owners)
    points = np.concatenate([polygons.points, added])
    order = np.argsort(owner, kind="stable")
    index, owner = index[order], owner[order]
    area = normals_of(points[index])
    kept = (area**2).sum(axis=1) > _FLAT_M2**2
    return Triangles(index[kept], owner[kept], points, sources, mended)


def _crossed(polygons: Polygons, which: np.ndarray, facing: np.ndarray) -> np.ndarray:
    """Polygons among `which` whose lobes cancel out, as an equal bow tie's do, and which have area all the same.

    Their normal, which Newell's method does not give, is written into `facing` (p, 3): that of the plane through them.
    """
    if not len(which):
        return which
    first, end = polygons.rings[polygons.firsts[which]], polygons.rings[polygons.firsts[which] + 1]
    counts = end - first
    starts = np.cumsum(counts) - counts
    place = np.arange(counts.sum())
    of_polygon = np.repeat(np.arange(len(which)), counts)
    points = polygons.points[place + (first - starts)[of_polygon]]
    spokes = points - (np.add.reduceat(points, starts, axis=0) / counts[:, None])[of_polygon]
    following = place + 1
    following[starts + counts - 1] = starts
    lobes = np.add.reduceat(np.linalg.norm(cross(spokes, spokes[following]), axis=1), starts)
    cancelled = np.linalg.norm(facing[which], axis=1) <= _CANCELLED * lobes
    found = []
    for index in np.flatnonzero(cancelled).tolist():
        number = which[index]
        spokes = polygons.points[first[index] : end[index]]
        spokes = spokes - spokes.mean(axis=0)
        _, sizes, axes = np.linalg.svd(spokes, full_matrices=False)
        if sizes[1] > _WIDE_M:
            facing[number] = axes[2]
            found.append(number)
    return np.array(found, dtype=np.int64)


def _split_quads(points: np.ndarray, first: np.ndarray, facing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(2 q, 3) triangles along the diagonal that leaves both with the polygon's orientation; (n,) bool: none does."""
    ways = np.array([[(0, 1, 2), (0, 2, 3)], [(0, 1, 3), (1, 2, 3)]])
    smaller = [
        np.min([(normals_of(points[first[:, None] + half]) * facing).sum(axis=1) for half in way], axis=0)
        for way in ways
    ]
    best = np.argmax(smaller, axis=0) if len(first) else np.zeros(0, dtype=int)
    crossing = np.max(smaller, axis=0, initial=-np.inf) < -_FLAT_M2 * np.linalg.norm(facing, axis=1)
    chosen = first[:, None, None] + ways[best]
    return chosen[~crossing].reshape(-1, 3), crossing


def _cut_ears(polygons: Polygons, which: np.ndarray, facing: np.ndarray, normals: np.ndarray):
    """Triangles, their polygons, added points, their sources, and how many of the polygons needed mending."""
    drop = np.abs(facing).argmax(axis=1)
    rings, firsts = polygons.rings, polygons.firsts
    indices, owners, added, sources = [np.zeros((0, 3), np.int64)], [np.zeros(0, np.int64)], [], []
    total, mended = len(polygons.points), 0
    for number in which.tolist():
        begin, end = int(rings[firsts[number]]), int(rings[firsts[number + 1]])
        ends = (rings[firsts[number] + 1 : firsts[number + 1] + 1] - begin).astype(np.uint32)
        axis = drop[number]
        local = polygons.points[begin:end] - polygons.points[begin]
        # Keep handedness, so that a ring's winding in the plane has the sign of its normal along the dropped axis.
        plane = np.ascontiguousarray(local[:, _KEPT_AXES[axis]])
        cut = _delaunay(plane, ends) if _bent(local, facing[number]) else None
        if cut is None:
            cut = mapbox_earcut.triangulate_float64(plane, ends).reshape(-1, 3).astype(np.int64)
        doubled = _doubled_areas(plane[cut])
        along = np.abs(normals[firsts[number] : firsts[number + 1], axis])
        expected = along[0] - along[1:].sum()
        if abs(np.abs(doubled).sum() - expected) > _AREA_TOLERANCE * along[0]:
            mended += 1
            points, cut, nearest = repaired(local, plane, ends, facing[number], int(axis))
            doubled = _doubled_areas(points[cut][:, :, _KEPT_AXES[axis]])
            fresh = len(points) - len(local)
            cut = np.where(cut < len(local), cut + begin, cut - len(local) + total)
            added.append(points[len(local) :] + polygons.points[begin])
            sources.append(nearest + begin)
            total += fresh
        else:
            cut = cut + begin
        wrong = (doubled < 0) != (facing[number, axis] < 0)
        cut[wrong] = cut[wrong][:, ::-1]
        indices.append(cut)
        owners.append(np.full(len(cut), number))
    points = np.concatenate(added) if added else np.zeros((0, 3))
    return (
        np.concatenate(indices),
        np.concatenate(owners),
        points,
        np.concatenate(sources or [np.zeros(0, int)]),
        mended,
    )


def _bent(points: np.ndarray, facing: np.ndarray) -> bool:
    """Do points (n, 3) lie further from one plane with this normal than a little?"""
    return bool(np.ptp(points @ facing) > _BENT_M * np.linalg.norm(facing))


def _delaunay(plane: np.ndarray, ends: np.ndarray) -> np.ndarray | None:
    """(t, 3) triangles of a polygon whose rings, of points (n, 2) in a plane, have these ends; between its points.

    None where it crosses or touches itself.
    """
    rings = np.split(plane, ends[:-1])
    polygon = shapely.Polygon(rings[0], rings[1:])
    number = {point: index for index, point in enumerate(map(tuple, plane.tolist()))}
    if len(number) < len(plane) or not polygon.is_valid:
        return None
    corners = shapely.get_coordinates(shapely.constrained_delaunay_triangles(polygon)).reshape(-1, 4, 2)[:, :3]
    return np.array([[number[tuple(corner)] for corner in each] for each in corners.tolist()]).reshape(-1, 3)


def _doubled_areas(triangles: np.ndarray) -> np.ndarray:
    """(n,) signed, twice the areas of plane triangles (n, 3, 2)."""
    u, v = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
