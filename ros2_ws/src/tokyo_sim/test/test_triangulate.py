"""Triangles cover their polygon once and face its way; prisms fill the space below a roof."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from tokyo_sim.plateau.triangulate import newell_normal, roof_prisms, triangulate

seeds = st.integers(0, 2**32 - 1)


def star(rng: np.random.Generator, centre, radius: float, count: int) -> np.ndarray:
    """(n, 2) a simple ring, counter-clockwise, convex or not."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, count))
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False) * 0.7 + angles * 0.3
    radii = radius * rng.uniform(0.4, 1, count)
    return np.asarray(centre) + radii[:, None] * np.column_stack([np.cos(angles), np.sin(angles)])


def random_polygon(seed: int) -> tuple[list[np.ndarray], shapely.Polygon]:
    """Rings in the plane, exterior counter-clockwise and holes clockwise, and the same in shapely."""
    rng = np.random.default_rng(seed)
    outer = star(rng, (0, 0), 20, rng.integers(3, 14))
    polygon, holes = shapely.Polygon(outer), []
    for _ in range(rng.integers(0, 4)):
        hole = star(rng, rng.uniform(-12, 12, 2), 2.5, rng.integers(3, 7))
        shape = shapely.Polygon(hole)
        if polygon.buffer(-0.1).contains(shape) and all(not shape.buffer(0.1).intersects(h[1]) for h in holes):
            holes.append((hole[::-1], shape))
    polygon = shapely.Polygon(outer, [h for h, _ in holes])
    return [outer, *(h for h, _ in holes)], polygon


def lift(rings: list[np.ndarray], seed: int) -> tuple[tuple[np.ndarray, ...], Rotation, np.ndarray]:
    """Rings in a random plane of space, at the distance from the origin that plane coordinates have."""
    rng = np.random.default_rng(seed + 1)
    turn, shift = Rotation.random(random_state=rng), rng.uniform(-5e4, 5e4, 3)
    return tuple(turn.apply(np.column_stack([r, np.zeros(len(r))])) + shift for r in rings), turn, shift


@settings(max_examples=200)
@given(seeds)
def test_triangles_cover_the_polygon_once_and_face_its_way(seed):
    rings, polygon = random_polygon(seed)
    lifted, turn, shift = lift(rings, seed)
    triangles = triangulate(lifted)
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    assert np.linalg.norm(normals, axis=1).sum() / 2 == pytest.approx(polygon.area, rel=1e-6)
    assert (normals @ turn.apply([0, 0, 1]) > 0).all()
    flat = turn.inv().apply(triangles.reshape(-1, 3) - shift).reshape(-1, 3, 3)
    assert np.abs(flat[:, :, 2]).max() < 1e-6
    union = shapely.union_all([shapely.Polygon(t) for t in flat[:, :, :2]])
    assert union.symmetric_difference(polygon).area < 1e-4 * polygon.area


@given(seeds)
def test_a_polygon_turned_over_gives_triangles_turned_over(seed):
    rings, _ = random_polygon(seed)
    lifted, turn, _ = lift(rings, seed)
    triangles = triangulate(tuple(r[::-1] for r in lifted))
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    assert (normals @ turn.apply([0, 0, 1]) < 0).all()


@given(seeds)
def test_the_newell_normal_is_twice_the_area_along_the_plane_s_normal(seed):
    rings, _ = random_polygon(seed)
    (outer, *_), turn, _ = lift(rings, seed)
    expected = turn.apply([0, 0, 2 * shapely.Polygon(rings[0]).area])
    assert newell_normal(outer) == pytest.approx(expected, rel=1e-6, abs=1e-4)


def test_a_ring_without_area_gives_no_triangle():
    assert len(triangulate((np.array([[0.0, 0, 0], [1, 1, 1], [2, 2, 2], [3, 3, 3]]),))) == 0
    assert len(triangulate((np.zeros((3, 3)),))) == 0


@settings(max_examples=200)
@given(seeds, st.floats(-0.8, 0.8), st.floats(-0.8, 0.8))
def test_prisms_are_convex_and_fill_the_space_below_the_roof(seed, slope_x, slope_y):
    rings, polygon = random_polygon(seed)
    roof = tuple(np.column_stack([r, 50 + r @ [slope_x, slope_y]]) for r in rings)
    prisms = roof_prisms(roof, base_z=5.0)
    hulls = [ConvexHull(prism, qhull_options="QJ" if len(prism) > 8 else "") for prism in prisms]
    x, y = polygon.centroid.coords[0]
    expected = polygon.area * (50 + slope_x * x + slope_y * y - 5)
    assert sum(hull.volume for hull in hulls) == pytest.approx(expected, rel=1e-3)
    for prism in prisms:
        ring = shapely.Polygon(prism[: len(prism) // 2, :2])
        assert ring.convex_hull.area == pytest.approx(ring.area, rel=1e-6)
        assert (prism[len(prism) // 2 :, 2] == 5).all()


def test_a_convex_roof_is_one_prism():
    angles = np.linspace(0, 2 * np.pi, 9)[:-1]
    roof = np.column_stack([np.cos(angles), np.sin(angles), np.full(8, 10.0)])
    assert len(roof_prisms((roof,), 0.0)) == 1


def test_walls_floors_and_roofs_at_the_base_give_no_prism():
    roof = np.array([[0.0, 0, 10], [5, 0, 10], [5, 5, 10], [0, 5, 10]])
    wall = np.array([[0.0, 0, 0], [5, 0, 0], [5, 0, 10], [0, 0, 10]])
    assert roof_prisms((roof[::-1],), 0.0) == [] and roof_prisms((wall,), 0.0) == []
    assert roof_prisms((roof,), 10.0) == []
