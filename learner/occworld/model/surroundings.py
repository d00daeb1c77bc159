"""Where each part of a frame to come lies from the sensor: a LiDAR sees what is near its way, and little beyond."""

from __future__ import annotations

import numpy as np

from occ_core.grid import VoxelGrid

CHANNELS = 7
_WINDOW = 7  # frames whose sweeps a frame holds: 3 s


def surroundings(grid: VoxelGrid, size: tuple[int, int], way: np.ndarray, history: int, height: float) -> np.ndarray:
    """(CHANNELS, h, w) float32, all about one: place (2), distance from the vehicle, from its way during the sweeps of
    the target frame, from its way in the history, how much nearer it has come, and its height.

    size: h, w, patches of columns. way: (t, 2) metres, where the vehicle is in each frame up to the target, in the
    target frame, the first `history` of them in the past. height: of the vehicle above the ground, metres.
    """
    low, high = np.array(grid.lower[:2]), np.array(grid.lower[:2]) + np.multiply(grid.shape, grid.voxel)[:2]
    x, y = (low[a] + (np.arange(n) + 0.5) / n * (high[a] - low[a]) for a, n in enumerate(size))
    place = np.stack(np.meshgrid(x, y, indexing="ij"))
    away = np.linalg.norm(place[None] - way[:, :, None, None], axis=1)
    recent, past = away[-_WINDOW:].min(axis=0), away[:history].min(axis=0)
    out = np.empty((CHANNELS, *size), np.float32)
    out[:2] = place / high[0]
    out[2:5] = np.stack([np.linalg.norm(place, axis=0), recent, past]) / high[0]
    out[5] = (past - recent) / 10
    out[6] = height / 20
    return out
