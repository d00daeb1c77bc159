"""A raster over the ground plane: which cells triangles cover, and how high."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from scipy.ndimage import label

from occ_core.citymap import raster_heights

_CELLS_AT_A_TIME = 1 << 22
_BESIDE = 64


@dataclass(frozen=True)
class Raster:
    """lower: (2,) metres in map, the first cell's point. cell: metres. shape: cells along x and y."""

    lower: np.ndarray
    cell: float
    shape: tuple[int, int]

    @classmethod
    def covering(cls, triangles: np.ndarray, cell: float, margin: float) -> Raster:
        """A raster that holds triangles (n, 3, 3) with a margin in metres."""
        xy = triangles[:, :, :2].reshape(-1, 2).astype(np.float64)
        lower = np.floor(xy.min(axis=0) - margin)
        shape = np.ceil((xy.max(axis=0) + margin - lower) / cell).astype(int) + 1
        return cls(lower, cell, (int(shape[0]), int(shape[1])))

    def covered(self, triangles: np.ndarray) -> np.ndarray:
        """(x, y) bool: cells whose point lies under a triangle (n, 3, 3)."""
        x = triangles[:, :, 0]
        low, high = x.min(axis=1), x.max(axis=1)
        out = np.empty(self.shape, dtype=bool)
        rows = max(_CELLS_AT_A_TIME // self.shape[1], 1)
        # Heights take four times the memory of the mask that is wanted.
        for first in range(0, self.shape[0], rows):
            count = min(rows, self.shape[0] - first)
            strip = Raster(self.lower + [first * self.cell, 0.0], self.cell, (count, self.shape[1]))
            begin, end = strip.lower[0] - self.cell, strip.lower[0] + count * self.cell
            out[first : first + count] = ~np.isnan(strip.highest(triangles[(high >= begin) & (low <= end)]))
        return out

    def xy(self, cells: np.ndarray) -> np.ndarray:
        """Metres in map of cell indices (..., 2)."""
        return self.lower + np.asarray(cells) * self.cell

    def cells(self, xy: np.ndarray) -> np.ndarray:
        """Indices (..., 2) of the cells nearest to points in map, clipped to the raster."""
        return np.clip(np.round((np.asarray(xy) - self.lower) / self.cell).astype(int), 0, np.array(self.shape) - 1)

    def highest(self, triangles: np.ndarray) -> np.ndarray:
        """Height of the highest triangle over each cell's point, (x, y) float32, NaN where there is none."""
        scaled = triangles.astype(np.float64)
        scaled[:, :, :2] = (scaled[:, :, :2] - self.lower) / self.cell
        heights = np.full(self.shape, np.nan, dtype=np.float32)
        raster_heights(scaled, heights)
        return heights


def groups_apart(triangles: np.ndarray, gap: float) -> list[np.ndarray]:
    """Triangles (n, 3, 3) in groups that lie at least so many metres apart along x or y, each (k, 3, 3)."""
    if not len(triangles):
        return []
    low, high = triangles[:, :, :2].min(axis=1), triangles[:, :, :2].max(axis=1)
    first = np.floor((low - low.min(axis=0)) / gap).astype(int)
    last = np.floor((high - low.min(axis=0)) / gap).astype(int)
    # How many boxes lie over each cell, as the sum of what begins and ends at the corners of the boxes.
    count = np.zeros(last.max(axis=0) + 2, dtype=np.int32)
    for x, y, sign in ((first, first, 1), (last + 1, first, -1), (first, last + 1, -1), (last + 1, last + 1, 1)):
        np.add.at(count, (x[:, 0], y[:, 1]), sign)
    parts, _ = label(count.cumsum(axis=0).cumsum(axis=1) > 0, structure=np.ones((3, 3)))
    group = parts[first[:, 0], first[:, 1]]
    order = np.argsort(group, kind="stable")
    return np.split(triangles[order], np.flatnonzero(np.diff(group[order])) + 1)


def dilated(mask: np.ndarray) -> np.ndarray:
    """A mask with the four neighbours of its cells; scipy's takes ten times as long."""
    out = mask.copy()
    out[1:] |= mask[:-1]
    out[:-1] |= mask[1:]
    out[:, 1:] |= mask[:, :-1]
    out[:, :-1] |= mask[:, 1:]
    return out


def closed(mask: np.ndarray, iterations: int) -> np.ndarray:
    """A mask without gaps of so many cells on either side of their middle; nothing counts as outside the raster."""
    for _ in range(iterations):
        mask = dilated(mask)
    gaps = ~mask
    for _ in range(iterations):
        gaps = dilated(gaps)
        gaps[[0, -1]] = gaps[:, [0, -1]] = True
    return ~gaps


def thinned(mask: np.ndarray) -> np.ndarray:
    """The skeleton of a mask (n, m) bool. Source: Zhang and Suen, 1984.

    Thinned here until a line is left, since only the cells are looked at beside which something has gone;
    scikit-image, whose passes go over the whole raster, then makes the line one cell wide.
    """
    from skimage.morphology import skeletonize  # takes a moment to load

    image = np.pad(mask, 1).view(np.uint8)
    _thin(image)
    line = image[1:-1, 1:-1].view(bool)
    out = np.empty(line.shape, dtype=bool)
    rows = max(_CELLS_AT_A_TIME // line.shape[1], _BESIDE)
    # A few cells go, each by what is next to it: strips with some rows on either side give what the whole does.
    for first in range(0, len(line), rows):
        begin = max(first - _BESIDE, 0)
        strip = skeletonize(line[begin : first + rows + _BESIDE])
        out[first : first + rows] = strip[first - begin : first - begin + rows]
    return out


@numba.njit(cache=True)
def _thin(image):
    """Thin an image of 0 and 1 in place, none of it 1 at its edge.

    Each pass has two turns, which take other cells. A cell has to be looked at again in a turn only when one of its
    eight neighbours has gone since it was looked at in a turn of that kind.
    """
    width = image.shape[1]
    flat = image.reshape(-1)
    around = np.array([-width, 1 - width, 1, width + 1, width, width - 1, -1, -width - 1])
    waits = np.zeros(len(flat), dtype=np.uint8)  # a bit for each turn
    lists, counts = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)), [0, 0]
    edge = 0
    for run in range(2):
        edge = 0
        for k in range(width, len(flat) - width):
            if flat[k] and not (flat[k - width] and flat[k + 1] and flat[k + width] and flat[k - 1]):
                if run:
                    lists[0][edge] = lists[1][edge] = k
                    waits[k] = 3
                edge += 1
        if not run:
            ones = int(flat.sum())
            lists = (np.empty(ones, dtype=np.int64), np.empty(ones, dtype=np.int64))
    counts[0] = counts[1] = edge
    gone = np.empty(len(lists[0]), dtype=np.int64)
    ring = np.empty(9, dtype=np.uint8)
    while counts[0] or counts[1]:
        for turn in range(2):
            now = lists[turn]
            going = 0
            for n in range(counts[turn]):
                k = now[n]
                waits[k] &= ~np.uint8(1 << turn)
                if not flat[k]:
                    continue
                neighbours = 0
                for d in range(8):
                    ring[d] = flat[k + around[d]]
                    neighbours += ring[d]
                ring[8] = ring[0]
                if neighbours < 2 or neighbours > 6:
                    continue
                rises = 0
                for d in range(8):
                    rises += ring[d] == 0 and ring[d + 1] == 1
                if rises != 1:
                    continue
                north, east, south, west = ring[0], ring[2], ring[4], ring[6]
                if turn == 0:
                    goes = not (north and east and south) and not (east and south and west)
                else:
                    goes = not (north and east and west) and not (north and south and west)
                if goes:
                    gone[going] = k
                    going += 1
            counts[turn] = 0
            for n in range(going):
                flat[gone[n]] = 0
            for n in range(going):
                for d in range(8):
                    k = gone[n] + around[d]
                    if flat[k]:
                        for other in range(2):
                            if not waits[k] & np.uint8(1 << other):
                                waits[k] |= np.uint8(1 << other)
                                lists[other][counts[other]] = k
                                counts[other] += 1
