"""The grid: which voxel a point is in, and which points are in none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from occ_core.grid import TOKYO_GRID, VoxelGrid, named_grid

finite = st.floats(-200, 200, allow_nan=False)
any_number = st.one_of(finite, st.sampled_from([np.nan, np.inf, -np.inf, 1e300, -1e300]))


def test_the_tokyo_grid_has_200_by_200_by_121_voxels():
    assert TOKYO_GRID.shape == (200, 200, 121)
    assert TOKYO_GRID.size == 200 * 200 * 121


def test_lower_bounds_are_in_and_upper_bounds_are_out():
    lower, top = np.array(TOKYO_GRID.lower), TOKYO_GRID.lower[2] + 121 * 1.25
    index, inside = TOKYO_GRID.index(lower[None])
    assert inside[0] and (index[0] == 0).all()
    for axis, bound in enumerate((40.0, 40.0, top)):
        point = np.zeros(3)
        point[axis] = bound
        assert not TOKYO_GRID.index(point[None])[1][0]
        point[axis] = bound - 1e-9
        index, inside = TOKYO_GRID.index(point[None])
        assert inside[0] and index[0, axis] == TOKYO_GRID.shape[axis] - 1
        point[axis] = lower[axis] - 1e-9
        assert not TOKYO_GRID.index(point[None])[1][0]


def test_the_part_voxel_at_the_top_is_outside():
    assert not TOKYO_GRID.index(np.array([[0.0, 0.0, 149.5]]))[1][0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_points_that_are_not_finite_are_outside(bad, axis):
    point = np.zeros((1, 3))
    point[0, axis] = bad
    assert not TOKYO_GRID.index(point)[1][0]
    assert TOKYO_GRID.numbers(point)[0] == -1


@given(st.lists(st.tuples(any_number, any_number, any_number), min_size=1, max_size=30))
def test_flat_numbers_agree_with_indices(points):
    points = np.array(points)
    index, inside = TOKYO_GRID.index(points)
    expected = np.where(inside, np.ravel_multi_index(tuple(index.T), TOKYO_GRID.shape), -1)
    assert (TOKYO_GRID.numbers(points) == expected).all()


@given(st.tuples(*(st.integers(0, n - 1) for n in TOKYO_GRID.shape)))
def test_flat_numbers_agree_with_indices_on_voxel_faces(cell):
    corner = np.asarray(TOKYO_GRID.lower) + np.array(cell) * TOKYO_GRID.voxel
    around = corner + 1e-15 * np.array([[0, 0, 0], [1, 1, 1], [-1, -1, -1]])
    index, inside = TOKYO_GRID.index(around)
    expected = np.where(inside, np.ravel_multi_index(tuple(index.T), TOKYO_GRID.shape), -1)
    assert (TOKYO_GRID.numbers(around) == expected).all()


@given(st.tuples(*(st.integers(0, n - 1) for n in TOKYO_GRID.shape)))
def test_the_centre_of_a_voxel_is_in_it(cell):
    index, inside = TOKYO_GRID.index(TOKYO_GRID.centers(np.array([cell])))
    assert inside[0] and tuple(index[0]) == cell


def test_a_grid_survives_json():
    assert VoxelGrid.from_dict(TOKYO_GRID.to_dict()) == TOKYO_GRID


@pytest.mark.parametrize(
    ("lower", "upper", "voxel"),
    [
        ((0, 0, 0), (1, 1, 1), (0, 1, 1)),
        ((0, 0, 0), (1, 1, 1), (1, -1, 1)),
        ((0, 0, 0), (1, 1, 1), (2, 1, 1)),
        ((0, 0, 0), (1, np.nan, 1), (1, 1, 1)),
        ((0, 0), (1, 1), (1, 1)),
        ((1, 0, 0), (0, 1, 1), (1, 1, 1)),
    ],
)
def test_a_senseless_grid_is_refused(lower, upper, voxel):
    with pytest.raises(ValueError, match="grid"):
        VoxelGrid(lower, upper, voxel)


@pytest.mark.parametrize("change", [{"lower": None}, {"extra": [1, 2, 3]}])
def test_missing_or_extra_entries_are_refused(change):
    data = {**TOKYO_GRID.to_dict(), **change}
    data = {key: value for key, value in data.items() if value is not None}
    with pytest.raises(ValueError, match="lower, upper and voxel"):
        VoxelGrid.from_dict(data)


def test_a_grid_is_named_or_said_in_numbers():
    assert named_grid("tokyo") is TOKYO_GRID and named_grid("nuscenes").shape == (200, 200, 16)
    said = ",".join(str(v) for v in (*TOKYO_GRID.lower, *TOKYO_GRID.upper, *TOKYO_GRID.voxel))
    assert named_grid(said) == TOKYO_GRID


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nuscene",
        "1,2,3",
        "0,0,0,1,1,1,x,1,1",
        "0,0,0,1,1,1,0,1,1",
        "0,0,0,-1,1,1,1,1,1",
    ],
)
def test_a_grid_that_is_none_is_refused_in_a_sentence(text):
    with pytest.raises(ValueError, match="grid"):
        named_grid(text)
