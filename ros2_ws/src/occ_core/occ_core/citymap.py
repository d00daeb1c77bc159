"""The imported city as a labelled triangle mesh: what stands where, and how high the ground is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from occ_core.actors import BOX_FACES, Actor, corners
from occ_core.classes import GROUND_CLASSES, Semantic
from occ_core.faces_by_square import FacesBySquare, corner_ends
from occ_core.grid import VoxelGrid
from occ_core.ground_truth import Columns, classes_in_columns, voxelize_triangles
from occ_core.loops import compiled
from occ_core.poses import Pose

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

SEMANTIC_MESH, DRIVABLE = "semantic", "drivable"
"""Folders of an imported city."""
RASTER_M = 0.5
_BLOCK = 128  # raster points along the side of a block: 64 m
_NO_GROUND = np.full((_BLOCK, _BLOCK), np.nan, dtype=np.float32)


@dataclass(frozen=True)
class CityMap:
    """vertices: (v, 3) float32, metres, map. faces: (f, 3) int32. classes: (f,) uint8 class of each face.

    surface: (k, 3, 3) float32 triangles that wheels meet, the same in every simulator: where they are is ground, and
    nowhere else. None: the highest of all faces of `GROUND_CLASSES`.
    """

    vertices: np.ndarray
    faces: np.ndarray
    classes: np.ndarray
    surface: np.ndarray | None = None

    @classmethod
    def load(cls, city: Path, surface: bool = True) -> CityMap:
        """Read the semantic mesh of an imported city's folder; FileNotFoundError with what to run.

        surface: also what wheels meet, most of the memory, which who asks for classes alone does not need.
        """
        parts = sorted((Path(city) / SEMANTIC_MESH).glob("*.npz"))
        if not parts:
            raise FileNotFoundError(f"no imported city in {city}: {SEMANTIC_MESH} is missing; run `tokyo city` first")
        vertices, faces, classes, start = [], [], [], 0
        for part in parts:
            with np.load(part, allow_pickle=False) as data:
                vertices.append(data["vertices"])
                faces.append(data["faces"] + np.int32(start))
                classes.append(data["classes"])
            start += len(vertices[-1])
        mesh: list[np.ndarray] = []
        for column in (vertices, faces, classes):
            mesh.append(np.concatenate(column))
            column.clear()
        return cls(mesh[0], mesh[1], mesh[2], _read_surface(Path(city)) if surface else None)

    def save(self, city: Path, part: str = "city") -> None:
        """Write one part of a city's semantic mesh; parts are read back in the order of their names."""
        folder = Path(city) / SEMANTIC_MESH
        folder.mkdir(exist_ok=True)
        np.savez(folder / f"{part}.npz", vertices=self.vertices, faces=self.faces, classes=self.classes)

    @cached_property
    def triangles(self) -> np.ndarray:
        """(f, 3, 3) float32, metres, map."""
        return self.vertices.take(self.faces, axis=0)  # in a third of the time of [...]

    @cached_property
    def _face_bounds(self) -> np.ndarray:
        """(4, f) float32: x_min, x_max, y_min, y_max of each face."""
        return _bounds(self.triangles)

    def faces_near(self, position: np.ndarray, radius: float) -> np.ndarray:
        """Indices of faces whose xy bounds touch the square of half width `radius` about a position in map."""
        x_min, x_max, y_min, y_max = self._face_bounds
        x, y = position[:2]
        return np.flatnonzero(
            (x_max >= x - radius) & (x_min <= x + radius) & (y_max >= y - radius) & (y_min <= y + radius)
        )

    def occupancy(
        self, grid: VoxelGrid, footprint: Pose, actors: list[Actor], solid: bool = False, threads: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ground truth at a `base_footprint` pose in map: class ids uint8 and instances uint16, `grid.shape`.

        solid: buildings and actors are filled, and not their surfaces only. threads: one for each processor by default.
        """
        local, classes, instances = self._close(grid, footprint, actors)
        bodies = (classes == Semantic.BUILDING) | (instances > 0)
        return voxelize_triangles(grid, local, classes, instances, bodies if solid else None, threads)

    def classes_in(
        self, grid: VoxelGrid, footprint: Pose, actors: list[Actor], columns: Columns, threads: int | None = None
    ) -> np.ndarray:
        """The classes that `occupancy` has in some columns of the grid: uint8 of their shape."""
        local, classes, _ = self._close(grid, footprint, actors)
        return classes_in_columns(grid, local, classes, columns, threads)

    def _close(
        self, grid: VoxelGrid, footprint: Pose, actors: list[Actor]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Triangles (n, 3, 3) near a `base_footprint`, in it, with the class and instance of each."""
        reach = float(np.hypot(*np.abs([grid.lower[:2], grid.upper[:2]]).max(axis=0)))
        near = self.faces_near(footprint.position, reach)
        close = [
            actor
            for actor in actors
            if np.abs(actor.pose.position[:2] - footprint.position[:2]).max() < reach + max(actor.size)
        ]
        boxes = corners(close)[:, BOX_FACES].reshape(-1, 3, 3)
        world = np.concatenate([self.triangles[near], boxes]).reshape(-1, 3)
        semantics = np.array([actor.semantic for actor in close], dtype=np.uint8).repeat(len(BOX_FACES))
        owners = np.array([actor.instance for actor in close], dtype=np.uint16).repeat(len(BOX_FACES))
        classes = np.concatenate([self.classes[near], semantics])
        instances = np.concatenate([np.zeros(len(near), np.uint16), owners])
        return footprint.inverse().apply(world).reshape(-1, 3, 3), classes, instances

    def ground_height(self, x: float, y: float) -> float:
        """Height of the ground at a point of map, metres: bilinear over a 0.5 m raster. NaN where there is none."""
        return float(self.ground_at(np.array([[x, y]]))[0])

    def nearest_ground(self, x: float, y: float) -> float:
        """`ground_height`, or where there is none the height of the nearest ground, 0 where the city has none at all.

        For what needs a level everywhere, such as a drone's `base_footprint`; nothing can stand there.
        """
        return float(self.heights(np.array([[x, y]]))[0])

    def heights(self, points: np.ndarray) -> np.ndarray:
        """`nearest_ground` at many points (n, 2) of map, metres: (n,) float64."""
        z = self.ground_at(np.asarray(points, dtype=np.float64))
        gaps = np.isnan(z)
        if gaps.any():
            tree, heights = self._ground_points
            z[gaps] = heights[tree.query(np.asarray(points)[gaps])[1]] if len(heights) else 0.0
        return z

    def ground_at(self, points: np.ndarray) -> np.ndarray:
        """`ground_height` at many points (n, 2) of map, metres: (n,) float64, NaN where there is no ground."""
        scaled = points / RASTER_M
        low = np.floor(scaled).astype(int)
        u, v = (scaled - low).T
        corners = low[:, None, :] + np.array([(0, 0), (1, 0), (0, 1), (1, 1)])
        block, cell = np.divmod(corners.reshape(-1, 2), _BLOCK)
        z = np.empty(len(block))
        names = {tuple(name) for name in block.tolist()}
        for name in names:
            rows = (block == name).all(axis=1)
            z[rows] = self._ground_block(*name)[cell[rows, 0], cell[rows, 1]]
        weights = np.stack([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v], axis=1)
        return np.where(weights > 0, weights * z.reshape(-1, 4), 0.0).sum(axis=1)

    def ground_heights(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Heights at the raster points nearest to a grid of places, NaN where there is no ground.

        x: (n,), y: (m,) metres. Returns (n, m) float64.
        """
        i, j = np.round(x / RASTER_M).astype(int), np.round(y / RASTER_M).astype(int)
        out = np.empty((len(i), len(j)))
        block_i, block_j = i // _BLOCK, j // _BLOCK
        for bi in np.unique(block_i):
            for bj in np.unique(block_j):
                rows, columns = np.flatnonzero(block_i == bi), np.flatnonzero(block_j == bj)
                block = self._ground_block(int(bi), int(bj))
                out[np.ix_(rows, columns)] = block[np.ix_(i[rows] - bi * _BLOCK, j[columns] - bj * _BLOCK)]
        return out

    def _ground_block(self, bi: int, bj: int) -> np.ndarray:
        """(_BLOCK, _BLOCK) float32 heights of a square of the raster, made when it is first needed."""
        if (bi, bj) not in self._blocks:
            near = self._ground_by_block.within(bi, bj)
            if not len(near):
                return _NO_GROUND
            triangles = self._ground[near].astype(np.float64)
            triangles[:, :, :2] = triangles[:, :, :2] / RASTER_M - np.array([bi, bj]) * _BLOCK
            block = np.full((_BLOCK, _BLOCK), np.nan, dtype=np.float32)
            raster_heights(triangles, block)
            self._blocks[bi, bj] = block
        return self._blocks[bi, bj]

    @cached_property
    def _ground(self) -> np.ndarray:
        """(k, 3, 3) float32 triangles of the ground."""
        return self.triangles[np.isin(self.classes, GROUND_CLASSES)] if self.surface is None else self.surface

    @cached_property
    def _ground_by_block(self) -> FacesBySquare:
        corners = self._ground.reshape(-1, 3)
        return FacesBySquare.of(corners, np.arange(len(corners)).reshape(-1, 3), _BLOCK * RASTER_M)

    @cached_property
    def _blocks(self) -> dict[tuple[int, int], np.ndarray]:
        return {}

    @cached_property
    def _ground_points(self) -> tuple[cKDTree, np.ndarray]:
        from scipy.spatial import cKDTree  # takes a moment to load, and few places are off the ground

        corners = self._ground.reshape(-1, 3)
        return cKDTree(corners[:, :2] if len(corners) else np.zeros((1, 2))), corners[:, 2]


def _bounds(triangles: np.ndarray) -> np.ndarray:
    """(4, n) x_min, x_max, y_min, y_max of triangles (n, 3, 3)."""
    return np.stack([*corner_ends(triangles[:, :, 0]), *corner_ends(triangles[:, :, 1])])


def _read_surface(city: Path) -> np.ndarray | None:
    """(k, 3, 3) float32 metres in map, or None where a city was imported without."""
    parts = []
    for part in sorted((city / DRIVABLE).glob("*.npz")):
        with np.load(part, allow_pickle=False) as data:
            parts.append(data["vertices"].take(data["faces"], axis=0))
    return np.concatenate(parts) if parts else None


@compiled
def raster_heights(triangles, raster):
    """Highest triangle over each raster point. triangles: (n, 3, 3), x and y in cells, z in metres."""
    for t in range(len(triangles)):
        ax, ay, az = triangles[t, 0]
        bx, by, bz = triangles[t, 1]
        cx, cy, cz = triangles[t, 2]
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if area == 0.0:
            continue
        left = max(int(np.ceil(min(ay, by, cy))), 0)
        right = min(int(max(ay, by, cy)) + 1, raster.shape[1])
        for i in range(max(int(np.ceil(min(ax, bx, cx))), 0), min(int(max(ax, bx, cx)) + 1, raster.shape[0])):
            # Of a row no more than where all three weights can be positive, and a point on either side.
            v, v_step = ((i - ax) * (cy - ay) + (cx - ax) * ay) / area, -(cx - ax) / area
            w, w_step = (-(bx - ax) * ay - (i - ax) * (by - ay)) / area, (bx - ax) / area
            low, high = _positive(v, v_step, left, right)
            low, high = _positive(w, w_step, low, high)
            low, high = _positive(1.0 - v - w, -v_step - w_step, low, high)
            for j in range(low, high):
                v = ((i - ax) * (cy - ay) - (cx - ax) * (j - ay)) / area
                w = ((bx - ax) * (j - ay) - (i - ax) * (by - ay)) / area
                if v >= -1e-9 and w >= -1e-9 and v + w <= 1 + 1e-9:
                    z = az + v * (bz - az) + w * (cz - az)
                    if np.isnan(raster[i, j]) or z > raster[i, j]:
                        raster[i, j] = z


@compiled
def _positive(start, step, low, high):
    """The part of a range of whole numbers j in which start + j * step is positive, and one more on either side.

    All of it where the step is too small for a place to be known.
    """
    if step > 1e-6:
        return max(low, int(np.ceil(min(-start / step, 1e9))) - 1), high
    if step < -1e-6:
        return low, min(high, int(np.floor(max(-start / step, -1e9))) + 2)
    return low, high
