"""Losses that do not reward calling everything empty, and what a training step says of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass
class Losses:
    """total is what is minimized; the rest are its parts before weighting, and the health of the codebook."""

    total: Tensor
    occupancy: Tensor
    column: Tensor
    classes: Tensor
    code: Tensor
    pose: Tensor
    flow: Tensor
    codebook_use: float = 0.0
    perplexity: float = 0.0


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
    return torch.dot(F.relu(errors), _jaccard_steps(labels[order]))


def occupancy_loss(logits: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Cross entropy and Lovasz over candidate voxels. weights: (n,)."""
    entropy = F.binary_cross_entropy_with_logits(logits, truth.to(logits.dtype), weight=weights)
    return entropy + lovasz_hinge(logits, truth)


def column_loss(logits: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Cross entropy per column and dice. logits, truth: (m, Z). mask: (m, Z) bool, voxels that count."""
    labels, counts = truth.to(logits.dtype) * mask, mask.to(logits.dtype)
    entropy = F.binary_cross_entropy_with_logits(logits, labels, weight=counts, reduction="sum") / max(len(logits), 1)
    probability = logits.sigmoid() * counts
    dice = 1 - (2 * (probability * labels).sum() + 1) / (probability.sum() + labels.sum() + 1)
    return 0.2 * entropy + dice


def class_loss(logits: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Balanced cross entropy over occupied voxels. logits: (n, classes). truth: (n,) int64. weights: (classes,)."""
    if not len(truth):
        return logits.sum() * 0
    return F.cross_entropy(logits, truth, weight=weights)


def lovasz_softmax(probability: Tensor, truth: Tensor) -> Tensor:
    """Mean over the classes that occur of the Lovasz extension of 1 - IoU. probability: (n, classes). truth: (n,).

    Source: Berman et al., eq. 11.
    """
    losses = []
    for label in torch.unique(truth).tolist():
        belongs = (truth == label).to(probability.dtype)
        errors, order = torch.sort((belongs - probability[:, label]).abs(), descending=True)
        losses.append(torch.dot(errors, _jaccard_steps(belongs[order])))
    return torch.stack(losses).mean()


def _jaccard_steps(labels: Tensor) -> Tensor:
    """(n,): what each error adds to 1 - IoU, errors in falling order. labels: (n,), 1 where the truth is positive."""
    missing = labels.sum() - labels.cumsum(0)
    together = labels.sum() + (1 - labels).cumsum(0)
    jaccard = 1 - missing / together
    return torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
