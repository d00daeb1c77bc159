"""Activation checkpointing: a layer's inner values are computed again in the backward pass instead of being kept."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


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
