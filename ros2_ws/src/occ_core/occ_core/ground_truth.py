"""Dense semantic occupancy from triangles: conservative surface voxelization, insides filled where asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from occ_core.classes import RANKS
from occ_core.grid import VoxelGrid
from occ_core.loops import compiled
from occ_core.solids import fill_insides
from occ_core.threads import in_threads, thread_count


def voxelize_triangles(
    grid: VoxelGrid,
    triangles: np.ndarray,
    classes: np.ndarray,
    instances: np.ndarray,
    solid: np.ndarray | None = None,
    threads: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Every voxel that a triangle touches takes its class and instance.

    triangles: (n, 3, 3) float, metres, base_footprint. classes: (n,) uint8. instances: (n,) uint16, 0 for static
    things. solid: (n,) bool, True for triangles that bound a body whose inside is filled; none by default. threads: as
    many as there are processors by default; the result does not depend on it. Returns class ids uint8 and instance ids
    uint16, both `grid.shape`.

    Source: separating axes of triangle and box, Akenine-Moeller, "Fast 3D Triangle-Box Overlap Testing", 2001.
    """
    nx, ny, nz = grid.shape
    scaled, labels = _scaled(grid, triangles), np.asarray(classes, dtype=np.uint8)
    ids = np.asarray(instances, dtype=np.uint16)
    occupancy, instance = np.zeros((nx * ny, nz), dtype=np.uint8), np.zeros((nx * ny, nz), dtype=np.uint16)
    every = Columns(np.arange(nx * ny, dtype=np.int32).reshape(nx, ny), 0, nz)
    _in_rows(grid, threads, lambda rows: _paint(scaled, labels, ids, RANKS, *rows, *every.parts, occupancy, instance))
    occupancy, instance = occupancy.reshape(grid.shape), instance.reshape(grid.shape)
    if solid is not None:
        fill_insides(scaled[solid], labels[solid], ids[solid], RANKS, occupancy, instance)
    return occupancy, instance


@dataclass(frozen=True)
class Columns:
    """A part of a grid: some columns along z. place: int32 (X, Y), which of the part each is, -1 where it is none.

    bottom, top: the layers along z, from the one to before the other.
    """

    place: np.ndarray
    bottom: int
    top: int

    @property
    def parts(self) -> tuple[np.ndarray, int, int]:
        """As compiled code takes it."""
        return self.place, self.bottom, self.top

    @property
    def shape(self) -> tuple[int, int]:
        """Columns and layers."""
        return int(self.place.max(initial=-1)) + 1, self.top - self.bottom


def classes_in_columns(
    grid: VoxelGrid, triangles: np.ndarray, classes: np.ndarray, columns: Columns, threads: int | None = None
) -> np.ndarray:
    """The classes that `voxelize_triangles` gives to a part of the grid: uint8 of the part's shape."""
    scaled, labels = _scaled(grid, triangles), np.asarray(classes, dtype=np.uint8)
    occupancy, nobody = np.zeros(columns.shape, dtype=np.uint8), np.zeros((0, 0), dtype=np.uint16)
    ids = np.zeros(0, dtype=np.uint16)
    _in_rows(grid, threads, lambda rows: _paint(scaled, labels, ids, RANKS, *rows, *columns.parts, occupancy, nobody))
    return occupancy


def _scaled(grid: VoxelGrid, triangles: np.ndarray) -> np.ndarray:
    """(n, 3, 3) float64 in voxels, of triangles in metres."""
    return (np.asarray(triangles, dtype=np.float64).reshape(-1, 3, 3) - grid.lower) / grid.voxel


def _in_rows(grid: VoxelGrid, threads: int | None, paint: Callable[[tuple[int, int]], None]) -> None:
    """Let threads paint, each rows of its own, so that who comes first never decides."""
    threads = threads or thread_count()
    ends = np.linspace(0, grid.shape[0], threads + 1).astype(int).tolist()
    in_threads(lambda part: paint((ends[part], ends[part + 1])), threads)


# A touch within this part of a voxel counts: rounding must not lose a voxel.
_SLACK = 1e-9


