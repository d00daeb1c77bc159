"""Points to voxels, and the free space between the sensor and the points."""

from __future__ import annotations

import numba
import numpy as np

from occ_core.grid import VoxelGrid


def voxelize_points(grid: VoxelGrid, points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Occupancy of labelled points.

    points: (n, 3) float, metres, base_footprint. labels: (n,) uint8 class ids, 0 is ignored. Where several classes
    fall into one voxel the most frequent one wins, of equals the lowest id. Returns uint8 `grid.shape`.
    """
    labels = np.asarray(labels, dtype=np.uint8)
    if labels.shape != (len(points),):
        raise ValueError(f"{len(points)} points need as many labels, got an array of shape {labels.shape}")
    indices, inside = grid.index(points)
    keep = inside & (labels > 0)
    flat = np.ravel_multi_index(tuple(indices[keep].T), grid.shape)
    # One key per (voxel, class): sorted keys group the votes without a table of voxels x classes.
    keys, votes = np.unique(flat * 256 + labels[keep], return_counts=True)
    voxel, label = keys // 256, keys % 256
    order = np.lexsort((label, -votes, voxel))
    first = np.ones(len(order), dtype=bool)
    first[1:] = np.diff(voxel[order]) > 0
    winners = order[first]
    occupancy = np.zeros(grid.size, dtype=np.uint8)
    occupancy[voxel[winners]] = label[winners]
    return occupancy.reshape(grid.shape)


def voxel_numbers(grid: VoxelGrid, points: np.ndarray) -> np.ndarray:
    """Flat voxel index of each point, -1 outside the grid. points: (n, 3) float, metres. Returns (n,) int32."""
    points = np.ascontiguousarray(points, dtype=np.float64)
    numbers = np.empty(len(points), dtype=np.int32)
    _number(points, np.array(grid.lower), np.array(grid.voxel), np.array(grid.shape), numbers)
    return numbers


def carve_free_space(grid: VoxelGrid, origin: np.ndarray, points: np.ndarray, observed: np.ndarray | None = None):
    """Voxels that a sweep's rays have passed through or ended in.

    origin: (3,) where the rays start; points: (n, 3) their returns; metres, base_footprint. Rays with NaN are ignored,
    parts outside the grid are clipped. observed: bool `grid.shape` to add to, a new one by default. Returns it.

    Source: Amanatides and Woo, "A Fast Voxel Traversal Algorithm for Ray Tracing", Eurographics 1987.
    """
    if observed is None:
        observed = np.zeros(grid.shape, dtype=bool)
    points = np.ascontiguousarray(points, dtype=np.float64)
    start = (np.asarray(origin, dtype=np.float64) - grid.lower) / grid.voxel
    _traverse(start, points, np.array(grid.lower), np.array(grid.voxel), observed.view(np.uint8))
    return observed


@numba.njit(cache=True, nogil=True)
def _number(points, lower, voxel, shape, numbers):
    """The arithmetic of `VoxelGrid.index`, a division and not a product with the inverse, so that edges agree."""
    for n in range(len(points)):
        i = np.floor((points[n, 0] - lower[0]) / voxel[0])
        j = np.floor((points[n, 1] - lower[1]) / voxel[1])
        k = np.floor((points[n, 2] - lower[2]) / voxel[2])
        inside = 0 <= i < shape[0] and 0 <= j < shape[1] and 0 <= k < shape[2]
        numbers[n] = (int(i) * shape[1] + int(j)) * shape[2] + int(k) if inside else -1


@numba.njit(cache=True, nogil=True)
def _traverse(start, points, lower, voxel, observed):
    """Mark every voxel on each ray. start: (3,) in voxel units; points: (n, 3) metres."""
    nx, ny, nz = observed.shape
    ax, ay, az = start[0], start[1], start[2]
    for ray in range(len(points)):
        dx = (points[ray, 0] - lower[0]) / voxel[0] - ax
        dy = (points[ray, 1] - lower[1]) / voxel[1] - ay
        dz = (points[ray, 2] - lower[2]) / voxel[2] - az
        if not np.isfinite(dx + dy + dz):
            continue
        enter, leave = _clip(ax, dx, nx, 0.0, 1.0)
        enter, leave = _clip(ay, dy, ny, enter, leave)
        enter, leave = _clip(az, dz, nz, enter, leave)
        if enter > leave:
            continue
        i, i_end, i_step, tx, tx_step = _axis(ax, dx, nx, enter, leave)
        j, j_end, j_step, ty, ty_step = _axis(ay, dy, ny, enter, leave)
        k, k_end, k_step, tz, tz_step = _axis(az, dz, nz, enter, leave)
        observed[i, j, k] = 1
        # An axis that has arrived never steps again, so rounding at a face can't run past the end.
        while i != i_end or j != j_end or k != k_end:
            if i != i_end and (tx <= ty or j == j_end) and (tx <= tz or k == k_end):
                i += i_step
                tx += tx_step
            elif j != j_end and (ty <= tz or k == k_end):
                j += j_step
                ty += ty_step
            else:
                k += k_step
                tz += tz_step
            observed[i, j, k] = 1


@numba.njit(cache=True, inline="always")
def _clip(a, d, top, enter, leave):
    """Narrow the part [enter, leave] of a segment to 0 <= a + t d <= top; enter > leave where nothing is left."""
    if d == 0.0:
        return (enter, leave) if 0.0 <= a < top else (1.0, 0.0)
    t0, t1 = -a / d, (top - a) / d
    return max(enter, min(t0, t1)), min(leave, max(t0, t1))


@numba.njit(cache=True, inline="always")
def _axis(a, d, top, enter, leave):
    """First and last cell, step, and the segment parameters of the next face and between faces."""
    first = min(max(int(np.floor(a + enter * d)), 0), top - 1)
    last = min(max(int(np.floor(a + leave * d)), 0), top - 1)
    if d == 0.0:
        return first, first, 0, np.inf, np.inf
    step = 1 if d > 0 else -1
    return first, last, step, (first + (1 if d > 0 else 0) - a) / d, abs(1.0 / d)
