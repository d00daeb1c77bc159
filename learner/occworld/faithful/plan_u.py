"""The Plan-U spatial-temporal transformer: attention over time at each place of a U of resolutions, and pose tokens.

Two streams run side by side through the same convolutions: tokens of the frames so far, and queries that begin as the
tokens, marked with the next frame's time. Queries attend to tokens no later than their own; what leaves the U at a
frame's place is the forecast of the next one. As nothing looks ahead in time, a rollout keeps keys and values and
computes every frame once.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from occworld.faithful.attention import PoseBlock, TimeBlock
from occworld.layers.attention import NextFrame, TimeCache
from occworld.layers.blocks import Recomputing


class ConvBlock(nn.Module):
    """Layer norm over a map, two 3x3 convolutions, an identity or 1x1 convolution about them."""

    def __init__(self, channels: int, out: int, norm: tuple[int, ...]) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(norm)
        self.conv1, self.conv2 = nn.Conv2d(channels, out, 3, padding=1), nn.Conv2d(out, out, 3, padding=1)
        self.shortcut = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) -> (n, out, h, w)."""
        h = self.conv2(F.relu(self.conv1(self.norm(x))))
        return F.relu(h + self.shortcut(x))


@dataclass(frozen=True)
class Stream:
    """scene: (b, t, c, h, w). pose: (b, t, c). Tokens of the frames so far, or queries of the next ones."""

    scene: Tensor
    pose: Tensor


def _perceptron(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels, out), nn.ReLU(), nn.Linear(out, out), nn.ReLU())


class PlanULevel(Recomputing):
    """Pose blocks, attention over time and convolutions at one resolution. norms: of the two convolution blocks."""

    def __init__(self, channels: int, out: int, norms: tuple[tuple[int, ...], tuple[int, ...]], heads: int,
                 temporal: int, pose: int, dropout: float, pose_first: bool) -> None:  # fmt: skip
        super().__init__()
        self.pose_first = pose_first
        self.pose = nn.ModuleList(PoseBlock(channels, heads, dropout) for _ in range(pose))
        self.time = nn.ModuleList(TimeBlock(channels, heads, dropout) for _ in range(temporal))
        self.pose_out = _perceptron(channels, out)
        self.convs = nn.Sequential(ConvBlock(channels, out, norms[0]), ConvBlock(out, out, norms[1]))

    def forward(self, query: Stream, token: Stream, cache: TimeCache) -> tuple[Stream, Stream]:
        """Both streams one level on, at the same resolution."""
        b, t, _, h, w = query.scene.shape
        pose = self._pose(query, token, cache) if self.pose_first else None
        places, context = (rearrange(s.scene, "b t c h w -> (b h w) t c") for s in (query, token))
        for block in self.time:
            places = self.apart(block, places, context, cache)
        scene = rearrange(places, "(b h w) t c -> b t c h w", b=b, h=h, w=w)
        if pose is None:
            pose = self._pose(Stream(scene, query.pose), token, cache)
        both = torch.cat([scene.flatten(0, 1), token.scene.flatten(0, 1)])
        for block in self.convs:
            both = self.apart(block, both)
        ours, theirs = (x.unflatten(0, (b, t)) for x in both.chunk(2))
        return Stream(ours, self.pose_out(pose)), Stream(theirs, self.pose_out(token.pose))

    def _pose(self, query: Stream, token: Stream, cache: TimeCache) -> Tensor:
        scene = rearrange(query.scene, "b t c h w -> (b t) (h w) c")
        pose = query.pose
        for block in self.pose:
            pose = block(pose, token.pose, scene, cache)
        return pose


