"""One surface to drive on for every simulator: what wheels meet, as a mesh and as the raster that it is made of.

Steps, such as kerbs, are ramps one raster cell long, so that a simulator with a height field and one with meshes let
the same wheels over the same edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from occ_core.citymap import DRIVABLE, RASTER_M, raster_heights
from occ_core.classes import GROUND_CLASSES, Semantic
from occ_core.loops import compiled
from occ_core.meshes import TriangleMesh
from tokyo_city.plateau.ground import SQUARE_M
from tokyo_city.world.obj import lines, write_obj
from tokyo_city.world.sdf import WorldModel

TOLERANCE_M = 0.01
"""The mesh is nowhere farther from the raster's points."""
_SLIT = 3  # raster points: neighbouring surfaces leave slits between them


@dataclass(frozen=True)
class DrivableJob:
    """A square of the surface. corner: (2,) metres in map. parts: of the city, and whether all in it is ground."""

    city: Path
    name: str
    corner: tuple[float, float]
    parts: tuple[tuple[str, bool], ...]


def lay(job: DrivableJob) -> WorldModel | None:
    """Write a square's surface; its model, which is seen nowhere, or None where the square has no ground."""
    corner = np.array(job.corner)
    triangles = _triangles(job)
    if not len(triangles):
        return None
    heights = surface_raster(triangles, corner)
    mesh = fewest_triangles(heights, TOLERANCE_M)
    if not len(mesh.faces):
        return None
    vertices = np.column_stack([corner + mesh.vertices[:, :2] * RASTER_M, mesh.vertices[:, 2]])
    folder = job.city / DRIVABLE
    folder.mkdir(exist_ok=True)
    np.savez(folder / f"{job.name}.npz", vertices=vertices.astype(np.float32), faces=mesh.faces)
    collision = f"meshes/{job.name}.obj"
    write_obj(job.city / collision, TriangleMesh(vertices, mesh.faces))
    return WorldModel(job.name, Semantic.TERRAIN, "", collision)


def load_compiled() -> None:
    """Load what is compiled for meshes and surfaces: once, before processes are forked that would each load it."""
    heights = np.zeros((3, 3), dtype=np.float32)
    raster_heights(np.zeros((0, 3, 3)), heights)
    _close_slits(heights, _SLIT, *_window(heights))
    fewest_triangles(heights, TOLERANCE_M)
    lines("%d", np.zeros((0, 1)))


def _triangles(job: DrivableJob) -> np.ndarray:
    """(t, 3, 3) metres in map: of parts that are ground all but walls, of others what is ground by its class."""
    low, high = np.array(job.corner), np.array(job.corner) + SQUARE_M
    found = [np.zeros((0, 3, 3))]
    for part, ground in job.parts:
        with np.load(job.city / "semantic" / f"{part}.npz", allow_pickle=False) as data:
            faces = data["faces"] if ground else data["faces"][np.isin(data["classes"], GROUND_CLASSES)]
            if len(faces):
                vertices = data["vertices"]
                below, above = (vertices[:, :2] < low).T[:, faces], (vertices[:, :2] > high).T[:, faces]
                near = ~(below.all(axis=2) | above.all(axis=2)).any(axis=0)
                found.append(vertices[faces[near]].astype(np.float64))
    return np.concatenate(found)


