"""What the history says about the voxels of a frame to come: the aligned past, around each voxel that may be filled."""

from __future__ import annotations

import numpy as np

from occ_core.classes import DYNAMIC_IDS, NUM_CLASSES
from occ_core.grid import VoxelGrid
from occ_core.loops import compiled
from occworld.aligned import Aligned

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


def features(
    grid: VoxelGrid, frames: tuple[np.ndarray, ...], motions: np.ndarray, aligned: Aligned, voxels: np.ndarray,
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
        tuple(frame.reshape(-1) for frame in frames), np.asarray(motions, float), np.array(grid.lower),
        np.array(grid.voxel), aligned.warped, voxels, _STATIC, _ANY, out,
    )  # fmt: skip
    return out


@compiled
def _features(frames, motions, lower, voxel, warped, voxels, static, anything, out):
    count = len(frames)
    nx, ny, nz = warped.shape
    flat_warped = warped.reshape(-1)
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
                    cell[t, m] = ((a + da) * ny + b + db) * nz if held else 0
                    weight[t, m] = (u - a if da else 1 - (u - a)) * (v - b if db else 1 - (v - b)) if held else 0.0
            for m in range(9):
                ia, ib = i + m // 3 - 1, j + m % 3 - 1
                around[m] = (ia * ny + ib) * nz if 0 <= ia < nx and 0 <= ib < ny else -1
        for t in range(count):
            c = k + lift[t]
            total = 0.0
            if inside[t]:
                frame, solid = frames[t], anything if t == count - 1 else static
                for m in range(4):
                    first = cell[t, m] + c
                    low = solid[frame[first]] if 0 <= c < nz else 0
                    high = solid[frame[first + 1]] if 0 <= c + 1 < nz else 0
                    total += weight[t, m] * (low + up[t] * (high - low))
            out[n, t] = total
            out[n, count + t] = inside[t]
        t = count - 1
        out[n, 2 * count + 27] = shift[t, 0]
        out[n, 2 * count + 28] = shift[t, 1]
        out[n, 2 * count + 29] = up[t] - np.floor(up[t] + 0.5)
        out[n, 2 * count + 30] = frames[t][column * nz + k] > 0
        for m in range(9):
            at, first = 2 * count + 3 * m, around[m] + k - 1
            if around[m] >= 0 and 0 < k < nz - 1:
                out[n, at] = flat_warped[first] > 0
                out[n, at + 1] = flat_warped[first + 1] > 0
                out[n, at + 2] = flat_warped[first + 2] > 0
            else:
                for dk in range(3):
                    out[n, at + dk] = around[m] >= 0 and 0 <= k + dk - 1 < nz and flat_warped[first + dk] > 0
