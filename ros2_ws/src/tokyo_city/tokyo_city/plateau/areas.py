"""Areas of a tile: roads, squares, tracks, runways, waterways and water, with heights of their own or without."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from occ_core.meshes import equal_rows
from tokyo_city.plateau.triangulate import normals_of

AREA_FOLDERS = ("tran", "squr", "trk", "rwy", "wwy", "area", "wtr")
"""Folders of `udx` whose features lie on the ground."""

_FINEST_FLAT_LOD = 2  # standard product specification: from LOD3 on an area has real heights
_STEEP = 1e-3  # of the normal's z: walls of a kerb are no part of an area's outline; twisted slivers of a road are
_LEAST_M2 = 1e-4


@dataclass(frozen=True)
class Areas:
    """Outlines seen from above, one per object and class.

    polygons: (a,) shapely, metres. classes: (a,) uint8. flat: (a,) bool, without heights: z is no height there.
    edges: (e, 2, 3) metres, the outlines of those that have heights.
    """

    polygons: np.ndarray
    classes: np.ndarray
    flat: np.ndarray
    edges: np.ndarray

    @classmethod
    def none(cls) -> Areas:
        """No area."""
        return cls(np.zeros(0, object), np.zeros(0, np.uint8), np.zeros(0, bool), np.zeros((0, 2, 3)))

    @classmethod
    def of(cls, triangles: np.ndarray, objects: np.ndarray, classes: np.ndarray, flat: np.ndarray) -> Areas:
        """Of a tile's triangles (t, 3, 3), metres, with the object, class and flatness of each."""
        normals = normals_of(triangles)
        seen = np.abs(normals[:, 2]) > _STEEP * np.linalg.norm(normals, axis=1)
        if not seen.any():
            return cls.none()
        triangles, objects, classes, flat = triangles[seen], objects[seen], classes[seen], flat[seen]
        key = (objects.astype(np.int64) * 256 + classes) * 2 + flat
        order = np.argsort(key, kind="stable")
        _, first = np.unique(key[order], return_index=True)
        shapes = shapely.polygons(triangles[order][:, [0, 1, 2, 0], :2])
        polygons = np.array([_outline(part) for part in np.split(shapes, first[1:])], dtype=object)
        kept = shapely.area(polygons) > _LEAST_M2
        lead = order[first]
        edges = [open_edges(triangles[part]) for part in np.split(order, first[1:]) if not flat[part[0]]]
        return cls(polygons[kept], classes[lead][kept], flat[lead][kept], np.concatenate([np.zeros((0, 2, 3)), *edges]))

    @classmethod
    def joined(cls, parts: list[Areas]) -> Areas:
        """All of them."""
        parts = [cls.none(), *parts]
        columns = (np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__)
        return cls(*columns)

    @classmethod
    def unpacked(cls, arrays: dict[str, np.ndarray], shift: np.ndarray) -> Areas:
        """Of what `packed` gave; shift: (3,) metres to add."""
        parts = np.split(arrays["area_wkb"], np.cumsum(arrays["area_counts"]))[:-1]
        polygons = shapely.from_wkb([part.tobytes() for part in parts]).reshape(-1)
        polygons = shapely.transform(polygons, lambda xy: xy + shift[:2]) if len(polygons) else np.zeros(0, object)
        return cls(polygons, arrays["area_classes"], arrays["area_flat"], arrays["area_edges"] + shift)

    def packed(self) -> dict[str, np.ndarray]:
        """Arrays for a file: outlines as WKB, one after the other."""
        wkb = [bytes(shape) for shape in shapely.to_wkb(self.polygons)]
        return {
            "area_wkb": np.frombuffer(b"".join(wkb), dtype=np.uint8),
            "area_counts": np.array([len(shape) for shape in wkb], dtype=np.int64),
            "area_classes": self.classes,
            "area_flat": self.flat,
            "area_edges": self.edges,
        }

    def places(self, step: float) -> np.ndarray:
        """(n, 2) metres, points of the outlines of those without height, a step apart at most."""
        return shapely.get_coordinates(shapely.segmentize(self.polygons[self.flat], step))

    def within(self, low: np.ndarray, high: np.ndarray) -> Areas:
        """Those that reach into a rectangle, (2,) metres."""
        if not len(self.polygons):
            return self
        box = shapely.box(*low, *high)
        near = shapely.intersects(shapely.envelope(self.polygons), box)
        ends = self.edges[:, :, :2]
        close = ((ends.min(axis=1) <= high) & (ends.max(axis=1) >= low)).all(axis=1)
        return Areas(self.polygons[near], self.classes[near], self.flat[near], self.edges[close])


def without_height(triangles: np.ndarray, objects: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """(t,) bool: triangles of an area that has no height, since PLATEAU writes 0 there.

    triangles: (t, 3, 3) metres above sea level. objects, levels of detail: (t,). One has none where all its heights
    are exactly 0 and its level is 2 or lower (standard product specification, from version 2 on); zeros in an object
    that has heights elsewhere are none either: its levels are mixed.
    """
    zero = (triangles[:, :, 2] == 0).all(axis=1)
    high = np.zeros(objects.max(initial=-1) + 1, dtype=bool)
    high[objects[~zero]] = True
    return zero & ((levels <= _FINEST_FLAT_LOD) | high[objects])


def _outline(triangles: np.ndarray) -> shapely.Geometry:
    """What triangles that meet at their edges cover together; any others, too."""
    if len(triangles) == 1:
        return triangles[0]
    joined = coverage(triangles)
    return shapely.union_all(triangles) if joined is None else joined


def coverage(parts: np.ndarray) -> shapely.Geometry | None:
    """What polygons that meet at their edges cover together, in a fraction of a union's time; None where they don't."""
    area = float(shapely.area(parts).sum())
    try:
        joined = shapely.coverage_union_all(parts)
    except shapely.errors.GEOSException:
        return None  # they overlap
    return joined if joined.is_valid and abs(joined.area - area) < 1e-6 * area else None


def open_edges(triangles: np.ndarray) -> np.ndarray:
    """(e, 2, 3) edges that one triangle alone has, by millimetres."""
    _, number = equal_rows(np.rint(triangles.reshape(-1, 3) * 1000))
    corner = number.reshape(-1, 3)
    ends = np.sort(np.concatenate([corner[:, [0, 1]], corner[:, [1, 2]], corner[:, [2, 0]]]), axis=1)
    _, edge = equal_rows(ends)
    count = np.bincount(edge)
    lines = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    return lines[count[edge] == 1]
