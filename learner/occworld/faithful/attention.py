"""Blocks of the Plan-U transformer: queries of the next frame look at tokens of the frames so far."""

from __future__ import annotations

from einops import rearrange
from torch import Tensor, nn

from occworld.layers.attention import Attention, FeedForward, TimeCache


def _attention(dim: int, heads: int) -> Attention:
    """Begins as PyTorch's own multi-head attention does, which the published model uses."""
    attention = Attention(dim, heads)
    nn.init.xavier_uniform_(attention.inward.weight)
    return attention


class TimeBlock(nn.Module):
    """Attention over time at each place, then a perceptron, normalized after each."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention, self.norm1 = _attention(dim, heads), nn.LayerNorm(dim)
        self.ffn, self.norm2 = FeedForward(dim, 4 * dim, dropout), nn.LayerNorm(dim)

    def forward(self, query: Tensor, token: Tensor, cache: TimeCache) -> Tensor:
        """query, token: (n, t, c)."""
        query = self.norm1(query + self.attention(query, token, cache))
        return self.norm2(query + self.ffn(query))


class PoseBlock(nn.Module):
    """The pose query looks at the poses so far, then at its own frame's scene, then thinks."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.time, self.norm1 = _attention(dim, heads), nn.LayerNorm(dim)
        self.scene, self.norm2 = _attention(dim, heads), nn.LayerNorm(dim)
        self.ffn, self.norm3 = FeedForward(dim, 4 * dim, dropout), nn.LayerNorm(dim)

    def forward(self, query: Tensor, token: Tensor, scene: Tensor, cache: TimeCache) -> Tensor:
        """query, token: (b, t, c). scene: (b * t, places, c), the frames' queries."""
        b = len(query)
        query = self.norm1(query + self.time(query, token, cache))
        alone = rearrange(query, "b t c -> (b t) 1 c")
        alone = self.norm2(alone + self.scene(alone, scene))
        query = rearrange(alone, "(b t) 1 c -> b t c", b=b)
        return self.norm3(query + self.ffn(query))
