"""What an importer reads from a PLATEAU file, before and after triangulation."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from occ_core.classes import Semantic


class ImportProblem(Exception):
    """A file or an object that can't be imported: what is wrong, and where."""


@dataclass(frozen=True)
class Surface:
    """A planar polygon. rings: exterior, then interiors, each (n, 3) float64, not closed.

    Coordinates are latitude, longitude in degrees and height in metres (EPSG:6697), or metres once projected.
    kind: the CityGML element that holds it, as `RoofSurface` or `TrafficArea`.
    """

    rings: tuple[np.ndarray, ...]
    semantic: Semantic
    kind: str


@dataclass(frozen=True)
class CityObject:
    """A city object at its best level of detail. usage: PLATEAU code, '' where unknown."""

    gml_id: str
    feature: str
    lod: int
    surfaces: tuple[Surface, ...]
    measured_height: float | None = None
    usage: str = ""


@dataclass(frozen=True)
class Skipped:
    """A city object that was left out, and the reason in words."""

    gml_id: str
    reason: str


@dataclass(frozen=True)
class TriangleMesh:
    """vertices: (v, 3) float64, metres. faces: (f, 3) int32, outward counter-clockwise."""

    vertices: np.ndarray
    faces: np.ndarray

    @classmethod
    def from_triangles(cls, triangles: np.ndarray) -> TriangleMesh:
        """triangles: (n, 3, 3) float64; equal corners become one vertex, triangles without three of them go."""
        return cls.welded(triangles)[0]

    @classmethod
    def welded(cls, triangles: np.ndarray) -> tuple[TriangleMesh, np.ndarray]:
        """As `from_triangles`, and which of the triangles are its faces, (n,) bool."""
        corners = np.asarray(triangles, dtype=np.float64).reshape(-1, 3)
        # Millimetres, the resolution of PLATEAU heights: neighbours that meet share a vertex.
        _, first, inverse = np.unique(np.round(corners, 3), axis=0, return_index=True, return_inverse=True)
        faces = inverse.reshape(-1, 3).astype(np.int32)
        distinct = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
        return cls(corners[first], faces[distinct]), distinct

    @property
    def triangles(self) -> np.ndarray:
        """(f, 3, 3) float64, metres."""
        return self.vertices[self.faces]

    def parts(self) -> list[TriangleMesh]:
        """The connected pieces, in the order of their first vertices; each has vertices and faces of its own."""
        links = np.concatenate([self.faces[:, [0, 1]], self.faces[:, [1, 2]]])
        graph = coo_matrix((np.ones(len(links)), links.T), shape=(len(self.vertices),) * 2)
        count, label = connected_components(graph, directed=False)
        order = np.argsort(label, kind="stable")
        starts = np.searchsorted(label[order], np.arange(count + 1))
        position = np.empty(len(order), dtype=np.int64)
        position[order] = np.arange(len(order)) - starts[label[order]]
        face_order = np.argsort(label[self.faces[:, 0]], kind="stable")
        face_starts = np.searchsorted(label[self.faces[face_order, 0]], np.arange(count + 1))
        return [
            TriangleMesh(
                self.vertices[order[starts[k] : starts[k + 1]]],
                position[self.faces[face_order[face_starts[k] : face_starts[k + 1]]]].astype(np.int32),
            )
            for k in range(count)
        ]


@dataclass(frozen=True)
class Tile:
    """One PLATEAU file, triangulated, in metres east, north, up of its plane rectangular zone.

    visual: triangles by class; colours: (n, 3) uint8 of each. prisms: convex pieces of solid things, each (k, 3) corners, for collision.
    """

    name: str
    feature: str
    epsg: int
    visual: dict[Semantic, np.ndarray]
    colours: dict[Semantic, np.ndarray] = field(default_factory=dict)
    prisms: tuple[np.ndarray, ...] = ()
    objects: int = 0
    skipped: tuple[Skipped, ...] = field(default=())
    lods: dict[int, int] = field(default_factory=dict)
