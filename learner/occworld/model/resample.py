"""Bird's-eye features from one `base_footprint` frame to another, bilinear."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from occ_core.grid import VoxelGrid


def resample_latents(latents: Tensor, motions: np.ndarray, grid: VoxelGrid) -> Tensor:
    """latents: (n, d, h, w) over the grid's x and y, in a source frame. motions: (n, 4), targets in the source.

    Returns (n, d, h, w) in the target frames, zero where the source does not reach.
    """
    _n, _, h, w = latents.shape
    low, high = np.array(grid.lower[:2]), np.array(grid.lower[:2]) + np.multiply(grid.shape, grid.voxel)[:2]
    x = low[0] + (np.arange(h) + 0.5) / h * (high[0] - low[0])
    y = low[1] + (np.arange(w) + 0.5) / w * (high[1] - low[1])
    x, y = np.meshgrid(x, y, indexing="ij")
    c, s = np.cos(motions[:, 3])[:, None, None], np.sin(motions[:, 3])[:, None, None]
    u = c * x - s * y + motions[:, 0, None, None]
    v = s * x + c * y + motions[:, 1, None, None]
    # grid_sample wants (last axis, second-last axis) = (y, x), each in [-1, 1].
    place = np.stack([2 * (v - low[1]) / (high[1] - low[1]) - 1, 2 * (u - low[0]) / (high[0] - low[0]) - 1], axis=-1)
    return F.grid_sample(latents, torch.from_numpy(place).to(latents), align_corners=False)
