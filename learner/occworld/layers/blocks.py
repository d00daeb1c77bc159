"""Residual convolutions, and layers that compute again in the backward pass what they do not keep."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, normalized and gated before each, about an identity or a 1x1 convolution.

    norm: the normalization of so many channels. dilation: of the first convolution.
    """

    def __init__(self, channels: int, out: int, norm: Callable[[int], nn.Module], dilation: int = 1) -> None:
        super().__init__()
        self.norm1, self.norm2 = norm(channels), norm(out)
        self.conv1 = nn.Conv2d(channels, out, 3, padding=dilation, dilation=dilation)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.shortcut = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, channels, h, w) -> (b, out, h, w)."""
        h = self.conv1(F.silu(self.norm1(x)))
        return self.shortcut(x) + self.conv2(F.silu(self.norm2(h)))


class Recomputing(nn.Module):
    """A module that runs its heaviest layers through `apart`. recompute: forget what they hold inside, or keep it."""

    recompute = False

    def apart(self, layer: nn.Module, *inputs: object) -> Tensor:
        """layer(*inputs), same numbers and gradients either way, dropout included."""
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(layer, *inputs, use_reentrant=False)
        return layer(*inputs)


def set_recompute(model: nn.Module, recompute: bool) -> None:
    """Switch it for every part of a model."""
    for part in model.modules():
        if isinstance(part, Recomputing):
            part.recompute = recompute
