"""What encoder and decoder of the scene tokenizer are made of (the VQGAN family's blocks, in two dimensions)."""

from __future__ import annotations

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from occworld.faithful.recompute import Recomputing


def group_norm(channels: int) -> nn.GroupNorm:
    """32 groups, or groups of four channels where there are no more than 32 of them."""
    return nn.GroupNorm(channels // 4 if channels <= 32 else 32, channels, eps=1e-6)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, normalized and gated before each, about an identity or a 1x1 convolution."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = group_norm(channels), group_norm(out)
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.shortcut = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, channels, h, w) -> (b, out, h, w)."""
        h = self.conv1(F.silu(self.norm1(x)))
        return self.shortcut(x) + self.conv2(F.silu(self.norm2(h)))


class MapAttention(nn.Module):
    """Every cell attends to every cell, one head, about an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        self.query, self.key, self.value = (nn.Conv2d(channels, channels, 1) for _ in range(3))
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c, h, w)."""
        normed = self.norm(x)
        q, k, v = (rearrange(part(normed), "b c h w -> b 1 (h w) c") for part in (self.query, self.key, self.value))
        y = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(rearrange(y, "b 1 (h w) c -> b c h w", h=x.shape[2]).contiguous())


class Middle(nn.Module):
    """Residual block, attention, residual block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.before, self.attention = ResidualBlock(channels, channels), MapAttention(channels)
        self.after = ResidualBlock(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c, h, w)."""
        return self.after(self.attention(self.before(x)))


class Level(Recomputing):
    """Residual blocks at one resolution, each followed by attention where `attend`."""

    def __init__(self, channels: int, out: int, blocks: int, attend: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ResidualBlock(channels if i == 0 else out, out) for i in range(blocks))
        self.attention = nn.ModuleList(MapAttention(out) for _ in range(blocks if attend else 0))

    def forward(self, x: Tensor) -> Tensor:
        """(b, channels, h, w) -> (b, out, h, w)."""
        for i, block in enumerate(self.blocks):
            x = self.apart(block, x)
            if len(self.attention):
                x = self.apart(self.attention[i], x)
        return x
