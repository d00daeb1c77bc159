"""Points to voxels and rays to free space, against brute force."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from occ_core.grid import VoxelGrid
from occ_core.voxelize import carve_free_space, voxelize_points

GRID = VoxelGrid((-4.0, -3.0, -2.0), (4.0, 3.0, 5.2), (0.4, 0.5, 1.25))
coordinate = st.floats(-9, 9, allow_nan=False)
place = st.tuples(coordinate, coordinate, coordinate)
# Places on voxel faces and corners: where traversal goes wrong if it does.
on_faces = st.tuples(st.integers(-12, 12), st.integers(-8, 8), st.integers(-3, 7)).map(
    lambda cell: tuple(np.array(GRID.lower) + np.array(cell) * GRID.voxel)
)


def test_the_most_frequent_class_wins_and_of_equals_the_lowest_id():
    rng = np.random.default_rng(0)
    points, labels = rng.uniform(-5, 6, (4000, 3)), rng.integers(0, 5, 4000)
    votes: dict[tuple[int, ...], Counter] = {}
    for point, label in zip(points, labels, strict=True):
        cell = np.floor((point - GRID.lower) / GRID.voxel).astype(int)
        if label and (cell >= 0).all() and (cell < GRID.shape).all():
            votes.setdefault(tuple(cell), Counter())[int(label)] += 1
    expected = np.zeros(GRID.shape, dtype=np.uint8)
    for cell, counts in votes.items():
        expected[cell] = min(counts, key=lambda label: (-counts[label], label))
    assert len(votes) > 500
    assert (voxelize_points(GRID, points, labels) == expected).all()


def test_no_points_make_an_empty_grid():
    assert not voxelize_points(GRID, np.zeros((0, 3)), np.zeros(0)).any()


def test_points_need_as_many_labels():
    with pytest.raises(ValueError, match="3 points"):
        voxelize_points(GRID, np.zeros((3, 3)), np.ones(2))


def samples_along(origin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(n, 3) voxel units: the segment sampled much finer than a voxel, both ends included."""
    start, stop = ((np.asarray(p) - GRID.lower) / GRID.voxel for p in (origin, end))
    count = int(np.abs(stop - start).max() * 200) + 2
    return start + np.linspace(0, 1, count)[:, None] * (stop - start)


@settings(max_examples=300)
@given(st.one_of(place, on_faces), st.one_of(place, on_faces))
def test_every_voxel_that_a_ray_crosses_is_observed_and_nothing_far_from_it(origin, end):
    observed = carve_free_space(GRID, np.array(origin), np.array([end]))
    samples = samples_along(origin, end)
    # A sample on a face belongs to two voxels: rounding decides which one, either is right.
    clear = (np.abs(samples - np.round(samples)) > 1e-6).all(axis=1)
    cells = np.floor(samples[clear]).astype(int)
    inside = ((cells >= 0) & (cells < GRID.shape)).all(axis=1)
    assert observed[tuple(cells[inside].T)].all()
    marked = np.argwhere(observed)
    if len(marked):
        distance = np.abs(marked[:, None] + 0.5 - samples[None]).max(axis=2).min(axis=1)
        assert distance.max() <= 1.0


@given(place, st.lists(place, min_size=1, max_size=5))
def test_rays_add_up(origin, ends):
    together = carve_free_space(GRID, np.array(origin), np.array(ends))
    alone = [carve_free_space(GRID, np.array(origin), np.array([end])) for end in ends]
    assert (together == np.any(alone, axis=0)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rays_that_came_back_from_nowhere_are_ignored(bad):
    assert not carve_free_space(GRID, np.zeros(3), np.array([[1.0, bad, 0.0]])).any()


def test_a_ray_from_outside_the_grid_is_observed_from_where_it_enters():
    observed = carve_free_space(GRID, np.array([-100.0, 0.1, 0.1]), np.array([[0.1, 0.1, 0.1]]))
    assert observed[:, 6, 1].sum() == 11  # from x = -4 to the voxel that holds x = 0.1
    assert observed.sum() == 11


def test_a_ray_that_misses_the_grid_observes_nothing():
    assert not carve_free_space(GRID, np.array([-10.0, -10, 0]), np.array([[10.0, -10, 0]])).any()


def test_what_was_observed_before_stays():
    before = carve_free_space(GRID, np.zeros(3), np.array([[3.0, 0, 0]]))
    kept = before.copy()
    after = carve_free_space(GRID, np.zeros(3), np.array([[0.0, 2.0, 0]]), before)
    assert after is before and (after & kept == kept).all() and after.sum() > kept.sum()
