"""Plan areas laid on the terrain: cut across every few metres, triangulated and given heights."""

from __future__ import annotations

import mapbox_earcut
import numpy as np
import shapely
from shapely import Polygon
from shapely.geometry.polygon import orient

from .faces import Face, lift, walls
from .road_areas import polygons
from .terrain import Terrain

STATION_M = 6.0


def drape(area: Polygon, along: np.ndarray, terrain: Terrain, above_m: float = 0.0) -> list[Face]:
    """Upward triangles over ``area``, cut at stations along the unit vector ``along``, ``above_m`` over the terrain."""
    pieces = _cut_at_stations(area, along)
    return [
        Face(lift(triangle, terrain.height(triangle) + above_m)) for piece in pieces for triangle in _triangles(piece)
    ]


def raised_slab(area: Polygon, along: np.ndarray, terrain: Terrain, height_m: float, sunk_m: float) -> list[Face]:
    """Draped top ``height_m`` over the terrain with kerb faces round it down to ``sunk_m`` below the terrain."""
    faces = drape(area, along, terrain, height_m)
    for ring in _station_rings(area, along):
        ground = terrain.height(ring)
        faces += walls(ring, ground - sunk_m, ground + height_m)
    return faces


def draped_outline(area: Polygon, along: np.ndarray, terrain: Terrain) -> Face:
    """The area as one polygon that follows the terrain along its edges."""
    exterior, *holes = [lift(ring, terrain.height(ring)) for ring in _station_rings(area, along)]
    return Face(exterior, tuple(holes))


def _cut_at_stations(area: Polygon, along: np.ndarray) -> list[Polygon]:
    across = np.array([-along[1], along[0]])
    corners = np.asarray(area.exterior.coords)
    along_range = [corners @ along, corners @ across]
    first, last = np.floor(along_range[0].min() / STATION_M), np.ceil(along_range[0].max() / STATION_M)
    left, right = along_range[1].max() + 1, along_range[1].min() - 1
    stations = STATION_M * np.arange(first, last + 1)
    slices = [
        Polygon(
            [
                a * along + right * across,
                b * along + right * across,
                b * along + left * across,
                a * along + left * across,
            ]
        )
        for a, b in zip(stations, stations[1:], strict=False)
    ]
    cut = shapely.intersection(np.array(slices), area)
    return [piece for part in cut for piece in polygons(part)]


def _triangles(piece: Polygon) -> np.ndarray:
    """Ear-clipped triangles ``(n, 3, 2)`` of a polygon, anticlockwise."""
    piece = orient(piece)
    rings = [np.asarray(ring.coords)[:-1] for ring in (piece.exterior, *piece.interiors)]
    vertices = np.concatenate(rings)
    ends = np.cumsum([len(ring) for ring in rings]).astype(np.uint32)
    triangles = vertices[mapbox_earcut.triangulate_float64(vertices, ends).reshape(-1, 3)]
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    twice_area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    triangles = np.where((twice_area < 0)[:, None, None], triangles[:, ::-1], triangles)
    return triangles[np.abs(twice_area) > 1e-6]


def _station_rings(area: Polygon, along: np.ndarray) -> list[np.ndarray]:
    """Exterior (anticlockwise) and holes (clockwise) with a vertex wherever an edge passes a station, ``(n, 2)``."""
    area = orient(area)
    return [_insert_stations(np.asarray(ring.coords), along) for ring in (area.exterior, *area.interiors)]


def _insert_stations(ring: np.ndarray, along: np.ndarray) -> np.ndarray:
    points = []
    for a, b in zip(ring, ring[1:], strict=False):
        start, stop = a @ along / STATION_M, b @ along / STATION_M
        low, high = sorted((start, stop))
        passed = np.arange(np.floor(low) + 1, np.ceil(high))
        fractions = np.sort((passed - start) / (stop - start)) if len(passed) else passed
        points += [a, *(a + fraction * (b - a) for fraction in fractions)]
    return np.array(points)
