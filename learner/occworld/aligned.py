"""The history seen from a frame to come: what the latest frame that covers a column shows there, and what is near."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from occ_core.grid import VoxelGrid
from occ_core.loops import compiled
from occ_core.sparse_grid import SparseGrid
from occworld.warp import levels_up, source_column


@dataclass(frozen=True)
class Aligned:
    """The history seen from a target frame.

    warped: uint8 (X, Y, Z), the nearest voxel of the latest frame that covers the column. source: (X, Y) int8, that
    frame's number, -1 where no frame covers it. candidates: (n,) int32 flat, ascending: warped voxels, those that share
    a face with one, and those that are occupied in the current frame as it is, since the pattern of a LiDAR's beams
    comes along with it. proposal: (n,) uint8, the class nearby. skip: (n,) bool, occupied in the warp baseline.
    """

    warped: np.ndarray
    source: np.ndarray
    candidates: np.ndarray
    proposal: np.ndarray
    skip: np.ndarray

    def holds(self, voxels: np.ndarray) -> np.ndarray:
        """(n,) bool: which flat voxels (n,) are candidates."""
        if not len(self.candidates):
            return np.zeros(len(voxels), bool)
        place = np.minimum(np.searchsorted(self.candidates, voxels), len(self.candidates) - 1)
        return self.candidates[place] == voxels

    def occupied(self) -> SparseGrid:
        """The warped grid, sparse."""
        classes = self.warped.reshape(-1)[self.candidates]
        keep = classes > 0
        return SparseGrid(self.candidates[keep], classes[keep], np.zeros(int(keep.sum()), np.uint16))


@dataclass(frozen=True)
class DensePast:
    """frames: t of uint8 (X, Y, Z), oldest first, each in its own frame. tops: int16 (t, X, Y), no column is occupied
    at or above this level: nearly all of a grid is sky."""

    frames: tuple[np.ndarray, ...]
    tops: np.ndarray

    @classmethod
    def of(cls, grid: VoxelGrid, frames: Sequence[SparseGrid]) -> DensePast:
        """frames: oldest first."""
        tops = np.zeros((len(frames), grid.shape[0] * grid.shape[1]), np.int16)
        for top, frame in zip(tops, frames, strict=True):
            top[frame.voxels // grid.shape[2]] = frame.voxels % grid.shape[2] + 1  # ascending: the last one stays
        return cls(tuple(frame.dense(grid.shape) for frame in frames), tops.reshape(-1, *grid.shape[:2]))


def align_history(grid: VoxelGrid, past: DensePast, motions: np.ndarray) -> Aligned:
    """motions: (t, 4) the target in each frame of the past."""
    warped = np.zeros(grid.shape, np.uint8)
    source = np.empty(grid.shape[:2], np.int8)
    tops, reach = (np.zeros(grid.shape[:2], np.int64) for _ in range(2))
    lower, voxel = np.array(grid.lower), np.array(grid.voxel)
    _warp_latest(past.frames, past.tops, np.asarray(motions, float), lower, voxel, warped, source, tops)
    at_most = _reach(tops, past.tops[-1], grid.shape[2], reach)
    candidates = np.empty(at_most, np.int32)
    proposal = np.empty(at_most, np.uint8)
    skip = np.empty(at_most, np.bool_)
    n = _collect(warped, past.frames[-1], reach, source, len(past.frames) - 1, candidates, proposal, skip)
    return Aligned(warped, source, candidates[:n].copy(), proposal[:n].copy(), skip[:n].copy())


@compiled
def _warp_latest(frames, bounds, motions, lower, voxel, warped, source, tops):
    nx, ny, nz = warped.shape
    cosines, sines = np.cos(motions[:, 3]), np.sin(motions[:, 3])
    for i in range(nx):
        for j in range(ny):
            source[i, j] = -1
            for t in range(len(frames) - 1, -1, -1):
                a, b = source_column(i, j, motions[t], cosines[t], sines[t], lower, voxel)
                if 0 <= a < nx and 0 <= b < ny:
                    source[i, j] = t
                    up = levels_up(motions[t], voxel)
                    tops[i, j] = min(max(bounds[t, a, b] - up, 0), nz)
                    for k in range(max(0, -up), tops[i, j]):
                        warped[i, j, k] = frames[t][a, b, k + up]
                    break


@compiled(inline="always")
def _near(warped, i, j, k):
    """The class in the voxel or in one that shares a face with it: level neighbours first, then below and above."""
    nx, ny, nz = warped.shape
    if warped[i, j, k]:
        return warped[i, j, k]
    if i > 0 and warped[i - 1, j, k]:
        return warped[i - 1, j, k]
    if i < nx - 1 and warped[i + 1, j, k]:
        return warped[i + 1, j, k]
    if j > 0 and warped[i, j - 1, k]:
        return warped[i, j - 1, k]
    if j < ny - 1 and warped[i, j + 1, k]:
        return warped[i, j + 1, k]
    if k > 0 and warped[i, j, k - 1]:
        return warped[i, j, k - 1]
    if k < nz - 1 and warped[i, j, k + 1]:
        return warped[i, j, k + 1]
    return np.uint8(0)


@compiled
def _reach(tops, still, nz, reach):
    """Below which level each column's candidates lie; returns how many there can be."""
    nx, ny = tops.shape
    total = 0
    for i in range(nx):
        for j in range(ny):
            top = max(tops[i, j] + 1, still[i, j])
            top = max(top, tops[max(i - 1, 0), j], tops[min(i + 1, nx - 1), j])
            top = max(top, tops[i, max(j - 1, 0)], tops[i, min(j + 1, ny - 1)])
            reach[i, j] = min(top, nz)
            total += reach[i, j]
    return total


@compiled
def _collect(warped, current, reach, source, latest, candidates, proposal, skip):
    nx, ny, nz = warped.shape
    n = 0
    for i in range(nx):
        for j in range(ny):
            for k in range(reach[i, j]):
                near = _near(warped, i, j, k)
                if near == 0:
                    near = current[i, j, k]
                if near > 0:
                    candidates[n] = (i * ny + j) * nz + k
                    proposal[n] = near
                    skip[n] = warped[i, j, k] > 0 and source[i, j] == latest
                    n += 1
    return n
