"""Would the forecast ego path have hit something? Checked against the recorded grids."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from occ_core.classes import DRIVEABLE_CLASSES, Semantic
from occ_core.grid import VoxelGrid
from occworld import motion as motions

# Both robots fit into it; measured along x and y of the footprint, metres.
EGO_SIZE = (1.2, 0.9)
_DRIVEABLE = (Semantic.EMPTY, *DRIVEABLE_CLASSES)


def hits(grid: VoxelGrid, truth: np.ndarray, place: np.ndarray, height: float) -> bool:
    """Does the ego box at a place overlap an obstacle's voxel at the height of its `base_link`?

    truth: uint8 (X, Y, Z) in the true footprint. place: (4,) the forecast footprint in the true one. height: metres
    above ground, of a rover's or a drone's `base_link`.
    """
    index, inside = grid.index(np.array([[0.0, 0.0, max(height, 0.0) + place[2]]]))
    if not inside[0]:
        return False
    level = int(index[0, 2])
    # A rover's own level also holds the road's voxels: those are driveable.
    obstacles = np.argwhere(~np.isin(truth[:, :, level], _DRIVEABLE))
    centres = grid.centers(np.column_stack([obstacles, np.full(len(obstacles), level)]))
    local = motions.apply(motions.inverse(place), centres)[:, :2]
    return bool((np.abs(local) <= np.divide(EGO_SIZE, 2)).all(axis=1).any())


@dataclass
class CollisionScores:
    """Share of windows whose path has hit something by 1, 2, 3 s."""

    frame_period: float
    first: list[float] = field(default_factory=list)

    def add(self, grid: VoxelGrid, truths: list[np.ndarray], path: np.ndarray, true_path: np.ndarray,
            heights: np.ndarray) -> None:  # fmt: skip
        """path, true_path: (steps, 4) in the current frame. heights: (steps,) of base_link above its footprint."""
        struck = [
            hits(grid, truth, motions.between(real, ours), height)
            for truth, ours, real, height in zip(truths, path, true_path, heights, strict=True)
        ]
        self.first.append(self.frame_period * (struck.index(True) + 1) if any(struck) else np.inf)

    def report(self) -> dict[str, float]:
        """collision_1s, collision_2s, collision_3s."""
        return {f"collision_{s}s": float(np.mean(np.array(self.first) <= s + 1e-6)) for s in (1, 2, 3)}
