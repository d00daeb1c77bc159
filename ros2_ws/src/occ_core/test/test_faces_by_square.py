"""What an index of faces by squares finds is what a look at all faces finds; a raster has the highest of them."""

from __future__ import annotations

import numpy as np
import pytest

from occ_core.citymap import raster_heights
from occ_core.faces_by_square import FacesBySquare, plane_bounds


def mesh(seed: int, count: int, extent: float, largest: float) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (v, 3) float32 and faces (f, 3) that lie anywhere, negative coordinates included."""
    rng = np.random.default_rng(seed)
    places = np.append(rng.uniform(-extent, extent, (count, 1, 2)), rng.uniform(0, 9, (count, 1, 1)), axis=2)
    corners = places + rng.uniform(-largest, largest, (count, 3, 3)) * [1, 1, 0.2]
    return corners.reshape(-1, 3).astype(np.float32), np.arange(3 * count).reshape(-1, 3)


@pytest.mark.parametrize(("side", "largest"), [(64.0, 5.0), (10.0, 40.0), (300.0, 300.0)])
def test_every_face_that_touches_a_place_is_found(side, largest):
    vertices, faces = mesh(1, 400, 200.0, largest)
    index = FacesBySquare.of(vertices, faces, side)
    low, high = plane_bounds(vertices, faces)
    for corner, size in zip(*np.random.default_rng(2).uniform(-250, 250, (2, 40, 2)), strict=True):
        end = corner + abs(size)
        touching = np.flatnonzero(((low <= end) & (high >= corner)).all(axis=1))
        near = index.near(corner, end)
        assert np.isin(touching, near).all() and (np.diff(near) > 0).all()
        apart = np.maximum(low - end, corner - high).max(axis=1)
        assert (apart[near] <= side).all()
    for i, j in index.squares.tolist():
        begin = np.array([i, j]) * side
        assert np.isin(np.flatnonzero(((low < begin + side) & (high >= begin)).all(axis=1)), index.within(i, j)).all()
    assert len(index.within(10_000, 0)) == 0 and len(index.near(np.array([1e6, 0]), np.array([1e6, 1]))) == 0


def test_an_index_of_no_faces_finds_none():
    index = FacesBySquare.of(np.zeros((0, 3)), np.zeros((0, 3), int), 10.0)
    assert len(index.near(np.array([-5.0, -5]), np.array([5.0, 5]))) == 0 and len(index.squares) == 0


def highest(triangles: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Of triangles over each point, by the weights of their corners."""
    x, y = np.meshgrid(*map(np.arange, shape), indexing="ij")
    out = np.full(shape, -np.inf)
    for a, b, c in triangles:
        area = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])
        if area:
            v = ((x - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (y - a[1])) / area
            w = ((b[0] - a[0]) * (y - a[1]) - (x - a[0]) * (b[1] - a[1])) / area
            inside = (v >= -1e-9) & (w >= -1e-9) & (v + w <= 1 + 1e-9)
            out[inside] = np.maximum(out[inside], (a[2] + v * (b[2] - a[2]) + w * (c[2] - a[2]))[inside])
    return np.where(np.isinf(out), np.nan, out)


@pytest.mark.parametrize("kind", ["any", "on the raster", "slivers", "one point wide", "large"])
def test_a_raster_has_the_highest_triangle_over_each_point(kind):
    vertices, faces = mesh(3, 150, 30.0, 200.0 if kind == "large" else 12.0)
    triangles = vertices[faces].astype(np.float64) + [20, 20, 0]
    if kind == "on the raster":
        triangles = np.round(triangles)
    if kind in ("slivers", "one point wide"):
        along = np.linspace(0.1, 0.9, len(triangles))[:, None]
        triangles[:, 2] = triangles[:, 0] + along * (triangles[:, 1] - triangles[:, 0])
        triangles[:, 2, :2] += 1e-7 if kind == "slivers" else 0.7
    raster = np.full((45, 51), np.nan, dtype=np.float32)
    raster_heights(triangles, raster)
    expected = highest(triangles, raster.shape)
    assert (np.isnan(raster) == np.isnan(expected)).all()
    assert raster == pytest.approx(expected, abs=1e-3, nan_ok=True) and np.isfinite(raster).any() == (kind != "slivers")
