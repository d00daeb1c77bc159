"""Spatial-temporal transformer over scene tokens and a pose token per frame, causal in time."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


@dataclass
class TimeCache:
    """Keys and values of the frames seen so far, one (b * l, heads, t, d) pair per temporal attention."""

    keys: dict[int, Tensor] = field(default_factory=dict)
    values: dict[int, Tensor] = field(default_factory=dict)
    frames: int = 0

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Append new frames and return all of them."""
        if layer in self.keys:
            key = torch.cat([self.keys[layer], key], dim=2)
            value = torch.cat([self.values[layer], value], dim=2)
        self.keys[layer], self.values[layer] = key, value
        return key, value


class Attention(nn.Module):
    """Multi-head self-attention, pre-normalized, with an optional time cache that makes it causal."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm = nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor, cache: TimeCache | None = None, layer: int = 0) -> Tensor:
        """x: (n, t, c). With a cache the last t frames attend to all before them and to themselves."""
        q, k, v = rearrange(self.qkv(self.norm(x)), "n t (three h d) -> three n h t d", three=3, h=self.heads)
        mask = None
        if cache is not None:
            k, v = cache.extend(layer, k, v)
            new, seen = q.shape[2], k.shape[2]
            mask = torch.ones(new, seen, dtype=torch.bool, device=x.device).tril(seen - new)
        drop = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=drop)
        return x + self.out(rearrange(y, "n h t d -> n t (h d)"))


class FeedForward(nn.Module):
    """Pre-normalized two-layer perceptron about an identity."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim), nn.Dropout(dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(..., c) -> (..., c)."""
        return x + self.net(x)


class Block(nn.Module):
    """Temporal attentions at each place, then spatial attention within each frame, pose token included."""

    def __init__(self, dim: int, heads: int, temporal_layers: int, dropout: float) -> None:
        super().__init__()
        self.temporal = nn.ModuleList(Attention(dim, heads, dropout) for _ in range(temporal_layers))
        self.temporal_ffn = nn.ModuleList(FeedForward(dim, dropout) for _ in range(temporal_layers))
        self.spatial, self.spatial_ffn = Attention(dim, heads, dropout), FeedForward(dim, dropout)

    def forward(self, x: Tensor, cache: TimeCache, layer: int) -> Tensor:
        """x: (b, t, l, c)."""
        b, t = x.shape[:2]
        y = rearrange(x, "b t l c -> (b l) t c")
        for i, (attention, ffn) in enumerate(zip(self.temporal, self.temporal_ffn, strict=True)):
            y = ffn(attention(y, cache, layer + i))
        y = rearrange(y, "(b l) t c -> (b t) l c", b=b)
        return rearrange(self.spatial_ffn(self.spatial(y)), "(b t) l c -> b t l c", b=b, t=t)


@dataclass(frozen=True)
class NextFrame:
    """Of every frame fed in, the frame after it. logits: (b, t, codes, h, w). pose: (b, t, c) pose tokens."""

    logits: Tensor
    pose: Tensor


class OccWorldTransformer(nn.Module):
    """Feeds codes and poses of some frames, after those in the cache, and gives logits of each next frame's codes."""

    def __init__(self, size: tuple[int, int], code_dim: int, num_codes: int, dim: int, heads: int, layers: int,
                 temporal_layers: int, dropout: float, max_frames: int) -> None:  # fmt: skip
        super().__init__()
        self.size, self.temporal_layers = size, temporal_layers
        self.embed = nn.Linear(code_dim, dim)
        self.place = nn.Parameter(torch.randn(size[0] * size[1] + 1, dim) * 0.02)
        self.time = nn.Parameter(torch.randn(max_frames, dim) * 0.02)
        self.blocks = nn.ModuleList(Block(dim, heads, temporal_layers, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.to_logits = nn.Linear(dim, num_codes)

    def forward(self, latents: Tensor, poses: Tensor, cache: TimeCache) -> NextFrame:
        """latents: (b, t, d, h, w). poses: (b, t, c) embedded."""
        scene = self.embed(rearrange(latents, "b t d h w -> b t (h w) d"))
        when = self.time[cache.frames : cache.frames + latents.shape[1], None]
        x = torch.cat([scene, poses[:, :, None]], dim=2) + self.place + when
        for i, block in enumerate(self.blocks):
            x = block(x, cache, i * self.temporal_layers)
        cache.frames += latents.shape[1]
        x = self.norm(x)
        logits = rearrange(self.to_logits(x[:, :, :-1]), "b t (h w) k -> b t k h w", h=self.size[0])
        return NextFrame(logits, x[:, :, -1])
