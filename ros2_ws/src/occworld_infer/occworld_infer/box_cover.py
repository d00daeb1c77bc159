"""Voxels gathered into boxes of a few sizes, so that the hundreds of voxels of a wall are some ten cubes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occ_core.loops import compiled
from occworld_infer.lattice import Voxels

LONGEST = 8


@dataclass(frozen=True)
class BoxCover:
    """lower: (n, 3) int32, first cell of each box. size: (n, 3) int32 cells along x, y, z, powers of two up to LONGEST.

    labels: (n,) uint8, class of all cells of a box.
    """

    lower: np.ndarray
    size: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def merge(voxels: Voxels) -> BoxCover:
    """Disjoint boxes that cover exactly these voxels, each of one class.

    Greedy, in the order of the voxels: from the first that is left as far as its class reaches along z, then y, then
    x. Lengths are powers of two, since boxes of one size share a marker: the message of a CUBE_LIST has one scale, and
    24 bytes for each cube, while a box of triangles would take 864.
    """
    if not len(voxels):
        return BoxCover(np.zeros((0, 3), np.int32), np.zeros((0, 3), np.int32), np.zeros(0, np.uint8))
    lower, left = voxels.dense()
    rows = _merge(left, voxels.cells - lower, LONGEST)
    return BoxCover((rows[:, :3] + lower).astype(np.int32), rows[:, 3:6], rows[:, 6].astype(np.uint8))


@compiled
def _merge(left, cells, longest):
    found = np.empty((len(cells), 7), np.int32)
    count = 0
    for n in range(len(cells)):
        x, y, z = cells[n]
        label = left[x, y, z]
        if label == 0:
            continue
        size = np.ones(3, np.int32)
        for axis in (2, 1, 0):
            while size[axis] < longest and _doubles(left, cells[n], size, axis):
                size[axis] *= 2
        left[x : x + size[0], y : y + size[1], z : z + size[2]] = 0
        found[count, 0], found[count, 1], found[count, 2] = x, y, z
        found[count, 3:6] = size
        found[count, 6] = label
        count += 1
    return found[:count]


@compiled
def _doubles(left, lower, size, axis):
    """Whether the box at `lower` may be twice as long along an axis."""
    x, y, z = lower
    label = left[x, y, z]
    start = lower.copy()
    start[axis] += size[axis]
    if start[axis] + size[axis] > left.shape[axis]:
        return False
    for i in range(start[0], start[0] + size[0]):
        for j in range(start[1], start[1] + size[1]):
            for k in range(start[2], start[2] + size[2]):
                if left[i, j, k] != label:
                    return False
    return True
