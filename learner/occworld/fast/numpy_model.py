"""The fast model without PyTorch: what forecasts on a processor, from the tensors of a `FastOccWorld`.

A robot's computer needs no PyTorch for it, which takes a second to load and 190 MiB to hold. Networks this small are
calls of BLAS about some loops; what they say is what the layers of PyTorch say, but for the order of sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from occ_core.classes import NUM_CLASSES
from occ_core.grid import VoxelGrid
from occ_core.loops import loop
from occ_core.parallel import libraries_on_one_thread
from occ_core.sparse_grid import SparseGrid
from occ_core.threads import thread_count
from occworld import motion as motions
from occworld.bit_columns import BitView, class_in_past, lowest
from occworld.fast.compiled import ColumnView, Head, fill_columns
from occworld.fast.maps import CHANNELS, class_rows, dynamic_maps, seen_at, surroundings
from occworld.fast.numpy_layers import (
    Convolution,
    FeedForward,
    GroupNorm,
    LayerNorm,
    Linear,
    ResidualBlock,
    SelfAttention,
    TimeCache,
    Weights,
    averages,
    nearest,
    sampled,
    silu,
    softmax,
)
from occworld.fast.thresholds import decided
from occworld.hindcast import HINDCASTS, signs
from occworld.model_config import FLOW_DILATIONS, FLOW_STRIDE, GENTLY, WIDE_DILATIONS, FastConfig
from occworld.motion import POSE_DIM, STEP_DIM
from occworld.scene import ForecastFrame, Scene, SceneForecast

_IDLE = "tokenizer.quantizer.idle"  # batches since each code was used, for training

Part = TypeVar("Part")
Result = TypeVar("Result")


@dataclass(frozen=True)
class ImaginedScene:
    """latents: (steps, h, w, d), codes in the current frame. motion: (steps, 4) float32, footprints in it. velocity:
    (3, X, Y) float32 m/s."""

    latents: np.ndarray
    motion: np.ndarray
    velocity: np.ndarray


class NumpyOccWorld:
    """A forecast of the fast model by NumPy and compiled loops. As of `ForecastModel`: grid, history, steps and
    frame_period."""

    device = "cpu"

    def __init__(
        self, grid: VoxelGrid, config: FastConfig, history: int, steps: int, frame_period: float,
        tensors: Mapping[str, np.ndarray],
    ) -> None:  # fmt: skip
        """tensors: a state dict; WeightsError where they are not those of such a model."""
        self.grid, self.config, self.history, self.steps, self.frame_period = grid, config, history, steps, frame_period
        weights = Weights(tensors)
        self._fold = _Fold(weights.at("tokenizer.fold"), grid, config)
        self._encoder = _Encoder(weights.at("tokenizer.encoder"), config)
        self._codebook = weights.take("tokenizer.quantizer.codebook", config.num_codes, config.code_dim)
        self._code_lengths = (self._codebook**2).sum(axis=1)
        places = (-(-self._fold.size[0] // 2), -(-self._fold.size[1] // 2))
        self._transformer = _Transformer(weights.at("transformer"), config, places, history + steps)
        self._pose_encoder = _perceptron(weights.at("pose_encoder.net"), POSE_DIM, config, config.embed_dim)
        self._pose_decoder = _perceptron(weights.at("pose_decoder.net"), config.embed_dim, config, STEP_DIM)
        self._persistence = weights.take("persistence", steps, STEP_DIM)
        self._flow = _Flow(weights.at("flow"), history, config.flow_channel, grid)
        self._decoder = _Decoder(weights.at("decoder"), config, self._fold.size, places)
        embedding, rows = self._fold.embedding, 2 * steps
        self._head = Head.of(weights.at("head"), config, embedding, grid.shape[2], history, rows)
        weights.check_all_taken(_IDLE)

    def forecast(self, scene: Scene) -> SceneForecast:
        """All steps of one scene."""
        imagined = self.imagine(scene)
        future = self.future_motion(scene, imagined.motion)
        return SceneForecast(tuple(self.filled(scene, imagined.latents, future, imagined.velocity)), future)

    def forecasts(self, scenes: Sequence[Scene]) -> Iterator[SceneForecast]:
        """All steps of each scene, as soon as they are made."""
        return map(self.forecast, scenes)

    def imagine(self, scene: Scene) -> ImaginedScene:
        """Autoregressive rollout; each step feeds back the mean code under its own prediction."""
        latents = np.stack(_side_by_side(self._coded, scene.aligned))
        # A rollout is one small operation after the other: what else is to be found out takes the other cores.
        work: list[Callable[[], Any]] = [
            partial(self._rollout, scene, latents), partial(self._velocity, scene), partial(self._look_back, scene)
        ]  # fmt: skip
        (ahead, motion), velocity, _ = _side_by_side(lambda part: part(), work)
        return ImaginedScene(ahead, motion, velocity)

    @staticmethod
    def future_motion(scene: Scene, imagined: np.ndarray) -> np.ndarray:
        """(steps, 4) float64: the plan where it is given, else what was imagined, (steps, 4)."""
        return np.asarray(imagined if scene.planned is None else scene.planned, float)

    def filled(
        self, scene: Scene, latents: np.ndarray, future: np.ndarray, velocity: np.ndarray
    ) -> list[ForecastFrame]:
        """The frames. latents: (steps, h, w, d). future: (steps, 4). velocity: (3, X, Y)."""
        self._look_back(scene)
        still, foretold = self._fold(scene.frames[-1]), scene.hindcast(self._fold.size).transpose(1, 2, 0)

        def one(step: int) -> ForecastFrame:
            view = self._view(scene, future, velocity, step)
            past, cover = self._fold.seen(view)
            h, w, d = latents[step].shape
            moved = sampled(latents[step], seen_at(self.grid, (h, w), view.motion[None]).reshape(-1, 2))
            around = surroundings(self.grid, self._fold.size, view.way, self.history, scene.height).transpose(1, 2, 0)
            columns = self._decoder(moved.reshape(h, w, d), [past, still, cover, around], foretold)
            frame = fill_columns(self.grid, self._head, columns, self.config.patch, view)
            return decided(frame, self._head.named_right[view.row], self._head.missed[view.row])

        return _side_by_side(one, range(self.steps))

    def _coded(self, frame: SparseGrid) -> np.ndarray:
        """(h, w, d): the nearest codes of a frame."""
        z = self._encoder(self._fold(frame))
        distance = self._code_lengths - 2 * z.reshape(-1, z.shape[-1]) @ self._codebook.T
        return self._codebook[distance.argmin(axis=1)].reshape(z.shape)

    def _rollout(self, scene: Scene, latents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """latents: (t, h, w, d) of the history. Returns (steps, h, w, d) to come, and (steps, 4) motion."""
        cache, relative, constant = TimeCache(), scene.relative, scene.step(self.frame_period)
        ahead, pose = self._transformer(latents, self._pose_encoder(relative), cache)
        imagined, steps = [], [self._step(constant, 0, pose)]
        while True:
            imagined.append((softmax(ahead) @ self._codebook).reshape(latents.shape[1:]))
            if len(imagined) == self.steps:
                return np.stack(imagined), integrate(steps)
            here = as_relative(integrate(steps)[-1], relative[-1])
            ahead, pose = self._transformer(imagined[-1][None], self._pose_encoder(here[None]), cache)
            steps.append(self._step(constant, len(steps), pose))

    def _step(self, constant: np.ndarray, step: int, pose: np.ndarray) -> np.ndarray:
        return constant * self._persistence[step] + np.float32(GENTLY) * self._pose_decoder(pose)

    def _velocity(self, scene: Scene) -> np.ndarray:
        tracked = (scene.tracks.map(self.grid) / self.frame_period).astype(np.float32)
        if not scene.tracks.things:  # nobody will ask
            return tracked
        return self._flow(dynamic_maps(self.grid, scene.aligned), tracked)

    def _look_back(self, scene: Scene) -> None:
        """What all steps want to know of a scene, found out once."""
        scene.columns, scene.tracks, scene.record  # noqa: B018
        scene.hindcast(self._fold.size)

    def _view(self, scene: Scene, future: np.ndarray, velocity: np.ndarray, step: int) -> ColumnView:
        """The past seen from a step (from 0). future: (steps, 4). velocity: (3, X, Y) m/s."""
        past = scene.columns
        if velocity.any():
            past = past.advanced(self.grid, scene.tracks, velocity, (step + 1) * self.frame_period)
        row, relative, way, told = seen_from(scene, future, step)
        return ColumnView(row, past, relative, future[step], way, BitView.of(self.grid, past, relative), told)


def seen_from(scene: Scene, future: np.ndarray, step: int) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """Row, motions, way and signs of a view, as of `TargetView`. future: (steps, 4)."""
    row = step if scene.planned is None else len(future) + step
    way = motions.between(future[step], np.concatenate([scene.motion, future[: step + 1]]))[:, :2]
    told = signs(scene.record, scene.motion, step, future[step], scene.height)
    return row, motions.between(scene.motion, future[step]), way, told


def integrate(steps: Sequence[np.ndarray]) -> np.ndarray:
    """Chain steps, each in the frame before it. steps: t of (4,) x y z yaw. Returns (t, 4) in the first frame."""
    out, pose = [], np.zeros(STEP_DIM, np.float32)
    for x, y, z, yaw in steps:
        c, s = np.cos(pose[3]), np.sin(pose[3])
        pose = pose + np.array([c * x - s * y, s * x + c * y, z, yaw], np.float32)
        out.append(pose)
    return np.stack(out)


def as_relative(motion: np.ndarray, last: np.ndarray) -> np.ndarray:
    """(13,) of a footprint to come. motion: (4,). last: (13,) of the current frame."""
    half = motion[3] / 2
    turn = [np.cos(half), 0, 0, np.sin(half)]
    return np.concatenate([last[:3] + motion[:3] / 10, turn, last[7:]]).astype(np.float32)


def _side_by_side(work: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
    """Results of work on each part, in their order: the parts of a forecast on as many threads as there are cores.

    A forecast is many small operations. BLAS would share out each of them, and its threads wait for each other at the
    end of every one: steps, each on a core of its own, need no such waiting, and lose less where one is busy.
    """
    with libraries_on_one_thread():
        if (threads := min(thread_count(), len(parts))) == 1:
            return [work(part) for part in parts]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(work, parts))


class _Fold:
    """As `SparsePatchify`: what a voxel adds to its patch is a row of a table, by class, level and place in it."""

    def __init__(self, weights: Weights, grid: VoxelGrid, config: FastConfig) -> None:
        self.shape, self.patch, channels = grid.shape, config.patch, config.base_channel
        self.size = (grid.shape[0] // self.patch, grid.shape[1] // self.patch)
        self.embedding = weights.take("class_embedding", NUM_CLASSES, config.class_dim)
        self.embedding[0] = 0
        kernel = weights.take("kernel", config.class_dim, grid.shape[2], self.patch, self.patch, channels)
        self._table = (self.embedding @ kernel.reshape(config.class_dim, -1)).reshape(-1, channels)
        self._bias = weights.take("bias", channels)
        self._class_rows = class_rows(grid.shape[2])

    def __call__(self, frame: SparseGrid) -> np.ndarray:
        """(h, w, c)."""
        folded = self._empty()
        voxels, classes = np.array(frame.voxels), np.array(frame.classes)  # packed sessions are read-only: another type
        _fold_voxels(voxels, classes, self.shape, self.patch, self._class_rows, self._table, folded)
        return folded.reshape(*self.size, -1)

    def seen(self, view: ColumnView) -> tuple[np.ndarray, np.ndarray]:
        """What it makes of the aligned history, (h, w, c), and which part of each patch that covers, (h, w, 1)."""
        folded = self._empty()
        cover = np.zeros(len(folded), np.float32)
        _fold_view(
            view.past.arrays, view.bits, self.shape, self.patch, self._class_rows, self._table, folded, cover
        )  # fmt: skip
        return folded.reshape(*self.size, -1), cover.reshape(*self.size, 1)

    def _empty(self) -> np.ndarray:
        return self._bias[None].repeat(self.size[0] * self.size[1], axis=0)


@loop
def _add_voxel(x, y, across, patch, kind, table, folded):
    """What a voxel of column x, y adds to its patch. across: patches in a row. kind: of its class and level."""
    place, row = (x // patch) * across + y // patch, (kind * patch + x % patch) * patch + y % patch
    for c in range(folded.shape[1]):
        folded[place, c] += table[row, c]


@loop
def _fold_voxels(voxels, classes, shape, patch, class_rows, table, folded):
    ny, nz = shape[1], shape[2]
    across = ny // patch
    for n in range(len(voxels)):
        column, level = voxels[n] // nz, voxels[n] % nz
        _add_voxel(column // ny, column % ny, across, patch, class_rows[classes[n]] + level, table, folded)


@loop
def _fold_view(past, view, shape, patch, class_rows, table, folded, cover):
    ny = shape[1]
    across = ny // patch
    share = np.float32(1.0 / (patch * patch))
    for column in range(len(view.warped)):
        t = view.source[column]
        if t < 0:
            continue
        x, y = column // ny, column % ny
        cover[(x // patch) * across + y // patch] += share
        for w in range(view.warped.shape[1]):
            word = view.warped[column, w]
            while word:
                level = 64 * w + lowest(word)
                word &= word - np.uint64(1)
                kind = class_in_past(past, t, view.origin[column], level, view.lift)
                _add_voxel(x, y, across, patch, class_rows[kind] + level, table, folded)


class _Encoder:
    """As `BevEncoder`: (h, w, c) folded grid -> (h / 2, w / 2, d), rounded up."""

    def __init__(self, weights: Weights, config: FastConfig) -> None:
        channels = config.base_channel
        self._before = ResidualBlock.of(weights.at("before"), channels)
        self._down = Convolution.of(weights.at("down"), channels, channels, stride=2)
        self._after = ResidualBlock.of(weights.at("after"), channels)
        self._norm = GroupNorm.of(weights.at("norm"), channels)
        self._out = Linear.of(weights.at("out"), channels, config.code_dim, pixels=True)

    def __call__(self, folded: np.ndarray) -> np.ndarray:
        return self._out(silu(self._norm(self._after(self._down(self._before(folded))))))


class _Transformer:
    """As `OccWorldTransformer`, of the newest frame fed in: logits of the next one's codes, and its pose token."""

    def __init__(self, weights: Weights, config: FastConfig, places: tuple[int, int], frames: int) -> None:
        dim, tokens = config.embed_dim, places[0] * places[1] + 1
        self._embed = Linear.of(weights.at("embed"), config.code_dim, dim)
        self._place, self._time = weights.take("place", tokens, dim), weights.take("time", frames, dim)
        self._blocks = [_Block(weights.at(f"blocks.{n}"), config) for n in range(config.num_layers)]
        self._norm = LayerNorm.of(weights.at("norm"), dim)
        self._to_logits = Linear.of(weights.at("to_logits"), dim, config.num_codes)

    def __call__(self, latents: np.ndarray, poses: np.ndarray, cache: TimeCache) -> tuple[np.ndarray, np.ndarray]:
        """latents: (t, h, w, d). poses: (t, c) embedded. Returns (h * w, codes) and (c,)."""
        t, _, _, d = latents.shape
        x = np.concatenate([self._embed(latents.reshape(t, -1, d)), poses[:, None]], axis=1)
        x += self._place
        x += self._time[cache.frames : cache.frames + t, None]
        *before, last = self._blocks
        for block in before:
            x = block(x, cache)
        x = self._norm(last(x, cache, newest=True)[0])
        cache.frames += t
        return self._to_logits(x[:-1]), x[-1]