@compiled
def _paint(triangles, classes, instances, priority, first_row, end_row, place, bottom, top, occupancy, instance):
    """Rows of x, then columns, then a run along z: each separating axis is an interval, which the others narrow.

    place, bottom, top: as of Columns, whose classes and instances the arrays (n, top - bottom) hold; where `instances`
    is empty, nobody wants to know them.
    """
    ny = place.shape[1]
    named = len(instances) > 0
    tests = np.empty((3, 3, 4))
    for t in range(len(triangles)):
        tri = triangles[t]
        low_x, high_x = _span(tri[0, 0], tri[1, 0], tri[2, 0], end_row)
        low_x = max(low_x, first_row)
        low_y, high_y = _span(tri[0, 1], tri[1, 1], tri[2, 1], ny)
        low_z, high_z = _span(tri[0, 2], tri[1, 2], tri[2, 2], top)
        low_z = max(low_z, bottom)
        if not (low_x <= high_x and low_y <= high_y and low_z <= high_z):
            continue
        normal_x, normal_y, normal_z, middle, radius = _plane(tri)
        over_z = _inverse(normal_z)
        _edge_tests(tri, 0, 1, tests[0])
        _edge_tests(tri, 0, 2, tests[1])
        _edge_tests(tri, 1, 2, tests[2])
        label, rank = classes[t], priority[classes[t]]
        for i in range(low_x, high_x + 1):
            x = i + 0.5
            j0, j1 = _narrow(tests[0], x, low_y, high_y)
            k0, k1 = _narrow(tests[1], x, low_z, high_z)
            if k0 > k1:
                continue
            for j in range(j0, j1 + 1):
                column = place[i, j]
                if column < 0:
                    continue
                y = j + 0.5
                first, last = _narrow(tests[2], y, k0, k1)
                across = middle - normal_x * x - normal_y * y
                first, last = _interval(across - radius, across + radius, over_z, first, last)
                for k in range(first - bottom, last - bottom + 1):
                    if priority[occupancy[column, k]] < rank:
                        occupancy[column, k] = label
                        if named and instance[column, k] != instances[t]:  # spares memory that stays zero
                            instance[column, k] = instances[t]


@compiled
def _span(a, b, c, count):
    """First and last cell of an axis that three coordinates span, within the grid."""
    low, high = min(a, b, c), max(a, b, c)
    if not (high >= 0 and low < count):
        return 1, 0
    return max(int(np.floor(low)), 0) if low > 0 else 0, int(np.floor(high)) if high < count else count - 1


@compiled
def _plane(tri):
    """Normal, its product with a corner, and the box's half extent along it."""
    ux, uy, uz = tri[1, 0] - tri[0, 0], tri[1, 1] - tri[0, 1], tri[1, 2] - tri[0, 2]
    vx, vy, vz = tri[2, 0] - tri[0, 0], tri[2, 1] - tri[0, 1], tri[2, 2] - tri[0, 2]
    x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    size = abs(x) + abs(y) + abs(z)
    return x, y, z, x * tri[0, 0] + y * tri[0, 1] + z * tri[0, 2], (0.5 + _SLACK) * size


@compiled
def _edge_tests(tri, p, q, tests):
    """The cross products of the edges with the box's third axis, in the plane of axes p and q.

    tests: (3, 4) out, of each edge (1 / along p, along q, low, high): centres of boxes that touch have
    low <= along_p * centre_q - along_q * centre_p <= high.
    """
    for edge in range(3):
        a, b, c = edge, (edge + 1) % 3, (edge + 2) % 3
        along_p, along_q = tri[b, p] - tri[a, p], tri[b, q] - tri[a, q]
        on = along_p * tri[a, q] - along_q * tri[a, p]
        off = along_p * tri[c, q] - along_q * tri[c, p]
        radius = (0.5 + _SLACK) * (abs(along_p) + abs(along_q))
        tests[edge, 0], tests[edge, 1] = _inverse(along_p), along_q
        tests[edge, 2], tests[edge, 3] = min(on, off) - radius, max(on, off) + radius


@compiled
def _narrow(tests, centre_p, first, last):
    """Of the cells first ... last along q, those that three edge tests leave at a centre along p."""
    for edge in range(3):
        shift = tests[edge, 1] * centre_p
        first, last = _interval(tests[edge, 2] + shift, tests[edge, 3] + shift, tests[edge, 0], first, last)
    return first, last


@compiled
def _inverse(slope):
    """1 / slope, 0 where it is so small that it moves nothing by a part of a voxel that counts."""
    return 1.0 / slope if abs(slope) > 1e-12 else 0.0


@compiled
def _interval(low, high, over, first, last):
    """Of the cells first ... last, those whose centre c has low <= c / over <= high; over = 0: c / over is 0."""
    if over == 0.0:
        return (first, last) if low <= _SLACK and high >= -_SLACK else (1, 0)
    a, b = low * over - 0.5, high * over - 0.5
    if over < 0.0:
        a, b = b, a
    # Compared as floats first: an almost level slope gives numbers beyond any integer.
    if not (a <= last and b >= first):
        return 1, 0
    return int(np.ceil(a)) if a > first else first, int(np.floor(b)) if b < last else last
