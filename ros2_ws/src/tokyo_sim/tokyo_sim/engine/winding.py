"""Which triangles of a city can only be seen from one side, and from which: drawing skips the other side's."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from occ_core.citymap import CityMap
from occ_core.classes import SHEET_CLASSES

_STEEP = 1e-2


def one_sided(city: CityMap) -> tuple[np.ndarray, np.ndarray]:
    """Which faces are seen from one side only, and which of these are clockwise from that side. Both (f,) bool.

    One side only: faces of closed shells from outside, and the ground from above. A shell is closed if every edge is
    used as often one way as the other, and it has a volume.
    """
    place = merged(city.vertices)[city.faces]
    shells, shell = components(place)
    volume = np.bincount(shell, _volumes(city), minlength=shells)
    closed = (_open_edges(place, shell, shells) == 0) & (np.abs(volume) > 1e-6)
    a, b, c = np.moveaxis(city.triangles, 1, 0)
    normal = np.cross(b - a, c - a)
    up = normal[:, 2]
    lying = np.abs(up) > _STEEP * np.linalg.norm(normal, axis=1)  # the face of a kerb has no upper side
    ground = np.isin(city.classes, SHEET_CLASSES) & lying & ~closed[shell]
    return closed[shell] | ground, np.where(ground, up < 0, closed[shell] & (volume[shell] < 0))


def merged(vertices: np.ndarray) -> np.ndarray:
    """(v,) a number per place in space, the same for vertices on the same millimetre."""
    _, number = np.unique(np.round(vertices * 1000).astype(np.int64), axis=0, return_inverse=True)
    return number.ravel()


def components(place: np.ndarray) -> tuple[int, np.ndarray]:
    """Number of connected parts, and (f,) the part of each face."""
    count = place.max(initial=-1) + 1
    links = coo_matrix(
        (np.ones(2 * len(place)), (np.tile(place[:, 0], 2), place[:, 1:].T.ravel())), shape=(count, count)
    )
    parts, part = connected_components(links, directed=False)
    return parts, part[place[:, 0]]


def _open_edges(place: np.ndarray, shell: np.ndarray, shells: int) -> np.ndarray:
    """(shells,) how many edges are not used equally often in both directions."""
    edges = np.concatenate([place[:, [0, 1]], place[:, [1, 2]], place[:, [2, 0]]])
    low, high = edges.min(axis=1), edges.max(axis=1)
    _, edge = np.unique(low.astype(np.int64) * (place.max() + 1) + high, return_inverse=True)
    balance = np.bincount(edge, np.sign(edges[:, 1] - edges[:, 0]))
    owner = np.empty(len(balance), np.int64)
    owner[edge] = np.tile(shell, 3)
    return np.bincount(owner[balance != 0], minlength=shells)


def _volumes(city: CityMap) -> np.ndarray:
    """(f,) signed volume of the tetrahedron from each face to the mean of its city's vertices, m3."""
    a, b, c = np.moveaxis(city.triangles.astype(np.float64) - city.vertices.mean(axis=0, dtype=np.float64), 1, 0)
    return np.einsum("ij,ij->i", a, np.cross(b, c)) / 6
