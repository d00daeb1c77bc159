"""The imported city as a labelled triangle mesh: what stands where, and how high the ground is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numba
import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from occ_core.actors import BOX_FACES, Actor, corners
from occ_core.classes import Semantic
from occ_core.grid import VoxelGrid
from occ_core.ground_truth import voxelize_triangles
from occ_core.poses import Pose

SHEET_CLASSES = (Semantic.ROAD, Semantic.SIDEWALK, Semantic.TERRAIN, Semantic.WATER)
"""Ground that nobody is ever below."""
GROUND_CLASSES = (*SHEET_CLASSES, Semantic.BRIDGE)
"""What a robot can stand on: also bridges, which one may drive under, and see from below."""
SEMANTIC_MESH = "semantic"
RASTER_M = 0.5
_BLOCK = 128  # raster points along the side of a block: 64 m


@dataclass(frozen=True)
class CityMap:
    """vertices: (v, 3) float32, metres, map. faces: (f, 3) int32. classes: (f,) uint8 class of each face."""

    vertices: np.ndarray
    faces: np.ndarray
    classes: np.ndarray

    @classmethod
    def load(cls, city: Path) -> CityMap:
        """Read the semantic mesh of an imported city's folder; FileNotFoundError with what to run."""
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
        return cls(np.concatenate(vertices), np.concatenate(faces), np.concatenate(classes))

    def save(self, city: Path, part: str = "city") -> None:
        """Write one part of a city's semantic mesh; parts are read back in the order of their names."""
        folder = Path(city) / SEMANTIC_MESH
        folder.mkdir(exist_ok=True)
        np.savez(folder / f"{part}.npz", vertices=self.vertices, faces=self.faces, classes=self.classes)

    @cached_property
    def triangles(self) -> np.ndarray:
        """(f, 3, 3) float32, metres, map."""
        return self.vertices[self.faces]

    @cached_property
    def _face_bounds(self) -> np.ndarray:
        """(4, f) float32: x_min, x_max, y_min, y_max of each face."""
        x, y = self.triangles[:, :, 0], self.triangles[:, :, 1]
        return np.stack([x.min(axis=1), x.max(axis=1), y.min(axis=1), y.max(axis=1)])

    def faces_near(self, position: np.ndarray, radius: float) -> np.ndarray:
        """Indices of faces whose xy bounds touch the square of half width `radius` about a position in map."""
        x_min, x_max, y_min, y_max = self._face_bounds
        x, y = position[:2]
        return np.flatnonzero(
            (x_max >= x - radius) & (x_min <= x + radius) & (y_max >= y - radius) & (y_min <= y + radius)
        )

    def occupancy(
        self, grid: VoxelGrid, footprint: Pose, actors: list[Actor], solid: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ground truth at a `base_footprint` pose in map: class ids uint8 and instances uint16, `grid.shape`.

        solid: buildings and actors are filled, and not their surfaces only.
        """
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
        bodies = (classes == Semantic.BUILDING) | (instances > 0)
        local = footprint.inverse().apply(world).reshape(-1, 3, 3)
        return voxelize_triangles(grid, local, classes, instances, bodies if solid else None)

    def ground_height(self, x: float, y: float) -> float:
        """Height of the highest ground surface at a point of map, metres: bilinear over a 0.5 m raster.

        Where there is no ground: the nearest ground's height, 0 where the city has none at all.
        """
        u, v = x / RASTER_M, y / RASTER_M
        i, j = int(np.floor(u)), int(np.floor(v))
        patch = self._heights(np.array([i, i + 1]), np.array([j, j + 1]))
        return float(np.array([1 - (u - i), u - i]) @ patch @ np.array([1 - (v - j), v - j]))

    def heights(self, points: np.ndarray) -> np.ndarray:
        """`ground_height` at many points (n, 2) of map, metres: (n,) float64."""
        scaled = np.asarray(points, dtype=np.float64) / RASTER_M
        low = np.floor(scaled).astype(int)
        u, v = (scaled - low).T
        corners = low[:, None, :] + np.array([(0, 0), (1, 0), (0, 1), (1, 1)])
        block, cell = np.divmod(corners.reshape(-1, 2), _BLOCK)
        z = np.empty(len(block))
        names = {tuple(name) for name in block.tolist()}
        for name in names:
            rows = (block == name).all(axis=1)
            z[rows] = self._ground_block(*name)[cell[rows, 0], cell[rows, 1]]
        a, b, c, d = z.reshape(-1, 4).T
        return (1 - v) * ((1 - u) * a + u * b) + v * ((1 - u) * c + u * d)

    def ground_heights(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Heights at the raster points nearest to a grid of places. x: (n,), y: (m,) metres. Returns (n, m) float64."""
        return self._heights(np.round(x / RASTER_M).astype(int), np.round(y / RASTER_M).astype(int))

    def _heights(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Raster values at the outer product of indices, from blocks that are made when first needed."""
        out = np.empty((len(i), len(j)))
        block_i, block_j = i // _BLOCK, j // _BLOCK
        for bi in np.unique(block_i):
            for bj in np.unique(block_j):
                rows, columns = np.flatnonzero(block_i == bi), np.flatnonzero(block_j == bj)
                block = self._ground_block(int(bi), int(bj))
                out[np.ix_(rows, columns)] = block[np.ix_(i[rows] - bi * _BLOCK, j[columns] - bj * _BLOCK)]
        return out

    def _ground_block(self, bi: int, bj: int) -> np.ndarray:
        """(_BLOCK, _BLOCK) float32 heights of a square of the raster, without gaps."""
        if (bi, bj) not in self._blocks:
            lower = np.array([bi, bj]) * _BLOCK
            half = _BLOCK * RASTER_M / 2
            near = self.faces_near(lower * RASTER_M + half, half + RASTER_M)
            near = near[np.isin(self.classes[near], GROUND_CLASSES)]
            triangles = self.triangles[near].astype(np.float64)
            triangles[:, :, :2] = triangles[:, :, :2] / RASTER_M - lower
            block = np.full((_BLOCK, _BLOCK), np.nan, dtype=np.float32)
            raster_heights(triangles, block)
            self._blocks[bi, bj] = self._fill(block, lower * RASTER_M + half)
        return self._blocks[bi, bj]

    def _fill(self, block: np.ndarray, middle: np.ndarray) -> np.ndarray:
        gaps = np.isnan(block)
        if gaps.all():
            tree, heights = self._ground_points
            return np.full_like(block, heights[tree.query(middle)[1]] if len(heights) else 0.0)
        if gaps.any():
            nearest = distance_transform_edt(gaps, return_distances=False, return_indices=True)
            block = block[tuple(nearest)]
        return block

    @cached_property
    def _blocks(self) -> dict[tuple[int, int], np.ndarray]:
        return {}

    @cached_property
    def _ground_points(self) -> tuple[cKDTree, np.ndarray]:
        corners = self.triangles[np.isin(self.classes, GROUND_CLASSES)].reshape(-1, 3)
        return cKDTree(corners[:, :2] if len(corners) else np.zeros((1, 2))), corners[:, 2]


@numba.njit(cache=True)
def raster_heights(triangles, raster):
    """Highest triangle over each raster point. triangles: (n, 3, 3), x and y in cells, z in metres."""
    for t in range(len(triangles)):
        ax, ay, az = triangles[t, 0]
        bx, by, bz = triangles[t, 1]
        cx, cy, cz = triangles[t, 2]
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if area == 0.0:
            continue
        for i in range(max(int(np.ceil(min(ax, bx, cx))), 0), min(int(max(ax, bx, cx)) + 1, raster.shape[0])):
            for j in range(max(int(np.ceil(min(ay, by, cy))), 0), min(int(max(ay, by, cy)) + 1, raster.shape[1])):
                v = ((i - ax) * (cy - ay) - (cx - ax) * (j - ay)) / area
                w = ((bx - ax) * (j - ay) - (i - ax) * (by - ay)) / area
                if v >= -1e-9 and w >= -1e-9 and v + w <= 1 + 1e-9:
                    z = az + v * (bz - az) + w * (cz - az)
                    if np.isnan(raster[i, j]) or z > raster[i, j]:
                        raster[i, j] = z
