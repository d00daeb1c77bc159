"""Maps over patches and columns that the fast model's networks are given, and how a patch is folded."""

from __future__ import annotations

import numpy as np

from occ_core.classes import DYNAMIC_IDS, NUM_CLASSES
from occ_core.grid import VoxelGrid
from occ_core.sparse_grid import SparseGrid

CHANNELS = 7  # of `surroundings`
_WINDOW = 7  # frames whose sweeps a frame holds: 3 s


def surroundings(grid: VoxelGrid, size: tuple[int, int], way: np.ndarray, history: int, height: float) -> np.ndarray:
    """(CHANNELS, h, w) float32, all about one: place (2), distance from the vehicle, from its way during the sweeps of
    the target frame, from its way in the history, how much nearer it has come, and its height.

    size: h, w, patches of columns. way: (t, 2) metres, where the vehicle is in each frame up to the target, in the
    target frame, the first `history` of them in the past. height: of the vehicle above the ground, metres.
    """
    place, high = _middles(grid, size), np.array(grid.lower[:2]) + np.multiply(grid.shape, grid.voxel)[:2]
    away = np.linalg.norm(place[None] - way[:, :, None, None], axis=1)
    recent, past = away[-_WINDOW:].min(axis=0), away[:history].min(axis=0)
    out = np.empty((CHANNELS, *size), np.float32)
    out[:2] = place / high[0]
    out[2:5] = np.stack([np.linalg.norm(place, axis=0), recent, past]) / high[0]
    out[5] = (past - recent) / 10
    out[6] = height / 20
    return out


def seen_at(grid: VoxelGrid, size: tuple[int, int], motions: np.ndarray) -> np.ndarray:
    """(n, h, w, 2) float64: where the middle of each patch lies in a source frame, as parts of the grid's length and
    width, 0 to 1 within it. size: h, w, patches. motions: (n, 4), targets in the source."""
    x, y = _middles(grid, size)
    c, s = np.cos(motions[:, 3])[:, None, None], np.sin(motions[:, 3])[:, None, None]
    u = c * x - s * y + motions[:, 0, None, None]
    v = s * x + c * y + motions[:, 1, None, None]
    return (np.stack([u, v], axis=-1) - grid.lower[:2]) / np.multiply(grid.shape, grid.voxel)[:2]


def _middles(grid: VoxelGrid, size: tuple[int, int]) -> np.ndarray:
    """(2, h, w) metres: x and y of the middle of each patch."""
    extent = np.multiply(grid.shape, grid.voxel)
    along = [grid.lower[a] + (np.arange(n) + 0.5) / n * extent[a] for a, n in enumerate(size)]
    return np.stack(np.meshgrid(*along, indexing="ij"))


def moving(frame: SparseGrid) -> np.ndarray:
    """(n,) bool: voxels of dynamic classes."""
    return np.isin(frame.classes, DYNAMIC_IDS)


def dynamic_maps(grid: VoxelGrid, frames: list[SparseGrid]) -> np.ndarray:
    """(t, X, Y) float32: 1 where a column holds a moving thing. frames: aligned to the current frame."""
    out = np.zeros((len(frames), grid.shape[0] * grid.shape[1]), np.float32)
    for row, frame in zip(out, frames, strict=True):
        row[frame.voxels[moving(frame)] // grid.shape[2]] = 1
    return out.reshape(len(frames), *grid.shape[:2])


def class_rows(levels: int) -> np.ndarray:
    """(classes,) int64: the row of the fold's table, over patch * patch, at which the levels of each class begin.

    Checkpoints are trained with rows that wrap at 256, so that classes share some: another rule needs another format of
    checkpoints.
    """
    return (np.arange(NUM_CLASSES) * levels) % 256
