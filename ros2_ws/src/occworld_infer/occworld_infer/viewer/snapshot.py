"""What the page shows of one robot at one instant, wherever it comes from: a live run, a session or a bag."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from occ_core.actors import Actor
from occ_core.grid import VoxelGrid
from occ_core.poses import Pose
from occ_core.sparse_grid import occupied_numbers
from occworld_infer.grading import Grade


@dataclass(frozen=True)
class PlacedVoxels:
    """The occupied voxels of a grid whose frame is at a pose in `map`.

    numbers: (n,) int32 flat numbers, rising. labels: (n,) uint8 class ids.
    """

    grid: VoxelGrid
    frame: Pose
    numbers: np.ndarray
    labels: np.ndarray

    @classmethod
    def of_classes(cls, grid: VoxelGrid, classes: np.ndarray, frame: Pose) -> PlacedVoxels:
        """classes: uint8 `grid.shape`, 0 empty."""
        flat = classes.reshape(-1)
        numbers = occupied_numbers(flat)
        return cls(grid, frame, numbers, flat[numbers])

    @classmethod
    def of_points(cls, grid: VoxelGrid, points: np.ndarray, labels: np.ndarray, frame: Pose) -> PlacedVoxels:
        """points: (n, 3) metres in the grid's frame, near voxel centres; labels: (n,) uint8. Outside: left out."""
        found = grid.numbers(points)
        numbers, first = np.unique(found, return_index=True)
        inside = numbers >= 0
        return cls(grid, frame, numbers[inside].astype(np.int32), labels[first[inside]])

    @property
    def centres(self) -> np.ndarray:
        """(n, 3) float32, metres, in the grid's frame."""
        cells = np.stack(np.unravel_index(self.numbers, self.grid.shape), axis=1)
        return self.grid.centers(cells).astype(np.float32)

    @property
    def classes(self) -> np.ndarray:
        """uint8 `grid.shape`, 0 empty."""
        flat = np.zeros(self.grid.size, np.uint8)
        flat[self.numbers] = self.labels
        return flat.reshape(self.grid.shape)

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True)
class PredictedFrame:
    """A forecast. horizons_s: seconds ahead. voxels: one per horizon, each in the footprint that was forecast for it.

    seconds: how long the model took, 0 where nobody has measured it.
    """

    horizons_s: tuple[float, ...]
    voxels: tuple[PlacedVoxels, ...]
    seconds: float = 0.0

    def at(self, horizon: float) -> PlacedVoxels | None:
        """The grid so many seconds ahead, None where the forecast has no such horizon."""
        for ahead, voxels in zip(self.horizons_s, self.voxels, strict=True):
            if abs(ahead - horizon) < 1e-3:
                return voxels
        return None

    @property
    def path(self) -> np.ndarray:
        """(horizons, 3) metres, map: the footprints forecast for the robot."""
        return np.array([voxels.frame.position for voxels in self.voxels])


@dataclass(frozen=True)
class Snapshot:
    """stamp: seconds. lidar: (n, 3) float32 metres, map. pictures: JPEGs by camera name, as `camera_strip.kept`
    gives them.

    forecast: made at this instant. grades: of earlier forecasts, now that this instant has been observed; a mean over
    the last seconds.
    """

    robot: str
    stamp: float
    base_link: Pose
    occupancy: PlacedVoxels
    lidar: np.ndarray
    pictures: dict[str, bytes] = field(default_factory=dict)
    actors: tuple[Actor, ...] = ()
    forecast: PredictedFrame | None = None
    grades: tuple[Grade, ...] = ()
