"""The voxel grid: one dataclass that every config names and nobody repeats."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

Vec3 = tuple[float, float, float]


@dataclass(frozen=True)
class VoxelGrid:
    """An axis-aligned grid of boxes in `base_footprint` (x forward, y left, z up from the ground), metres.

    Lower bounds are inclusive, upper bounds exclusive; a part voxel at an upper end is outside the grid.
    """

    lower: Vec3
    upper: Vec3
    voxel: Vec3

    def __post_init__(self) -> None:
        for name in ("lower", "upper", "voxel"):
            values = tuple(float(v) for v in getattr(self, name))
            if len(values) != 3 or not np.all(np.isfinite(values)):
                raise ValueError(f"grid {name} must be three finite numbers, got {getattr(self, name)}")
            object.__setattr__(self, name, values)
        if min(self.voxel) <= 0:
            raise ValueError(f"grid voxel sizes must be positive, got {self.voxel}")
        if min(self.shape) < 1:
            raise ValueError(f"grid from {self.lower} to {self.upper} holds no voxel of size {self.voxel}")

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Number of whole voxels along x, y, z."""
        extent = np.subtract(self.upper, self.lower) / self.voxel
        nx, ny, nz = np.floor(extent + 1e-6).astype(int)
        return int(nx), int(ny), int(nz)

    @property
    def size(self) -> int:
        """Number of voxels."""
        nx, ny, nz = self.shape
        return nx * ny * nz

    def index(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Voxel indices of points.

        points: (n, 3) float, metres, base_footprint. Returns (n, 3) int64 indices and (n,) bool, True where the
        index lies in the grid; NaN and infinite points are outside. Computed in float64 so that a point on a lower
        bound is in and one on an upper bound is out.
        """
        points = np.asarray(points, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            scaled = np.floor((points - self.lower) / self.voxel)
            inside = np.all((scaled >= 0) & (scaled < self.shape), axis=1)
        return np.where(inside[:, None], scaled, 0).astype(np.int64), inside

    def numbers(self, points: np.ndarray) -> np.ndarray:
        """Flat voxel number of each point, -1 outside the grid. points: (n, 3) float, metres. Returns (n,) int64."""
        index, inside = self.index(points)
        return np.where(inside, np.ravel_multi_index(tuple(index.T), self.shape), -1)

    def centers(self, indices: np.ndarray) -> np.ndarray:
        """Centres of voxels. indices: (n, 3) int. Returns (n, 3) float64, metres, base_footprint."""
        return np.asarray(self.lower) + (np.asarray(indices) + 0.5) * self.voxel

    def to_dict(self) -> dict[str, list[float]]:
        """For JSON: the three vectors that `from_dict` reads."""
        return {"lower": list(self.lower), "upper": list(self.upper), "voxel": list(self.voxel)}

    @classmethod
    def from_dict(cls, data: dict[str, list[float]]) -> VoxelGrid:
        """The inverse of `to_dict`; ValueError for missing, extra or senseless entries."""
        if set(data) != {"lower", "upper", "voxel"}:
            raise ValueError(f"a grid has lower, upper and voxel, got {sorted(data)}")
        return cls(**{key: tuple(value) for key, value in data.items()})  # type: ignore[arg-type]


TOKYO_GRID = VoxelGrid(lower=(-40.0, -40.0, -2.0), upper=(40.0, 40.0, 150.0), voxel=(0.4, 0.4, 1.25))
NUSCENES_GRID = VoxelGrid(lower=(-40.0, -40.0, -1.0), upper=(40.0, 40.0, 5.4), voxel=(0.4, 0.4, 0.4))
"""Occ3D-nuScenes' 200 x 200 x 16 voxels (Tian et al., NeurIPS 2023), in this project's footprint frame."""
GRIDS = {"tokyo": TOKYO_GRID, "nuscenes": NUSCENES_GRID}
GRID_HELP = "voxel grid: tokyo, nuscenes, or nine numbers (lower corner, upper corner, voxel size)"
"""Of the parameters and options that say one."""


def named_grid(text: str) -> VoxelGrid:
    """The grid that a parameter or an option says: one of `GRIDS` by name, or nine numbers with commas between them.

    They are the lower corner, the upper corner and a voxel's size along x, y, z, metres. ValueError for anything else.
    """
    if text in GRIDS:
        return GRIDS[text]
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 9:
        raise ValueError(f"grid '{text}': {', '.join(GRIDS)}, or nine numbers, lower corner, upper corner, voxel size")
    return VoxelGrid(tuple(numbers[:3]), tuple(numbers[3:6]), tuple(numbers[6:]))  # type: ignore[arg-type]


FRAME_PERIOD_S = 0.5
HISTORY_FRAMES = 4
FUTURE_FRAMES = 6
