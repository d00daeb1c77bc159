"""Which way triangles face: outward on solid things, up on the ground, however the file wound its rings."""

from __future__ import annotations

import numpy as np

from occ_core.classes import GROUND_CLASSES, Semantic
from tokyo_city.plateau.codes import SurfaceType
from tokyo_city.plateau.triangulate import normals_of

_CLOSED, _STEEP = 1e-3, 1e-3


def inside_out(triangles: np.ndarray, objects: np.ndarray, classes: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """(t,) bool: triangles to be turned over.

    triangles: (t, 3, 3) metres. objects: (t,) index of each one's object. classes, kinds: (t,) `Semantic`,
    `SurfaceType`.
    """
    normals = normals_of(triangles)
    up = normals[:, 2]
    count = int(objects.max(initial=-1)) + 1
    sums = np.stack([np.bincount(objects, triangles[:, :, axis].sum(axis=1), count) for axis in range(3)], axis=1)
    middles = sums / np.maximum(3 * np.bincount(objects, minlength=count), 1)[:, None]
    a, b, c = np.moveaxis(triangles - middles[objects, None], 1, 0)
    # Six times the volume between an object's middle and its triangles: negative where rings are wound inwards.
    volume = np.bincount(objects, np.einsum("ij,ij->i", a, np.cross(b, c)), count)
    turn = volume[objects] < 0
    up = np.where(turn, -up, up)
    # The normals of a closed surface that is wound one way add up to nothing: its eaves are right as they are.
    total = np.stack([np.bincount(objects, normals[:, axis], count) for axis in range(3)], axis=1)
    closed = np.linalg.norm(total, axis=1) < _CLOSED * np.bincount(objects, np.linalg.norm(normals, axis=1), count)
    turn ^= ~closed[objects] & (((kinds == SurfaceType.ROOF) & (up < 0)) | ((kinds == SurfaceType.FLOOR) & (up > 0)))
    ground = np.isin(classes, [s for s in GROUND_CLASSES if s is not Semantic.BRIDGE])
    # The face of a kerb has no upper side: it stays as it is.
    return np.where(ground, normals[:, 2] < -_STEEP * np.linalg.norm(normals, axis=1), turn)
