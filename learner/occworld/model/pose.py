"""Ego motion: 13 numbers per frame in, the correction to constant velocity of the next step out."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from occ_core.poses import Pose

POSE_DIM = 13
STEP_DIM = 4


def relative_poses(pose_13d: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """Positions and orientations as seen from the last `base_footprint`, velocities as they are (`base_link`).

    pose_13d: (t, 13) base_link in map. footprint: (4,) x y z yaw of the current frame in map. Returns (t, 13)
    float32; metres over 10, so that every number is about one.
    """
    half = footprint[3] / 2
    current = Pose(footprint[:3], np.array([np.cos(half), 0, 0, np.sin(half)])).inverse()
    out = np.empty((len(pose_13d), POSE_DIM), np.float32)
    for row, pose in zip(out, pose_13d, strict=True):
        local = current @ Pose(pose[:3], pose[3:7])
        sign = 1.0 if local.orientation[0] >= 0 else -1.0
        row[:] = [*local.position / 10, *sign * local.orientation, *pose[7:10] / 10, *pose[10:13]]
    return out


class PoseEncoder(nn.Module):
    """(..., 13) -> (..., c)."""

    def __init__(self, hidden: int, out: int, layers: int) -> None:
        super().__init__()
        widths = [POSE_DIM] + [hidden] * (layers - 1)
        inner = [m for a, b in pairwise(widths) for m in (nn.Linear(a, b), nn.ReLU())]
        self.net = nn.Sequential(*inner, nn.Linear(widths[-1], out))

    def forward(self, poses: Tensor) -> Tensor:
        """See the class."""
        return self.net(poses)


class PoseDecoder(nn.Module):
    """(..., c) -> (..., 4): what to add to the step at constant velocity; zero at first."""

    def __init__(self, width: int, hidden: int, layers: int) -> None:
        super().__init__()
        widths = [width] + [hidden] * (layers - 1)
        inner = [m for a, b in pairwise(widths) for m in (nn.Linear(a, b), nn.ReLU())]
        self.net = nn.Sequential(*inner, nn.Linear(widths[-1], STEP_DIM))
        for values in self.net[-1].parameters():
            nn.init.zeros_(values)

    def forward(self, tokens: Tensor) -> Tensor:
        """See the class."""
        return self.net(tokens)


def integrate(steps: Tensor) -> Tensor:
    """Chain steps, each in the frame before it. steps: (b, t, 4) x y z yaw. Returns (b, t, 4) in the first frame."""
    pose = torch.zeros_like(steps[:, 0])
    out = []
    for x, y, z, yaw in (step.unbind(-1) for step in steps.unbind(1)):
        c, s = torch.cos(pose[:, 3]), torch.sin(pose[:, 3])
        pose = torch.stack(
            [pose[:, 0] + c * x - s * y, pose[:, 1] + s * x + c * y, pose[:, 2] + z, pose[:, 3] + yaw], -1
        )
        out.append(pose)
    return torch.stack(out, dim=1)
