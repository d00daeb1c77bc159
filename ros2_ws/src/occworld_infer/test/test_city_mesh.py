"""The city to look at: its classes, its extent, and no more triangles than asked for."""

from __future__ import annotations

import numpy as np
import pytest

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occworld_infer.city_mesh import class_meshes


@pytest.fixture(scope="module")
def city() -> CityMap:
    """Terrain of 100 x 100 squares of a metre, and a house of 12 triangles at its corner."""
    xy = np.argwhere(np.ones((101, 101), bool))
    ground = np.column_stack([xy, np.zeros(len(xy))]).astype(np.float32)
    a = np.flatnonzero((xy < 100).all(axis=1))
    squares = np.concatenate([np.stack([a, a + 101, a + 1], axis=1), np.stack([a + 1, a + 101, a + 102], axis=1)])
    house = np.random.default_rng(1).uniform(0, 10, (36, 3)).astype(np.float32)
    faces = np.concatenate([squares, np.arange(36).reshape(12, 3) + len(ground)]).astype(np.int32)
    classes = np.repeat([Semantic.TERRAIN, Semantic.BUILDING], [len(squares), 12]).astype(np.uint8)
    return CityMap(np.concatenate([ground, house]), faces, classes)


def test_a_small_city_is_shown_as_it_is(city: CityMap) -> None:
    meshes = {mesh.name: mesh.triangles for mesh in class_meshes(city, 100_000)}
    assert {name: len(triangles) for name, triangles in meshes.items()} == {"building": 12, "terrain": 20_000}
    assert np.array_equal(meshes["building"], city.triangles[-12:])


def test_a_large_one_is_made_coarser_and_stays_where_it_is(city: CityMap) -> None:
    meshes = {mesh.name: mesh.triangles for mesh in class_meshes(city, 5_000)}
    assert 1_000 < sum(map(len, meshes.values())) <= 5_000
    corners = meshes["terrain"].reshape(-1, 3)
    assert np.allclose([corners.min(axis=0), corners.max(axis=0)], [[0, 0, 0], [100, 100, 0]], atol=4.0)
