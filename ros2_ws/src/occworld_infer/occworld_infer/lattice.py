"""Voxels that stand still: a lattice in `map`, into which the grids of a moving robot are carried.

A grid moves and turns with its robot, so all its voxels change with each frame. On a lattice of `map` the street stays
where it is: the grids of different times can be laid over each other, and what has not changed need not be sent again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from occ_core.grid import TOKYO_GRID

CELL = np.array(TOKYO_GRID.voxel)
"""(3,) metres: as large as a voxel of the grid. Cell (i, j, k) reaches from (i, j, k) * CELL to the next one in map."""


@dataclass(frozen=True)
class Voxels:
    """cells: (n, 3) int32 cells of the lattice, no two the same, in the order of x, y, z. labels: (n,) uint8, not 0."""

    cells: np.ndarray
    labels: np.ndarray

    @classmethod
    def empty(cls) -> Voxels:
        """No voxel at all."""
        return cls(np.zeros((0, 3), np.int32), np.zeros(0, np.uint8))

    @classmethod
    def gathered(cls, points: np.ndarray, labels: np.ndarray) -> Voxels:
        """The cells that voxels given by their centres fill. points: (n, 3) metres, map. labels: (n,) uint8.

        The voxels' own grid may be turned: each is shared out to the four cells about its centre by bilinear weights,
        and a cell that gets half or more is occupied, by the class with the greatest share. So a wall has no holes at
        any angle, and grows by no more than half a cell. Points that are not finite are left out.
        """
        finite = np.isfinite(points).all(axis=1)
        points, labels = points[finite], labels[finite]
        if not len(points):
            return cls.empty()
        scaled = points / CELL - [0.5, 0.5, 0.0]
        lower = np.floor(scaled.min(axis=0)).astype(np.int64)
        shape = np.floor(scaled.max(axis=0)).astype(np.int64) - lower + [2, 2, 1]
        cells, found = _shared_out(scaled - lower, labels.astype(np.uint8), tuple(shape.tolist()))
        order = np.argsort(np.ravel_multi_index(tuple(cells.T), shape))
        return cls((cells[order] + lower).astype(np.int32), found[order])

    def __len__(self) -> int:
        return len(self.labels)

    def chosen(self, mask: np.ndarray) -> Voxels:
        """Those of a mask, bool (n,)."""
        return Voxels(self.cells[mask], self.labels[mask])

    def dense(self, margin: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """(3,) int first cell, and uint8 (x, y, z) labels from there, as large as the voxels reach and a margin."""
        lower = self.cells.min(axis=0) - margin
        labels = np.zeros(self.cells.max(axis=0) + margin + 1 - lower, np.uint8)
        labels[tuple((self.cells - lower).T)] = self.labels
        return lower, labels

    def beside(self, others: Voxels) -> np.ndarray:
        """Which of these have their class among others, in the same cell or one of the 26 about it: bool (n,)."""
        if not len(self) or not len(others):
            return np.zeros(len(self), bool)
        lower, dense = others.dense(margin=1)
        return _beside(self.cells - lower, self.labels, dense)


@numba.njit(cache=True)
def _shared_out(scaled, labels, shape):
    share = np.zeros(shape, np.float32)
    lead = np.zeros(shape, np.float32)  # of the leading class over all others: Boyer and Moore's vote, with weights
    leader = np.zeros(shape, np.uint8)
    for n in range(len(labels)):
        i, j, z = int(scaled[n, 0]), int(scaled[n, 1]), int(scaled[n, 2])
        u, v = scaled[n, 0] - i, scaled[n, 1] - j
        for x, across in ((i, 1.0 - u), (i + 1, u)):
            for y, along in ((j, 1.0 - v), (j + 1, v)):
                weight = across * along
                share[x, y, z] += weight
                if leader[x, y, z] == labels[n]:
                    lead[x, y, z] += weight
                elif weight > lead[x, y, z]:
                    leader[x, y, z], lead[x, y, z] = labels[n], weight - lead[x, y, z]
                else:
                    lead[x, y, z] -= weight
    cells = np.empty((4 * len(labels), 3), np.int64)
    found = np.empty(4 * len(labels), np.uint8)
    count = 0
    for n in range(len(labels)):
        i, j, z = int(scaled[n, 0]), int(scaled[n, 1]), int(scaled[n, 2])
        for x in range(i, i + 2):
            for y in range(j, j + 2):
                # A share of just a half is a cell that two voxels meet in the middle of: it counts.
                if share[x, y, z] > 0.4999:
                    cells[count, 0], cells[count, 1], cells[count, 2] = x, y, z
                    found[count] = leader[x, y, z]
                    share[x, y, z] = 0.0
                    count += 1
    return cells[:count], found[:count]


@numba.njit(cache=True)
def _beside(cells, labels, others):
    out = np.zeros(len(cells), np.bool_)
    for n in range(len(cells)):
        x, y, z = cells[n]
        for i in range(max(x - 1, 0), min(x + 2, others.shape[0])):
            for j in range(max(y - 1, 0), min(y + 2, others.shape[1])):
                for k in range(max(z - 1, 0), min(z + 2, others.shape[2])):
                    out[n] |= others[i, j, k] == labels[n]
    return out
