"""What the history says about the voxels of a frame to come: the aligned past, around each voxel that may be filled."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from occ_core.classes import DYNAMIC_IDS, NUM_CLASSES
from occ_core.grid import VoxelGrid
from occworld.packed import SparseFrame

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


def align_history(grid: VoxelGrid, frames: np.ndarray, motions: np.ndarray) -> Aligned:
    """frames: uint8 (t, X, Y, Z), oldest first, each in its own frame. motions: (t, 4) the target in each of them."""
    warped = np.zeros(grid.shape, np.uint8)
    source = np.empty(grid.shape[:2], np.int8)
    counts, tops, still = (np.zeros(grid.shape[:2], np.int64) for _ in range(3))
    lower, voxel = np.array(grid.lower), np.array(grid.voxel)
    _warp_latest(frames, np.asarray(motions, float), lower, voxel, warped, source)
    _tops(warped, tops)
    _tops(frames[-1], still)
    _count(warped, frames[-1], tops, still, counts)
    ends = np.cumsum(counts.reshape(-1))
    starts = (ends - counts.reshape(-1)).reshape(counts.shape)
    candidates = np.empty(int(ends[-1]), np.int32)
    proposal = np.empty(len(candidates), np.uint8)
    skip = np.empty(len(candidates), np.bool_)
    _collect(warped, frames[-1], tops, still, source, len(frames) - 1, starts, candidates, proposal, skip)
    return Aligned(warped, source, candidates, proposal, skip)


def features(
    grid: VoxelGrid, frames: np.ndarray, motions: np.ndarray, aligned: Aligned, voxels: np.ndarray
) -> np.ndarray:
    """(n, feature_count) float32 of flat voxels (n,): per frame the trilinear occupancy at the voxel's centre (static
    things only in older frames) and whether the frame covers it; the 27 warped voxels about it; where the centre
    falls within the latest frame's voxel, in voxels; is the voxel of this number occupied in the current frame?"""
    out = np.empty((len(voxels), feature_count(len(frames))), np.float32)
    _features(
        frames, np.asarray(motions, float), np.array(grid.lower), np.array(grid.voxel), aligned.warped, voxels,
        _STATIC, _ANY, out,
    )  # fmt: skip
    return out


@numba.njit(cache=True, nogil=True)
def _warp_latest(frames, motions, lower, voxel, warped, source):
    nx, ny, nz = warped.shape
    for i in range(nx):
        x = lower[0] + (i + 0.5) * voxel[0]
        for j in range(ny):
            y = lower[1] + (j + 0.5) * voxel[1]
            source[i, j] = -1
            for t in range(len(frames) - 1, -1, -1):
                c, s = np.cos(motions[t, 3]), np.sin(motions[t, 3])
                a = int(np.floor((c * x - s * y + motions[t, 0] - lower[0]) / voxel[0]))
                b = int(np.floor((s * x + c * y + motions[t, 1] - lower[1]) / voxel[1]))
                if 0 <= a < nx and 0 <= b < ny:
                    source[i, j] = t
                    up = int(np.floor(0.5 + motions[t, 2] / voxel[2]))
                    for k in range(max(0, -up), min(nz, nz - up)):
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
def _tops(grid, tops):
    """One above the highest occupied level of each column: nearly all of a grid is sky."""
    nx, ny, nz = grid.shape
    for i in range(nx):
        for j in range(ny):
            top = nz
            while top > 0 and grid[i, j, top - 1] == 0:
                top -= 1
            tops[i, j] = top


@numba.njit(cache=True, nogil=True, inline="always")
def _reach(tops, still, i, j, nz):
    """Below which level a column's candidates lie."""
    nx, ny = tops.shape
    top = max(tops[i, j] + 1, still[i, j])
    top = max(top, tops[max(i - 1, 0), j], tops[min(i + 1, nx - 1), j])
    top = max(top, tops[i, max(j - 1, 0)], tops[i, min(j + 1, ny - 1)])
    return min(top, nz)


@numba.njit(cache=True, nogil=True, inline="always")
def _touched(warped, current, i, j, k):
    """Is a voxel occupied, or one that shares a face with it, or the voxel of this number in the current frame?"""
    return _near(warped, i, j, k) | current[i, j, k]


@numba.njit(cache=True, nogil=True)
def _count(warped, current, tops, still, counts):
    nx, ny, nz = warped.shape
    for i in range(nx):
        for j in range(ny):
            total = 0
            for k in range(_reach(tops, still, i, j, nz)):
                total += _touched(warped, current, i, j, k) > 0
            counts[i, j] = total


@numba.njit(cache=True, nogil=True)
def _collect(warped, current, tops, still, source, latest, starts, candidates, proposal, skip):
    nx, ny, nz = warped.shape
    for i in range(nx):
        for j in range(ny):
            n = starts[i, j]
            for k in range(_reach(tops, still, i, j, nz)):
                if _touched(warped, current, i, j, k) > 0:
                    near = _near(warped, i, j, k)
                    candidates[n] = (i * ny + j) * nz + k
                    proposal[n] = near if near > 0 else current[i, j, k]
                    skip[n] = warped[i, j, k] > 0 and source[i, j] == latest
                    n += 1


@numba.njit(cache=True, nogil=True)
def _features(frames, motions, lower, voxel, warped, voxels, static, anything, out):
    count, nx, ny, nz = frames.shape
    cosines, sines = np.cos(motions[:, 3]), np.sin(motions[:, 3])
    for n in range(len(voxels)):
        k = voxels[n] % nz
        j = (voxels[n] // nz) % ny
        i = voxels[n] // (nz * ny)
        x, y = lower[0] + (i + 0.5) * voxel[0], lower[1] + (j + 0.5) * voxel[1]
        for t in range(count):
            solid = anything if t == count - 1 else static
            u = (cosines[t] * x - sines[t] * y + motions[t, 0] - lower[0]) / voxel[0] - 0.5
            v = (sines[t] * x + cosines[t] * y + motions[t, 1] - lower[1]) / voxel[1] - 0.5
            w = k + motions[t, 2] / voxel[2]
            a, b, c = int(np.floor(u)), int(np.floor(v)), int(np.floor(w))
            fu, fv, fw = u - a, v - b, w - c
            if a < -1 or b < -1 or a >= nx or b >= ny:
                out[n, t] = 0.0
                out[n, count + t] = 0.0
            else:
                total = 0.0
                for da in range(2):
                    for db in range(2):
                        ia, ib = a + da, b + db
                        if 0 <= ia < nx and 0 <= ib < ny:
                            weight = (fu if da else 1 - fu) * (fv if db else 1 - fv)
                            if 0 <= c < nz:
                                total += weight * (1 - fw) * solid[frames[t, ia, ib, c]]
                            if 0 <= c + 1 < nz:
                                total += weight * fw * solid[frames[t, ia, ib, c + 1]]
                out[n, t] = total
                out[n, count + t] = 1.0
            if t == count - 1:
                out[n, 2 * count + 27] = u - np.floor(u + 0.5)
                out[n, 2 * count + 28] = v - np.floor(v + 0.5)
                out[n, 2 * count + 29] = w - np.floor(w + 0.5)
                out[n, 2 * count + 30] = 1.0 if frames[t, i, j, k] else 0.0
        m = 2 * count
        for di in range(-1, 2):
            for dj in range(-1, 2):
                ia, ib = i + di, j + dj
                level = 0 <= ia < nx and 0 <= ib < ny
                for dk in range(-1, 2):
                    ic = k + dk
                    out[n, m] = 1.0 if level and 0 <= ic < nz and warped[ia, ib, ic] else 0.0
                    m += 1
