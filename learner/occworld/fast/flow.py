"""Bird's-eye motion: features resampled from frame to frame, and velocities of moving things, tracked and corrected."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from occ_core.grid import VoxelGrid
from occ_core.sparse_grid import SparseGrid
from occworld.fast.maps import seen_at
from occworld.model_config import FLOW_DILATIONS, FLOW_STRIDE


class FlowHead(nn.Module):
    """(b, t, X, Y) maps and tracked velocities (b, 3, X, Y), m/s in the current frame -> corrected ones; at first the
    same."""

    def __init__(self, history: int, channels: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(history + 2, channels, 2 * FLOW_STRIDE + 1, stride=FLOW_STRIDE, padding=FLOW_STRIDE)
        self.body = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=d, dilation=d) for d in FLOW_DILATIONS)
        self.out = nn.Conv2d(channels, 3, 1)
        for values in self.out.parameters():
            nn.init.zeros_(values)

    def forward(self, maps: Tensor, tracked: Tensor) -> Tensor:
        """See the class. A scene with nothing that moves is worth no convolution."""
        if not bool(maps.any()):
            return tracked
        x = F.relu(self.stem(torch.cat([maps, tracked[:, :2] / 10], dim=1)))
        for conv in self.body:
            x = x + F.relu(conv(x))
        return tracked + 10 * F.interpolate(self.out(x), size=maps.shape[2:], mode="nearest")


def true_velocity(
    grid: VoxelGrid, now: SparseGrid, later: list[SparseGrid], period: float
) -> tuple[np.ndarray, np.ndarray]:
    """Mean velocity of the instances in sight, from their centroids.

    now, later: frames aligned to the current one, `period` seconds apart. Returns voxels (n,) int32 of instances that
    a later frame shows too, none of whose voxels touches the grid's edge, and (n, 3) float32 m/s.
    """
    start = _centroids(grid, now)
    sums: dict[int, list[np.ndarray]] = {}
    for i, frame in enumerate(later):
        for instance, place in _centroids(grid, frame).items():
            if instance in start:
                sums.setdefault(instance, []).append((place - start[instance]) / (period * (i + 1)))
    known = np.isin(now.instances, list(sums)) & (now.instances > 0)
    means = {instance: np.mean(v, axis=0) for instance, v in sums.items()}
    speeds = np.array([means[i] for i in now.instances[known].tolist()], np.float32).reshape(-1, 3)
    return now.voxels[known], speeds


def _centroids(grid: VoxelGrid, frame: SparseGrid) -> dict[int, np.ndarray]:
    chosen = frame.instances > 0
    index = np.stack(np.unravel_index(frame.voxels[chosen], grid.shape), axis=1)
    ids, which = np.unique(frame.instances[chosen], return_inverse=True)
    edge = ((index[:, :2] == 0) | (index[:, :2] == np.array(grid.shape[:2]) - 1)).any(axis=1)
    cut = set(ids[which[edge]].tolist())
    points = grid.centers(index)
    return {int(i): points[which == n].mean(axis=0) for n, i in enumerate(ids) if int(i) not in cut}


def flow_loss(velocity: Tensor, grid: VoxelGrid, voxels: np.ndarray, truth: np.ndarray) -> Tensor:
    """Smooth L1 over the columns of moving things. velocity: (3, X, Y). voxels, truth: as of `true_velocity`."""
    if not len(voxels):
        return velocity.sum() * 0
    column = torch.from_numpy(voxels.astype(np.int64) // grid.shape[2]).to(velocity.device)
    found = velocity.reshape(3, -1)[:, column].T
    return F.smooth_l1_loss(found, torch.from_numpy(truth).to(velocity.device))


def resample_latents(latents: Tensor, motions: np.ndarray, grid: VoxelGrid) -> Tensor:
    """latents: (n, d, h, w) over the grid's x and y, in a source frame. motions: (n, 4), targets in the source.

    Returns (n, d, h, w) in the target frames, zero where the source does not reach.
    """
    h, w = latents.shape[2:]
    # grid_sample wants (last axis, second-last axis) = (y, x), each in [-1, 1].
    place = 2 * seen_at(grid, (h, w), motions)[..., ::-1] - 1
    return F.grid_sample(latents, torch.from_numpy(place.copy()).to(latents), align_corners=False)
