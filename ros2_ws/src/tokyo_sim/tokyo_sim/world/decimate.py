"""Coarser meshes for collision: vertices gathered in cells until few enough faces are left."""

from __future__ import annotations

import numpy as np

from tokyo_sim.plateau.model import TriangleMesh

_FINEST_M, _COARSEST_M = 0.05, 200.0
_HALVINGS = 9


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
