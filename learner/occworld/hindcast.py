"""How well the past would have foretold the present: what tells open ground, where the view comes along, from streets.

On a plain, what LiDAR sees of the ground travels with the vehicle, and *nothing changes* is the better forecast;
between houses the past stays where it is, and has to be moved. Which of them holds can be seen in the history itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from occ_core.classes import GROUND_CLASSES
from occ_core.grid import VoxelGrid
from occ_core.loops import compiled, loop
from occ_core.sparse_grid import SparseGrid
from occworld import motion as motions
from occworld.warp import resample_voxels, source_columns

_LAGS = (1, 3)  # frames back, of the maps
HINDCASTS = 4 * len(_LAGS)  # channels of `hindcast_maps`
_PATCH_PRIOR = 8.0  # voxels of a patch that weigh as much as all the scene
KINDS = 6  # of candidates: `kind` numbers them
WARPED = 3  # kinds from this one on are foretold by warp
_NEW = 0  # kind: foretold by neither
# The kind that tells most of each when it is not asked itself: what does the other baseline say, how much is new?
_OTHER = np.array([5, 3, 3, 2, 0, 0])
_RINGS_M = (10.0, 22.0)  # between near, middle and far from the vehicle: a LiDAR's rings lie apart in the distance
STRATA = (len(_RINGS_M) + 1) * 2 * KINDS  # ring, then ground or standing, then kind
_GROUND = np.zeros(256, bool)
_GROUND[[*GROUND_CLASSES]] = True
_STRATUM_PRIOR = 25.0  # voxels of a stratum that weigh as much as knowing nothing


@compiled(inline="always")
def kind(warped, copied, before):
    """Of a candidate: does warp foretell it, does copy, and was it there half a second before as well, in the grid of
    then? What is, on a plain, belongs to the pattern of the beams, which comes along with the vehicle."""
    return WARPED * np.int64(warped) + np.int64(copied) * (1 + np.int64(before))


def persistence(
    grid: VoxelGrid, frames: Sequence[SparseGrid], motion: np.ndarray, lag: int, planned: bool
) -> np.ndarray:
    """(STRATA,) float32: logits of how often what copy and warp, so many frames ago, foretold of now came true.

    frames: history, oldest first, each in its own frame. motion: (t, 4), those frames in the last. lag: frames back, as
    many as there are at most. planned: warp knew where the vehicle would be; else it went on as it was going: who turns
    and brakes has a worse record.
    Of what neither has foretold: how much of what is there now is such. Where there is no frame before that one, what
    copy foretold is one whether it was there before or not.
    """
    lag = min(lag, len(frames) - 1)
    past, now = frames[-1 - lag], frames[-1]
    back = motions.inverse(motion[-1 - lag]) if planned else _expected(motion, len(motion) - 1 - lag, lag)
    before = frames[-2 - lag].voxels if lag + 2 <= len(frames) else np.zeros(0, np.int32)
    ring, nz, source = rings(grid), grid.shape[2], source_columns(grid, back)
    said, hit = np.full(STRATA, 2 * _STRATUM_PRIOR), np.full(STRATA, _STRATUM_PRIOR)
    grounds = _GROUND[past.classes], _GROUND[now.classes]
    for standing in (0, 1):
        voxels, ours = (frame.voxels[of != bool(standing)] for frame, of in zip((past, now), grounds, strict=True))
        moved, offset = resample_voxels(grid, voxels, back, source), standing * KINDS
        _kinds(now.voxels, voxels, moved, before, nz, ring, offset, said, hit)
        _news(ours, voxels, moved, nz, ring, offset, said, hit)
    if not len(before):
        for sums in (said, hit):
            sums[2::KINDS], sums[5::KINDS] = sums[1::KINDS], sums[4::KINDS]
    rate = np.clip(hit / said, 0.02, 0.98)
    return np.log(rate / (1 - rate)).astype(np.float32)


def _expected(motion: np.ndarray, then: int, lag: int) -> np.ndarray:
    """(4,) where the current frame was to be expected, seen from frame `then`, by the step before it (that after it
    where it is the first). Height was known."""
    first = max(then - 1, 0)
    out = motions.extrapolate(motion[first : first + 2], lag)[-1]
    out[2] = motions.inverse(motion[then])[2]
    return out


SIGNS = 8
"""Numbers that tell how far the past can be trusted."""
NEWS = 2 * KINDS + _NEW
"""The stratum whose signs tell how much is new: of ground, neither near nor far."""


def signs(record: np.ndarray, motion: np.ndarray, step: int, target: np.ndarray, height: float) -> np.ndarray:
    """(STRATA, SIGNS) float32: for each stratum one, how often such voxels came true as many frames ago as the target
    is ahead, or as many as there are, and one frame ago, the same of what it has to be weighed against, how far
    the vehicle will have come, in itself and beside how far it came in those frames, how far it turns, and its height.

    record: (lags, STRATA), `persistence` of each lag from 1. motion: (t, 4), history in the current frame. step: from
    0. target: (4,), the target in the current frame. height: metres.
    """
    lag = min(step, len(record) - 1)
    far, came = (float(np.hypot(*place[:2])) for place in (target, motion[-2 - lag]))
    out = np.empty((STRATA, SIGNS), np.float32)
    out[:, 0], out[:, 1], out[:, 2] = 1, record[lag], record[0]
    out[:, 3] = record[lag].reshape(-1, KINDS)[:, _OTHER].reshape(-1)
    out[:, 4] = np.log1p(far / 4)
    out[:, 5] = np.clip(np.log((far + 1) / (came + 1)), -2, 2)
    out[:, 6] = min(abs(float(motions.wrap(target[3]))), np.pi / 2)
    out[:, 7] = np.clip(height / 20, 0, 2)
    return out


@lru_cache(maxsize=8)
def rings(grid: VoxelGrid) -> np.ndarray:
    """(X * Y,) int64: 0, 1, 2 for columns near the vehicle, farther, and far."""
    x, y = (grid.lower[a] + (np.arange(grid.shape[a]) + 0.5) * grid.voxel[a] for a in (0, 1))
    return np.searchsorted(_RINGS_M, np.hypot(x[:, None], y[None]).reshape(-1)).astype(np.int64)


def strata(
    grid: VoxelGrid, voxels: np.ndarray, proposal: np.ndarray, warped: np.ndarray, copied: np.ndarray,
    before: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """(n,) int64 strata of candidates: flat voxels (n,), their proposed classes (n,), and which of them warp and copy
    foretell, and were there before, (n,) bool each."""
    ring = rings(grid)[voxels // grid.shape[2]]
    return (ring * 2 + ~_GROUND[proposal]) * KINDS + kind.py_func(warped, copied, before)


@compiled
def stratum(ring, proposal, warped, copied, before):
    """As `strata`, of one candidate, for compiled loops. ring: of its column. warped, copied, before: 0 or 1."""
    return (2 * ring + (0 if _GROUND[proposal] else 1)) * KINDS + kind(warped, copied, before)


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
        source = source_columns(grid, back)
        reach = source >= 0
        foretold = ((past, np.ones_like(reach)), (resample_voxels(grid, past, back, source), reach))
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


@loop
def _kinds(now, copied, moved, before, nz, ring, offset, said, hit):
    """Adds, of the voxels of two ascending lists, how many are of each kind, per ring, and how many of them are in
    `now`. before: which of those in the first count as there before. All lists are ascending."""
    a = b = c = d = 0
    while a < len(copied) or b < len(moved):
        first = copied[a] if a < len(copied) else np.int32(2147483647)
        second = moved[b] if b < len(moved) else np.int32(2147483647)
        voxel = min(first, second)
        while d < len(before) and before[d] < voxel:
            d += 1
        there = d < len(before) and before[d] == voxel
        stratum = ring[voxel // nz] * 2 * KINDS + offset + kind(second == voxel, first == voxel, there)
        a += first == voxel
        b += second == voxel
        while c < len(now) and now[c] < voxel:
            c += 1
        said[stratum] += 1.0
        if c < len(now) and now[c] == voxel:
            hit[stratum] += 1.0


@loop
def _news(now, copied, moved, nz, ring, offset, said, hit):
    """Adds how many voxels there are now, per ring, and how many of them in neither of two lists. All are ascending."""
    a = b = 0
    for voxel in now:
        while a < len(copied) and copied[a] < voxel:
            a += 1
        while b < len(moved) and moved[b] < voxel:
            b += 1
        foretold = (a < len(copied) and copied[a] == voxel) or (b < len(moved) and moved[b] == voxel)
        stratum = ring[voxel // nz] * 2 * KINDS + offset + _NEW
        said[stratum] += 1.0
        hit[stratum] += 0.0 if foretold else 1.0


@loop
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
