"""Voxels that stand still: a lattice in `map`, into which the grids of a moving robot are carried.

A grid moves and turns with its robot, so all its voxels change with each frame. On a lattice of `map` the street stays
where it is: the grids of different times can be laid over each other, and what has not changed need not be sent again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from occ_core.grid import TOKYO_GRID
from occ_core.loops import compiled

CELL = np.array(TOKYO_GRID.voxel)
"""(3,) metres: as large as a voxel of the usual grid. Cell (i, j, k) reaches from (i, j, k) * CELL to the next
one in map."""


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
    def gathered(cls, points: np.ndarray, labels: np.ndarray, cell: np.ndarray = CELL) -> Voxels:
        """The cells that voxels given by their centres fill. points: (n, 3) metres, map. labels: (n,) uint8.
        cell: (3,) metres, as large as a voxel.

        The voxels' own grid may be turned: each is shared out to the four cells about its centre by bilinear weights,
        and a cell that gets half or more is occupied, by the class with the greatest share. So a wall has no holes at
        any angle, and grows by no more than half a cell. Points that are not finite are left out.
        """
        scaled, labels, lower, upper = _scaled(np.ascontiguousarray(points, np.float64), labels, cell)
        if not len(labels):
            return cls.empty()
        shape = tuple((upper - lower + [2, 2, 1]).tolist())
        # NumPy's zeros are not written before they are touched, and most are not.
        share, lead = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        found = np.sort(_shared_out(scaled, labels, lower, share, lead, np.zeros(shape, np.uint8)))
        return cls(_cells(found, lower, shape), (found & 255).astype(np.uint8))

    def __len__(self) -> int:
        return len(self.labels)

    def chosen(self, mask: np.ndarray) -> Voxels:
        """Those of a mask, bool (n,), or of indices, rising."""
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
        lower, dense = others._with_margin
        return _beside(self.cells, lower, self.labels, dense)

    @cached_property
    def _with_margin(self) -> tuple[np.ndarray, np.ndarray]:
        return self.dense(margin=1)


@compiled
def _scaled(points, labels, cell):
    """The finite points in cells, from the first that one has a share in; their labels; the first cells and the last
    of their lower corners, (3,) int64."""
    scaled, kept = np.empty((len(points), 3)), np.empty(len(points), np.uint8)
    lower, upper = np.full(3, np.inf), np.full(3, -np.inf)
    count = 0
    for n in range(len(points)):
        if np.isfinite(points[n, 0] + points[n, 1] + points[n, 2]):
            for axis in range(3):
                value = points[n, axis] / cell[axis] - (0.5 if axis < 2 else 0.0)
                scaled[count, axis] = value
                lower[axis], upper[axis] = min(lower[axis], value), max(upper[axis], value)
            kept[count] = labels[n]
            count += 1
    if count == 0:
        lower[:], upper[:] = 0.0, 0.0
    return scaled[:count], kept[:count], np.floor(lower).astype(np.int64), np.floor(upper).astype(np.int64)


@compiled
def _shared_out(scaled, labels, lower, share, lead, leader):
    """The cells that are filled: 256 times the flat number, and the class, (n,) int64.

    share, lead, leader: room to work in, all zero. lead: of the leading class over all others: Boyer and Moore's vote,
    with weights.
    """
    touched = np.empty(4 * len(labels), np.int64)
    count = 0
    _nx, ny, nz = share.shape
    share, lead, leader = share.reshape(-1), lead.reshape(-1), leader.reshape(-1)
    for n in range(len(labels)):
        i, j, z = np.floor(scaled[n, 0]), np.floor(scaled[n, 1]), np.floor(scaled[n, 2])
        u, v = scaled[n, 0] - i, scaled[n, 1] - j
        first = ((int(i) - lower[0]) * ny + int(j) - lower[1]) * nz + int(z) - lower[2]
        for part in range(4):
            number = first + (part // 2) * ny * nz + (part % 2) * nz
            weight = (u if part // 2 else 1.0 - u) * (v if part % 2 else 1.0 - v)
            if share[number] == 0.0:
                touched[count] = number
                count += 1
            share[number] += weight
            if leader[number] == labels[n]:
                lead[number] += weight
            elif weight > lead[number]:
                leader[number], lead[number] = labels[n], weight - lead[number]
            else:
                lead[number] -= weight
    filled = 0
    for n in range(count):
        number = touched[n]
        # A share of just a half is a cell that two voxels meet in the middle of: it counts. Never twice.
        if share[number] > 0.4999:
            touched[filled] = 256 * number + leader[number]
            share[number] = 0.0
            filled += 1
    return touched[:filled]


@compiled
def _cells(found, lower, shape):
    """(n, 3) int32 cells of what `_shared_out` gives."""
    cells = np.empty((len(found), 3), np.int32)
    for n in range(len(found)):
        number = found[n] >> 8
        cells[n, 2] = lower[2] + number % shape[2]
        cells[n, 1] = lower[1] + number // shape[2] % shape[1]
        cells[n, 0] = lower[0] + number // (shape[1] * shape[2])
    return cells


@compiled
def _beside(cells, lower, labels, others):
    out = np.zeros(len(cells), np.bool_)
    nx, ny, nz = others.shape
    for n in range(len(cells)):
        x, y, z = cells[n, 0] - lower[0], cells[n, 1] - lower[1], cells[n, 2] - lower[2]
        if 0 <= x < nx and 0 <= y < ny and 0 <= z < nz and others[x, y, z] == labels[n]:
            out[n] = True  # most often
            continue
        for i in range(max(x - 1, 0), min(x + 2, nx)):
            for j in range(max(y - 1, 0), min(y + 2, ny)):
                for k in range(max(z - 1, 0), min(z + 2, nz)):
                    out[n] |= others[i, j, k] == labels[n]
    return out
