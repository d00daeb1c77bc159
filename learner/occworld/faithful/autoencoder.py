"""Encoder2D and Decoder2D of the scene tokenizer: bird's-eye features to latents of a quarter of the size, and back.

Their blocks are the VQGAN family's, in two dimensions.
"""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from occworld.layers.blocks import Recomputing, ResidualBlock


def group_norm(channels: int) -> nn.GroupNorm:
    """32 groups, or groups of four channels where there are no more than 32 of them."""
    return nn.GroupNorm(channels // 4 if channels <= 32 else 32, channels, eps=1e-6)


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
        self.before, self.attention = ResidualBlock(channels, channels, group_norm), MapAttention(channels)
        self.after = ResidualBlock(channels, channels, group_norm)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, c, h, w)."""
        return self.after(self.attention(self.before(x)))


class Level(Recomputing):
    """Residual blocks at one resolution, each followed by attention where `attend`."""

    def __init__(self, channels: int, out: int, blocks: int, attend: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ResidualBlock(channels if i == 0 else out, out, group_norm) for i in range(blocks))
        self.attention = nn.ModuleList(MapAttention(out) for _ in range(blocks if attend else 0))

    def forward(self, x: Tensor) -> Tensor:
        """(b, channels, h, w) -> (b, out, h, w)."""
        for i, block in enumerate(self.blocks):
            x = self.apart(block, x)
            if len(self.attention):
                x = self.apart(self.attention[i], x)
        return x


def _sizes(size: tuple[int, int], levels: int) -> list[tuple[int, int]]:
    """Height and width at each level, finest first: a 3x3 convolution of stride two rounds up."""
    sizes = [size]
    for _ in range(levels - 1):
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes


class Encoder2D(nn.Module):
    """(b, base, X, Y) -> (b, latent, X / 4, Y / 4) with three levels; only the coarsest level attends."""

    def __init__(self, base: int, mult: tuple[int, ...], blocks: int, latent: int) -> None:
        super().__init__()
        widths = [base] + [base * m for m in mult]
        last = len(mult) - 1
        self.levels = nn.ModuleList(Level(a, b, blocks, i == last) for i, (a, b) in enumerate(pairwise(widths)))
        self.down = nn.ModuleList(nn.Conv2d(w, w, 3, stride=2, padding=1) for w in widths[1:-1])
        self.middle, self.norm = Middle(widths[-1]), group_norm(widths[-1])
        self.out = nn.Conv2d(widths[-1], latent, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        for i, level in enumerate(self.levels):
            x = level(x)
            if i < len(self.down):
                x = self.down[i](x)
        return self.out(F.silu(self.norm(self.middle(x))))


class Decoder2D(nn.Module):
    """(b, latent, h, w) -> (b, base, X, Y), normalized and gated: what the last convolution takes. size: (X, Y)."""

    def __init__(self, base: int, mult: tuple[int, ...], blocks: int, latent: int, size: tuple[int, int]) -> None:
        super().__init__()
        widths = [base * m for m in mult]
        last = len(mult) - 1
        self.sizes = _sizes(size, len(mult))
        self.inward, self.middle = nn.Conv2d(latent, widths[-1], 3, padding=1), Middle(widths[-1])
        # Finest first, as the encoder's; they run in the opposite order.
        above = [*widths[1:], widths[-1]]
        self.levels = nn.ModuleList(
            Level(a, b, blocks, i == last) for i, (a, b) in enumerate(zip(above, widths, strict=True))
        )
        self.up = nn.ModuleList(nn.Conv2d(w, w, 3, padding=1) for w in widths[1:])
        self.norm = group_norm(widths[0])

    def forward(self, latents: Tensor) -> Tensor:
        """See the class."""
        x = self.middle(self.inward(latents))
        for i in range(len(self.levels) - 1, -1, -1):
            x = self.levels[i](x)
            if i:
                x = self.up[i - 1](F.interpolate(x, size=self.sizes[i - 1], mode="nearest"))
        return F.silu(self.norm(x))
