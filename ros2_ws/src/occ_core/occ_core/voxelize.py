"""Sweeps to voxels: which ones returns lie in, and which ones their rays have passed through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from occ_core.bits import bit_frames, merge, numbers, unpack
from occ_core.grid import VoxelGrid
from occ_core.poses import Pose
from occ_core.threads import in_threads, thread_count
from occ_core.traverse import trace


@dataclass(frozen=True)
class Scan:
    """Returns of one sweep, or of a part of it.

    points: (n, 3) float64, metres; what is not finite is ignored. origin: (3,) where their rays start, same frame.
    hits: whether the returns' voxels are occupied. rays: whether what lies before the returns has been seen.
    """

    points: np.ndarray
    origin: np.ndarray
    hits: bool = True
    rays: bool = True


def voxelize(
    grid: VoxelGrid, scans: Sequence[Scan], to_grid: Pose, threads: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The voxels that scans have found occupied, and those that they have seen, occupied or free.

    to_grid: pose of the scans' frame in the grid's. threads: as many as there are processors, up to 8, by default; the
    result does not depend on it. Returns occupied: (n,) int64 flat numbers in rising order, and observed: bool
    `grid.shape`. A voxel is observed where a ray to a return of a scan with `rays`, clipped to the grid, passes through
    it or ends in it, and where a return of a scan with `hits` lies in it.
    """
    threads = threads or thread_count()
    lower, voxel = np.array(grid.lower), np.array(grid.voxel)
    rotation, translation = to_grid.rotation, to_grid.position
    starts = [(to_grid.apply(scan.origin[None])[0] - lower) / voxel for scan in scans]
    # Frames of their own keep threads out of each other's cache lines: sharing is slower than one thread.
    occupied, observed = bit_frames(threads, grid.shape), bit_frames(threads, grid.shape)

    def work(part: int) -> None:
        for scan, start in zip(scans, starts, strict=True):
            trace(
                scan.points, rotation, translation, start, lower, voxel, grid.shape, part, threads,
                scan.hits, scan.rays, occupied[part], observed[part],
            )  # fmt: skip

    in_threads(work, threads)
    nx, ny, nz = grid.shape
    hit = merge(occupied)
    seen = np.zeros((nx * ny, nz), dtype=np.uint8)
    unpack(merge(observed) | hit, seen)
    return numbers(hit, nx * ny, nz), seen.view(bool).reshape(grid.shape)
