"""Wavefront OBJ with one material: the mesh files that worlds refer to."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tokyo_sim.plateau.model import TriangleMesh


def write_obj(path: Path, mesh: TriangleMesh) -> None:
    """Write vertices and faces; z up, metres, as Gazebo reads OBJ."""
    with open(path, "w", encoding="ascii") as file:
        np.savetxt(file, mesh.vertices, fmt="v %.4f %.4f %.4f")
        np.savetxt(file, mesh.faces + 1, fmt="f %d %d %d")


def read_obj(path: Path) -> TriangleMesh:
    """Read what `write_obj` wrote: vertices and triangles, nothing else. ValueError that names the file."""
    vertices, faces = [], []
    for line in path.read_text(encoding="ascii").splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            vertices.append(rest)
        elif kind == "f":
            faces.append(rest)
    try:
        mesh = TriangleMesh(
            np.array(" ".join(vertices).split(), dtype=np.float64).reshape(-1, 3),
            np.array(" ".join(faces).split(), dtype=np.int32).reshape(-1, 3) - 1,
        )
    except ValueError as error:
        raise ValueError(f"{path}: not the triangles-only OBJ that `tokyo city` writes: {error}") from error
    if not len(mesh.faces) or mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices):
        raise ValueError(f"{path}: no faces, or faces of vertices that are not there")
    return mesh
