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


@dataclass(frozen=True)
class FacesBySquare:
    """Triangles by the squares of a plane that their bounds touch, so that what is near a place is found at once.

    vertices: (v, 3) metres; faces: (f, 3). side: of a square, metres. squares: (s, 2) those that are touched,
    ascending; first: (s + 1,) where the faces of each begin in members.
    """

    vertices: np.ndarray
    faces: np.ndarray
    side: float
    squares: np.ndarray
    first: np.ndarray
    members: np.ndarray

    @classmethod
    def of(cls, vertices: np.ndarray, faces: np.ndarray, side: float) -> FacesBySquare:
        """Of a mesh; the square (0, 0) begins at the origin."""
        low, high = (np.floor(bound / side).astype(np.int32) for bound in plane_bounds(vertices, faces))
        span = high - low
        squares, members = [np.zeros((0, 2), np.int32)], [np.zeros(0, np.int32)]
        wide = np.arange(len(faces), dtype=np.int32)
        for i in range(int(span[:, 0].max(initial=-1)) + 1):
            wide = wide[span[wide, 0] >= i]
            long = wide
            for j in range(int(span[wide, 1].max(initial=-1)) + 1):
                long = long[span[long, 1] >= j]
                squares.append(low[long] + np.array([i, j], np.int32))
                members.append(long)
        square, member = np.concatenate(squares), np.concatenate(members)
        order = np.lexsort((member, square[:, 1], square[:, 0]))
        square, member = square[order], member[order]
        new = np.ones(len(square), dtype=bool)
        new[1:] = (square[1:] != square[:-1]).any(axis=1)
        first = np.append(np.flatnonzero(new), len(square))
        return cls(vertices, faces, side, square[new], first, member)

    def near(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Indices of the faces in squares that a rectangle touches, ascending. low, high: (2,) metres."""
        begin, end = (np.floor(bound / self.side) for bound in (low, high))
        inside = np.flatnonzero(((self.squares >= begin) & (self.squares <= end)).all(axis=1))
        found = [self.members[self.first[s] : self.first[s + 1]] for s in inside]
        return np.unique(np.concatenate(found)) if found else np.zeros(0, np.int32)

    def triangles(self, which: np.ndarray) -> np.ndarray:
        """(n, 3, 3) metres, of faces by their indices."""
        return self.vertices[self.faces[which]]


def plane_bounds(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest x and y of faces, (f, 2) each."""
    of_axis = [vertices[:, axis][faces] for axis in (0, 1)]
    low = np.column_stack([values.min(axis=1) for values in of_axis])
    return low, np.column_stack([values.max(axis=1) for values in of_axis])


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
