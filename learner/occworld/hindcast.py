"""How well the past would have foretold the present: what tells open ground, where the view comes along, from streets.

On a plain, what LiDAR sees of the ground travels with the vehicle, and *nothing changes* is the better forecast;
between houses the past stays where it is, and has to be moved. Which of them holds can be seen in the history itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numba
import numpy as np

from occ_core.classes import GROUND_CLASSES
from occ_core.grid import VoxelGrid
from occ_core.sparse_grid import SparseGrid
from occworld import motion as motions
from occworld.warp import covered, resample_voxels

_LAGS = (1, 3)  # frames back, of the maps
HINDCASTS = 4 * len(_LAGS)  # channels of `hindcast_maps`
_PATCH_PRIOR = 8.0  # voxels of a patch that weigh as much as all the scene
KINDS = 4  # of candidates: foretold by neither, by copy alone, by warp alone, by both
_RINGS_M = (10.0, 22.0)  # between near, middle and far from the vehicle: a LiDAR's rings lie apart in the distance
STRATA = (len(_RINGS_M) + 1) * 2 * KINDS  # ring, then ground or standing, then kind
_GROUND = np.zeros(256, bool)
_GROUND[[*GROUND_CLASSES]] = True
_STRATUM_PRIOR = 25.0  # voxels of a stratum that weigh as much as knowing nothing


def persistence(grid: VoxelGrid, frames: Sequence[SparseGrid], motion: np.ndarray, lag: int) -> np.ndarray:
    """(STRATA,) float32: logits of how often what copy and warp, so many frames ago, foretold of now came true.

    frames: history, oldest first, each in its own frame. motion: (t, 4), those frames in the last. lag: frames back, as
    many as there are at most. 0 for what neither has foretold.
    """
    lag = min(lag, len(frames) - 1)
    past, back = frames[-1 - lag], motions.inverse(motion[-1 - lag])
    ring, nz = rings(grid), grid.shape[2]
    said, hit = np.full(STRATA, 2 * _STRATUM_PRIOR), np.full(STRATA, _STRATUM_PRIOR)
    ground = _GROUND[past.classes]
    for standing, chosen in enumerate((ground, ~ground)):
        voxels = past.voxels[chosen]
        _kinds(frames[-1].voxels, voxels, resample_voxels(grid, voxels, back), nz, ring, standing * KINDS, said, hit)
    rate = np.clip(hit / said, 0.02, 0.98)
    logits = np.log(rate / (1 - rate))
    logits[::KINDS] = 0
    return logits.astype(np.float32)


@lru_cache(maxsize=8)
def rings(grid: VoxelGrid) -> np.ndarray:
    """(X * Y,) int64: 0, 1, 2 for columns near the vehicle, farther, and far."""
    x, y = (grid.lower[a] + (np.arange(grid.shape[a]) + 0.5) * grid.voxel[a] for a in (0, 1))
    return np.searchsorted(_RINGS_M, np.hypot(x[:, None], y[None]).reshape(-1)).astype(np.int64)


def strata(
    grid: VoxelGrid, voxels: np.ndarray, proposal: np.ndarray, warped: np.ndarray, copied: np.ndarray
) -> np.ndarray:
    """(n,) int64 strata of candidates: flat voxels (n,), their proposed classes (n,), and which of them warp and copy
    foretell, (n,) bool each."""
    ring = rings(grid)[voxels // grid.shape[2]]
    return (ring * 2 + ~_GROUND[proposal]) * KINDS + 2 * warped + copied


@numba.njit(cache=True)
def stratum(ring, proposal, warped, copied):
    """As `strata`, of one candidate, for compiled loops. ring: of its column. warped, copied: 0 or 1."""
    return (2 * ring + (0 if _GROUND[proposal] else 1)) * KINDS + 2 * np.int64(warped) + np.int64(copied)


def hindcast_maps(
    grid: VoxelGrid, frames: Sequence[SparseGrid], motion: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """(HINDCASTS, h, w) float32 of the current frame: per lag the IoU of *copy* and of *warp* in each patch of columns,
    drawn towards that of the whole frame where it holds few voxels, and those of the whole frame.

    frames, motion: as of `persistence`. size: h, w, patches. Warp counts in columns alone that the older frame covers;
    0 where the history is shorter.
    """
    out = np.zeros((HINDCASTS, *size), np.float32)
    patch = _patch_of_column(grid, size)
    now = frames[-1].voxels
    for number, lag in enumerate(lag for lag in _LAGS if lag < len(frames)):
        rows = out[4 * number : 4 * number + 4]
        past, back = frames[-1 - lag].voxels, motions.inverse(motion[-1 - lag])
        reach = covered(grid, back).reshape(-1)
        foretold = ((past, np.ones_like(reach)), (resample_voxels(grid, past, back), reach))
        for row, (voxels, counted) in enumerate(foretold):
            both, either = np.zeros(size[0] * size[1]), np.zeros(size[0] * size[1])
            _overlap(now, voxels, grid.shape[2], patch, counted, both, either)
            whole = both.sum() / max(either.sum(), 1.0)
            rows[row] = ((both + _PATCH_PRIOR * whole) / (either + _PATCH_PRIOR)).reshape(size)
            rows[2 + row] = whole
    return out


def _patch_of_column(grid: VoxelGrid, size: tuple[int, int]) -> np.ndarray:
    """(X * Y,) int64: the flat patch of each flat column."""
    x, y = (np.arange(n) * size[a] // n for a, n in enumerate(grid.shape[:2]))
    return (x[:, None] * size[1] + y).reshape(-1)


@numba.njit(cache=True, nogil=True)
def _kinds(now, copied, moved, nz, ring, offset, said, hit):
    """Adds, of two ascending lists, how many voxels are in the first alone (1), the second alone (2) and both (3), per
    ring, and how many of them are in a third, `now`."""
    a = b = c = 0
    while a < len(copied) or b < len(moved):
        first = copied[a] if a < len(copied) else np.int32(2147483647)
        second = moved[b] if b < len(moved) else np.int32(2147483647)
        voxel = min(first, second)
        kind = (first == voxel) + 2 * (second == voxel)
        a += first == voxel
        b += second == voxel
        while c < len(now) and now[c] < voxel:
            c += 1
        stratum = ring[voxel // nz] * 2 * KINDS + offset + kind
        said[stratum] += 1.0
        if c < len(now) and now[c] == voxel:
            hit[stratum] += 1.0


@numba.njit(cache=True, nogil=True)
def _overlap(ours, theirs, nz, patch, counted, both, either):
    """Adds how many voxels of two ascending lists are in both, and in either, per patch of the columns that count."""
    a = b = 0
    while a < len(ours) or b < len(theirs):
        if b == len(theirs) or (a < len(ours) and ours[a] < theirs[b]):
            voxel, shared = ours[a], False
            a += 1
        elif a == len(ours) or theirs[b] < ours[a]:
            voxel, shared = theirs[b], False
            b += 1
        else:
            voxel, shared = ours[a], True
            a += 1
            b += 1
        column = voxel // nz
        if counted[column]:
            either[patch[column]] += 1.0
            both[patch[column]] += shared
