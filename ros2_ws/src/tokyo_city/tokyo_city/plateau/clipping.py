"""What of a file lies in a region: areas of the ground are cut at its border, bodies that reach into it whole."""

from __future__ import annotations

import numpy as np

from tokyo_city.plateau.meshcodes import DegreeBox
from tokyo_city.plateau.model import CityObject, Polygons
from tokyo_city.plateau.triangulate import newell_normals

_NOTHING = 1e-14  # square degrees: what touches a border has no more in it


def within(
    polygons: Polygons, columns: np.ndarray, objects: tuple[CityObject, ...], boxes: tuple[DegreeBox, ...]
) -> tuple[Polygons, np.ndarray, np.ndarray]:
    """The polygons (latitude, longitude, height) in some boxes that do not overlap.

    columns: (n, k) float64 what else each point has; points that a cut makes have what lies between. Returns polygons,
    their columns, and for each the polygon (q,) that it is a piece of.
    """
    area = np.array([entry.area for entry in objects], dtype=bool)[polygons.objects]
    place = polygons.points[:, :2]
    starts = polygons.rings[polygons.firsts[:-1]]
    low, high = np.minimum.reduceat(place, starts), np.maximum.reduceat(place, starts)
    whole, cut, reached = np.zeros(len(polygons), bool), np.zeros(len(polygons), bool), np.zeros(len(objects), bool)
    pieces: list[tuple[int, list[np.ndarray]]] = []
    for box in boxes:
        inside = ((low >= (box.south, box.west)) & (high <= (box.north, box.east))).all(axis=1)
        touching = ((high > (box.south, box.west)) & (low < (box.north, box.east))).all(axis=1) | inside
        whole |= inside & area
        reached[polygons.objects[inside & ~area]] = True
        for number in np.flatnonzero(touching & ~inside).tolist():
            if not area[number] and reached[polygons.objects[number]]:
                continue
            rings = _clipped(polygons, columns, number, box)
            if rings and area[number]:
                cut[number] = True
                pieces.append((number, rings))
            elif rings and _area(rings[0]) > _NOTHING:
                reached[polygons.objects[number]] = True
    whole |= ~area & reached[polygons.objects]
    whole &= ~cut  # of two boxes that touch, a polygon on the border between them may be inside one
    kept, points = polygons.keep(whole)
    source = np.concatenate([np.flatnonzero(whole), np.array([number for number, _ in pieces], dtype=np.int64)])
    if not pieces:
        return kept, columns[points], source
    rings = [ring for _, each in pieces for ring in each]
    found = np.concatenate(rings)
    together = Polygons(
        np.concatenate([kept.points, found[:, :3]]),
        np.concatenate([kept.rings, kept.rings[-1] + np.cumsum([len(ring) for ring in rings])]),
        np.concatenate([kept.firsts, kept.firsts[-1] + np.cumsum([len(each) for _, each in pieces])]),
        *(getattr(polygons, name)[source] for name in ("objects", "kinds", "classes", "lods")),
    )
    return together, np.concatenate([columns[points], found[:, 3:]]), source


def _clipped(polygons: Polygons, columns: np.ndarray, number: int, box: DegreeBox) -> list[np.ndarray]:
    """Rings (n, 3 + k) of a polygon in a box, without closing points; none where nothing of it is in there."""
    rings = []
    for ring in range(polygons.firsts[number], polygons.firsts[number + 1]):
        span = slice(polygons.rings[ring], polygons.rings[ring + 1])
        points = np.column_stack([polygons.points[span], columns[span]])
        if len(points) > 1 and (points[0, :3] == points[-1, :3]).all():
            points = points[:-1]
        for axis, bound, side in ((0, box.south, 1), (0, box.north, -1), (1, box.west, 1), (1, box.east, -1)):
            points = _half(points, side * (points[:, axis] - bound))
        if len(points) >= 3:
            rings.append(points)
        elif not rings:
            return []  # its exterior lies outside
    return rings


def _half(points: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """The part of a ring whose depth (n,) is not negative.

    Source: Sutherland and Hodgman, Reentrant Polygon Clipping, 1974. What a ring that bends in and out leaves are
    pieces that are joined along the border, by lines without area.
    """
    if not len(points) or (depth >= 0).all():
        return points
    if (depth < 0).all():
        return points[:0]
    after, next_depth = np.roll(points, -1, axis=0), np.roll(depth, -1)
    crossing = (depth >= 0) != (next_depth >= 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(crossing, depth / (depth - next_depth), 0.0)
    between = points + share[:, None] * (after - points)
    both = np.stack([points, between], axis=1)
    return both.reshape(-1, points.shape[1])[np.stack([depth >= 0, crossing], axis=1).ravel()]


def _area(ring: np.ndarray) -> float:
    """Square degrees of the area below a ring, or of the ring itself where it stands upright."""
    flat = ring[:, :3] * [1, 1, 0]
    return float(np.linalg.norm(newell_normals(flat, np.array([0]), np.array([len(ring)]))))


def apart(boxes: tuple[DegreeBox, ...]) -> tuple[DegreeBox, ...]:
    """Boxes that cover the same without overlapping."""
    if not any(a.touches(b) for number, a in enumerate(boxes) for b in boxes[:number]):
        return boxes
    rows = sorted({edge for box in boxes for edge in (box.south, box.north)})
    columns = sorted({edge for box in boxes for edge in (box.west, box.east)})
    cells = (
        DegreeBox(south, west, north, east)
        for south, north in zip(rows, rows[1:], strict=False)
        for west, east in zip(columns, columns[1:], strict=False)
    )
    return tuple(cell for cell in cells if any(cell.touches(box) for box in boxes))
