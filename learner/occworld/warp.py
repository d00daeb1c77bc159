"""Voxels from one `base_footprint` frame to another by the nearest neighbour."""

from __future__ import annotations

import numpy as np

from occ_core.grid import VoxelGrid
from occ_core.loops import compiled, loop
from occ_core.sparse_grid import SparseGrid


def resample(grid: VoxelGrid, classes: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """A grid as seen from another frame; what the source does not cover is empty.

    classes: uint8 `grid.shape` in the source frame. motion: (4,) the target frame in the source frame. Returns uint8
    `grid.shape` in the target frame.
    """
    out = np.zeros(grid.shape, np.uint8)
    _resample(classes, np.asarray(motion, float), np.array(grid.lower), np.array(grid.voxel), out)
    return out


def source_columns(grid: VoxelGrid, motion: np.ndarray) -> np.ndarray:
    """(X * Y,) int32: into which column of another frame each column falls, -1 outside. motion: as of `resample`."""
    out = np.empty(grid.shape[0] * grid.shape[1], np.int32)
    motion = np.asarray(motion, float)
    cosine, sine = np.cos(motion[3]), np.sin(motion[3])
    _source_columns(motion, cosine, sine, np.array(grid.lower), np.array(grid.voxel), grid.shape, out)
    return out


def resample_voxels(
    grid: VoxelGrid, voxels: np.ndarray, motion: np.ndarray, source: np.ndarray | None = None
) -> np.ndarray:
    """As `resample`, of the occupied voxels alone: (n,) int32 flat numbers, ascending, to (m,) of the same. source:
    `source_columns` of that motion, where they are at hand."""
    if source is None:
        source = source_columns(grid, motion)
    nz, starts = grid.shape[2], np.zeros(len(source) + 1, np.int32)
    _column_starts(np.asarray(voxels), nz, starts)
    reached = source[source >= 0]
    out = np.empty(int((starts[reached + 1] - starts[reached]).sum()), np.int32)  # a turned column may be read twice
    return out[: _resample_voxels(np.asarray(voxels), starts, source, levels_up.py_func(motion, grid.voxel), nz, out)]


def align(grid: VoxelGrid, frame: SparseGrid, motion: np.ndarray) -> SparseGrid:
    """Move occupied voxels forward into another frame; those that leave the grid are dropped.

    motion: (4,) the source frame in the target frame. Two voxels may fall into one: the first of them stays.
    """
    if not np.any(motion):
        return frame
    motion, lower, voxel = np.asarray(motion, float), np.array(grid.lower), np.array(grid.voxel)
    numbers, placed, first = (np.empty(len(frame.voxels), np.int32) for _ in range(3))
    _moved(np.asarray(frame.voxels), motion, np.cos(motion[3]), np.sin(motion[3]), lower, voxel, grid.shape, numbers)
    starts = np.zeros(grid.shape[0] * grid.shape[1] + 1, np.int32)
    _column_starts(numbers, grid.shape[2], starts)
    n = _first_of_each(numbers, grid.shape[2], starts, starts[:-1].copy(), placed, first)
    return SparseGrid(placed[:n], frame.classes[first[:n]], frame.instances[first[:n]])


def covered(grid: VoxelGrid, motion: np.ndarray) -> np.ndarray:
    """(X, Y) bool: columns of the target frame that lie in the source's grid; motion: the target in the source."""
    return (source_columns(grid, motion) >= 0).reshape(grid.shape[:2])


@compiled(inline="always")
def source_column(i, j, motion, cosine, sine, lower, voxel):
    """Into which column of a source the centre of column (i, j) falls. motion: the target frame in the source."""
    x, y = lower[0] + (i + 0.5) * voxel[0], lower[1] + (j + 0.5) * voxel[1]
    a = int(np.floor((cosine * x - sine * y + motion[0] - lower[0]) / voxel[0]))
    b = int(np.floor((sine * x + cosine * y + motion[1] - lower[1]) / voxel[1]))
    return a, b


@compiled(inline="always")
def levels_up(motion, voxel):
    """How many levels higher a voxel is in the source."""
    return int(np.floor(0.5 + motion[2] / voxel[2]))


@compiled
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


@loop
def _source_columns(motion, cosine, sine, lower, voxel, shape, out):
    nx, ny, _ = shape
    for i in range(nx):
        for j in range(ny):
            a, b = source_column(i, j, motion, cosine, sine, lower, voxel)
            out[i * ny + j] = a * ny + b if 0 <= a < nx and 0 <= b < ny else -1


@loop
def _moved(voxels, motion, cosine, sine, lower, voxel, shape, numbers):
    """Into which voxel each one's centre falls, -1 outside."""
    nx, ny, nz = shape
    for n in range(len(voxels)):
        i, j, k = voxels[n] // (ny * nz), voxels[n] // nz % ny, voxels[n] % nz
        x, y = lower[0] + (i + 0.5) * voxel[0], lower[1] + (j + 0.5) * voxel[1]
        z = lower[2] + (k + 0.5) * voxel[2] + motion[2]
        a = np.int64(np.floor((cosine * x - sine * y + motion[0] - lower[0]) / voxel[0]))
        b = np.int64(np.floor((sine * x + cosine * y + motion[1] - lower[1]) / voxel[1]))
        c = np.int64(np.floor((z - lower[2]) / voxel[2]))
        numbers[n] = (a * ny + b) * nz + c if 0 <= a < nx and 0 <= b < ny and 0 <= c < nz else -1


@loop
def _column_starts(numbers, nz, starts):
    """Where the voxels of each column begin among all that are not negative, sorted. starts: (columns + 1,), zeros."""
    for n in range(len(numbers)):
        if numbers[n] >= 0:
            starts[numbers[n] // nz + 1] += 1
    for column in range(len(starts) - 1):
        starts[column + 1] += starts[column]


@loop
def _resample_voxels(voxels, starts, source, up, nz, out):
    """How many there are."""
    n = 0
    for column in range(len(source)):
        there = source[column]
        if there >= 0:
            for at in range(starts[there], starts[there + 1]):
                k = voxels[at] - there * nz - up
                if 0 <= k < nz:
                    out[n] = column * nz + k
                    n += 1
    return n


@loop
def _first_of_each(numbers, nz, starts, ends, placed, first):
    """Numbers that are not negative, ascending and each once, and where it first stands. Returns how many.

    Sorted into columns, and by insertion within those. starts: as of `_column_starts`. ends: as `starts`, where what
    has been placed in each column ends.
    """
    for n in range(len(numbers)):
        if numbers[n] >= 0:
            column = numbers[n] // nz
            at = ends[column]
            ends[column] += 1
            while at > starts[column] and placed[at - 1] > numbers[n]:
                placed[at], first[at] = placed[at - 1], first[at - 1]
                at -= 1
            placed[at], first[at] = numbers[n], n
    kept = 0
    for n in range(starts[len(starts) - 1]):
        if kept == 0 or placed[n] != placed[kept - 1]:
            placed[kept], first[kept] = placed[n], first[n]
            kept += 1
    return kept
