"""Ground where PLATEAU gives none: tiles without relief stand on a surface through their own lowest points."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import griddata
from scipy.spatial import cKDTree

from occ_core.citymap import GROUND_CLASSES
from occ_core.classes import Semantic
from tokyo_sim.plateau.model import Tile

_CELL_M = 10.0
_MARGIN_M = 60.0
# Interpolated ground lies this far below what it was interpolated from, so that it never covers a road.
_BELOW_M = 0.1


def missing_ground(tile: Tile, relief: list[np.ndarray]) -> np.ndarray:
    """Terrain triangles (n, 3, 3) for the part of a tile that no relief covers, metres in the tile's zone.

    relief: triangles (k, 3, 3) of each relief tile. Linear interpolation of the lowest points of solid things and of
    all points of roads, nearest outside their hull.
    """
    anchors = _ground_points(tile)
    anchors = anchors[~_covered(anchors[:, :2], relief)]
    if not len(anchors):
        return np.zeros((0, 3, 3))
    lower, upper = anchors[:, :2].min(axis=0) - _MARGIN_M, anchors[:, :2].max(axis=0) + _MARGIN_M
    nx, ny = np.ceil((upper - lower) / _CELL_M).astype(int) + 1
    xy = lower + _CELL_M * np.stack(np.meshgrid(np.arange(nx), np.arange(ny), indexing="ij"), axis=-1)
    nearest, _ = cKDTree(anchors[:, :2]).query(xy)
    heights = griddata(anchors[:, :2], anchors[:, 2], xy, method="nearest")
    if len(anchors) > 3:
        linear = griddata(anchors[:, :2], anchors[:, 2], xy, method="linear")
        heights = np.where(np.isnan(linear), heights, linear)
    wanted = (nearest < 2 * _MARGIN_M) & ~_covered(xy, relief)
    return _grid_triangles(np.dstack([xy, heights - _BELOW_M]), wanted)


def _ground_points(tile: Tile) -> np.ndarray:
    """(n, 3): what stands on the ground or is ground, one point per metre at most."""
    parts = [prism[prism[:, 2] == prism[:, 2].min()] + [0, 0, 0.5] for prism in tile.prisms]
    parts += [tile.visual[semantic].reshape(-1, 3) for semantic in GROUND_CLASSES if semantic in tile.visual]
    if not parts or tile.feature == "dem":
        return np.zeros((0, 3))
    points = np.concatenate(parts)
    points = points[np.argsort(points[:, 2], kind="stable")]
    _, first = np.unique(np.round(points[:, :2]), axis=0, return_index=True)
    return points[first]


def _covered(xy: np.ndarray, relief: list[np.ndarray]) -> np.ndarray:
    """xy: (..., 2). Returns (...) bool: a relief vertex lies within two cells."""
    vertices = [triangles.reshape(-1, 3)[:, :2] for triangles in relief]
    if not vertices:
        return np.zeros(xy.shape[:-1], dtype=bool)
    distance, _ = cKDTree(np.concatenate(vertices)).query(xy)
    return distance < 2 * _CELL_M


def _grid_triangles(points: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """points: (nx, ny, 3). Two upward triangles for each cell whose corners are all wanted."""
    a, b, c, d = points[:-1, :-1], points[1:, :-1], points[1:, 1:], points[:-1, 1:]
    cells = wanted[:-1, :-1] & wanted[1:, :-1] & wanted[1:, 1:] & wanted[:-1, 1:]
    lower, upper = np.stack([a, b, c], axis=-2)[cells], np.stack([a, c, d], axis=-2)[cells]
    return np.concatenate([lower, upper])


def add_missing_ground(tiles: list[Tile]) -> list[tuple[str, np.ndarray]]:
    """(name, triangles) of the ground to add, one entry per tile that needs some."""
    relief = [tile.visual[Semantic.TERRAIN] for tile in tiles if tile.feature == "dem"]
    added = []
    for tile in tiles:
        triangles = missing_ground(tile, relief)
        if len(triangles):
            added.append((f"{tile.name}_ground", triangles))
            relief.append(triangles)
    return added
