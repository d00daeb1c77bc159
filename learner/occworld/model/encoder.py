"""From the folded grid to latents of half its resolution."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from occworld.model.blocks import ResidualBlock


class Encoder2D(nn.Module):
    """(b, c, h, w) folded grid -> (b, d, ceil(h / 2), ceil(w / 2)) latents."""

    def __init__(self, channels: int, latent_dim: int) -> None:
        super().__init__()
        self.before = ResidualBlock(channels)
        self.down = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.after = ResidualBlock(channels)
        self.norm = nn.GroupNorm(max(1, channels // 8), channels)
        self.out = nn.Conv2d(channels, latent_dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        h = self.after(self.down(self.before(x)))
        return self.out(F.silu(self.norm(h)))
