"""Classes of what LiDAR has found, from what is known to stand there."""

from __future__ import annotations

import numpy as np

from occ_core.classes import Semantic
from occ_core.ground_truth import Columns
from occ_core.loops import compiled

# Noise and calibration put a return at most one voxel from the surface it came from: below first.
_LOOK_AT = np.array([(0, 0, 0), (0, 0, -1), (0, 0, 1), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)])


def columns_about(occupied: np.ndarray, shape: tuple[int, int, int]) -> Columns:
    """The part of a grid that `labels_of` looks at. occupied: (n,) int64 flat numbers."""
    place = np.full(shape[:2], -1, np.int32)
    if not len(occupied):
        return Columns(place, 0, 0)
    _mark_columns(occupied, shape[2], place)
    heights = occupied % shape[2]
    return Columns(place, max(int(heights.min()) - 1, 0), min(int(heights.max()) + 2, shape[2]))


def labels_of(occupied: np.ndarray, truth: np.ndarray, columns: Columns, nz: int) -> np.ndarray:
    """Class of each occupied voxel: of the known city there, else of a neighbour voxel, else `other`.

    occupied: (n,) int64 flat numbers. truth: uint8 class ids of `columns`, those about the voxels. nz: layers of the
    grid. Returns (n,) uint8.
    """
    labels = np.full(len(occupied), Semantic.OTHER, dtype=np.uint8)
    _look(occupied, nz, truth, *columns.parts, _LOOK_AT, labels)
    return labels


@compiled
def _mark_columns(occupied, nz, place):
    """Give numbers, from 0 on, to the columns of voxels and to those beside them."""
    nx, ny = place.shape
    count = 0
    for number in occupied:
        i, j = divmod(number // nz, ny)
        for a, b in ((i, j), (i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
            if 0 <= a < nx and 0 <= b < ny and place[a, b] < 0:
                place[a, b] = count
                count += 1


@compiled
def _look(occupied, nz, truth, place, bottom, top, offsets, labels):
    nx, ny = place.shape
    for n in range(len(occupied)):
        column, k = divmod(occupied[n], nz)
        i, j = divmod(column, ny)
        for di, dj, dk in offsets:
            a, b, c = i + di, j + dj, k + dk
            if 0 <= a < nx and 0 <= b < ny and bottom <= c < top and truth[place[a, b], c - bottom]:
                labels[n] = truth[place[a, b], c - bottom]
                break
