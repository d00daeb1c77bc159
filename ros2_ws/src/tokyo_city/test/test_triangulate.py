"""Triangles cover their polygon once and face its way; prisms fill the space below a roof."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from occ_core.classes import Semantic
from tokyo_city.plateau.codes import SurfaceType
from tokyo_city.plateau.model import Polygons
from tokyo_city.plateau.orient import inside_out
from tokyo_city.plateau.prisms import BURY_M, roof_prisms
from tokyo_city.plateau.triangulate import Triangles, newell_normals, triangulate, without_repeated_points

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


def polygons(*rings_of_each, kind: SurfaceType = SurfaceType.PLAIN) -> Polygons:
    """Polygons of one building; each is a sequence of rings (n, 3)."""
    rings = [ring for each in rings_of_each for ring in each]
    count = len(rings_of_each)
    return Polygons(
        np.concatenate(rings),
        np.concatenate([[0], np.cumsum([len(ring) for ring in rings])]),
        np.concatenate([[0], np.cumsum([len(each) for each in rings_of_each])]),
        np.zeros(count, np.int32), np.full(count, kind, np.uint8), np.full(count, Semantic.BUILDING, np.uint8),
        np.ones(count, np.uint8),
    )  # fmt: skip


def cleaned(*rings_of_each) -> Triangles:
    return triangulate(without_repeated_points(polygons(*rings_of_each))[0])


def triangles_of(rings) -> np.ndarray:
    found = cleaned(rings)
    return found.points[found.corners]


def prisms_of(rings, kind: SurfaceType = SurfaceType.PLAIN) -> list[np.ndarray]:
    """Each prism's corners (2 k, 3), upper then lower."""
    table = polygons(rings, kind=kind)
    found = triangulate(table)
    prisms = roof_prisms(table, found, found.corners)
    tops = np.split(prisms.tops, np.cumsum(prisms.sizes)[:-1]) if len(prisms.sizes) else []
    return [
        np.concatenate([top, np.column_stack([top[:, :2], np.full(len(top), base)])])
        for top, base in zip(tops, prisms.bases, strict=True)
    ]


@settings(max_examples=200)
@given(seeds)
def test_triangles_cover_the_polygon_once_and_face_its_way(seed):
    rings, polygon = random_polygon(seed)
    lifted, turn, shift = lift(rings, seed)
    triangles = triangles_of(lifted)
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
    triangles = triangles_of(tuple(r[::-1] for r in lifted))
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    assert (normals @ turn.apply([0, 0, 1]) < 0).all()


@given(seeds)
def test_the_newell_normal_is_twice_the_area_along_the_plane_s_normal(seed):
    rings, _ = random_polygon(seed)
    (outer, *_), turn, _ = lift(rings, seed)
    expected = turn.apply([0, 0, 2 * shapely.Polygon(rings[0]).area])
    assert newell_normals(outer, np.array([0]), np.array([len(outer)]))[0] == pytest.approx(
        expected, rel=1e-6, abs=1e-4
    )


def test_rings_without_area_give_no_triangle_and_do_not_disturb_their_neighbours():
    line = np.array([[0.0, 0, 0], [1, 1, 1], [2, 2, 2], [3, 3, 3]])
    square = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    found = cleaned((line,), (np.zeros((3, 3)),), (square,), (square[:1],), (square[:2],))
    assert found.polygons.tolist() == [2, 2]
    assert len(triangles_of((line,))) == 0


@given(seeds, st.integers(0, 3))
def test_repeated_and_closing_points_change_nothing(seed, times):
    rings, _ = random_polygon(seed)
    lifted, _, _ = lift(rings, seed)
    rng = np.random.default_rng(seed)
    noisy = tuple(np.repeat(ring, rng.integers(1, 2 + times, len(ring)), axis=0) for ring in lifted)
    noisy = tuple(np.concatenate([ring, ring[:1]]) for ring in noisy)
    assert triangles_of(noisy) == pytest.approx(triangles_of(lifted))


@given(seeds)
def test_collinear_points_change_no_area(seed):
    rings, polygon = random_polygon(seed)
    lifted, _, _ = lift(rings, seed)
    split = tuple(np.stack([ring, (ring + np.roll(ring, -1, axis=0)) / 2], axis=1).reshape(-1, 3) for ring in lifted)
    triangles = triangles_of(split)
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    assert np.linalg.norm(normals, axis=1).sum() / 2 == pytest.approx(polygon.area, rel=1e-6)


CROSSING = {
    "a bow tie with wings of 4 and 1": ([(0, 0), (4, 4), (4, 2), (1, 4)], None),
    "an exterior that touches itself in a point": ([(0, 0), (4, 0), (2, 2), (4, 4), (0, 4), (2, 2)], 8.0),
    "a spike without width": ([(0, 0), (4, 0), (4, 4), (2, 4), (2, 7), (2, 4), (0, 4)], 16.0),
    "a pentagram": ([(np.cos(a), np.sin(a)) for a in np.pi / 2 + 4 * np.pi / 5 * np.arange(5)], None),
}


