"""One surface to drive on for every simulator: what wheels meet, as a mesh and as the raster that it is made of.

Steps, such as kerbs, are ramps one raster cell long, so that a simulator with a height field and one with meshes let
the same wheels over the same edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np

from occ_core.citymap import DRIVABLE, GROUND_CLASSES, RASTER_M, raster_heights
from occ_core.classes import Semantic
from occ_core.meshes import TriangleMesh
from tokyo_city.plateau.ground import SQUARE_M
from tokyo_city.world.obj import write_obj
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


def _triangles(job: DrivableJob) -> np.ndarray:
    """(t, 3, 3) metres in map: of parts that are ground all but walls, of others what is ground by its class."""
    low, high = np.array(job.corner), np.array(job.corner) + SQUARE_M
    found = [np.zeros((0, 3, 3))]
    for part, ground in job.parts:
        with np.load(job.city / "semantic" / f"{part}.npz", allow_pickle=False) as data:
            faces = data["faces"]
            wanted = np.ones(len(faces), bool) if ground else np.isin(data["classes"], GROUND_CLASSES)
            triangles = data["vertices"][faces[wanted]].astype(np.float64)
        xy = triangles[:, :, :2]
        found.append(triangles[((xy.min(axis=1) <= high) & (xy.max(axis=1) >= low)).all(axis=1)])
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
    for direction in (heights, heights.T):
        _close_slits(direction, _SLIT)
    return heights


@numba.njit(cache=True)
def _close_slits(heights, width):
    """Interpolate, row by row, over gaps of so many points at most between points that have a height."""
    for i in range(heights.shape[0]):
        last = -1
        for j in range(heights.shape[1]):
            if np.isnan(heights[i, j]):
                continue
            if last >= 0 and 1 < j - last <= width + 1:
                for k in range(last + 1, j):
                    heights[i, k] = heights[i, last] + (heights[i, j] - heights[i, last]) * (k - last) / (j - last)
            last = j


def fewest_triangles(heights: np.ndarray, tolerance: float) -> TriangleMesh:
    """A mesh over a raster (2^k + 1 squared), within a tolerance of all its points and without cracks.

    x and y of its vertices are indices. Nothing where the raster is NaN. Source: right-triangulated irregular networks
    (Evans, Kirkpatrick, Townsend, 2001): a triangle is halved at the middle of its longest side while that is needed
    anywhere below, so that both sides of an edge are halved together.
    """
    split = _needed(heights, tolerance)
    end, step = len(heights) - 1, 1
    corners = []
    while step < end:
        corners += [_on_diagonals(split, step), _on_sides(split, 2 * step)]
        step *= 2
    if not split[end // 2, end // 2]:
        corners.append(np.array([[(0, 0), (end, 0), (end, end)], [(0, 0), (end, end), (0, end)]]))
    faces = np.concatenate(corners)
    faces = faces[~np.isnan(heights[faces[:, :, 0], faces[:, :, 1]]).any(axis=1)]
    number, index = np.unique(faces[:, :, 0] * len(heights) + faces[:, :, 1], return_inverse=True)
    place = np.column_stack(np.divmod(number, len(heights)))
    vertices = np.column_stack([place, heights[place[:, 0], place[:, 1]]]).astype(np.float64)
    return TriangleMesh(vertices, index.reshape(-1, 3).astype(np.int32))


@numba.njit(cache=True)
def _needed(heights, tolerance):
    """(n, n) bool: raster points at which the triangles whose longest side they halve have to be halved.

    From the finest triangles to the coarsest. Of the points with a step s, those in the middle of a square of side 2 s
    halve its diagonal, and those between two corners halve a side of it.
    """
    count = len(heights) - 1
    split = np.zeros(heights.shape, dtype=np.bool_)
    # Of squares: 1 where all corners have a height, 0 where none has, 2 else.
    state = np.empty((count, count), dtype=np.uint8)
    for i in range(count):
        for j in range(count):
            gaps = 0
            for z in (heights[i, j], heights[i + 1, j], heights[i, j + 1], heights[i + 1, j + 1]):
                gaps += np.isnan(z)
            state[i, j] = 1 if gaps == 0 else 0 if gaps == 4 else 2
    step = 1
    while step < count:
        half = step // 2
        squares = count // (2 * step)
        joined = np.empty((squares, squares), dtype=np.uint8)
        for a in range(squares):
            for b in range(squares):
                s = state[2 * a, 2 * b]
                if state[2 * a + 1, 2 * b] != s or state[2 * a, 2 * b + 1] != s or state[2 * a + 1, 2 * b + 1] != s:
                    s = 2
                joined[a, b] = s
        state = joined
        for i in range(0, count + 1, step):
            first = step if i % (2 * step) == 0 else 0
            for j in range(first, count + 1, 2 * step):
                if first == 0:
                    low, high = heights[i - step, j], heights[i + step, j]
                    beside = (i // (2 * step), j // (2 * step)), (i // (2 * step), j // (2 * step) - 1)
                else:
                    low, high = heights[i, j - step], heights[i, j + step]
                    beside = (i // (2 * step), j // (2 * step)), (i // (2 * step) - 1, j // (2 * step))
                needed = abs(heights[i, j] - (low + high) / 2) > tolerance
                for a, b in beside:
                    if 0 <= a < squares and 0 <= b < squares and state[a, b] == 2:
                        needed = True
                if half and not needed:
                    for u in (i - half, i + half):
                        for v in (j - half, j + half):
                            if 0 <= u <= count and 0 <= v <= count and split[u, v]:
                                needed = True
                split[i, j] = needed
        for a in range(squares):
            for b in range(squares):
                i, j = (2 * a + 1) * step, (2 * b + 1) * step
                if (a + b) % 2 == 0:
                    middle = (heights[i - step, j - step] + heights[i + step, j + step]) / 2
                else:
                    middle = (heights[i + step, j - step] + heights[i - step, j + step]) / 2
                below = split[i - step, j] or split[i + step, j] or split[i, j - step] or split[i, j + step]
                split[i, j] = state[a, b] == 2 or below or abs(heights[i, j] - middle) > tolerance
        step *= 2
    return split


def _on_diagonals(split: np.ndarray, step: int) -> np.ndarray:
    """(t, 3, 2) triangles over half a square of this side: those about the middles of halved sides, if whole."""
    count = len(split) - 1
    along_x = np.argwhere(split[step :: 2 * step, :: 2 * step]) * (2 * step) + [step, 0]
    along_y = np.argwhere(split[:: 2 * step, step :: 2 * step]) * (2 * step) + [0, step]
    apex = np.concatenate([along_x, along_y])
    out = []
    for u, v in ((1, 1), (-1, 1), (-1, -1), (1, -1)):
        far = apex + step * np.array([u, v])
        kept = ((far >= 0) & (far <= count)).all(axis=1)
        if step > 1:
            middle = (apex + far)[kept] // 2
            kept[kept] = ~split[middle[:, 0], middle[:, 1]]
        first, second = apex[kept] + [step * u, 0], apex[kept] + [0, step * v]
        out.append(np.stack([apex[kept], *((first, second) if u * v > 0 else (second, first))], axis=1))
    return np.concatenate(out)


def _on_sides(split: np.ndarray, side: int) -> np.ndarray:
    """(t, 3, 2) triangles from the middle of a halved square of this side to its sides, where they are not halved."""
    half = side // 2
    middle = np.argwhere(split[half::side, half::side]) * side + half
    out = []
    for u, v in ((0, -1), (1, 0), (0, 1), (-1, 0)):
        centre = middle + half * np.array([u, v])
        along = half * np.array([-v, u])  # counter-clockwise about the middle
        kept = ~split[centre[:, 0], centre[:, 1]]
        out.append(np.stack([centre - along, centre + along, middle], axis=1)[kept])
    return np.concatenate(out)
