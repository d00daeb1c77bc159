"""What the history says about the voxels of a frame to come: the aligned past, around each voxel that may be filled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np

from occ_core.classes import DYNAMIC_IDS, NUM_CLASSES
from occ_core.grid import VoxelGrid
from occworld.packed import SparseFrame
from occworld.warp import levels_up, source_column

NEIGHBOURS = 27
PHASES = 3
_STATIC = np.ones(256, np.uint8)
_STATIC[[0, *DYNAMIC_IDS]] = 0
_STATIC[NUM_CLASSES:] = 0
_ANY = np.ones(256, np.uint8)
_ANY[0] = 0


def feature_count(history: int) -> int:
    """Features of a candidate: an interpolated occupancy and a coverage flag per frame, neighbours, phases, copy."""
    return 2 * history + NEIGHBOURS + PHASES + 1


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

    def occupied(self) -> SparseFrame:
        """The warped grid, sparse."""
        classes = self.warped.reshape(-1)[self.candidates]
        keep = classes > 0
        return SparseFrame(self.candidates[keep], classes[keep], np.zeros(int(keep.sum()), np.uint16))


@dataclass(frozen=True)
class DensePast:
    """frames: uint8 (t, X, Y, Z), oldest first, each in its own frame. tops: int16 (t, X, Y), no column is occupied at
    or above this level: nearly all of a grid is sky."""

    frames: np.ndarray
    tops: np.ndarray

    @classmethod
    def of(cls, grid: VoxelGrid, frames: Sequence[SparseFrame]) -> DensePast:
        """frames: oldest first."""
        tops = np.zeros((len(frames), grid.shape[0] * grid.shape[1]), np.int16)
        for top, frame in zip(tops, frames, strict=True):
            top[frame.voxels // grid.shape[2]] = frame.voxels % grid.shape[2] + 1  # ascending: the last one stays
        return cls(np.stack([frame.dense(grid.shape) for frame in frames]), tops.reshape(-1, *grid.shape[:2]))


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


def features(
    grid: VoxelGrid, frames: np.ndarray, motions: np.ndarray, aligned: Aligned, voxels: np.ndarray,
    out: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """(n, feature_count) float32 of flat voxels (n,): per frame the trilinear occupancy at the voxel's centre (static
    things only in older frames) and whether the frame covers it; the 27 warped voxels about it; where the centre
    falls within the latest frame's voxel, in voxels; is the voxel of this number occupied in the current frame?

    out: where to write them. Voxels of one column after each other are quickest: what depends on x and y is found once.
    """
    if out is None:
        out = np.empty((len(voxels), feature_count(len(frames))), np.float32)
    _features(
        frames, np.asarray(motions, float), np.array(grid.lower), np.array(grid.voxel), aligned.warped, voxels,
        _STATIC, _ANY, out,
    )  # fmt: skip
    return out


@numba.njit(cache=True, nogil=True)
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
                        warped[i, j, k] = frames[t, a, b, k + up]
                    break


@numba.njit(cache=True, inline="always")
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


@numba.njit(cache=True, nogil=True)
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


@numba.njit(cache=True, nogil=True)
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


@numba.njit(cache=True, nogil=True)
def _features(frames, motions, lower, voxel, warped, voxels, static, anything, out):
    count, nx, ny, nz = frames.shape
    flat, flat_warped = frames.reshape(-1), warped.reshape(-1)
    cosines, sines = np.cos(motions[:, 3]), np.sin(motions[:, 3])
    lift = np.floor(motions[:, 2] / voxel[2]).astype(np.int64)
    up = motions[:, 2] / voxel[2] - lift
    # Of the column in hand, per frame: is it covered, the shift within a cell, and where the four cells about it begin,
    # with their weights. Of the nine columns about it: where they begin, -1 outside.
    inside = np.empty(count, np.bool_)
    shift = np.empty((count, 2))
    cell = np.empty((count, 4), np.int64)
    weight = np.empty((count, 4))
    around = np.empty(9, np.int64)
    column = np.int64(-1)
    for n in range(len(voxels)):
        k = voxels[n] % nz
        if voxels[n] // nz != column:
            column = voxels[n] // nz
            i, j = column // ny, column % ny
            x, y = lower[0] + (i + 0.5) * voxel[0], lower[1] + (j + 0.5) * voxel[1]
            for t in range(count):
                u = (cosines[t] * x - sines[t] * y + motions[t, 0] - lower[0]) / voxel[0] - 0.5
                v = (sines[t] * x + cosines[t] * y + motions[t, 1] - lower[1]) / voxel[1] - 0.5
                a, b = int(np.floor(u)), int(np.floor(v))
                inside[t] = -1 <= a < nx and -1 <= b < ny
                shift[t, 0], shift[t, 1] = u - np.floor(u + 0.5), v - np.floor(v + 0.5)
                for m in range(4):
                    da, db = m // 2, m % 2
                    held = 0 <= a + da < nx and 0 <= b + db < ny
                    cell[t, m] = ((t * nx + a + da) * ny + b + db) * nz if held else 0
                    weight[t, m] = (u - a if da else 1 - (u - a)) * (v - b if db else 1 - (v - b)) if held else 0.0
            for m in range(9):
                ia, ib = i + m // 3 - 1, j + m % 3 - 1
                around[m] = (ia * ny + ib) * nz if 0 <= ia < nx and 0 <= ib < ny else -1
        for t in range(count):
            c = k + lift[t]
            total = 0.0
            if inside[t]:
                solid = anything if t == count - 1 else static
                for m in range(4):
                    first = cell[t, m] + c
                    low = solid[flat[first]] if 0 <= c < nz else 0
                    high = solid[flat[first + 1]] if 0 <= c + 1 < nz else 0
                    total += weight[t, m] * (low + up[t] * (high - low))
            out[n, t] = total
            out[n, count + t] = inside[t]
        t = count - 1
        out[n, 2 * count + 27] = shift[t, 0]
        out[n, 2 * count + 28] = shift[t, 1]
        out[n, 2 * count + 29] = up[t] - np.floor(up[t] + 0.5)
        out[n, 2 * count + 30] = flat[(t * nx * ny + column) * nz + k] > 0
        for m in range(9):
            at, first = 2 * count + 3 * m, around[m] + k - 1
            if around[m] >= 0 and 0 < k < nz - 1:
                out[n, at] = flat_warped[first] > 0
                out[n, at + 1] = flat_warped[first + 1] > 0
                out[n, at + 2] = flat_warped[first + 2] > 0
            else:
                for dk in range(3):
                    out[n, at + dk] = around[m] >= 0 and 0 <= k + dk - 1 < nz and flat_warped[first + dk] > 0