class PlanU(nn.Module):
    """size: (h, w) of the map of codes. dim: width of codes and pose tokens; doubled at each of `levels` levels."""

    def __init__(self, size: tuple[int, int], num_codes: int, dim: int, levels: int, heads: int, temporal: int,
                 pose: int, dropout: float, max_frames: int) -> None:  # fmt: skip
        super().__init__()
        self.max_frames = max_frames
        self.time = nn.Embedding(max_frames + 1, dim)
        self.pose_time = nn.Embedding(max_frames + 1, dim)
        sizes = [(size[0] >> i, size[1] >> i) for i in range(levels + 1)]
        widths = [dim << i for i in range(levels + 1)]
        if min(sizes[-1]) < 1:
            raise ValueError(f"a map of {size[0]} x {size[1]} codes has no room for {levels} levels")
        common: dict[str, Any] = dict(heads=heads, temporal=temporal, pose=pose, dropout=dropout)
        self.encoders = nn.ModuleList(
            PlanULevel(a, b, (s, s), pose_first=True, **common)
            for a, b, s in zip([dim, *widths], widths[:-1], sizes, strict=False)
        )
        self.down = nn.ModuleList(nn.Conv2d(w, w, 2, stride=2) for w in widths[:-1])
        low, wide = (widths[-2], *sizes[-1]), (widths[-1], *sizes[-1])
        self.middle = nn.Sequential(ConvBlock(low[0], wide[0], low), ConvBlock(wide[0], wide[0], wide))
        self.pose_middle = _perceptron(widths[-2], widths[-1])
        # Coarsest first, in the order in which they run.
        steps = list(pairwise(reversed(widths)))
        self.up = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, stride=2) for a, b in steps)
        self.pose_up = nn.ModuleList(nn.Linear(a, b) for a, b in steps)
        self.decoders = nn.ModuleList(
            PlanULevel(2 * w, w, ((2 * w, *s), (w, *s)), pose_first=False, **common)
            for (_, w), s in zip(steps, reversed(sizes[:-1]), strict=True)
        )
        self.to_logits, self.to_pose = nn.Conv2d(dim, num_codes, 3, padding=1), nn.Linear(dim, dim)

    def forward(self, codes: Tensor, poses: Tensor, cache: TimeCache) -> NextFrame:
        """codes: (b, t, d, h, w). poses: (b, t, d), embedded. Frames follow those in the cache."""
        first, t = cache.frames, codes.shape[1]
        if first + t > self.max_frames:
            raise ValueError(f"a sequence of {first + t} frames, the model takes {self.max_frames}")
        cache.frames += t
        query, token = (self._timed(codes, poses, start, t) for start in (first + 1, first))
        skips = []
        for level, down in zip(self.encoders, self.down, strict=True):
            query, token = level(query, token, cache)
            skips.append((query, token))
            query, token = (Stream(_framewise(down, s.scene), s.pose) for s in (query, token))
        query, token = (Stream(_framewise(self.middle, s.scene), self.pose_middle(s.pose)) for s in (query, token))
        for i, level in enumerate(self.decoders):
            query, token = (self._joined(i, s, skip) for s, skip in zip((query, token), skips.pop(), strict=True))
            query, token = level(query, token, cache)
        return NextFrame(_framewise(self.to_logits, query.scene), self.to_pose(query.pose))

    def _timed(self, codes: Tensor, poses: Tensor, start: int, count: int) -> Stream:
        scene = codes + self.time.weight[start : start + count, :, None, None]
        return Stream(scene, poses + self.pose_time.weight[start : start + count])

    def _joined(self, i: int, low: Stream, skip: Stream) -> Stream:
        """One level up the U, beside what was there on the way down; an odd row or column is padded."""
        up = _framewise(self.up[i], low.scene)
        dy, dx = skip.scene.shape[3] - up.shape[3], skip.scene.shape[4] - up.shape[4]
        up = F.pad(up, (dx // 2, dx - dx // 2, dy // 2, dy - dy // 2))
        return Stream(torch.cat([up, skip.scene], dim=2), torch.cat([self.pose_up[i](low.pose), skip.pose], dim=2))


def _framewise(layer: nn.Module, maps: Tensor) -> Tensor:
    """A layer on every frame. maps: (b, t, c, h, w)."""
    return layer(maps.flatten(0, 1)).unflatten(0, maps.shape[:2])
