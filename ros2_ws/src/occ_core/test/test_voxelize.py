"""Returns to occupied voxels and rays to observed ones, against float64 arithmetic without tricks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from occ_core.grid import TOKYO_GRID, VoxelGrid
from occ_core.poses import Pose
from occ_core.voxelize import Scan, voxelize

GRID = VoxelGrid((-4.0, -3.0, -2.0), (4.0, 3.0, 5.2), (0.4, 0.5, 1.25))
# Columns of more than one word of bits, and of part of one.
TALL = VoxelGrid((-4.0, -3.0, -2.0), (4.0, 3.0, 5.2), (1.0, 0.7, 0.05))
HERE = Pose.identity()
EDGE = 1e-6  # voxels: nearer to a face than this, either side is right
coordinate = st.floats(-9, 9, allow_nan=False)
place = st.tuples(coordinate, coordinate, coordinate)
# Places on voxel faces and corners, rays along axes, edges and diagonals: where traversal goes wrong if it does.
on_faces = st.tuples(st.integers(-12, 12), st.integers(-8, 8), st.integers(-3, 7)).map(
    lambda cell: tuple(np.array(GRID.lower) + np.array(cell) * GRID.voxel)
)
seed = st.integers(0, 2**32 - 1)


def observed_from(grid: VoxelGrid, origin, ends, pose: Pose = HERE, threads: int | None = None) -> np.ndarray:
    return voxelize(grid, [Scan(np.array(ends, dtype=float), np.array(origin, dtype=float))], pose, threads)[1]


def some_pose(rng: np.random.Generator) -> Pose:
    return Pose(rng.uniform(-3, 3, 3), np.roll(Rotation.random(random_state=rng.integers(2**31)).as_quat(), 1))


def surely_crossed(grid: VoxelGrid, origin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(n, 3) cells: those at the middle between every two crossings of faces, unless the two all but coincide."""
    start, stop = ((np.asarray(p) - grid.lower) / grid.voxel for p in (origin, end))
    step = stop - start
    cuts = [np.array([0.0, 1.0])]
    for axis in range(3):
        faces = np.arange(grid.shape[axis] + 1)
        if step[axis]:
            cuts.append((faces - start[axis]) / step[axis])
    cuts = np.sort(np.concatenate(cuts))
    cuts = cuts[(cuts >= 0) & (cuts <= 1)]
    middle = start + ((cuts[1:] + cuts[:-1]) / 2)[:, None] * step
    middle = middle[(np.abs(middle - np.round(middle)) > EDGE).all(axis=1)]
    cells = np.floor(middle).astype(int)
    return cells[((cells >= 0) & (cells < grid.shape)).all(axis=1)]


