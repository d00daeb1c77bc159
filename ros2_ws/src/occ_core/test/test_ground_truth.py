"""Voxelized triangles: no voxel that a triangle passes through is missed, none that it misses is marked."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from occ_core.classes import Semantic
from occ_core.grid import VoxelGrid
from occ_core.ground_truth import classes_in_columns, voxelize_triangles
from occ_core.labels import columns_about, labels_of

GRID = VoxelGrid((-4.0, -4.0, -2.0), (4.0, 4.0, 5.5), (0.4, 0.4, 1.25))
coordinate = st.floats(-6, 6, allow_nan=False, width=32)
triangle = st.lists(st.tuples(coordinate, coordinate, coordinate), min_size=3, max_size=3).map(np.array)
_u, _v = np.meshgrid(np.linspace(0, 1, 120), np.linspace(0, 1, 120))
BARYCENTRIC = np.stack([_u, _v, 1 - _u - _v], axis=-1)[_u + _v <= 1]


def paint(*triangles: np.ndarray, classes=(Semantic.BUILDING,), instances=(0,)) -> tuple[np.ndarray, np.ndarray]:
    return voxelize_triangles(GRID, np.array(triangles), np.array(classes), np.array(instances))


@settings(max_examples=150)
@given(triangle)
def test_every_voxel_that_a_triangle_passes_through_is_occupied(corners):
    occupancy, _ = paint(corners)
    cells = (BARYCENTRIC @ corners - GRID.lower) / GRID.voxel
    cells = cells[(np.abs(cells - np.round(cells)) > 1e-6).all(axis=1)]
    cells = np.floor(cells).astype(int)
    cells = cells[((cells >= 0) & (cells < GRID.shape)).all(axis=1)]
    assert (occupancy[tuple(cells.T)] == Semantic.BUILDING).all()


@settings(max_examples=50)
@given(st.lists(triangle, min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_a_part_of_the_grid_has_the_classes_of_the_whole(triangles, seed):
    rng = np.random.default_rng(seed)
    classes = rng.integers(1, len(Semantic), len(triangles)).astype(np.uint8)
    whole, _ = paint(*triangles, classes=classes, instances=np.zeros(len(triangles)))
    occupied = np.unique(rng.integers(0, GRID.size, 9))
    columns = columns_about(occupied, GRID.shape)
    part = classes_in_columns(GRID, np.array(triangles), classes, columns)
    for i, j in np.argwhere(columns.place >= 0):
        assert (part[columns.place[i, j]] == whole[i, j, columns.bottom : columns.top]).all()
    labels = labels_of(occupied, part, columns, GRID.shape[2])
    for number, label in zip(occupied, labels, strict=True):
        i, j, k = np.unravel_index(number, GRID.shape)
        steps = ((0, 0, 0), (0, 0, -1), (0, 0, 1), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0))
        beside = [np.add((i, j, k), step) for step in steps]
        inside = [tuple(cell) for cell in beside if (cell >= 0).all() and (cell < GRID.shape).all()]
        assert label == next((whole[cell] for cell in inside if whole[cell]), Semantic.OTHER)


@settings(max_examples=150)
@given(triangle)
def test_no_voxel_further_than_its_half_diagonal_is_occupied(corners):
    normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
    assume(np.linalg.norm(normal) > 1e-3)
    occupancy, _ = paint(corners)
    centers = GRID.centers(np.argwhere(occupancy))
    half_diagonal = np.linalg.norm(GRID.voxel) / 2
    off_plane = np.abs((centers - corners[0]) @ normal) / np.linalg.norm(normal)
    assert (off_plane <= half_diagonal + 1e-6).all()
    beyond = np.maximum(corners.min(axis=0) - centers, centers - corners.max(axis=0))
    assert (beyond <= np.array(GRID.voxel) / 2 + 1e-6).all()


def gap(corners: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """(n,) voxel units: the greatest gap between a triangle and boxes along the 13 separating axes; < 0: overlap."""
    scaled = (corners - GRID.lower) / GRID.voxel
    edges = np.roll(scaled, -1, axis=0) - scaled
    axes = np.concatenate(
        [np.eye(3), [np.cross(edges[0], edges[1])], np.cross(edges[:, None], np.eye(3)).reshape(-1, 3)]
    )
    lengths = np.linalg.norm(axes, axis=1)
    axes = axes[lengths > 1e-9] / lengths[lengths > 1e-9, None]
    on_axes, middles = scaled @ axes.T, (cells + 0.5) @ axes.T
    half = np.abs(axes).sum(axis=1) / 2
    return np.maximum(on_axes.min(axis=0) - middles - half, middles - half - on_axes.max(axis=0)).max(axis=1)


@settings(max_examples=150)
@given(triangle)
def test_the_voxels_of_a_triangle_are_those_that_no_axis_separates_from_it(corners):
    occupancy, _ = paint(corners)
    cells = np.argwhere(np.ones(GRID.shape, bool))
    gaps, marked = gap(corners, cells), occupancy.ravel() > 0
    assert marked[gaps < -1e-6].all() and not marked[gaps > 1e-6].any()


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 3, 50]))
def test_any_number_of_threads_gives_the_same_grid(seed, threads):
    rng = np.random.default_rng(seed)
    triangles = rng.uniform(-5, 5, (40, 1, 3)) + rng.normal(size=(40, 3, 3))
    classes, instances = rng.integers(1, 16, 40), rng.integers(0, 9, 40)
    alone = voxelize_triangles(GRID, triangles, classes, instances, threads=1)
    together = voxelize_triangles(GRID, triangles, classes, instances, threads=threads)
    assert all((a == b).all() for a, b in zip(alone, together, strict=True))


def test_a_triangle_within_one_voxel_marks_that_voxel_only():
    corners = GRID.centers(np.array([[3, 4, 2]])) + 0.05 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]])
    occupancy, _ = paint(corners)
    assert (np.argwhere(occupancy) == [[3, 4, 2]]).all()


def test_in_a_shared_voxel_the_car_is_named_and_not_the_road_under_it():
    flat = np.array([[-1.0, -1, 0.1], [1, -1, 0.1], [0, 1, 0.1]])
    for order in ((0, 1), (1, 0)):
        classes, instances = np.array([Semantic.ROAD, Semantic.CAR])[list(order)], np.array([0, 7])[list(order)]
        occupancy, instance = paint(flat, flat, classes=classes, instances=instances)
        assert set(np.unique(occupancy)) == {0, Semantic.CAR}
        assert (instance[occupancy > 0] == 7).all()


def test_no_triangles_make_an_empty_grid():
    occupancy, instance = voxelize_triangles(GRID, np.zeros((0, 3, 3)), np.zeros(0), np.zeros(0))
    assert occupancy.shape == instance.shape == GRID.shape and not occupancy.any() and not instance.any()
