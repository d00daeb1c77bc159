"""The folded grid to latents of half its size, and latents, with what the aligned past shows, to column features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from occworld.hindcast import HINDCASTS
from occworld.layers.blocks import ResidualBlock
from occworld.model_config import GROUP_CHANNELS, WIDE_DILATIONS


def _norm(channels: int) -> nn.GroupNorm:
    """Groups of a few channels."""
    return nn.GroupNorm(max(1, channels // GROUP_CHANNELS), channels)


class BevEncoder(nn.Module):
    """(b, c, h, w) folded grid -> (b, d, ceil(h / 2), ceil(w / 2)) latents."""

    def __init__(self, channels: int, latent_dim: int) -> None:
        super().__init__()
        self.before = ResidualBlock(channels, channels, _norm)
        self.down = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.after = ResidualBlock(channels, channels, _norm)
        self.norm = _norm(channels)
        self.out = nn.Conv2d(channels, latent_dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        h = self.after(self.down(self.before(x)))
        return self.out(F.silu(self.norm(h)))


class BevDecoder(nn.Module):
    """(b, d, h, w) latents -> (b, column_dim, X, Y). Dilated blocks reach into what the past does not cover."""

    def __init__(
        self, latent_dim: int, channels: int, context: int, column_dim: int, patch: int, size: tuple[int, int]
    ) -> None:
        super().__init__()
        self.patch, self.size = patch, size
        self.inward = nn.Conv2d(latent_dim, channels, 1)
        self.wide = nn.Sequential(*(ResidualBlock(channels, channels, _norm, dilation) for dilation in WIDE_DILATIONS))
        self.evidence = nn.Conv2d(2 * channels + context, channels, 1)
        self.foretold = nn.Parameter(torch.zeros(channels, HINDCASTS, 1, 1))
        self.fine = ResidualBlock(channels, channels, _norm)
        self.norm = _norm(channels)
        self.out = nn.Conv2d(channels, column_dim * patch * patch, 1)

    def forward(self, latents: Tensor, past: Tensor, still: Tensor, context: Tensor, foretold: Tensor) -> Tensor:
        """(b, column_dim, X, Y).

        past, still: (b, c, H, W), the folded history, moved to the target frame and the last of it as it is. context:
        (b, context, H, W), what else is known of each patch. foretold: (b, HINDCASTS, H, W), what the past was worth
        there. H, W: of the folded grid, twice that of the latents.
        """
        # Averaged after the convolution, which is linear: the same as before it, of fewer channels.
        known = self.evidence(torch.cat([past, still, context], dim=1)) + F.conv2d(foretold, self.foretold)
        h = self.inward(latents) + F.interpolate(known, size=latents.shape[2:], mode="area")
        h = self.fine(F.interpolate(self.wide(h), size=self.size, mode="nearest") + known)
        return F.pixel_shuffle(self.out(F.silu(self.norm(h))), self.patch)
