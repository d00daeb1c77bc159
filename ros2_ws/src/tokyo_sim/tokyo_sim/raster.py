"""A raster over the ground plane: which cells triangles cover, and how high."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from scipy.ndimage import label
from skimage.morphology import skeletonize

from occ_core.citymap import raster_heights


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
        return ~np.isnan(self.highest(triangles))

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

    Thinned here until a line is left, since of each pass only the cells that are left are looked at; scikit-image,
    whose passes go over the whole raster, then makes the line one cell wide.
    """
    image = np.pad(mask, 1).astype(np.uint8)
    _thin(image, np.argwhere(image))
    return skeletonize(image[1:-1, 1:-1].astype(bool))


@numba.njit(cache=True)
def _thin(image, cells):
    """Thin an image of 0 and 1 in place. cells: (k, 2) those that are 1, none at the edge of the image."""
    count = len(cells)
    marked = np.empty(count, dtype=np.bool_)
    changed = True
    while changed:
        changed = False
        for turn in range(2):
            for k in range(count):
                i, j = cells[k]
                north, east, south, west = image[i - 1, j], image[i, j + 1], image[i + 1, j], image[i, j - 1]
                marked[k] = False
                if north and east and south and west:
                    continue
                ne, se = image[i - 1, j + 1], image[i + 1, j + 1]
                sw, nw = image[i + 1, j - 1], image[i - 1, j - 1]
                neighbours = north + ne + east + se + south + sw + west + nw
                if neighbours < 2 or neighbours > 6:
                    continue
                ring = (north, ne, east, se, south, sw, west, nw, north)
                rises = 0
                for n in range(8):
                    rises += ring[n] == 0 and ring[n + 1] == 1
                if rises != 1:
                    continue
                if turn == 0:
                    marked[k] = not (north and east and south) and not (east and south and west)
                else:
                    marked[k] = not (north and east and west) and not (north and south and west)
            left = 0
            for k in range(count):
                if marked[k]:
                    image[cells[k, 0], cells[k, 1]] = 0
                    changed = True
                else:
                    cells[left] = cells[k]
                    left += 1
            count = left
