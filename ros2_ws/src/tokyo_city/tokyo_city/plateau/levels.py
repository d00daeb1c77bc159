"""Levels of detail that are mixed in one object: the best at each place, where no finer one covers it."""

from __future__ import annotations

import numpy as np
import shapely

from tokyo_city.plateau.codes import SurfaceType
from tokyo_city.plateau.rings import Shape, degrees_about, joined, metres_about

_COVERED = 0.99
# What sticks out from below a finer outline by less than this is the same edge, drawn coarser.
_SLIVER_M = 0.25
_LEAST_M2 = 0.5


def completed(shapes: list[Shape]) -> Shape:
    """An object's hull at its best level, `shapes[0]`; sides that it has only at a coarser one from there.

    Sides are roofs, walls and floors; a hull that does not say which is which is taken as it is.
    """
    best = shapes[0]
    present = {int(kind) for kind in np.unique(best.kinds)}
    if SurfaceType.PLAIN in present:
        return best
    taken = [best]
    for coarser in shapes[1:]:
        missing = np.isin(coarser.kinds, sorted({SurfaceType.ROOF, SurfaceType.WALL, SurfaceType.FLOOR} - present))
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
    for shape in shapes[1:]:
        remaining = [_remainder(shape, number, cover, place) for number in range(len(shape))]
        whole = np.array([rest is None for rest in remaining])
        pieces = [piece for rest in remaining if rest is not None for piece in rest]
        kept += [part for part in (shape.keep(whole), *pieces) if len(part)]
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
    parts = [shapely.force_2d(_plan(shape.rings_of(number), place)) for number in range(len(shape))]
    return shapely.union_all(parts, grid_size=1e-3)


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
