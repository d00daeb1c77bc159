"""From latents, and what the aligned past shows, to features of every column."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from occworld.model.blocks import ResidualBlock


class Decoder2D(nn.Module):
    """(b, d, h, w) latents -> (b, column_dim, X, Y). Dilated blocks reach into what the past does not cover."""

    def __init__(self, latent_dim: int, channels: int, column_dim: int, patch: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.patch, self.size = patch, size
        self.inward = nn.Conv2d(latent_dim + 1, channels, 1)
        self.wide = nn.Sequential(*(ResidualBlock(channels, dilation) for dilation in (1, 2, 4)))
        self.evidence = nn.Conv2d(channels + 1, channels, 1)
        self.fine = ResidualBlock(channels)
        self.norm = nn.GroupNorm(max(1, channels // 8), channels)
        self.out = nn.Conv2d(channels, column_dim * patch * patch, 1)

    def forward(self, latents: Tensor, past: Tensor, cover: Tensor) -> Tensor:
        """past: (b, c, H, W), the folded warped history, zero where there is none. cover: (b, 1, H, W), part of each
        patch that the history covers; H, W are the folded grid's size, twice that of the latents."""
        coarse = F.interpolate(torch.cat([past, cover], dim=1), size=latents.shape[2:], mode="area")
        h = self.inward(torch.cat([latents, coarse[:, -1:]], dim=1)) + self.evidence(coarse)
        h = F.interpolate(self.wide(h), size=self.size, mode="nearest")
        h = self.fine(h + self.evidence(torch.cat([past, cover], dim=1)))
        return F.pixel_shuffle(self.out(F.silu(self.norm(h))), self.patch)
