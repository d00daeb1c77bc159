"""Collision shapes of buildings: convex prisms below their roofs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occ_core.classes import Semantic
from occ_core.meshes import TriangleMesh
from tokyo_city.plateau.codes import SurfaceType
from tokyo_city.plateau.model import Polygons
from tokyo_city.plateau.triangulate import Triangles, newell_normals, normals_of

# Walls reach this far below the base so that no gap opens where the ground falls away.
BURY_M = 0.5
# A roof steeper than this has next to no area seen from above; its neighbours' prisms fill the space below it.
_MIN_ROOF_NORMAL_Z = 0.1
_LEAST_HEIGHT_M, _FLAT_M = 0.05, 0.05


@dataclass(frozen=True)
class Prisms:
    """tops: (n, 3) metres, the upper rings, counter-clockwise from above, one after the other. sizes: (k,) points.

    bases: (k,) heights of the lower rings. objects: (k,) index of the building that each is a piece of.
    """

    tops: np.ndarray
    sizes: np.ndarray
    bases: np.ndarray
    objects: np.ndarray

    def keep(self, wanted: np.ndarray) -> Prisms:
        """The prisms of a mask (k,)."""
        points = np.repeat(wanted, self.sizes)
        return Prisms(self.tops[points], self.sizes[wanted], self.bases[wanted], self.objects[wanted])

    def mesh(self) -> TriangleMesh:
        """All of them as one mesh; none shares a vertex with another, so that a reader can part them again."""
        vertices, faces, start = [np.zeros((0, 3))], [np.zeros((0, 3), np.int32)], 0
        starts = np.cumsum(self.sizes) - self.sizes
        for size in np.unique(self.sizes):
            which = np.flatnonzero(self.sizes == size)
            top = self.tops[starts[which, None] + np.arange(size)]
            bottom = top.copy()
            bottom[:, :, 2] = self.bases[which, None]
            vertices.append(np.concatenate([top, bottom], axis=1).reshape(-1, 3))
            pattern = _faces(int(size))
            offsets = start + 2 * size * np.arange(len(which))
            faces.append((offsets[:, None, None] + pattern).reshape(-1, 3).astype(np.int32))
            start += 2 * size * len(which)
        return TriangleMesh(np.concatenate(vertices), np.concatenate(faces))


def _faces(size: int) -> np.ndarray:
    """(4 size - 4, 3) outward faces of a prism whose upper ring is 0 ... size - 1 and lower ring follows."""
    fan = np.array([(0, k, k + 1) for k in range(1, size - 1)])
    k = np.arange(size)
    after = (k + 1) % size
    sides = np.concatenate([np.stack([k, k + size, after], axis=1), np.stack([after, k + size, after + size], axis=1)])
    return np.concatenate([fan, fan[:, ::-1] + size, sides])


def roof_prisms(polygons: Polygons, triangles: Triangles, corners: np.ndarray) -> Prisms:
    """Prisms below the upward polygons of buildings, down to half a metre below the building's lowest point.

    A convex roof gives one prism, any other one per triangle. corners: (t, 3) of `triangles`, after they were turned
    to face outward.
    """
    building = polygons.classes == Semantic.BUILDING
    base = np.full(int(polygons.objects.max(initial=-1)) + 1, np.inf)
    np.minimum.at(base, polygons.objects[polygons.of_point], polygons.points[:, 2])
    candidates = building & np.isin(polygons.kinds, (SurfaceType.PLAIN, SurfaceType.ROOF))
    whole = candidates & _one_convex_ring(polygons)

    shape = triangles.points[corners]
    normal = normals_of(shape)
    up = normal[:, 2] >= _MIN_ROOF_NORMAL_Z * np.linalg.norm(normal, axis=1)
    roof = candidates[triangles.polygons] & up
    single = roof & ~whole[triangles.polygons]
    # A polygon is the union of its triangles: it faces up where they do.
    rings = np.unique(triangles.polygons[roof & whole[triangles.polygons]])
    first = polygons.rings[polygons.firsts[rings]]
    sizes = polygons.rings[polygons.firsts[rings + 1]] - first
    inside = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    backward = (
        newell_normals(polygons.points, polygons.rings[:-1], np.diff(polygons.rings))[polygons.firsts[rings], 2] < 0
    )
    step = np.where(np.repeat(backward, sizes), np.repeat(sizes, sizes) - 1 - inside, inside)
    tops = np.concatenate([polygons.points[np.repeat(first, sizes) + step], shape[single].reshape(-1, 3)])
    objects = np.concatenate([polygons.objects[rings], polygons.objects[triangles.polygons[single]]])
    prisms = Prisms(
        tops, np.concatenate([sizes, np.full(single.sum(), 3)]).astype(np.int64), base[objects] - BURY_M, objects
    )
    if not len(prisms.sizes):
        return prisms
    highest = np.maximum.reduceat(tops[:, 2], np.cumsum(prisms.sizes) - prisms.sizes)
    return prisms.keep(highest - prisms.bases > BURY_M + _LEAST_HEIGHT_M)


def _one_convex_ring(polygons: Polygons) -> np.ndarray:
    """(p,) bool: a single ring, convex seen from above, and flat enough that one plane holds it."""
    counts, starts = np.diff(polygons.rings), polygons.rings[:-1]
    ring_of = np.repeat(np.arange(len(counts)), counts)
    following = np.arange(len(polygons.points)) + 1
    following[polygons.rings[1:][counts > 0] - 1] = starts[counts > 0]
    edges = polygons.points[following, :2] - polygons.points[:, :2]
    after = edges[following]
    turn = np.arctan2(edges[:, 0] * after[:, 1] - edges[:, 1] * after[:, 0], (edges * after).sum(axis=1))
    total = np.bincount(ring_of, turn, len(counts))
    # Turning all one way, and once round: a pentagram turns twice.
    straying = np.bincount(ring_of, np.sign(total)[ring_of] * turn < -1e-9, len(counts))
    normal = newell_normals(polygons.points, starts, counts)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    off = np.abs(((polygons.points - polygons.points[starts[ring_of]]) * normal[ring_of]).sum(axis=1))
    bent = np.bincount(ring_of, off > _FLAT_M, len(counts))
    good = (straying == 0) & (bent == 0) & (np.abs(np.abs(total) - 2 * np.pi) < 1e-3)
    return (np.diff(polygons.firsts) == 1) & good[polygons.firsts[:-1]]