@pytest.mark.parametrize("name", CROSSING)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_rings_that_cross_or_touch_themselves_enclose_what_shapely_says(name, seed):
    outline, area = CROSSING[name]
    lifted, turn, shift = lift([np.array(outline, dtype=float)], seed)
    triangles = triangles_of(lifted)
    flat = turn.inv().apply(triangles.reshape(-1, 3) - shift).reshape(-1, 3, 3)[:, :, :2]
    expected = shapely.make_valid(shapely.Polygon(outline))
    assert shapely.union_all([shapely.Polygon(t) for t in flat]).symmetric_difference(expected).area < 1e-5
    assert sum(shapely.Polygon(t).area for t in flat) == pytest.approx(area or expected.area, rel=1e-5)


def test_a_hole_that_touches_the_exterior_or_reaches_out_of_it_is_cut_out():
    square = [(0, 0), (4, 0), (4, 4), (0, 4)]
    for hole in ([(0, 2), (1, 3), (1, 1)], [(3, 1), (3, 3), (6, 3), (6, 1)]):
        rings = [np.column_stack([np.array(ring, dtype=float), np.full(len(ring), 3.0)]) for ring in (square, hole)]
        triangles = triangles_of(rings)
        expected = shapely.Polygon(square).difference(shapely.Polygon(hole))
        assert sum(shapely.Polygon(t[:, :2]).area for t in triangles) == pytest.approx(expected.area, rel=1e-6)


@given(seeds, st.floats(0, 0.5))
def test_faces_that_are_not_planar_keep_their_corners_and_cover_their_outline(seed, bend):
    rings, polygon = random_polygon(seed)
    rng = np.random.default_rng(seed)
    bent = tuple(np.column_stack([ring, rng.uniform(0, bend, len(ring))]) for ring in rings)
    triangles = triangles_of(bent)
    assert np.isin(np.round(triangles.reshape(-1, 3), 9), np.round(np.concatenate(bent), 9)).all()
    # Slivers steeper than the bend may be cut another way where another axis is dropped.
    assert sum(shapely.Polygon(t[:, :2]).area for t in triangles) == pytest.approx(polygon.area, rel=1e-6)


def test_an_arrowhead_of_four_corners_is_split_along_the_inner_diagonal():
    arrow = np.array([[0.0, 0, 0], [2, 1, 0], [0, 2, 0], [0.5, 1, 0]])
    for start in range(4):
        triangles = triangles_of((np.roll(arrow, start, axis=0),))
        assert sum(shapely.Polygon(t[:, :2]).area for t in triangles) == pytest.approx(1.5)


@given(seeds, st.lists(st.booleans(), min_size=12, max_size=12))
def test_a_closed_body_faces_outward_however_its_rings_are_wound(seed, flips):
    from occ_core.actors import BOX_FACES

    rng = np.random.default_rng(seed)
    corners = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * rng.uniform(1, 30, 3)
    outward = (corners + rng.uniform(-1e4, 1e4, 3))[BOX_FACES]
    kinds = np.where(
        np.cross(outward[:, 1] - outward[:, 0], outward[:, 2] - outward[:, 0])[:, 2] > 0,
        SurfaceType.ROOF,
        SurfaceType.PLAIN,
    )
    columns = (np.zeros(12, int), np.full(12, Semantic.BUILDING), kinds)
    assert not inside_out(outward, *columns).any()
    assert inside_out(outward[:, ::-1], *columns).all()
    if sum(flips) <= 2:
        # Where a few faces are wrong, at least the roofs come out right.
        mixed = np.where(np.array(flips)[:, None, None], outward[:, ::-1], outward)
        assert (inside_out(mixed, *columns) == flips)[kinds == SurfaceType.ROOF].all()


def test_ground_faces_up():
    sheet = np.array([[[0.0, 0, 0], [1, 0, 0], [1, 1, 0.2]], [[0, 0, 0], [1, 1, 0.2], [1, 0, 0]]])
    for semantic in (Semantic.ROAD, Semantic.SIDEWALK, Semantic.TERRAIN, Semantic.WATER):
        turned = inside_out(sheet, np.zeros(2, int), np.full(2, semantic), np.zeros(2, int))
        assert turned.tolist() == [False, True]


@pytest.mark.parametrize("lean", [-1e-6, 0.0, 1e-6])
def test_the_face_of_a_kerb_stays_as_the_file_wound_it(lean):
    face = np.array([[(0, 0, 0), (9, 0, 0), (9, lean, 0.2)]])
    for way in (face, face[:, ::-1]):
        assert not inside_out(way, np.zeros(1, int), np.full(1, Semantic.SIDEWALK), np.zeros(1, int)).any()


