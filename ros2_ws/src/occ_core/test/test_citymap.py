"""The city's ground: exact on slopes, and defined where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.grid import VoxelGrid
from occ_core.poses import Pose


def sheet(x0, x1, y0, y1, height, semantic=Semantic.ROAD) -> tuple[np.ndarray, np.ndarray]:
    """Two triangles over a rectangle at height(x, y), and their classes."""
    a, b, c, d = ((x, y, height(x, y)) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1)))
    return np.array([(a, b, c), (a, c, d)], dtype=float), np.full(2, semantic)


def city(*sheets) -> CityMap:
    triangles = np.concatenate([triangles for triangles, _ in sheets]) if sheets else np.zeros((0, 3, 3))
    classes = np.concatenate([classes for _, classes in sheets]) if sheets else np.zeros(0)
    faces = np.arange(3 * len(triangles), dtype=np.int32).reshape(-1, 3)
    return CityMap(triangles.reshape(-1, 3).astype(np.float32), faces, classes.astype(np.uint8))


SLOPE = city(sheet(-300, 300, -300, 300, lambda x, y: 12 + 0.1 * x - 0.05 * y))


@given(st.floats(-290, 290), st.floats(-290, 290))
def test_on_a_slope_the_height_is_that_of_the_plane(x, y):
    assert SLOPE.ground_height(x, y) == pytest.approx(12 + 0.1 * x - 0.05 * y, abs=1e-3)


@given(st.floats(-280, 280), st.floats(-280, 280))
def test_raster_heights_are_those_of_the_nearest_raster_point(x, y):
    heights = SLOPE.ground_heights(np.array([x, x + 3]), np.array([y]))
    expected = 12 + 0.1 * (np.round(np.array([x, x + 3]) * 2) / 2) - 0.05 * (np.round(y * 2) / 2)
    assert heights[:, 0] == pytest.approx(expected, abs=1e-3)


def test_the_highest_ground_counts_and_roofs_do_not():
    both = city(
        sheet(-50, 50, -50, 50, lambda x, y: 1),
        sheet(-50, 50, -50, 50, lambda x, y: 2, Semantic.BRIDGE),
        sheet(-50, 50, -50, 50, lambda x, y: 30, Semantic.BUILDING),
    )
    assert both.ground_height(3, 4) == pytest.approx(2)


@pytest.mark.parametrize("x", [-1e4, -0.1, 0.0, 77.3, 1e4])
def test_a_city_without_ground_has_no_height_and_zero_for_a_level(x):
    for bare in (city(), city(sheet(-5, 5, -5, 5, lambda x, y: 30, Semantic.BUILDING))):
        assert np.isnan(bare.ground_height(x, -x)) and bare.nearest_ground(x, -x) == 0
        assert np.isnan(bare.ground_heights(np.array([x]), np.array([x]))).all()


def test_beyond_the_ground_there_is_none_and_the_nearest_is_asked_for_by_name():
    plate = city(sheet(-20, 20, -20, 20, lambda x, y: 7))
    assert plate.ground_height(20.0, -20.0) == pytest.approx(7), "its edge is ground"
    for far in (20.5, 100, 3000):
        assert np.isnan(plate.ground_height(far, 0)) and plate.nearest_ground(far, 0) == pytest.approx(7)
        assert plate.heights(np.array([(0.0, 0.0), (far, far)])) == pytest.approx([7, 7])


def test_the_surface_that_wheels_meet_is_the_ground_where_a_city_has_one():
    road, _ = sheet(-50, 50, -50, 50, lambda x, y: 1)
    surface, _ = sheet(-20, 20, -20, 20, lambda x, y: 1.1)
    mesh = city((road, np.full(2, Semantic.ROAD)))
    laid = CityMap(mesh.vertices, mesh.faces, mesh.classes, surface.astype(np.float32))
    assert laid.ground_height(3, 4) == pytest.approx(1.1) and np.isnan(laid.ground_height(30, 0))


def test_a_city_survives_the_disk(tmp_path):
    SLOPE.save(tmp_path)
    again = CityMap.load(tmp_path)
    for name in ("vertices", "faces", "classes"):
        assert (getattr(again, name) == getattr(SLOPE, name)).all()


def test_a_folder_without_a_city_says_what_to_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="tokyo city"):
        CityMap.load(tmp_path)


def test_the_grid_of_a_footprint_turns_with_it():
    wall = np.array([[[10.0, -1, 0], [10, 1, 0], [10, 1, 8]], [[10, -1, 0], [10, 1, 8], [10, -1, 8]]])
    grid = VoxelGrid((-20, -20, -2), (20, 20, 20), (0.4, 0.4, 1.25))
    ahead = city((wall, np.full(2, Semantic.BUILDING)))
    turned = Pose.from_xyz_rpy([0, 0, 0], [0, 0, np.pi / 2])
    for footprint, expected in ((Pose.identity(), [10, 0]), (turned, [0, -10])):
        classes, _ = ahead.occupancy(grid, footprint, [])
        middle = grid.centers(np.argwhere(classes == Semantic.BUILDING))[:, :2].mean(axis=0)
        assert middle == pytest.approx(expected, abs=0.4)
