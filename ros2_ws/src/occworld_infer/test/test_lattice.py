"""Turned grids on a lattice that stands still: no holes, no growth, the same cells again."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from occ_core.grid import TOKYO_GRID
from occ_core.poses import Pose
from occworld_infer.lattice import CELL, Voxels

ANGLE, METRES = st.floats(-np.pi, np.pi), st.floats(-300, 300)


def centres(cells: np.ndarray, x: float = 0.0, y: float = 0.0, yaw: float = 0.0) -> np.ndarray:
    """Centres in map of voxels of a grid whose frame stands at x, y and is turned by yaw."""
    frame = Pose.from_xyz_rpy(np.array([x, y, 0.0]), np.array([0.0, 0.0, yaw]))
    return frame.apply(TOKYO_GRID.centers(cells))


def block(nx: int, ny: int) -> np.ndarray:
    return np.argwhere(np.ones((nx, ny, 1), bool)) + [90, 90, 3]


def labels_of(voxels: Voxels) -> dict[tuple[int, ...], int]:
    return dict(zip(map(tuple, voxels.cells.tolist()), voxels.labels.tolist(), strict=True))


@given(arrays(np.uint8, (5, 4, 3), elements=st.sampled_from([0, 1, 9])))
def test_a_grid_along_the_lattice_keeps_its_cells_and_classes(grid: np.ndarray) -> None:
    cells = np.argwhere(grid)
    found = Voxels.gathered((cells + 0.5) * CELL, grid[tuple(cells.T)])
    assert labels_of(found) == {tuple(cell): int(grid[tuple(cell)]) for cell in cells.tolist()}


@given(METRES, METRES, ANGLE)
def test_ground_has_no_holes_at_any_angle_and_does_not_grow(x: float, y: float, yaw: float) -> None:
    points = centres(block(20, 30), x, y, yaw)
    found = Voxels.gathered(points, np.ones(len(points), np.uint8))
    assert len(np.unique(found.cells, axis=0)) == len(found)
    frame = Pose.from_xyz_rpy(np.array([x, y, 0.0]), np.array([0.0, 0.0, yaw]))
    inside = frame.inverse().apply((found.cells + 0.5) * CELL)[:, :2]
    lower = TOKYO_GRID.centers(np.array([[90, 90, 3]]))[0, :2] - CELL[:2] / 2
    upper = lower + np.array([20, 30]) * CELL[:2]
    assert (inside > lower - 0.75 * CELL[:2]).all() and (inside < upper + 0.75 * CELL[:2]).all()
    # All cells whose middle is a cell's width or more within the block.
    around = np.argwhere(np.ones((100, 100, 1), bool)) + np.floor(points.mean(axis=0) / CELL).astype(int) - [50, 50, 0]
    place = frame.inverse().apply((around + 0.5) * CELL)[:, :2]
    within = ((place > lower + CELL[:2]) & (place < upper - CELL[:2])).all(axis=1)
    assert {tuple(cell) for cell in around[within].tolist()} <= set(labels_of(found))


@given(METRES, METRES, ANGLE)
def test_a_cell_takes_the_class_that_fills_most_of_it(x: float, y: float, yaw: float) -> None:
    """Half of a block is road and half is car: away from the seam every cell has the class of its half."""
    cells = block(20, 20)
    labels = np.where(cells[:, 0] < 100, 2, 9).astype(np.uint8)
    found = Voxels.gathered(centres(cells, x, y, yaw), labels)
    frame = Pose.from_xyz_rpy(np.array([x, y, 0.0]), np.array([0.0, 0.0, yaw]))
    across = frame.inverse().apply((found.cells + 0.5) * CELL)[:, 0] - TOKYO_GRID.lower[0] - 100 * CELL[0]
    away = np.abs(across) > 1.5 * CELL[0]
    assert away.sum() > 200
    assert np.array_equal(found.labels[away], np.where(across[away] < 0, 2, 9))


@given(*[arrays(np.uint8, (4, 4, 4), elements=st.sampled_from([0, 0, 0, 1, 2]))] * 2)
def test_beside_is_the_same_class_in_the_27_cells_about(some: np.ndarray, others: np.ndarray) -> None:
    def voxels(labels: np.ndarray) -> Voxels:
        cells = np.argwhere(labels)
        return Voxels(cells.astype(np.int32), labels[tuple(cells.T)])

    mask = voxels(some).beside(voxels(others))
    for cell, label, beside in zip(np.argwhere(some), some[some > 0], mask, strict=True):
        near = others[tuple(slice(max(a - 1, 0), a + 2) for a in cell)]
        assert beside == (near == label).any()


def test_points_that_are_not_finite_are_left_out() -> None:
    """NaN, infinity, and both together with a point that can be used."""
    points = np.array([[np.nan, 0, 0], [0, np.inf, 0], [0.2, 0.2, -np.inf], 0.5 * CELL])
    assert labels_of(Voxels.gathered(points, np.ones(4, np.uint8))) == {(0, 0, 0): 1}
    assert len(Voxels.gathered(points[:3], np.ones(3, np.uint8))) == 0


def test_no_points_are_no_voxels() -> None:
    assert len(Voxels.gathered(np.zeros((0, 3)), np.zeros(0, np.uint8))) == 0
