"""Grids as clouds: centres, classes, and the way from one footprint into another."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from occ_core.grid import TOKYO_GRID
from occ_core.poses import Pose
from occworld_infer.grids import grid_points, moved


def test_every_occupied_voxel_is_one_point_that_falls_back_into_it() -> None:
    classes = np.zeros(TOKYO_GRID.shape, np.uint8)
    classes[0, 0, 0], classes[199, 199, 120], classes[100, 37, 5] = 1, 9, 12
    points = grid_points(TOKYO_GRID, classes, 1.5)
    cells, inside = TOKYO_GRID.index(np.column_stack([points["x"], points["y"], points["z"]]))
    assert inside.all()
    assert {tuple(cell): label for cell, label in zip(cells.tolist(), points["label"].tolist(), strict=True)} == {
        (0, 0, 0): 1, (199, 199, 120): 9, (100, 37, 5): 12,
    }  # fmt: skip
    assert (points["horizon"] == 1.5).all()


@given(*[st.floats(-20, 20)] * 3, st.floats(-3, 3))
def test_moving_points_is_applying_the_pose(x: float, y: float, z: float, yaw: float) -> None:
    classes = np.zeros(TOKYO_GRID.shape, np.uint8)
    classes[::50, ::60, ::40] = 1
    points = grid_points(TOKYO_GRID, classes, 0.5)
    xyz = np.column_stack([points["x"], points["y"], points["z"]])
    there = moved(points, x, y, z, yaw)
    expected = Pose.from_xyz_rpy(np.array([x, y, z]), np.array([0, 0, yaw])).apply(xyz)
    assert np.allclose(np.column_stack([there["x"], there["y"], there["z"]]), expected, atol=1e-3)