def surface_raster(triangles: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """Heights (n, n) float32 of the highest triangle over each raster point of a square, NaN where there is none.

    triangles: (t, 3, 3) metres in map. corner: (2,) the square's first point. Slits are closed.
    """
    count = round(SQUARE_M / RASTER_M) + 1
    heights = np.full((count, count), np.nan, dtype=np.float32)
    scaled = triangles.copy()
    scaled[:, :, :2] = (scaled[:, :, :2] - corner) / RASTER_M
    raster_heights(scaled, heights)
    _close_slits(heights, _SLIT, *_window(heights))
    return heights


@compiled
def _window(heights):
    """First row, row after the last, first column and column after the last that have a height; zeros for none."""
    first, last, left, right = -1, -1, heights.shape[1], -1
    for i in range(heights.shape[0]):
        for j in range(heights.shape[1]):
            if not np.isnan(heights[i, j]):
                first, last = (i if first < 0 else first), i
                left, right = min(left, j), max(right, j)
    return (first, last + 1, left, right + 1) if first >= 0 else (0, 0, 0, 0)


@compiled
def _close_slits(heights, width, first, last, left, right):
    """Interpolate, first along rows, then along columns, over gaps of so many points at most between heights."""
    for i in range(first, last):
        before = -1
        for j in range(left, right):
            if np.isnan(heights[i, j]):
                continue
            if before >= 0 and 1 < j - before <= width + 1:
                for k in range(before + 1, j):
                    rise = (heights[i, j] - heights[i, before]) * (k - before) / (j - before)
                    heights[i, k] = heights[i, before] + rise
            before = j
    # All columns at a time, row by row, as they lie in memory.
    above = np.full(heights.shape[1], -1)
    for i in range(first, last):
        for j in range(left, right):
            if np.isnan(heights[i, j]):
                continue
            before = above[j]
            if before >= 0 and 1 < i - before <= width + 1:
                for k in range(before + 1, i):
                    rise = (heights[i, j] - heights[before, j]) * (k - before) / (i - before)
                    heights[k, j] = heights[before, j] + rise
            above[j] = i


def fewest_triangles(heights: np.ndarray, tolerance: float) -> TriangleMesh:
    """A mesh over a raster (2^k + 1 squared), within a tolerance of all its points and without cracks.

    x and y of its vertices are indices. Nothing where the raster is NaN. Source: right-triangulated irregular networks
    (Evans, Kirkpatrick, Townsend, 2001): a triangle is halved at the middle of its longest side while that is needed
    anywhere below, so that both sides of an edge are halved together.
    """
    window = _window(heights)
    points, faces = _corners(heights, _needed(heights, tolerance, *window), *window)
    place = np.column_stack(np.divmod(points, len(heights)))
    vertices = np.column_stack([place, heights[place[:, 0], place[:, 1]]]).astype(np.float64)
    return TriangleMesh(vertices, faces)


@compiled
def _needed(heights, tolerance, first, last, left, right):
    """(n, n) bool: raster points at which the triangles whose longest side they halve have to be halved.

    From the finest triangles to the coarsest. Of the points with a step s, those in the middle of a square of side 2 s
    halve its diagonal, and those between two corners halve a side of it. Beyond the window that has heights nothing is
    needed but what its points need, less than two steps away.
    """
    count = len(heights) - 1
    split = np.zeros(heights.shape, dtype=np.bool_)
    # Of squares: 1 where all corners have a height, 0 where none has, 2 else.
    state = np.zeros((count, count), dtype=np.uint8)
    for i in range(max(first - 1, 0), min(last, count)):
        for j in range(max(left - 1, 0), min(right, count)):
            gaps = np.isnan(heights[i, j]) + np.isnan(heights[i + 1, j])
            gaps += np.isnan(heights[i, j + 1]) + np.isnan(heights[i + 1, j + 1])
            state[i, j] = 1 if gaps == 0 else 0 if gaps == 4 else 2
    step = 1
    while step < count:
        half = step // 2
        squares = count // (2 * step)
        low_a, high_a = max(first // (2 * step) - 1, 0), min(last // (2 * step) + 2, squares)
        low_b, high_b = max(left // (2 * step) - 1, 0), min(right // (2 * step) + 2, squares)
        joined = np.zeros((squares, squares), dtype=np.uint8)
        for a in range(low_a, high_a):
            for b in range(low_b, high_b):
                s = state[2 * a, 2 * b]
                if state[2 * a + 1, 2 * b] != s or state[2 * a, 2 * b + 1] != s or state[2 * a + 1, 2 * b + 1] != s:
                    s = 2
                joined[a, b] = s
        state = joined
        for a in range(low_a, high_a + 1):
            i = 2 * step * a
            for b in range(low_b, high_b + 1):
                j = 2 * step * b
                here = a < squares and b < squares and state[a, b] == 2
                # The middles of a square's first sides, which are last sides of the squares before it.
                if i < count:
                    middle = (heights[i, j] + heights[i + 2 * step, j]) / 2
                    needed = here or abs(heights[i + step, j] - middle) > tolerance
                    needed = needed or (b > 0 and state[a, b - 1] == 2)
                    split[i + step, j] = needed or (half > 0 and _any_beside(split, i + step, j, half))
                if j < count:
                    middle = (heights[i, j] + heights[i, j + 2 * step]) / 2
                    needed = here or abs(heights[i, j + step] - middle) > tolerance
                    needed = needed or (a > 0 and state[a - 1, b] == 2)
                    split[i, j + step] = needed or (half > 0 and _any_beside(split, i, j + step, half))
        for a in range(low_a, high_a):
            for b in range(low_b, high_b):
                i, j = (2 * a + 1) * step, (2 * b + 1) * step
                if (a + b) % 2 == 0:
                    middle = (heights[i - step, j - step] + heights[i + step, j + step]) / 2
                else:
                    middle = (heights[i + step, j - step] + heights[i - step, j + step]) / 2
                below = split[i - step, j] or split[i + step, j] or split[i, j - step] or split[i, j + step]
                split[i, j] = state[a, b] == 2 or below or abs(heights[i, j] - middle) > tolerance
        step *= 2
    return split


@compiled
def _any_beside(split, i, j, half):
    """Is a point split at half a step along both axes from this one?"""
    count = len(split) - 1
    for u in (i - half, i + half):
        for v in (j - half, j + half):
            if 0 <= u <= count and 0 <= v <= count and split[u, v]:
                return True
    return False


@compiled
def _corners(heights, split, first, last, left, right):
    """Raster points (v,) that triangles meet, ascending, and the triangles (t, 3) int32 by their numbers.

    Triangles are counter-clockwise: over half a square, about the middle of a halved side; or from the middle of a
    halved square to a side that is not halved. Those with a corner without height are left out.
    """
    count = len(heights) - 1
    faces, size = np.empty((1 << 12, 3), dtype=np.int64), 0
    step = 1
    while step < count:
        low_a, high_a = max(first // (2 * step) - 1, 0), min(last // (2 * step) + 2, count // (2 * step))
        low_b, high_b = max(left // (2 * step) - 1, 0), min(right // (2 * step) + 2, count // (2 * step))
        sides, middles = _split_points(split, step, low_a, high_a, low_b, high_b)
        for u, v in ((1, 1), (-1, 1), (-1, -1), (1, -1)):
            for i, j in sides:
                far_i, far_j = i + step * u, j + step * v
                if not (0 <= far_i <= count and 0 <= far_j <= count):
                    continue
                if step > 1 and split[(i + far_i) // 2, (j + far_j) // 2]:
                    continue
                if u * v > 0:
                    faces, size = _with(faces, size, heights, i, j, far_i, j, i, far_j)
                else:
                    faces, size = _with(faces, size, heights, i, j, i, far_j, far_i, j)
        for u, v in ((0, -1), (1, 0), (0, 1), (-1, 0)):
            for i, j in middles:
                side_i, side_j = i + step * u, j + step * v
                if not split[side_i, side_j]:
                    x, y = -step * v, step * u  # counter-clockwise about the middle
                    faces, size = _with(faces, size, heights, side_i - x, side_j - y, side_i + x, side_j + y, i, j)
        step *= 2
    if not split[count // 2, count // 2]:
        faces, size = _with(faces, size, heights, 0, 0, count, 0, count, count)
        faces, size = _with(faces, size, heights, 0, 0, count, count, 0, count)
    number = np.zeros(heights.size, dtype=np.int32)
    for t in range(size):
        for corner in range(3):
            number[faces[t, corner]] = 1
    points, out, met = np.empty(3 * size, dtype=np.int64), np.empty((size, 3), dtype=np.int32), 0
    for k in range(first * (count + 1), last * (count + 1)):
        if number[k]:
            number[k] = met
            points[met] = k
            met += 1
    for t in range(size):
        for corner in range(3):
            out[t, corner] = number[faces[t, corner]]
    return points[:met].copy(), out


@compiled
def _split_points(split, step, low_a, high_a, low_b, high_b):
    """Of a range of squares of side two steps: (s, 2) middles of sides, those along x first, and (m, 2) of squares."""
    room = (high_a - low_a + 1) * (high_b - low_b + 1)
    along, across = np.empty((room, 2), dtype=np.int64), np.empty((room, 2), dtype=np.int64)
    middles = np.empty((room, 2), dtype=np.int64)
    a_count, b_count, m_count = 0, 0, 0
    count = len(split) - 1
    for a in range(low_a, high_a + 1):
        i = 2 * step * a
        for b in range(low_b, high_b + 1):
            j = 2 * step * b
            if i < count and split[i + step, j]:
                along[a_count] = i + step, j
                a_count += 1
            if j < count and split[i, j + step]:
                across[b_count] = i, j + step
                b_count += 1
            if i < count and j < count and split[i + step, j + step]:
                middles[m_count] = i + step, j + step
                m_count += 1
    return np.concatenate((along[:a_count], across[:b_count])), middles[:m_count]


@compiled
def _with(faces, size, heights, ai, aj, bi, bj, ci, cj):
    """Faces, one more of them if all its corners have heights, and their number; a longer array where it is full."""
    if np.isnan(heights[ai, aj]) or np.isnan(heights[bi, bj]) or np.isnan(heights[ci, cj]):
        return faces, size
    if size == len(faces):
        longer = np.empty((2 * size, 3), dtype=np.int64)
        longer[:size] = faces
        faces = longer
    width = heights.shape[1]
    faces[size, 0], faces[size, 1], faces[size, 2] = ai * width + aj, bi * width + bj, ci * width + cj
    return faces, size + 1
