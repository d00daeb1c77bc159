"""A sweep's returns: brought into `map`, and thinned so that a window of them is light to carry along."""

from __future__ import annotations

import numba
import numpy as np

from occ_core.poses import Pose

# One return in each cube of 0.2 m is enough to fill voxels twice as large, and four times fewer to carry along.
_CUBES_PER_M = 5.0


def in_map(points: np.ndarray, sensor: Pose) -> np.ndarray:
    """The finite ones of points in `map`. points: (n, 3) metres in the frame of `sensor`. Returns (m, 3) float64."""
    placed = np.empty((len(points), 3))
    count = _place(points, sensor.rotation, sensor.position, placed)
    return placed[:count]


def thinned(points: np.ndarray) -> np.ndarray:
    """Indices, rising, of the first point in each cube of a lattice. points: (n, 3) float64, finite, metres, map."""
    # Open addressing, at most half full.
    table = np.full(1 << int(2 * len(points) + 1).bit_length(), -1, dtype=np.int64)
    kept = np.empty(len(points), dtype=np.int64)
    return kept[: _thin(points, table, kept)]


@numba.njit(cache=True, nogil=True)
def _place(points, rotation, translation, placed):
    count = 0
    for n in range(len(points)):
        x, y, z = points[n, 0], points[n, 1], points[n, 2]
        if np.isfinite(x) and np.isfinite(y) and np.isfinite(z):
            for axis in range(3):
                turned = rotation[axis, 0] * x + rotation[axis, 1] * y + rotation[axis, 2] * z
                placed[count, axis] = turned + translation[axis]
            count += 1
    return count


@numba.njit(cache=True, nogil=True)
def _thin(points, table, kept):
    count = 0
    last = len(table) - 1
    for n in range(len(points)):
        i, j, k = (
            np.floor(points[n, 0] * _CUBES_PER_M),
            np.floor(points[n, 1] * _CUBES_PER_M),
            np.floor(points[n, 2] * _CUBES_PER_M),
        )
        # Primes of Teschner et al., "Optimized Spatial Hashing", 2003.
        slot = (np.int64(i) * 73856093 ^ np.int64(j) * 19349663 ^ np.int64(k) * 83492791) & last
        while table[slot] >= 0:
            m = table[slot]
            if (
                np.floor(points[m, 0] * _CUBES_PER_M) == i
                and np.floor(points[m, 1] * _CUBES_PER_M) == j
                and np.floor(points[m, 2] * _CUBES_PER_M) == k
            ):
                break
            slot = (slot + 1) & last
        if table[slot] < 0:
            table[slot] = n
            kept[count] = n
            count += 1
    return count
