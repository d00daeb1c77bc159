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
    def covering(cls, triangles: np.ndarray, cell: float, margin: float) -> Raster:
        """A raster that holds triangles (n, 3, 3) with a margin in metres."""
        xy = triangles[:, :, :2].reshape(-1, 2).astype(np.float64)
        lower = np.floor(xy.min(axis=0) - margin)
        shape = np.ceil((xy.max(axis=0) + margin - lower) / cell).astype(int) + 1
        return cls(lower, cell, (int(shape[0]), int(shape[1])))

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
