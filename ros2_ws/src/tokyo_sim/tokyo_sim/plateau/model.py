"""What an importer reads from a PLATEAU file, before and after triangulation."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


class ImportProblem(Exception):
    """A file or an object that can't be imported: what is wrong, and where."""


@dataclass(frozen=True)
class CityObject:
    """A city object or a part of one, at its best level of detail.

    height: metres above ground, None where unknown. usage: PLATEAU code, '' where unknown.
    """

    gml_id: str
    lod: int
    height: float | None = None
    usage: str = ""


@dataclass(frozen=True)
class Polygons:
    """All polygons of a tile, flat: polygon p has the rings firsts[p] to firsts[p + 1], the exterior one first.

    points: (n, 3) float64 latitude, longitude in degrees and height in metres (EPSG:6697), or metres once projected.
    rings: (r + 1,) first point of each ring and the end. firsts: (p + 1,) first ring of each polygon and the end.
    objects: (p,) int32 index of the city object. kinds: (p,) uint8 `codes.Kind`. classes: (p,) uint8 `Semantic`.
    """

    points: np.ndarray
    rings: np.ndarray
    firsts: np.ndarray
    objects: np.ndarray
    kinds: np.ndarray
    classes: np.ndarray

    def __len__(self) -> int:
        return len(self.objects)

    def keep(self, wanted: np.ndarray) -> tuple[Polygons, np.ndarray]:
        """The polygons of a mask (p,), and which points stay, (n,) bool."""
        ring_wanted = np.repeat(wanted, np.diff(self.firsts))
        point_wanted = np.repeat(ring_wanted, np.diff(self.rings))
        rings = np.concatenate([[0], np.cumsum(np.diff(self.rings)[ring_wanted])])
        firsts = np.concatenate([[0], np.cumsum(np.diff(self.firsts)[wanted])])
        columns = (self.objects[wanted], self.kinds[wanted], self.classes[wanted])
        return Polygons(self.points[point_wanted], rings, firsts, *columns), point_wanted

    @property
    def of_point(self) -> np.ndarray:
        """(n,) the polygon of each point."""
        return np.repeat(np.arange(len(self)), np.diff(self.rings[self.firsts]))


@dataclass(frozen=True)
class TextureImage:
    """An `app:ParameterizedTexture`: uri as the file gives it, wrap mode ('' where it gives none)."""

    uri: str
    wrap: str = ""


@dataclass(frozen=True)
class Reading:
    """What a file holds. ring_ids: gml:id of each ring of `polygons`, '' for none.

    textures: by ring id, the index of its image and its texture coordinates as text. spec: version of uro, '' if none.
    """

    objects: tuple[CityObject, ...]
    polygons: Polygons
    ring_ids: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    images: tuple[TextureImage, ...] = ()
    textures: dict[str, tuple[int, str]] = field(default_factory=dict)
    spec: str = ""


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
