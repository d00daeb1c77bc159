"""Layers without PyTorch, for one scene at a time: float32, maps as (h, w, channels), sequences as (..., channels).

Each does what the layer of PyTorch does whose tensors it takes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from occ_core.loops import arithmetic, loop
from occworld.model_config import GROUP_CHANNELS

_EPSILON = 1e-5  # of normalizations, as PyTorch's
_SAFE = 40.0  # twice this below 0, exponentials still are numbers of float32


class WeightsError(Exception):
    """Tensors that are not those of the model: which, and how they differ."""


@dataclass(frozen=True)
class Weights:
    """Tensors of a state dict, taken one by one as float32. prefix: of the names that are asked for. taken: whole names
    of those that were."""

    tensors: Mapping[str, np.ndarray]
    prefix: str = ""
    taken: set[str] = field(default_factory=set)

    def at(self, name: str) -> Weights:
        """Those of a part."""
        return Weights(self.tensors, f"{self.prefix}{name}.", self.taken)

    def take(self, name: str, *shape: int) -> np.ndarray:
        """A tensor; WeightsError where there is none, or one of another shape."""
        name = self.prefix + name
        if name not in self.tensors:
            raise WeightsError(f"no tensor {name}")
        if self.tensors[name].shape != shape:
            raise WeightsError(f"{name} is {_shape(self.tensors[name].shape)}, this model's is {_shape(shape)}")
        self.taken.add(name)
        # One of its own: to compiled loops those that are read-only are of another type.
        return np.array(self.tensors[name], np.float32)

    def check_all_taken(self, *spare: str) -> None:
        """WeightsError where there are others, but for those spare ones."""
        if left := sorted(set(self.tensors) - self.taken - set(spare)):
            raise WeightsError(f"this model has no such part: {', '.join(left[:3])}")


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a number"


@dataclass(frozen=True)
class Linear:
    """(..., a) -> (..., b): a linear layer, or a convolution of single pixels. weight: (a, b). bias: (b,)."""

    weight: np.ndarray
    bias: np.ndarray

    @classmethod
    def of(cls, weights: Weights, inward: int, out: int, pixels: bool = False) -> Linear:
        """pixels: its tensors are those of a 1x1 convolution."""
        shape = (out, inward, 1, 1) if pixels else (out, inward)
        weight = weights.take("weight", *shape).reshape(out, inward).T
        return cls(np.ascontiguousarray(weight), weights.take("bias", out))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """x @ weight + bias."""
        y = x.reshape(-1, x.shape[-1]) @ self.weight
        y += self.bias
        return y.reshape(*x.shape[:-1], len(self.bias))


@dataclass(frozen=True)
class Convolution:
    """(h, w, a) -> (h / stride, w / stride, b), rounded up: a square convolution, padded by what it reaches.

    weight: (size * size * a, b). size: odd.
    """

    weight: np.ndarray
    bias: np.ndarray
    size: int
    stride: int
    dilation: int

    @classmethod
    def of(
        cls, weights: Weights, inward: int, out: int, size: int = 3, stride: int = 1, dilation: int = 1
    ) -> Convolution:
        """Of a convolution whose padding is dilation * (size // 2)."""
        weight = weights.take("weight", out, inward, size, size).transpose(2, 3, 1, 0).reshape(-1, out)
        return cls(np.ascontiguousarray(weight), weights.take("bias", out), size, stride, dilation)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """See the class."""
        h, w, channels = x.shape
        reach, step = self.dilation * (self.size // 2), self.stride
        padded = np.zeros((h + 2 * reach, w + 2 * reach, channels), np.float32)
        padded[reach : reach + h, reach : reach + w] = x
        high, wide = -(-h // step), -(-w // step)
        around = np.empty((high, wide, self.size, self.size, channels), np.float32)
        for i in range(self.size):
            for j in range(self.size):
                top, left = i * self.dilation, j * self.dilation
                around[:, :, i, j] = padded[top : top + h : step, left : left + w : step]
        y = around.reshape(high * wide, -1) @ self.weight
        y += self.bias
        return y.reshape(high, wide, -1)


def silu(x: np.ndarray) -> np.ndarray:
    """x * sigmoid(x), in place."""
    y = np.negative(x)
    with np.errstate(over="ignore"):  # a number so low that its exp is infinite becomes 0, as it should
        np.exp(y, out=y)
    y += 1
    x /= y
    return x


@dataclass(frozen=True)
class GroupNorm:
    """(h, w, c) -> the same: groups of channels of a whole map, normalized. groups: how many."""

    weight: np.ndarray
    bias: np.ndarray
    groups: int

    @classmethod
    def of(cls, weights: Weights, channels: int) -> GroupNorm:
        """Of so many channels."""
        groups = max(1, channels // GROUP_CHANNELS)
        return cls(weights.take("weight", channels), weights.take("bias", channels), groups)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """See the class."""
        flat = x.reshape(-1, x.shape[-1])
        lanes, sums = (0,) * flat.shape[1], np.zeros((2, flat.shape[1]), np.float32)
        _sum_up(flat, lanes, sums[0])
        mean = self._of_groups(sums[0] / len(flat))
        _sum_squares(flat, mean, lanes, sums[1])
        scale = self.weight / np.sqrt(self._of_groups(sums[1] / len(flat)) + np.float32(_EPSILON))
        y = flat * scale
        y += self.bias - mean * scale
        return y.reshape(x.shape)

    def _of_groups(self, of_channels: np.ndarray) -> np.ndarray:
        """(c,) float32: of each channel the mean over its group."""
        means = of_channels.reshape(self.groups, -1).mean(axis=1, dtype=np.float32)
        return np.repeat(means, len(of_channels) // self.groups)


@arithmetic
def _sum_up(x, lanes, sums):
    """x: (n, c). lanes: a tuple of c, whose length the compiler knows. sums: (c,)."""
    for n in range(len(x)):
        for c in range(len(lanes)):
            sums[c] += x[n, c]


@arithmetic
def _sum_squares(x, mean, lanes, sums):
    """As `_sum_up`, of squared distances from the means (c,)."""
    for n in range(len(x)):
        for c in range(len(lanes)):
            sums[c] += (x[n, c] - mean[c]) * (x[n, c] - mean[c])


@dataclass(frozen=True)
class LayerNorm:
    """(..., c) -> the same, normalized over its last axis."""

    weight: np.ndarray
    bias: np.ndarray

    @classmethod
    def of(cls, weights: Weights, channels: int) -> LayerNorm:
        """Of so many channels."""
        return cls(weights.take("weight", channels), weights.take("bias", channels))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """See the class."""
        y = x - x.mean(axis=-1, keepdims=True)
        variance = np.einsum("...c,...c->...", y, y)[..., None] / np.float32(x.shape[-1])
        y *= 1 / np.sqrt(variance + np.float32(_EPSILON))
        y *= self.weight
        y += self.bias
        return y


@dataclass(frozen=True)
class ResidualBlock:
    """As `layers.blocks.ResidualBlock` of as many channels out as in."""

    norm1: GroupNorm
    conv1: Convolution
    norm2: GroupNorm
    conv2: Convolution

    @classmethod
    def of(cls, weights: Weights, channels: int, dilation: int = 1) -> ResidualBlock:
        """dilation: of the first convolution."""
        return cls(
            GroupNorm.of(weights.at("norm1"), channels),
            Convolution.of(weights.at("conv1"), channels, channels, dilation=dilation),
            GroupNorm.of(weights.at("norm2"), channels),
            Convolution.of(weights.at("conv2"), channels, channels),
        )

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """x: (h, w, c)."""
        y = self.conv2(silu(self.norm2(self.conv1(silu(self.norm1(x))))))
        y += x
        return y


def _layers(weights: Weights, name: str, channels: int, inward: int, out: int) -> tuple[LayerNorm, Linear, Linear]:
    """A normalization of so many channels, and a part of two layers that begin with them and end with them. inward,
    out: channels that come out of the first, and that go into the second."""
    part, norm = weights.at(name), LayerNorm.of(weights.at("norm"), channels)
    return norm, Linear.of(part.at("inward"), channels, inward), Linear.of(part.at("out"), out, channels)


@dataclass(frozen=True)
class FeedForward:
    """Two layers with a GELU between them, normalized before, about an identity."""

    norm: LayerNorm
    inward: Linear
    out: Linear

    @classmethod
    def of(cls, weights: Weights, channels: int, hidden: int) -> FeedForward:
        """hidden: width between the layers."""
        return cls(*_layers(weights, "ffn", channels, hidden, hidden))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """x: (..., c)."""
        hidden = self.inward(self.norm(x))
        _gelu(hidden.reshape(-1))
        y = self.out(hidden)
        y += x
        return y


@loop
def _gelu(x):
    for n in range(len(x)):
        x[n] = x[n] * np.float32(0.5) * (np.float32(1.0) + np.float32(math.erf(x[n] * np.float32(0.7071067811865476))))


@dataclass(frozen=True)
class SelfAttention:
    """Attention of a sequence to itself, normalized before, about an identity."""

    norm: LayerNorm
    inward: Linear
    out: Linear
    heads: int

    @classmethod
    def of(cls, weights: Weights, channels: int, heads: int) -> SelfAttention:
        """Of so many channels, shared among the heads."""
        return cls(*_layers(weights, "attention", channels, 3 * channels, channels), heads)

    def over_place(self, x: np.ndarray) -> np.ndarray:
        """x: (n, c), each of which attends to all."""
        query, key, value = self._inward(x)
        attended = np.empty_like(x)
        width = x.shape[-1] // self.heads
        for head in (slice(first, first + width) for first in range(0, x.shape[-1], width)):
            attended[:, head] = _attended(query[:, head], key[:, head], value[:, head])
        return self._outward(attended, x)

    def over_time(self, x: np.ndarray, cache: TimeCache) -> np.ndarray:
        """x: (t, n, c), the newest frames: at each place they attend to themselves and to all frames before them."""
        query, key, value = self._inward(x)
        keys, values = cache.extended(self, key, value)
        attended, scores = np.empty_like(x), np.empty(len(keys), np.float32)
        _attend_over_time(query, keys, values, self.heads, scores, attended)
        return self._outward(attended, x)

    def _inward(self, x: np.ndarray) -> list[np.ndarray]:
        """Queries, scaled, keys and values."""
        query, key, value = (np.ascontiguousarray(part) for part in np.split(self.inward(self.norm(x)), 3, axis=-1))
        query *= np.float32((x.shape[-1] // self.heads) ** -0.5)
        return [query, key, value]

    def _outward(self, attended: np.ndarray, x: np.ndarray) -> np.ndarray:
        y = self.out(attended)
        y += x
        return y


class TimeCache:
    """Keys and values of the frames seen so far, per attention: a rollout computes each frame once."""

    def __init__(self) -> None:
        self.frames = 0
        self._pairs: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def extended(self, owner: object, key: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Append new frames, (t, n, c), and return all of them."""
        if (before := self._pairs.get(id(owner))) is not None:
            key, value = (np.concatenate([old, new]) for old, new in zip(before, (key, value), strict=True))
        self._pairs[id(owner)] = key, value
        return key, value


def _attended(query: np.ndarray, key: np.ndarray, value: np.ndarray) -> np.ndarray:
    """softmax(query @ key.T) @ value, of one head, (n, c) each.

    No score is larger than the product of two lengths. With that taken from it, by one more column of the product, its
    exponential needs no look at the others; and another column adds the exponentials up.
    """
    most = np.sqrt(np.einsum("nc,nc->n", query, query) * np.einsum("nc,nc->n", key, key).max())
    if most.max() > _SAFE:
        return softmax(query @ key.T) @ value
    one = np.ones((len(key), 1), np.float32)
    weights = np.hstack([query, -most[:, None]]) @ np.hstack([key, one]).T
    np.exp(weights, out=weights)
    summed = weights @ np.hstack([value, one])
    return summed[:, :-1] / summed[:, -1:]


def softmax(x: np.ndarray) -> np.ndarray:
    """Over the last axis, in place."""
    x -= x.max(axis=-1, keepdims=True)
    np.exp(x, out=x)
    x /= x.sum(axis=-1, keepdims=True)
    return x


@loop
def _attend_over_time(query, keys, values, heads, scores, out):
    """query, out: (t, n, c). keys, values: (T, n, c), of which the last t are those frames' own. scores: room for T."""
    new, places, channels = query.shape
    before, width = len(keys) - new, channels // heads
    for t in range(new):
        for n in range(places):
            for head in range(heads):
                first = head * width
                largest = np.float32(-np.inf)
                for s in range(before + t + 1):
                    score = np.float32(0.0)
                    for c in range(first, first + width):
                        score += query[t, n, c] * keys[s, n, c]
                    scores[s] = score
                    largest = max(largest, score)
                for c in range(first, first + width):
                    out[t, n, c] = 0
                total = np.float32(0.0)
                for s in range(before + t + 1):
                    weight = np.float32(math.exp(scores[s] - largest))
                    total += weight
                    for c in range(first, first + width):
                        out[t, n, c] += weight * values[s, n, c]
                for c in range(first, first + width):
                    out[t, n, c] /= total


def averages(inward: int, out: int) -> np.ndarray:
    """float32 (out, inward): rows that average a line of pixels to fewer, as PyTorch's adaptive pooling does."""
    rows = np.zeros((out, inward), np.float32)
    for n, row in enumerate(rows):
        first, last = n * inward // out, -(-(n + 1) * inward // out)
        row[first:last] = 1 / (last - first)
    return rows


def nearest(inward: int, out: int) -> np.ndarray:
    """(out,) int64: which pixel of a line each of more is a copy of."""
    return np.arange(out) * inward // out


def sampled(pixels: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(m, c): a map (h, w, c) at places (m, 2), as parts of its length and width; linear between the middles of its
    pixels, 0 outside."""
    h, w, channels = pixels.shape
    at = (places * (h, w) - 0.5).astype(np.float32)
    corner = np.floor(at)
    above = at - corner
    first = corner.astype(np.int64)
    out = np.zeros((len(at), channels), np.float32)
    for i in (0, 1):
        for j in (0, 1):
            x, y = first[:, 0] + i, first[:, 1] + j
            inside = (x >= 0) & (x < h) & (y >= 0) & (y < w)
            weight = (above[:, 0] if i else 1 - above[:, 0]) * (above[:, 1] if j else 1 - above[:, 1])
            out[inside] += weight[inside, None] * pixels[x[inside], y[inside]]
    return out
