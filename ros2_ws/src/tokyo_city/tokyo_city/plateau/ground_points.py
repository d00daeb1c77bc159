"""Where the ground is known: what of a tile lies on it, stands on it, or is ground."""

from __future__ import annotations

import numpy as np

from occ_core.classes import GROUND_CLASSES, Semantic
from occ_core.meshes import equal_rows
from tokyo_city.plateau.areas import AREA_FOLDERS, Areas
from tokyo_city.plateau.prisms import BURY_M
from tokyo_city.plateau.tile import Tile

_THIN_M = 2.0
_ALONG_M = 4.0  # between the points of an area's edge


def ground_points(tile: Tile, areas: Areas, flat: np.ndarray) -> np.ndarray:
    """(n, 3) metres from the tile's origin: relief, or what stands on the ground or is ground, every 2 m at most.

    Areas without height are none of it. flat: (t,) bool, triangles of those.
    """
    if tile.feature == "dem":
        return np.unique(tile.triangles.reshape(-1, 3), axis=0)
    feet = tile.prisms.tops.copy()
    feet[:, 2] = np.repeat(tile.prisms.bases, tile.prisms.sizes) + BURY_M
    lying = np.isin(tile.classes, GROUND_CLASSES) & (tile.classes != Semantic.BRIDGE) & ~flat
    ground = tile.triangles[lying] if tile.feature not in AREA_FOLDERS else np.zeros((0, 3, 3))
    points = np.concatenate([feet, ground.reshape(-1, 3), _along(areas.edges)])
    points = points[np.argsort(points[:, 2], kind="stable")]
    first, _ = equal_rows(np.rint(points[:, :2] / _THIN_M))
    return points[first]


def _along(edges: np.ndarray) -> np.ndarray:
    """(n, 3) points of edges (e, 2, 3), 4 m apart at most, their ends included."""
    step = edges[:, 1] - edges[:, 0]
    counts = np.ceil(np.linalg.norm(step[:, :2], axis=1) / _ALONG_M).astype(int) + 1
    edge = np.repeat(np.arange(len(edges)), counts)
    place = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    return edges[edge, 0] + step[edge] * (place / np.maximum(counts[edge] - 1, 1))[:, None]