class _Block:
    """Temporal attentions at each place, then spatial attention within each frame, pose token included."""

    def __init__(self, weights: Weights, config: FastConfig) -> None:
        dim, heads = config.embed_dim, config.num_heads
        self._temporal = [
            (
                SelfAttention.of(weights.at(f"temporal.{n}"), dim, heads),
                FeedForward.of(weights.at(f"temporal_ffn.{n}"), dim, 2 * dim),
            )
            for n in range(config.temporal_attn_layers)
        ]
        self._spatial = SelfAttention.of(weights.at("spatial"), dim, heads)
        self._spatial_ffn = FeedForward.of(weights.at("spatial_ffn"), dim, 2 * dim)

    def __call__(self, x: np.ndarray, cache: TimeCache, newest: bool = False) -> np.ndarray:
        """x: (t, n, c). newest: only the last frame is wanted, (1, n, c)."""
        for attention, ffn in self._temporal:
            x = ffn(attention.over_time(x, cache))
        if newest:
            x = x[-1:]
        return np.stack([self._spatial_ffn(self._spatial.over_place(frame)) for frame in x])


def _perceptron(weights: Weights, inward: int, config: FastConfig, out: int) -> Callable[[np.ndarray], np.ndarray]:
    """(..., inward) -> (..., out): `pose_layers` layers, `pose_hidden` wide, rectified between."""
    widths = [inward, *[config.pose_hidden] * (config.pose_layers - 1), out]
    layers = [Linear.of(weights.at(str(2 * n)), *pair) for n, pair in enumerate(pairwise(widths))]

    def run(x: np.ndarray) -> np.ndarray:
        for layer in layers[:-1]:
            x = np.maximum(layer(x), 0)
        return layers[-1](x)

    return run


