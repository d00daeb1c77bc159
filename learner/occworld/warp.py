"""Voxels from one `base_footprint` frame to another by the nearest neighbour."""

from __future__ import annotations

import numba
import numpy as np

from occ_core.grid import VoxelGrid
from occ_core.sparse_grid import SparseGrid
from occworld import motion as motions


def resample(grid: VoxelGrid, classes: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """A grid as seen from another frame; what the source does not cover is empty.

    classes: uint8 `grid.shape` in the source frame. motion: (4,) the target frame in the source frame. Returns uint8
    `grid.shape` in the target frame.
    """
    out = np.zeros(grid.shape, np.uint8)
    _resample(classes, np.asarray(motion, float), np.array(grid.lower), np.array(grid.voxel), out)
    return out


def resample_voxels(grid: VoxelGrid, voxels: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """As `resample`, of the occupied voxels alone: (n,) int32 flat numbers, ascending, to (m,) of the same."""
    columns = grid.shape[0] * grid.shape[1]
    starts = np.searchsorted(voxels, np.arange(columns + 1) * grid.shape[2])
    return _resample_voxels(
        voxels, starts, np.asarray(motion, float), np.array(grid.lower), np.array(grid.voxel), grid.shape
    )


def align(grid: VoxelGrid, frame: SparseGrid, motion: np.ndarray) -> SparseGrid:
    """Move occupied voxels forward into another frame; those that leave the grid are dropped.

    motion: (4,) the source frame in the target frame. Two voxels may fall into one: the first of them stays.
    """
    if not np.any(motion):
        return frame
    points = grid.centers(np.stack(np.unravel_index(frame.voxels, grid.shape), axis=1))
    index, inside = grid.index(motions.apply(motion, points))
    flat = np.ravel_multi_index(tuple(index[inside].T), grid.shape).astype(np.int32)
    flat, first = np.unique(flat, return_index=True)
    return SparseGrid(flat, frame.classes[inside][first], frame.instances[inside][first])


def covered(grid: VoxelGrid, motion: np.ndarray) -> np.ndarray:
    """(X, Y) bool: columns of the target frame that lie in the source's grid; motion: the target in the source."""
    rows, cols = np.meshgrid(np.arange(grid.shape[0]), np.arange(grid.shape[1]), indexing="ij")
    points = grid.centers(np.stack([rows.ravel(), cols.ravel(), np.zeros(rows.size)], axis=1))
    points = motions.apply(motion, points)[:, :2]
    inside = (points >= grid.lower[:2]) & (points < np.array(grid.lower[:2]) + np.multiply(grid.shape, grid.voxel)[:2])
    return inside.all(axis=1).reshape(grid.shape[:2])


@numba.njit(cache=True, nogil=True, inline="always")
def source_column(i, j, motion, cosine, sine, lower, voxel):
    """Into which column of a source the centre of column (i, j) falls. motion: the target frame in the source."""
    x, y = lower[0] + (i + 0.5) * voxel[0], lower[1] + (j + 0.5) * voxel[1]
    a = int(np.floor((cosine * x - sine * y + motion[0] - lower[0]) / voxel[0]))
    b = int(np.floor((sine * x + cosine * y + motion[1] - lower[1]) / voxel[1]))
    return a, b


@numba.njit(cache=True, nogil=True, inline="always")
def levels_up(motion, voxel):
    """How many levels higher a voxel is in the source."""
    return int(np.floor(0.5 + motion[2] / voxel[2]))


@numba.njit(cache=True, nogil=True)
def _resample(source, motion, lower, voxel, out):
    nx, ny, nz = out.shape
    cosine, sine, up = np.cos(motion[3]), np.sin(motion[3]), levels_up(motion, voxel)
    k_from, k_to = max(0, -up), min(nz, nz - up)
    for i in range(nx):
        for j in range(ny):
            a, b = source_column(i, j, motion, cosine, sine, lower, voxel)
            if 0 <= a < nx and 0 <= b < ny:
                for k in range(k_from, k_to):
                    out[i, j, k] = source[a, b, k + up]


@numba.njit(cache=True, nogil=True)
def _resample_voxels(voxels, starts, motion, lower, voxel, shape):
    nx, ny, nz = shape
    cosine, sine, up = np.cos(motion[3]), np.sin(motion[3]), levels_up(motion, voxel)
    out = np.empty(2 * len(voxels) + 16, np.int32)
    n = 0
    for i in range(nx):
        for j in range(ny):
            a, b = source_column(i, j, motion, cosine, sine, lower, voxel)
            if 0 <= a < nx and 0 <= b < ny:
                column = a * ny + b
                if n + nz > len(out):  # a turned column may be read twice
                    out = np.concatenate((out, np.empty(len(out) + nz, np.int32)))
                for at in range(starts[column], starts[column + 1]):
                    k = voxels[at] - column * nz - up
                    if 0 <= k < nz:
                        out[n] = (i * ny + j) * nz + k
                        n += 1
    return out[:n].copy()
