"""Ego motion: 13 numbers per frame in, the correction to constant velocity of the next step out."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from occworld.motion import POSE_DIM, STEP_DIM


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