class _Flow:
    """As `FlowHead`: (t, X, Y) maps and tracked velocities (3, X, Y), m/s in the current frame -> corrected ones."""

    def __init__(self, weights: Weights, history: int, channels: int, grid: VoxelGrid) -> None:
        size = 2 * FLOW_STRIDE + 1
        self._stem = Convolution.of(weights.at("stem"), history + 2, channels, size, FLOW_STRIDE)
        self._body = [
            Convolution.of(weights.at(f"body.{n}"), channels, channels, dilation=dilation)
            for n, dilation in enumerate(FLOW_DILATIONS)
        ]
        self._out = Linear.of(weights.at("out"), channels, 3, pixels=True)
        small = [-(-n // FLOW_STRIDE) for n in grid.shape[:2]]
        self._finer = np.ix_(nearest(small[0], grid.shape[0]), nearest(small[1], grid.shape[1]))

    def __call__(self, maps: np.ndarray, tracked: np.ndarray) -> np.ndarray:
        """A scene with nothing that moves is worth no convolution."""
        if not maps.any():
            return tracked
        x = np.maximum(self._stem(np.concatenate([maps, tracked[:2] / 10]).transpose(1, 2, 0)), 0)
        for convolution in self._body:
            x += np.maximum(convolution(x), 0)
        return tracked + 10 * self._out(x)[self._finer].transpose(2, 0, 1)


class _Decoder:
    """As `BevDecoder`: latents, and what the aligned past shows, to features of columns."""

    def __init__(self, weights: Weights, config: FastConfig, size: tuple[int, int], places: tuple[int, int]) -> None:
        channels, area = config.base_channel, config.patch**2
        known = 2 * channels + 1 + CHANNELS
        self._inward = Linear.of(weights.at("inward"), config.code_dim, channels, pixels=True)
        self._wide = [
            ResidualBlock.of(weights.at(f"wide.{n}"), channels, dilation) for n, dilation in enumerate(WIDE_DILATIONS)
        ]
        self._evidence = Linear.of(weights.at("evidence"), known, channels, pixels=True)
        self._foretold = weights.take("foretold", channels, HINDCASTS, 1, 1).reshape(channels, HINDCASTS).T
        self._fine = ResidualBlock.of(weights.at("fine"), channels)
        self._norm = GroupNorm.of(weights.at("norm"), channels)
        # Out of a pixel come the columns of a patch, one after the other.
        out = Linear.of(weights.at("out"), channels, config.column_dim * area, pixels=True)
        by_column = np.arange(config.column_dim * area).reshape(-1, area).T.reshape(-1)
        self._out = Linear(np.ascontiguousarray(out.weight[:, by_column]), out.bias[by_column])
        self._coarser = averages(size[0], places[0]), averages(size[1], places[1])
        self._finer = np.ix_(nearest(places[0], size[0]), nearest(places[1], size[1]))
        self._width = config.column_dim

    def __call__(self, latents: np.ndarray, known: Sequence[np.ndarray], foretold: np.ndarray) -> np.ndarray:
        """(X * Y, column_dim), patch after patch, in a patch by x and y.

        latents: (h, w, d). known: what else is known of each patch, (H, W, ...) each: the folded history, moved to the
        target frame and the last of it as it is, the part that it covers, and `surroundings`. foretold: (H, W,
        HINDCASTS), what the past was worth there.
        """
        evidence = self._evidence(np.concatenate(known, axis=2)) + foretold @ self._foretold
        x = self._inward(latents) + self._averaged(evidence)
        for block in self._wide:
            x = block(x)
        x = self._fine(x[self._finer] + evidence)
        return self._out(silu(self._norm(x))).reshape(-1, self._width)

    def _averaged(self, x: np.ndarray) -> np.ndarray:
        rows, columns = self._coarser
        high = (rows @ x.reshape(len(x), -1)).reshape(len(rows), *x.shape[1:])
        return np.matmul(columns, high)
