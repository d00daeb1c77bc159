"""The city as triangles to look at: one mesh for each class, coarser where it would be too many. No ROS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occ_core.citymap import CityMap
from occ_core.classes import CLASSES
from occ_core.meshes import TriangleMesh, decimated


@dataclass(frozen=True, eq=False)
class ClassMesh:
    """name: of the class. colour: sRGB 0-255. triangles: (n, 3, 3) float32 metres, map."""

    name: str
    colour: tuple[int, int, int]
    triangles: np.ndarray


def class_meshes(city: CityMap, most: int) -> list[ClassMesh]:
    """A mesh for each class that is in the city; together `most` triangles or fewer, shared out as in the city."""
    share = min(1.0, most / max(len(city.faces), 1))
    meshes = []
    for info in CLASSES:
        faces = city.faces[city.classes == info.semantic]
        if len(faces):
            used, numbers = np.unique(faces, return_inverse=True)
            mesh = TriangleMesh(city.vertices[used].astype(np.float64), numbers.reshape(-1, 3).astype(np.int32))
            coarse = decimated(mesh, int(share * len(faces)))
            meshes.append(ClassMesh(info.name, info.colour, coarse.vertices[coarse.faces].astype(np.float32)))
    return meshes