@settings(max_examples=200)
@given(seeds, st.floats(-0.8, 0.8), st.floats(-0.8, 0.8))
def test_prisms_are_convex_and_fill_the_space_below_the_roof(seed, slope_x, slope_y):
    rings, polygon = random_polygon(seed)
    roof = tuple(np.column_stack([r, 50 + r @ [slope_x, slope_y]]) for r in rings)
    base = min(ring[:, 2].min() for ring in roof) - BURY_M
    prisms = prisms_of(roof)
    hulls = [ConvexHull(prism, qhull_options="QJ" if len(prism) > 8 else "") for prism in prisms if np.ptp(prism[:, 2])]
    x, y = polygon.centroid.coords[0]
    expected = polygon.area * (50 + slope_x * x + slope_y * y - base)
    if abs(slope_x) + abs(slope_y) > 0.2:
        assert sum(hull.volume for hull in hulls) == pytest.approx(expected, rel=0.02)
    for prism in prisms:
        ring = shapely.Polygon(prism[: len(prism) // 2, :2])
        assert ring.exterior.is_ccw and ring.convex_hull.area == pytest.approx(ring.area, rel=1e-6)
        assert (prism[len(prism) // 2 :, 2] == base).all()


def walled(roof: np.ndarray, height: float) -> list[tuple[np.ndarray]]:
    """A roof ring and one wall below each of its edges."""
    down = roof - [0, 0, height]
    walls = [np.array([down[i], down[i - 1], roof[i - 1], roof[i]])[::-1] for i in range(len(roof))]
    return [(roof,), *((wall,) for wall in walls)]


def test_a_convex_roof_is_one_prism_and_its_mesh_is_closed_and_faces_outward():
    angles = np.linspace(0, 2 * np.pi, 9)[:-1]
    roof = np.column_stack([np.cos(angles), np.sin(angles), np.full(8, 10.0)])
    table = polygons(*walled(roof, 10.0))
    found = triangulate(table)
    prisms = roof_prisms(table, found, found.corners)
    assert prisms.sizes.tolist() == [8] and prisms.bases.tolist() == [-BURY_M]
    triangles = prisms.mesh().triangles
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    assert np.abs(normals.sum(axis=0)).max() < 1e-9
    volume = np.einsum("ij,ij->i", triangles[:, 0], np.cross(triangles[:, 1], triangles[:, 2])).sum() / 6
    assert volume == pytest.approx(shapely.Polygon(roof[:, :2]).area * (10 + BURY_M))
    # The same where the file has the ring the wrong way round and the importer turned the triangles.
    turned = roof_prisms(polygons((roof[::-1],), *walled(roof, 10.0)[1:]), found, found.corners)
    assert shapely.Polygon(turned.tops[:, :2]).exterior.is_ccw


def test_walls_floors_and_sheets_give_no_prism():
    roof = np.array([[0.0, 0, 10], [5, 0, 10], [5, 5, 10], [0, 5, 10]])
    wall = np.array([[0.0, 0, 0], [5, 0, 0], [5, 0, 10], [0, 0, 10]])
    assert prisms_of((roof[::-1],)) == [] and prisms_of((wall,)) == []
    assert prisms_of((roof,)) == [] and prisms_of((roof,), SurfaceType.FLOOR) == []


@given(st.floats(0.05, 3), st.floats(20, 200), st.floats(-0.3, 0.3), st.floats(0, 5))
@settings(max_examples=25)
def test_a_narrow_winding_strip_is_not_taken_for_a_bow_tie(width, length, slope, sag):
    along = np.linspace(0, length, 12)
    side = np.sin(along / 9)
    left = np.column_stack([along, side, slope * along - sag * np.sin(along / length * np.pi)])
    ring = np.concatenate([left, left[::-1] + [0, width, 0]])
    triangles = triangles_of([ring])
    a, b, c = np.moveaxis(triangles, 1, 0)
    assert np.cross(b - a, c - a)[:, 2].sum() / 2 == pytest.approx(width * length, rel=0.01)


@given(st.integers(0, 10_000), st.floats(0.5, 2.5))
@settings(max_examples=25)
def test_a_road_that_goes_up_and_down_lies_between_its_edges(seed, rise):
    """In one polygon, 5 m wide, with points where they happen to be on either edge."""

    def height(along):
        return rise * np.sin(along / 8)

    rng = np.random.default_rng(seed)
    edges = []
    for side in (0.0, 5.0):
        along = np.sort(np.concatenate([[0, 80], np.arange(2, 80, 2) + rng.uniform(-0.8, 0.8, 39)]))
        edges.append(np.column_stack([along, np.full(len(along), side), height(along)]))
    triangles = triangles_of([np.concatenate([edges[0], edges[1][::-1]])])
    middle = triangles.mean(axis=1)
    assert np.abs(middle[:, 2] - height(middle[:, 0])).max() < 0.1 * rise
