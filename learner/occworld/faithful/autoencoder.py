"""Encoder2D and Decoder2D: bird's-eye features to latents of a quarter of the resolution, and back."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from occworld.faithful.layers import Level, Middle, group_norm


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
