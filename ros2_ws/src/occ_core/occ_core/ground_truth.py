"""Dense semantic occupancy from triangles: conservative surface voxelization."""

from __future__ import annotations

import numba
import numpy as np

from occ_core.classes import NUM_CLASSES, Semantic
from occ_core.grid import VoxelGrid

# Where surfaces of several classes meet in a voxel, the thing that stands out above the ground names it.
_PRIORITY = np.zeros(NUM_CLASSES, dtype=np.uint8)
_PRIORITY[
    [
        Semantic.OTHER, Semantic.TERRAIN, Semantic.WATER, Semantic.ROAD, Semantic.SIDEWALK, Semantic.BRIDGE,
        Semantic.VEGETATION, Semantic.BUILDING, Semantic.FURNITURE, Semantic.TRUCK_BUS, Semantic.CAR,
        Semantic.BICYCLE, Semantic.PEDESTRIAN, Semantic.ROVER, Semantic.DRONE,
    ]
] = np.arange(1, NUM_CLASSES)  # fmt: skip


def voxelize_triangles(
    grid: VoxelGrid, triangles: np.ndarray, classes: np.ndarray, instances: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Every voxel that a triangle touches takes its class and instance.

    triangles: (n, 3, 3) float, metres, base_footprint. classes: (n,) uint8. instances: (n,) uint16, 0 for static
    things. Returns class ids uint8 and instance ids uint16, both `grid.shape`.

    Source: separating axes of triangle and box, Akenine-Moeller, "Fast 3D Triangle-Box Overlap Testing", 2001.
    """
    scaled = (np.asarray(triangles, dtype=np.float64).reshape(-1, 3, 3) - grid.lower) / grid.voxel
    occupancy = np.zeros(grid.shape, dtype=np.uint8)
    instance = np.zeros(grid.shape, dtype=np.uint16)
    _paint(
        scaled,
        np.asarray(classes, dtype=np.uint8),
        np.asarray(instances, dtype=np.uint16),
        _PRIORITY,
        occupancy,
        instance,
    )
    return occupancy, instance


@numba.njit(cache=True, nogil=True)
def _paint(triangles, classes, instances, priority, occupancy, instance):
    nx, ny, nz = occupancy.shape
    for t in range(len(triangles)):
        tri = triangles[t]
        low_x = max(int(np.floor(tri[:, 0].min())), 0)
        high_x = min(int(np.floor(tri[:, 0].max())), nx - 1)
        low_y = max(int(np.floor(tri[:, 1].min())), 0)
        high_y = min(int(np.floor(tri[:, 1].max())), ny - 1)
        low_z = max(int(np.floor(tri[:, 2].min())), 0)
        high_z = min(int(np.floor(tri[:, 2].max())), nz - 1)
        if low_x > high_x or low_y > high_y or low_z > high_z:
            continue
        rank = priority[classes[t]]
        for i in range(low_x, high_x + 1):
            for j in range(low_y, high_y + 1):
                for k in range(low_z, high_z + 1):
                    if priority[occupancy[i, j, k]] < rank and _overlaps(tri, i, j, k):
                        occupancy[i, j, k] = classes[t]
                        instance[i, j, k] = instances[t]


@numba.njit(cache=True, inline="always")
def _overlaps(tri, i, j, k):
    """Does the triangle (3, 3), in voxel units, touch the unit box at (i, j, k)?"""
    ax, ay, az = tri[0, 0] - i - 0.5, tri[0, 1] - j - 0.5, tri[0, 2] - k - 0.5
    bx, by, bz = tri[1, 0] - i - 0.5, tri[1, 1] - j - 0.5, tri[1, 2] - k - 0.5
    cx, cy, cz = tri[2, 0] - i - 0.5, tri[2, 1] - j - 0.5, tri[2, 2] - k - 0.5
    ux, uy, uz = bx - ax, by - ay, bz - az
    vx, vy, vz = cx - bx, cy - by, cz - bz
    wx, wy, wz = ax - cx, ay - cy, az - cz
    nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    if abs(nx * ax + ny * ay + nz * az) > 0.5 * (abs(nx) + abs(ny) + abs(nz)):
        return False
    for ex, ey, ez in ((ux, uy, uz), (vx, vy, vz), (wx, wy, wz)):
        # The cross products of the edge with the box's three axes.
        if _apart(-ez * ay + ey * az, -ez * by + ey * bz, -ez * cy + ey * cz, 0.5 * (abs(ez) + abs(ey))):
            return False
        if _apart(ez * ax - ex * az, ez * bx - ex * bz, ez * cx - ex * cz, 0.5 * (abs(ez) + abs(ex))):
            return False
        if _apart(-ey * ax + ex * ay, -ey * bx + ex * by, -ey * cx + ex * cy, 0.5 * (abs(ey) + abs(ex))):
            return False
    return True


@numba.njit(cache=True, inline="always")
def _apart(p, q, r, radius):
    return min(p, q, r) > radius or max(p, q, r) < -radius
