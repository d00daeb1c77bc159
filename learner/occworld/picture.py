"""Pictures of grids from above, for TensorBoard."""

from __future__ import annotations

import numpy as np

from occ_core.classes import COLOURS


def from_above(classes: np.ndarray) -> np.ndarray:
    """(X, Y, 3) uint8, x up and y to the left: the topmost voxel's colour, darker the lower. classes: (X, Y, Z)."""
    occupied = classes > 0
    height = classes.shape[2]
    top = height - 1 - occupied[:, :, ::-1].argmax(axis=2)
    colour = COLOURS[np.take_along_axis(classes, top[..., None], axis=2)[..., 0]].astype(float)
    levels = np.where(occupied.any(axis=2), 0.55 + 0.45 * np.minimum(top / 16, 1), 1.0)
    return (colour * levels[..., None]).astype(np.uint8)[::-1, ::-1]


def beside(truth: list[np.ndarray], forecast: list[np.ndarray]) -> np.ndarray:
    """Truth above, forecast below, horizons from left to right: (height, width, 3) uint8. Grids: (X, Y, Z) uint8."""
    rows = []
    for grids in (truth, forecast):
        tiles = [np.pad(from_above(grid), ((2, 2), (2, 2), (0, 0)), constant_values=255) for grid in grids]
        rows.append(np.concatenate(tiles, axis=1))
    return np.concatenate(rows)
