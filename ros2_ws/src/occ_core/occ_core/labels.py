"""Classes of what LiDAR has found, from what is known to stand there."""

from __future__ import annotations

import numba
import numpy as np

from occ_core.classes import Semantic

# Noise and calibration put a return at most one voxel from the surface it came from: below first.
_LOOK_AT = np.array([(0, 0, 0), (0, 0, -1), (0, 0, 1), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)])


def labels_of(occupied: np.ndarray, truth: np.ndarray | None) -> np.ndarray:
    """Class of each occupied voxel: of the known city there, else of a neighbour voxel, else `other`.

    occupied: (n,) int64 flat numbers. truth: uint8 class ids of the grid; None: nothing is known.
    Returns (n,) uint8.
    """
    labels = np.full(len(occupied), Semantic.OTHER, dtype=np.uint8)
    if truth is not None:
        _look(occupied, truth, _LOOK_AT, labels)
    return labels


@numba.njit(cache=True, nogil=True)
def _look(occupied, truth, offsets, labels):
    nx, ny, nz = truth.shape
    for n in range(len(occupied)):
        column, k = divmod(occupied[n], nz)
        i, j = divmod(column, ny)
        for di, dj, dk in offsets:
            a, b, c = i + di, j + dj, k + dk
            if 0 <= a < nx and 0 <= b < ny and 0 <= c < nz and truth[a, b, c]:
                labels[n] = truth[a, b, c]
                break
