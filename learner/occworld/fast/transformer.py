"""Spatial-temporal transformer over scene tokens and a pose token per frame, causal in time."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

from occworld.layers.attention import Attention, FeedForward, NextFrame, TimeCache


class SelfAttention(nn.Module):
    """Attention of a sequence to itself, normalized before, about an identity."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(dim), Attention(dim, heads, dropout)

    def forward(self, x: Tensor, cache: TimeCache | None = None) -> Tensor:
        """x: (n, t, c). With a cache the last t frames attend to all before them and to themselves."""
        normed = self.norm(x)
        return x + self.attention(normed, normed, cache)


class Perceptron(nn.Module):
    """Two layers, normalized before, about an identity."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.ffn = nn.LayerNorm(dim), FeedForward(dim, 2 * dim, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(..., c) -> (..., c)."""
        return x + self.ffn(self.norm(x))


class Block(nn.Module):
    """Temporal attentions at each place, then spatial attention within each frame, pose token included."""

    def __init__(self, dim: int, heads: int, temporal_layers: int, dropout: float) -> None:
        super().__init__()
        self.temporal = nn.ModuleList(SelfAttention(dim, heads, dropout) for _ in range(temporal_layers))
        self.temporal_ffn = nn.ModuleList(Perceptron(dim, dropout) for _ in range(temporal_layers))
        self.spatial, self.spatial_ffn = SelfAttention(dim, heads, dropout), Perceptron(dim, dropout)

    def forward(self, x: Tensor, cache: TimeCache) -> Tensor:
        """x: (b, t, l, c)."""
        b = len(x)
        y = rearrange(x, "b t l c -> (b l) t c")
        for attention, ffn in zip(self.temporal, self.temporal_ffn, strict=True):
            y = ffn(attention(y, cache))
        y = rearrange(y, "(b l) t c -> (b t) l c", b=b)
        return rearrange(self.spatial_ffn(self.spatial(y)), "(b t) l c -> b t l c", b=b)


class OccWorldTransformer(nn.Module):
    """Feeds codes and poses of some frames, after those in the cache, and gives logits of each next frame's codes."""

    def __init__(self, size: tuple[int, int], code_dim: int, num_codes: int, dim: int, heads: int, layers: int,
                 temporal_layers: int, dropout: float, max_frames: int) -> None:  # fmt: skip
        super().__init__()
        self.size = size
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
        for block in self.blocks:
            x = block(x, cache)
        cache.frames += latents.shape[1]
        x = self.norm(x)
        logits = rearrange(self.to_logits(x[:, :, :-1]), "b t (h w) k -> b t k h w", h=self.size[0])
        return NextFrame(logits, x[:, :, -1])
