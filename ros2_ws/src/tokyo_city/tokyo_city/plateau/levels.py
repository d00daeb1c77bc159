"""Levels of detail that are mixed in one object: the best at each place, where no finer one covers it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import shapely

from tokyo_city.plateau.areas import coverage
from tokyo_city.plateau.codes import SurfaceType
from tokyo_city.plateau.rings import Shape, degrees_about, joined, metres_about

_COVERED = 0.99
# What sticks out from below a finer outline by less than this is the same edge, drawn coarser.
_SLIVER_M = 0.25
_LEAST_M2 = 0.5


def completed(best: Shape, more: Iterable[Shape]) -> Shape:
    """An object's hull at its best level; sides that it has only at a coarser one from there, if any is missing.

    Sides are roofs, walls and floors; a hull that does not say which is which is taken as it is. more: the coarser
    levels, finer ones first.
    """
    sides = {SurfaceType.ROOF, SurfaceType.WALL, SurfaceType.FLOOR}
    present = set(best.kinds.tolist())
    if SurfaceType.PLAIN in present or sides <= present:
        return best
    taken = [best]
    for coarser in more:
        missing = np.isin(coarser.kinds, sorted(sides - present))
        if missing.any() and SurfaceType.PLAIN not in coarser.kinds:
            taken.append(coarser.keep(missing))
            present |= {int(kind) for kind in np.unique(coarser.kinds[missing])}
    return joined(taken) if len(taken) > 1 else best


def uncovered(shapes: list[Shape]) -> Shape:
    """Areas of the ground, the better ones first: of each what none of those before it covers, seen from above."""
    if len(shapes) == 1:
        return shapes[0]
    place = shapes[0].points[0, :2]
    kept = [shapes[0]]
    cover = _outline(shapes[0], place)
    for later, shape in enumerate(shapes[1:], 1):
        remaining = [_remainder(shape, number, cover, place) for number in range(len(shape))]
        whole = np.array([rest is None for rest in remaining])
        pieces = [piece for rest in remaining if rest is not None for piece in rest]
        kept += [part for part in (shape.keep(whole), *pieces) if len(part)]
        if later + 1 < len(shapes):
            cover = shapely.union_all([cover, _outline(shape, place)])
    return joined(kept)


def _plan(rings: list[np.ndarray], place: np.ndarray) -> shapely.Geometry:
    """A polygon with heights, metres from a place; valid."""
    shells = [metres_about(ring, place) for ring in rings if len(ring) >= 3]
    if not shells:
        return shapely.Polygon()
    polygon = shapely.Polygon(shells[0], shells[1:])
    return polygon if polygon.is_valid else shapely.make_valid(polygon)


def _outline(shape: Shape, place: np.ndarray) -> shapely.Geometry:
    """What polygons cover together, metres from a place, to a millimetre."""
    parts = _plans(shape, place)
    together = coverage(shapely.transform(parts, lambda xy: np.round(xy, 3)))
    return shapely.union_all(parts, grid_size=1e-3) if together is None else together


def _plans(shape: Shape, place: np.ndarray) -> np.ndarray:
    """(p,) polygons without heights, metres from a place; valid."""
    counts, of_polygon = np.diff(shape.rings), np.repeat(np.arange(len(shape)), np.diff(shape.firsts))
    if not len(counts) or counts.min() < 3:
        return np.array([shapely.force_2d(_plan(shape.rings_of(n), place)) for n in range(len(shape))], dtype=object)
    xy = metres_about(shape.points, place)[:, :2]
    rings = shapely.linearrings(xy, indices=np.repeat(np.arange(len(counts)), counts))
    polygons = shapely.polygons(rings, indices=of_polygon)
    broken = ~shapely.is_valid(polygons)
    polygons[broken] = shapely.make_valid(polygons[broken])
    return polygons


def _remainder(shape: Shape, number: int, cover: shapely.Geometry, place: np.ndarray) -> list[Shape] | None:
    """What is left of a polygon; None where that is all of it."""
    area = _plan(shape.rings_of(number), place)
    if not area.intersects(cover):
        return None
    rest = area.difference(cover)
    if area.area > 0 and rest.area > _COVERED * area.area:
        return None
    if rest.area < (1 - _COVERED) * area.area:
        return []
    faces = [face for face in shapely.get_parts(rest) if face.geom_type == "Polygon" and face.area > _LEAST_M2]
    return [_face(shape, number, face, place) for face in faces if not face.buffer(-_SLIVER_M).is_empty]


def _face(shape: Shape, number: int, face: shapely.Polygon, place: np.ndarray) -> Shape:
    """A piece of a polygon. Points that the cut made have the height of the polygon's nearest corner, if no other."""
    rings = [np.array(ring.coords) for ring in (face.exterior, *face.interiors)]
    corners = metres_about(np.concatenate(shape.rings_of(number)), place)
    points = np.concatenate([ring if ring.shape[1] == 3 else np.c_[ring, np.full(len(ring), np.nan)] for ring in rings])
    for row in np.flatnonzero(~np.isfinite(points[:, 2])):
        points[row, 2] = corners[((corners[:, :2] - points[row, :2]) ** 2).sum(axis=1).argmin(), 2]
    one = slice(number, number + 1)
    return Shape(
        degrees_about(points, place), np.cumsum([0, *map(len, rings)]), np.array([0, len(rings)]),
        shape.kinds[one], shape.classes[one], shape.lods[one], shape.own[one], ("",) * len(rings), shape.targets[one],
    )  # fmt: skip