def touched(grid: VoxelGrid, origin: np.ndarray, end: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """(n,) bool: does the segment come within EDGE of each cell?"""
    start, stop = ((np.asarray(p) - grid.lower) / grid.voxel for p in (origin, end))
    step = stop - start
    enter, leave = np.zeros(len(cells)), np.ones(len(cells))
    for axis in range(3):
        low, high = cells[:, axis] - EDGE - start[axis], cells[:, axis] + 1 + EDGE - start[axis]
        if abs(step[axis]) < 1e-12:
            leave[(low > 0) | (high < 0)] = -1
            continue
        a, b = low / step[axis], high / step[axis]
        enter, leave = np.maximum(enter, np.minimum(a, b)), np.minimum(leave, np.maximum(a, b))
    return enter <= leave


@settings(max_examples=60)
@given(seed, st.sampled_from([GRID, TALL, TOKYO_GRID]))
def test_points_of_any_pose_lie_in_the_voxels_that_float64_says(seed, grid):
    rng = np.random.default_rng(seed)
    points, pose = rng.normal(size=(500, 3)) * 6, some_pose(rng)
    local = pose.apply(points)
    scaled = (local - grid.lower) / grid.voxel
    clear = (np.abs(scaled - np.round(scaled)) > 1e-9).all(axis=1)
    expected = np.unique(grid.numbers(local[clear]))
    occupied, observed = voxelize(grid, [Scan(points[clear], np.zeros(3), rays=False)], pose)
    assert occupied.tolist() == expected[expected >= 0].tolist()
    assert np.flatnonzero(observed).tolist() == occupied.tolist()


@settings(max_examples=400)
@given(st.one_of(place, on_faces), st.one_of(place, on_faces), st.sampled_from([GRID, TALL]))
def test_a_ray_observes_the_voxels_that_it_crosses_and_no_others(origin, end, grid):
    observed = observed_from(grid, origin, [end])
    assert observed[tuple(surely_crossed(grid, origin, end).T)].all()
    assert touched(grid, origin, end, np.argwhere(observed)).all()


@settings(max_examples=25)
@given(seed)
def test_so_do_rays_of_any_pose_through_the_grid_of_frames(seed):
    rng = np.random.default_rng(seed)
    ends, origin, pose = rng.normal(size=(20, 3)) * [40, 40, 10], rng.normal(size=3) * 3, some_pose(rng)
    observed = observed_from(TOKYO_GRID, origin, ends, pose)
    marked, explained = np.argwhere(observed), np.zeros(np.count_nonzero(observed), bool)
    for end in ends:
        a, b = pose.apply(np.array([origin, end]))
        assert observed[tuple(surely_crossed(TOKYO_GRID, a, b).T)].all()
        explained |= touched(TOKYO_GRID, a, b, marked)
    assert explained.all()


@settings(max_examples=30)
@given(seed, st.sampled_from([GRID, TALL]), st.sampled_from([2, 3, 7]))
def test_any_number_of_threads_and_any_order_of_rays_give_the_same_frame(seed, grid, threads):
    rng = np.random.default_rng(seed)
    ends, pose = rng.normal(size=(200, 3)) * 5, some_pose(rng)
    alone = voxelize(grid, [Scan(ends, np.ones(3))], pose, threads=1)
    shuffled = voxelize(grid, [Scan(rng.permutation(ends), np.ones(3))], pose, threads)
    assert all((a == b).all() for a, b in zip(alone, shuffled, strict=True))


@given(place, st.lists(place, min_size=1, max_size=5))
def test_rays_add_up(origin, ends):
    together = observed_from(GRID, origin, ends)
    alone = [observed_from(GRID, origin, [end]) for end in ends]
    assert (together == np.any(alone, axis=0)).all()


@given(st.one_of(place, on_faces), st.lists(st.one_of(place, on_faces), min_size=1, max_size=9))
def test_what_is_occupied_is_observed(origin, ends):
    occupied, observed = voxelize(GRID, [Scan(np.array(ends), np.array(origin))], HERE)
    assert observed.ravel()[occupied].all()


def test_a_point_on_a_lower_bound_is_in_and_one_on_an_upper_bound_is_out():
    lower = np.array(TOKYO_GRID.lower)
    upper = lower + np.multiply(TOKYO_GRID.shape, TOKYO_GRID.voxel)
    for axis in range(3):
        low, high = np.zeros(3), np.zeros(3)
        low[axis], high[axis] = lower[axis], upper[axis]
        for point, count in ((low, 1), (high, 0), (low - 1e-9, 0), (high - 1e-9, 1)):
            occupied, _ = voxelize(TOKYO_GRID, [Scan(point[None], np.zeros(3), rays=False)], HERE)
            assert len(occupied) == count


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rays_that_came_back_from_nowhere_are_ignored(bad):
    ends = np.array([[1.0, bad, 0.0], [bad, bad, bad]])
    occupied, observed = voxelize(GRID, [Scan(ends, np.zeros(3))], HERE)
    assert not len(occupied) and not observed.any()


def test_a_ray_to_a_return_far_beyond_any_sensor_is_followed_to_the_grids_end():
    assert observed_from(GRID, np.zeros(3), [[1e30, 0, 0]]).sum() == 10


def test_no_points_make_an_empty_frame():
    occupied, observed = voxelize(GRID, [Scan(np.zeros((0, 3)), np.zeros(3))], HERE)
    assert not len(occupied) and observed.shape == GRID.shape and not observed.any()


def test_a_ray_from_outside_the_grid_is_observed_from_where_it_enters():
    observed = observed_from(GRID, [-100.0, 0.1, 0.1], [[0.1, 0.1, 0.1]])
    assert observed[:, 6, 1].sum() == 11  # from x = -4 to the voxel that holds x = 0.1
    assert observed.sum() == 11


def test_a_ray_that_misses_the_grid_observes_nothing():
    assert not observed_from(GRID, [-10.0, -10, 0], [[10.0, -10, 0]]).any()


def test_scans_add_up_and_each_gives_what_it_is_asked_for():
    ahead, aside = np.array([[3.1, 0.1, 0.1]]), np.array([[0.1, 2.1, 0.1]])
    hits_only, rays_only = Scan(ahead, np.zeros(3), rays=False), Scan(aside, np.zeros(3), hits=False)
    occupied, observed = voxelize(GRID, [hits_only, rays_only], HERE)
    assert occupied.tolist() == GRID.numbers(ahead).tolist()
    assert (observed == (voxelize(GRID, [hits_only], HERE)[1] | voxelize(GRID, [rays_only], HERE)[1])).all()
    assert voxelize(GRID, [hits_only], HERE)[1].sum() == 1 and len(voxelize(GRID, [rays_only], HERE)[0]) == 0
