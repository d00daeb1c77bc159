"""The voxelizer on PyTorch gives the voxels of the compiled one, all of them and no others."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from occ_core.grid import TOKYO_GRID, VoxelGrid
from occ_core.poses import Pose
from occ_core.voxelize import Scan, voxelize
from occ_core.voxelize_torch import voxelize as voxelize_on_torch

torch = pytest.importorskip("torch")
GRID = VoxelGrid((-4.0, -3.0, -2.0), (4.0, 3.0, 5.2), (0.4, 0.5, 1.25))
FLAT = VoxelGrid((-4.0, -3.0, -2.0), (4.0, 3.0, 5.2), (1.0, 0.7, 0.05))


def assert_same(grid: VoxelGrid, scans: list[Scan], pose: Pose) -> None:
    for ours, theirs in zip(voxelize_on_torch(grid, scans, pose, "cpu"), voxelize(grid, scans, pose), strict=True):
        assert ours.dtype == theirs.dtype and (ours == theirs).all()


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from([GRID, FLAT, TOKYO_GRID]))
def test_random_clouds_of_any_pose(seed, grid):
    rng = np.random.default_rng(seed)
    pose = Pose.from_xyz_rpy(rng.uniform(-3, 3, 3), rng.uniform(-3, 3, 3))
    clouds = rng.normal(size=(2, 200, 3)) * rng.uniform(1, 40, 3)
    clouds[0, :2] = [[np.nan, 0, 0], [0, np.inf, 0]]
    kinds = (True, True), (bool(rng.integers(2)), bool(rng.integers(2)))
    scans = [Scan(cloud, rng.normal(size=3) * 4, *kind) for cloud, kind in zip(clouds, kinds, strict=True)]
    assert_same(grid, scans, pose)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_rays_along_faces_edges_and_diagonals(seed):
    rng = np.random.default_rng(seed)
    on_faces = np.array(GRID.lower) + rng.integers(-3, 22, (50, 3)) * GRID.voxel
    assert_same(GRID, [Scan(on_faces, on_faces[0])], Pose.identity())


def test_empty_scans():
    assert_same(GRID, [Scan(np.zeros((0, 3)), np.zeros(3))], Pose.identity())
    assert_same(GRID, [], Pose.identity())


def test_the_core_does_not_import_torch():
    code = "import sys, occ_core.keyframes, occ_core.voxelize_torch; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
