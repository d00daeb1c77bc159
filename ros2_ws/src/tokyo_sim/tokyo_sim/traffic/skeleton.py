"""The middle of carriageways: a raster's skeleton and the width around it, a window of the city at a time."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from occ_core.faces_by_square import FacesBySquare
from occ_core.loops import compiled
from tokyo_sim.raster import Raster, closed

_SIDE = 768  # cells of a window
_REACH = 96  # cells around a window at first; twice as many where that is not enough
_SLIT = 2  # cells on either side of a slit's middle: neighbouring surfaces leave slits between them
_AROUND = 2 * _SLIT  # cells that matter to whether a slit is closed
_STILL = 16  # cells around a window in which nothing may be thinned when what is around them becomes uncertain


def skeleton(roads: FacesBySquare, raster: Raster) -> tuple[np.ndarray, np.ndarray]:
    """Cells (c, 2) int32 of the skeleton of roads, ascending, and how far each is from the nearest outside of them.

    That is (c,) int32, the square of its distance in cells.

    The skeleton of the whole raster comes out, whatever windows it is made in, and a core holds no more than one.
    """
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        parts = list(threads.map(partial(_window, roads, raster), _windows(roads, raster)))
    cells, squares = (np.concatenate([part[column] for part in parts]) for column in (0, 1))
    del parts  # a city has a million of them
    order = np.lexsort(cells.T[::-1]).astype(np.int32)
    return cells[order], squares[order]


def _windows(roads: FacesBySquare, raster: Raster) -> np.ndarray:
    """(w, 2) first cells of the windows that may hold a part of roads."""
    slit = _SLIT * raster.cell
    ends = (roads.squares * roads.side - slit, (roads.squares + 1) * roads.side + slit)
    low, high = (np.floor((end - raster.lower) / raster.cell / _SIDE).astype(np.int64) for end in ends)
    found = [np.stack([low[:, 0] + i, low[:, 1] + j], axis=1) for i in range(2) for j in range(2)]
    touched = [each[(each <= high).all(axis=1)] for each in found]
    corners = _SIDE * np.unique(np.concatenate(touched), axis=0)
    return corners[((corners >= 0) & (corners < raster.shape)).all(axis=1)]


def _window(roads: FacesBySquare, raster: Raster, corner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cells (c, 2) of the skeleton in a window, and how far each is from the nearest outside, as `skeleton` has them.

    Thinning goes on from the edges inwards, one cell a turn: what is outside of the part that is looked at can't have
    changed the window before so many turns as there are cells between. Where nothing changes in it any more by then,
    or no road leaves the part, it is as thin as with all of the city around it.
    """
    reach, shape = _REACH, np.array(raster.shape)
    while True:
        begin, end = np.maximum(corner - reach, 0), np.minimum(corner + _SIDE + reach, shape)
        mask, first = _mask(roads, raster, begin, end)
        low = corner - first
        inner = tuple(slice(max(a, 0), max(a + _SIDE, 0)) for a in low.tolist())
        if not mask[inner].any():
            return np.zeros((0, 2), np.int32), np.zeros(0, np.int32)
        line, last = thinned(mask, low - _STILL, low + _SIDE + _STILL)
        cells = np.argwhere(line[inner]) + np.maximum(low, 0)
        squares = to_the_nearest(mask, cells)
        # Roads end within a part that is larger than what they cover of it.
        alone = (first > begin + 1).all() and (first + mask.shape < end - 1).all()
        if alone or (last < reach - _STILL and squares.max(initial=0) < reach**2):
            return (cells + first).astype(np.int32), squares
        reach *= 2


