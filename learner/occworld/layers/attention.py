"""Attention over time and place, and the cache that lets a rollout compute each frame once."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


@dataclass
class TimeCache:
    """Keys and values of the frames seen so far, per attention: a rollout computes each frame once.

    keeps: False where no frames will follow, as in training: nothing is held back, and a layer may be computed again.
    """

    keeps: bool = True
    pairs: dict[nn.Module, tuple[Tensor, Tensor]] = field(default_factory=dict)
    frames: int = 0

    def extend(self, owner: nn.Module, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Append new frames, (n, heads, t, d), and return all of them."""
        if not self.keeps:
            return key, value
        if owner in self.pairs:
            old_key, old_value = self.pairs[owner]
            key, value = torch.cat([old_key, key], dim=2), torch.cat([old_value, value], dim=2)
        self.pairs[owner] = key, value
        return key, value


@dataclass(frozen=True)
class NextFrame:
    """Of every frame fed in, the frame after it. logits: (b, t, codes, h, w). pose: (b, t, c) pose tokens."""

    logits: Tensor
    pose: Tensor


class Attention(nn.Module):
    """Multi-head attention of queries to a context; with a cache, causal in time. dropout: of attention weights."""

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.inward, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, query: Tensor, context: Tensor, cache: TimeCache | None = None) -> Tensor:
        """query: (n, q, c). context: (n, k, c); with a cache the newest q = k frames of a sequence. (n, q, c)."""
        if query is context:
            q, k, v = self.inward(query).chunk(3, dim=2)
        else:
            weight, bias, c = self.inward.weight, self.inward.bias, query.shape[2]
            q = F.linear(query, weight[:c], bias[:c])
            k, v = F.linear(context, weight[c:], bias[c:]).chunk(2, dim=2)
        q, k, v = (rearrange(x, "n t (h d) -> n h t d", h=self.heads) for x in (q, k, v))
        mask = None
        if cache is not None:
            k, v = cache.extend(self, k, v)
            new, seen = q.shape[2], k.shape[2]
            if new > 1:
                mask = torch.ones(new, seen, dtype=torch.bool, device=q.device).tril(seen - new)
        drop = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=drop)
        return self.out(rearrange(y, "n h t d -> n t (h d)"))


class FeedForward(nn.Module):
    """Two layers with a GELU between them, `hidden` wide."""

    def __init__(self, dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.inward, self.out, self.drop = nn.Linear(dim, hidden), nn.Linear(hidden, dim), nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(..., c) -> (..., c)."""
        return self.drop(self.out(self.drop(F.gelu(self.inward(x)))))
