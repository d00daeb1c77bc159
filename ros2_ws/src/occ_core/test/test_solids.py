"""Insides of bodies: exact for closed surfaces of any shape and pose, and a leak stays where it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from occ_core.actors import BOX_FACES, Actor
from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.grid import VoxelGrid
from occ_core.ground_truth import voxelize_triangles
from occ_core.poses import Pose

GRID = VoxelGrid((-4.0, -4.0, -2.0), (4.0, 4.0, 6.0), (0.4, 0.4, 0.5))
CENTERS = GRID.centers(np.argwhere(np.ones(GRID.shape, bool)))
seed = st.integers(0, 2**32 - 1)


def filled(*bodies: np.ndarray, instances=None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Class ids, instances, and which voxels only the filling has added."""
    triangles, counts = np.concatenate(bodies), [len(body) for body in bodies]
    ids = np.repeat(np.zeros(len(bodies), int) if instances is None else instances, counts)
    classes = np.full(len(triangles), Semantic.BUILDING)
    surface, _ = voxelize_triangles(GRID, triangles, classes, ids)
    both, instance = voxelize_triangles(GRID, triangles, classes, ids, np.ones(len(triangles), bool))
    assert (both[surface > 0] == surface[surface > 0]).all()
    return both, instance, ((both > 0) & (surface == 0)).ravel()


def polyhedron(rng: np.random.Generator, spread: float = 5.0) -> tuple[np.ndarray, np.ndarray]:
    """A random convex body: its outward triangles (n, 3, 3), and which voxel centres are inside of all their planes."""
    hull = ConvexHull(rng.normal(size=(12, 3)) * rng.uniform(0.5, spread, 3) + rng.normal(size=3))
    triangles = hull.points[hull.simplices]
    flipped = (
        np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]) * hull.equations[:, :3]
    ).sum(1) < 0
    triangles[flipped] = triangles[flipped][:, ::-1]
    return triangles, (CENTERS @ hull.equations[:, :3].T + hull.equations[:, 3] < 0).all(axis=1)


def box(low, high, turn: float = 0.0) -> np.ndarray:
    middle, size = (np.array(high) + low) / 2, np.subtract(high, low)
    pose = Pose(middle, np.roll(Rotation.from_rotvec([0, 0, turn]).as_quat(), 1))
    return Actor(1, Semantic.CAR, pose, size, np.zeros(3)).corners()[BOX_FACES]


@settings(max_examples=80)
@given(seed)
def test_a_filled_body_is_its_surface_and_its_inside(seed):
    triangles, inside = polyhedron(np.random.default_rng(seed))
    both, _, added = filled(triangles)
    assert both.ravel()[inside].all()
    assert inside[added].all()


@settings(max_examples=30)
@given(seed)
def test_bodies_that_overlap_are_filled_as_one_and_inside_out_ones_too(seed):
    rng = np.random.default_rng(seed)
    (one, inside_one), (two, inside_two) = polyhedron(rng, 3), polyhedron(rng, 3)
    both, _, added = filled(one, two)
    assert both.ravel()[inside_one | inside_two].all() and (inside_one | inside_two)[added].all()
    assert (filled(one[:, ::-1])[0] == filled(one)[0]).all()


def test_a_body_that_leaves_the_grid_on_all_sides_is_filled_to_its_bounds():
    assert filled(box((-50, -3.1, -30), (50, 3.1, 90)))[0][:, 3:17].all()


def test_a_yard_stays_empty():
    yard = box((-1.5, -1.5, -1), (1.5, 1.5, 5))[:, ::-1]
    both, _, _ = filled(box((-3.5, -3.5, -1), (3.5, 3.5, 5)), yard)
    assert not both[8:12, 8:12, 3:14].any() and both[3:6, 3:17, 4:10].all()


@pytest.mark.parametrize("lost", range(12))
def test_a_leak_costs_the_columns_above_and_below_it_and_no_others(lost):
    whole = box((-3.1, -3.1, -1.1), (3.1, 3.1, 5.1))
    closed, leaky = filled(whole)[0], filled(np.delete(whole, lost, axis=0))[0]
    assert not (leaky & ~closed).any()
    missing = ((closed > 0) & (leaky == 0)).any(axis=2)
    x, y = whole[lost][:, 0], whole[lost][:, 1]
    corners = np.argwhere(missing) * 0.4 - 3.8
    assert (corners >= [x.min() - 0.4, y.min() - 0.4]).all() and (corners <= [x.max() + 0.4, y.max() + 0.4]).all()
    assert missing.mean() < 0.35 and leaky[3:17, 3:17, 4:10].mean() > 0.4


def test_each_actor_is_a_body_of_its_own():
    one, two = box((-3, -3, -1), (0.5, 3, 3), 0.3), box((1.5, -3, -1), (3.5, 3, 3), -0.2)
    _, instance, _ = filled(one, two, instances=[5, 9])
    for id_, body in ((5, one), (9, two)):
        middle = GRID.index(body.reshape(-1, 3).mean(axis=0)[None])[0][0]
        assert instance[tuple(middle)] == id_


def test_a_city_fills_buildings_and_actors_where_asked_but_not_the_ground():
    house, hill = box((-3, -3, 0.1), (0, 3, 4)), box((0.5, -3, -1.5), (3.5, 3, 1.9))
    vertices = np.concatenate([house, hill]).reshape(-1, 3).astype(np.float32)
    classes = np.repeat([Semantic.BUILDING, Semantic.TERRAIN], 12).astype(np.uint8)
    city = CityMap(vertices, np.arange(len(vertices), dtype=np.int32).reshape(-1, 3), classes)
    truck = Actor(
        3, Semantic.TRUCK_BUS, Pose.from_xyz_rpy([2, 0, 3.9], [0, 0, 0.4]), np.array([3.0, 2.5, 2.9]), np.zeros(3)
    )
    hollow, solid = (city.occupancy(GRID, Pose.identity(), [truck], solid)[0] for solid in (False, True))
    inside = tuple(GRID.index(np.array([[-1.5, 0.1, 2.1], [2.05, 0.1, 3.9], [2, 0.1, 0.1]]))[0].T)
    assert hollow[inside].tolist() == [0, 0, 0]
    assert solid[inside].tolist() == [Semantic.BUILDING, Semantic.TRUCK_BUS, 0]
