"""Triangle meshes: welding, connected parts, and coarser ones by vertex clustering."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_FINEST_M, _COARSEST_M = 0.05, 200.0
_HALVINGS = 9
_KEY_BITS = 62


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
        first, inverse = equal_rows(np.rint(corners * 1000))
        faces = inverse.reshape(-1, 3).astype(np.int32)
        distinct = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
        return cls(corners[first], faces[distinct]), distinct

    @property
    def triangles(self) -> np.ndarray:
        """(f, 3, 3) float64, metres."""
        return self.vertices[self.faces]

    def parts(self) -> list[TriangleMesh]:
        """The connected pieces, in the order of their first vertices; each has vertices and faces of its own."""
        from scipy.sparse import coo_matrix  # takes a moment to load
        from scipy.sparse.csgraph import connected_components

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


def equal_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `np.unique` along the first axis: the first of each kind of row, and (n,) the kind of each.

    rows: (n, k) whole numbers, of any type. A tenth of its time where a row fits into one number.
    """
    if not len(rows):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    low = rows.min(axis=0)
    bits = [int(span).bit_length() for span in (rows.max(axis=0) - low).tolist()]
    if sum(bits) > _KEY_BITS:
        _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        return first, inverse.reshape(-1)
    key = np.zeros(len(rows), dtype=np.int64)
    for column, width in zip((rows - low).T, bits, strict=True):
        key = (key << width) | column.astype(np.int64)
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    return first, inverse


def decimated(mesh: TriangleMesh, target_faces: int) -> TriangleMesh:
    """A mesh of `target_faces` or fewer, with the smallest cells that reach it; the mesh itself if it is small enough.

    Source: vertex clustering (Rossignac and Borrel, 1993), each cell's vertices at their mean.
    """
    if len(mesh.faces) <= target_faces:
        return mesh
    low, high = np.log(_FINEST_M), np.log(_COARSEST_M)
    best = _clustered(mesh, _COARSEST_M)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        coarse = _clustered(mesh, float(np.exp(middle)))
        if len(coarse.faces) <= target_faces:
            best, high = coarse, middle
        else:
            low = middle
    return best


def _clustered(mesh: TriangleMesh, cell: float) -> TriangleMesh:
    cells = np.floor((mesh.vertices - mesh.vertices.min(axis=0)) / cell).astype(np.int64)
    # 21 bits an axis: at the finest cell, 100 km.
    _, number = np.unique((cells[:, 0] << 42) | (cells[:, 1] << 21) | cells[:, 2], return_inverse=True)
    count = np.bincount(number)
    vertices = np.stack([np.bincount(number, mesh.vertices[:, axis]) / count for axis in range(3)], axis=1)
    faces = number[mesh.faces]
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    _, first = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    return TriangleMesh(vertices, faces[np.sort(first)].astype(np.int32))
