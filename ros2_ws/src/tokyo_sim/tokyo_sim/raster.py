"""A raster over the ground plane: which cells triangles cover, and how high."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occ_core.citymap import raster_heights


@dataclass(frozen=True)
class Raster:
    """lower: (2,) metres in map, the first cell's point. cell: metres. shape: cells along x and y."""

    lower: np.ndarray
    cell: float
    shape: tuple[int, int]

    @classmethod
    def covering(cls, points: np.ndarray, cell: float, margin: float) -> Raster:
        """A raster that holds points (..., 2 or 3) with a margin in metres."""
        xy = points.reshape(-1, points.shape[-1])[:, :2]
        lower = np.floor(xy.min(axis=0).astype(np.float64) - margin)
        shape = np.ceil((xy.max(axis=0).astype(np.float64) + margin - lower) / cell).astype(int) + 1
        return cls(lower, cell, (int(shape[0]), int(shape[1])))

    def part(self, low: np.ndarray, high: np.ndarray) -> Raster:
        """The cells (2,) from one on and before another; they may lie outside of this raster."""
        return Raster(self.lower + low * self.cell, self.cell, (int(high[0] - low[0]), int(high[1] - low[1])))

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