def _mask(roads: FacesBySquare, raster: Raster, begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Roads without slits in a part of a raster, (n, m) bool, cut to what they cover; and its first cell, (2,)."""
    low, high = raster.xy(begin - _AROUND), raster.xy(end + _AROUND)
    triangles = roads.triangles(roads.near(low, high))
    xy = triangles[:, :, :2]
    triangles = triangles[((xy.min(axis=1) <= high) & (xy.max(axis=1) >= low)).all(axis=1)]
    if not len(triangles):
        return np.zeros((0, 0), dtype=bool), begin
    corners = (triangles[:, :, :2].reshape(-1, 2) - raster.lower) / raster.cell
    begin = np.maximum(begin, np.floor(corners.min(axis=0)).astype(int))
    end = np.maximum(np.minimum(end, np.ceil(corners.max(axis=0)).astype(int) + 1), begin)
    covered = raster.part(begin - _AROUND, end + _AROUND).covered(triangles)
    return closed(covered, _SLIT)[_AROUND:-_AROUND, _AROUND:-_AROUND], begin


@compiled
def to_the_nearest(mask, cells):
    """From each of some cells (c, 2) on a mask (n, m) to the nearest that is not on it, also outside of it.

    (c,) int32, the squares of distances in cells.
    """
    height, width = mask.shape
    beside = np.empty((height, width), dtype=np.int32)  # cells to the nearest one of the row
    for i in range(height):
        distance = 0
        for j in range(width):
            distance = distance + 1 if mask[i, j] else 0
            beside[i, j] = distance
        distance = 0
        for j in range(width - 1, -1, -1):
            distance = distance + 1 if mask[i, j] else 0
            beside[i, j] = min(beside[i, j], distance)
    out = np.empty(len(cells), dtype=np.int32)
    for c in range(len(cells)):
        i, j = cells[c]
        best = min(i + 1, height - i) ** 2  # beyond the first and last row
        away = 0
        while away * away < best:
            for row in (i - away, i + away):
                if 0 <= row < height:
                    best = min(best, away * away + beside[row, j] ** 2)
            away += 1
        out[c] = best
    return out


def thinned(mask: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, int]:
    """The skeleton of a mask (n, m) bool, and the last turn in which a cell from low (2,) on and before high went.

    Thinned here until a line is left, since only the cells are looked at beside which something has gone;
    scikit-image, whose passes go over the whole raster, then makes the line one cell wide. Source: Zhang and Suen,
    1984.
    """
    from skimage.morphology import skeletonize  # takes a moment to load

    image = np.pad(mask, 1).view(np.uint8)
    last = _thin(image, low + 1, high + 1)
    return skeletonize(image[1:-1, 1:-1].view(bool)), last


@compiled
def _thin(image, low, high):
    """Thin an image of 0 and 1 in place, none of it 1 at its edge; the last turn in which a cell between two went.

    Each pass has two turns, which take other cells. A cell has to be looked at again in a turn only when one of its
    eight neighbours has gone since it was looked at in a turn of that kind.
    """
    width = image.shape[1]
    flat = image.reshape(-1)
    around = np.array([-width, 1 - width, 1, width + 1, width, width - 1, -1, -width - 1])
    waits = np.zeros(len(flat), dtype=np.uint8)  # a bit for each turn
    ones = int(np.sum(flat))
    lists, counts = (np.empty(ones, dtype=np.int32), np.empty(ones, dtype=np.int32)), [0, 0]
    edge = 0
    for k in range(width, len(flat) - width):
        if flat[k] and not (flat[k - width] and flat[k + 1] and flat[k + width] and flat[k - 1]):
            lists[0][edge] = lists[1][edge] = k
            waits[k] = 3
            edge += 1
    counts[0] = counts[1] = edge
    gone = np.empty(ones, dtype=np.int32)
    ring = np.empty(9, dtype=np.uint8)
    turns, last = 0, 0
    while counts[0] or counts[1]:
        for turn in range(2):
            turns += 1
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
                k = gone[n]
                flat[k] = 0
                i, j = k // width, k % width
                if low[0] <= i < high[0] and low[1] <= j < high[1]:
                    last = turns
            for n in range(going):
                for d in range(8):
                    k = gone[n] + around[d]
                    if flat[k]:
                        for other in range(2):
                            if not waits[k] & np.uint8(1 << other):
                                waits[k] |= np.uint8(1 << other)
                                lists[other][counts[other]] = k
                                counts[other] += 1
    return last
