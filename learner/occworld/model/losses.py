"""Losses that do not reward calling everything empty."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def class_weights(counts: np.ndarray) -> np.ndarray:
    """(classes,) float32 from voxel counts: one over the square root of the share, mean one over occurring classes."""
    share = counts / max(counts.sum(), 1)
    weights = np.where(share > 0, 1 / np.sqrt(np.maximum(share, 1e-5)), 0)
    weights[0] = 0
    present = weights > 0
    weights = weights / weights[present].mean() if present.any() else weights
    return np.where(present, np.clip(weights, 0.1, 4), 1).astype(np.float32)


def lovasz_hinge(logits: Tensor, truth: Tensor) -> Tensor:
    """Convex surrogate of 1 - IoU of a binary labelling; logits (n,), truth (n,) bool.

    Source: Berman et al., "The Lovasz-Softmax loss", CVPR 2018, eq. 8 and 9.
    """
    if not bool(truth.any()):
        return F.relu(1 + logits).mean()
    labels = truth.to(logits.dtype)
    errors, order = torch.sort(1 - logits * (2 * labels - 1), descending=True)
    labels = labels[order]
    missing = labels.sum() - labels.cumsum(0)
    together = labels.sum() + (1 - labels).cumsum(0)
    jaccard = 1 - missing / together
    steps = torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
    return torch.dot(F.relu(errors), steps)


def occupancy_loss(logits: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Cross entropy and Lovasz over candidate voxels. weights: (n,)."""
    entropy = F.binary_cross_entropy_with_logits(logits, truth.to(logits.dtype), weight=weights)
    return entropy + lovasz_hinge(logits, truth)


def column_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross entropy per column and dice over unseen columns. logits, truth: (m, Z)."""
    labels = truth.to(logits.dtype)
    entropy = F.binary_cross_entropy_with_logits(logits, labels, reduction="sum") / max(len(logits), 1)
    probability = logits.sigmoid()
    dice = 1 - (2 * (probability * labels).sum() + 1) / (probability.sum() + labels.sum() + 1)
    return 0.2 * entropy + dice


def class_loss(logits: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Balanced cross entropy over occupied voxels. logits: (n, classes). truth: (n,) int64. weights: (classes,)."""
    if not len(truth):
        return logits.sum() * 0
    return F.cross_entropy(logits, truth, weight=weights)
