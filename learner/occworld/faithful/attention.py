"""Attention of the Plan-U transformer: queries of the next frame look at tokens of the frames so far."""

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


class Attention(nn.Module):
    """Multi-head attention of queries to a context; with a cache, causal in time."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.inward, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.inward.weight)

    def forward(self, query: Tensor, context: Tensor, cache: TimeCache | None = None) -> Tensor:
        """query: (n, q, c). context: (n, k, c); with a cache the newest q = k frames of a sequence. (n, q, c)."""
        weight, bias = self.inward.weight, self.inward.bias
        c = query.shape[2]
        q = F.linear(query, weight[:c], bias[:c])
        k, v = F.linear(context, weight[c:], bias[c:]).chunk(2, dim=2)
        q, k, v = (rearrange(x, "n t (h d) -> n h t d", h=self.heads) for x in (q, k, v))
        mask = None
        if cache is not None:
            k, v = cache.extend(self, k, v)
            new, seen = q.shape[2], k.shape[2]
            if new > 1:
                mask = torch.ones(new, seen, dtype=torch.bool, device=q.device).tril(seen - new)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(rearrange(y, "n h t d -> n t (h d)"))


class FeedForward(nn.Module):
    """Two layers, four times as wide between them."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.inward, self.out, self.drop = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim), nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(..., c) -> (..., c)."""
        return self.drop(self.out(self.drop(F.gelu(self.inward(x)))))


class TimeBlock(nn.Module):
    """Attention over time at each place, then a perceptron, normalized after each."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention, self.norm1 = Attention(dim, heads), nn.LayerNorm(dim)
        self.ffn, self.norm2 = FeedForward(dim, dropout), nn.LayerNorm(dim)

    def forward(self, query: Tensor, token: Tensor, cache: TimeCache) -> Tensor:
        """query, token: (n, t, c)."""
        query = self.norm1(query + self.attention(query, token, cache))
        return self.norm2(query + self.ffn(query))


class PoseBlock(nn.Module):
    """The pose query looks at the poses so far, then at its own frame's scene, then thinks."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.time, self.norm1 = Attention(dim, heads), nn.LayerNorm(dim)
        self.scene, self.norm2 = Attention(dim, heads), nn.LayerNorm(dim)
        self.ffn, self.norm3 = FeedForward(dim, dropout), nn.LayerNorm(dim)

    def forward(self, query: Tensor, token: Tensor, scene: Tensor, cache: TimeCache) -> Tensor:
        """query, token: (b, t, c). scene: (b * t, places, c), the frames' queries."""
        b = len(query)
        query = self.norm1(query + self.time(query, token, cache))
        alone = rearrange(query, "b t c -> (b t) 1 c")
        alone = self.norm2(alone + self.scene(alone, scene))
        query = rearrange(alone, "(b t) 1 c -> b t c", b=b)
        return self.norm3(query + self.ffn(query))
