"""The history as columns of bits, and what it shows in the columns of a frame to come.

A bit a voxel and a list of classes are a thirtieth of a dense grid, and 64 voxels are looked at at once: that nearly
all of a grid is empty costs nothing. The numbers are those of `aligned` and `evidence`, which training takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from occ_core.classes import DYNAMIC_IDS
from occ_core.grid import VoxelGrid
from occ_core.loops import compiled, loop
from occ_core.sparse_grid import SparseGrid
from occworld.tracks import Tracks
from occworld.warp import levels_up, source_column

_WORD = 64
_DEFINED = ir.Constant(ir.IntType(1), 0)
_MOVES = np.zeros(256, np.bool_)
_MOVES[list(DYNAMIC_IDS)] = True


def words(grid: VoxelGrid) -> int:
    """uint64 words that a column takes."""
    return -(-grid.shape[2] // _WORD)


@dataclass(frozen=True)
class BitFrame:
    """A frame by columns, X * Y of them. bits: uint64 (columns, words), bit k of a column is its voxel k. still: the
    same without what moves. starts: (columns + 1,) int32, where each column's voxels begin among `classes`, (n,) uint8.
    """

    bits: np.ndarray
    still: np.ndarray
    starts: np.ndarray
    classes: np.ndarray

    @classmethod
    def of(cls, grid: VoxelGrid, frame: SparseGrid) -> BitFrame:
        """Of a frame's voxels."""
        columns = grid.shape[0] * grid.shape[1]
        bits, still = (np.zeros((columns, words(grid)), np.uint64) for _ in range(2))
        starts = np.zeros(columns + 1, np.int32)
        # Copies: packed sessions are read-only, for which everything would be compiled once more.
        voxels, classes = np.array(frame.voxels), np.array(frame.classes)
        _set_bits(voxels, classes, grid.shape[2], _MOVES, bits, still, starts)
        return cls(bits, still, starts, classes)


@dataclass(frozen=True)
class BitRows:
    """Frames below each other: row t * columns + c is column c of frame t. Loops that pick frames by number out
    of a tuple of arrays spend most of their time on counting references.

    bits, still, starts, classes: as of `BitFrame`; starts are among the classes of all frames.
    """

    bits: np.ndarray
    still: np.ndarray
    starts: np.ndarray
    classes: np.ndarray

    @classmethod
    def of(cls, frames: Sequence[BitFrame]) -> BitRows:
        """Of frames, oldest first."""
        begins = np.cumsum([0, *(len(frame.classes) for frame in frames)])
        return cls(
            np.concatenate([frame.bits for frame in frames]),
            np.concatenate([frame.still for frame in frames]),
            np.concatenate([f.starts[:-1] + np.int32(begin) for f, begin in zip(frames, begins, strict=False)]),
            np.concatenate([frame.classes for frame in frames]),
        )


class PastArrays(NamedTuple):
    """A past for compiled loops: `BitRows` of the frames before, and what is of the last."""

    before_bits: np.ndarray
    before_still: np.ndarray
    before_starts: np.ndarray
    before_classes: np.ndarray
    bits: np.ndarray
    starts: np.ndarray
    classes: np.ndarray


@dataclass(frozen=True)
class BitPast:
    """before: the frames of the history but the last, each in its own footprint. now: the last. latest: that one as
    voxels. count: frames in all."""

    before: BitRows
    now: BitFrame
    latest: SparseGrid
    count: int

    @classmethod
    def of(cls, grid: VoxelGrid, frames: Sequence[SparseGrid]) -> BitPast:
        """frames: oldest first, two at least."""
        *before, now = (BitFrame.of(grid, frame) for frame in frames)
        return cls(BitRows.of(before), now, frames[-1], len(frames))

    @property
    def arrays(self) -> PastArrays:
        """For compiled loops."""
        before, now = self.before, self.now
        return PastArrays(
            before.bits, before.still, before.starts, before.classes, now.bits, now.starts, now.classes
        )  # fmt: skip

    def advanced(self, grid: VoxelGrid, tracks: Tracks, velocity: np.ndarray, seconds: float) -> BitPast:
        """As `tracks.advance`: the moving things of the latest frame carried along, each in one piece."""
        if not tracks.things:
            return self
        voxels, classes = self.latest.voxels, self.latest.classes
        stays = np.ones(len(voxels), bool)
        placed, named = [], []
        for thing in tracks.things:
            stays[np.searchsorted(voxels, thing.voxels)] = False
            index = np.stack(np.unravel_index(thing.voxels, grid.shape), axis=1)
            shift = velocity[:, index[:, 0], index[:, 1]].mean(axis=1) * seconds
            numbers = grid.numbers(grid.centers(index) + shift)
            placed.append(numbers[numbers >= 0].astype(np.int32))
            named.append(np.full(len(placed[-1]), thing.semantic, np.uint8))
        # Of voxels that fall together the last one stays: the first of them, seen from the end.
        arrived, first = np.unique(np.concatenate(placed)[::-1], return_index=True)
        place = np.minimum(np.searchsorted(voxels, arrived), len(voxels) - 1)
        stays[place[voxels[place] == arrived]] = False
        voxels, classes = voxels[stays], classes[stays]
        before = np.searchsorted(voxels, arrived)
        voxels = np.insert(voxels, before, arrived)
        classes = np.insert(classes, before, np.concatenate(named)[::-1][first])
        latest = SparseGrid(voxels, classes, np.zeros(len(voxels), np.uint16))
        return replace(self, now=BitFrame.of(grid, latest), latest=latest)


class BitView(NamedTuple):
    """The history seen from a target frame, by columns.

    warped: uint64 (columns, words), voxels of the latest frame that covers the column. source: (columns,) int8, that
    frame's number, -1 where none covers it. origin: (columns,) int32, the column there. lift: (t,) int64, how many
    levels higher a voxel is in each frame. candidates: uint64 (columns, words), as `Aligned.candidates`. offsets:
    (columns + 1,) int32, how many of those lie in the columns before.
    """

    warped: np.ndarray
    source: np.ndarray
    origin: np.ndarray
    lift: np.ndarray
    candidates: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, grid: VoxelGrid, past: BitPast, motions: np.ndarray) -> BitView:
        """motions: (t, 4) the target in each frame of the past."""
        columns = grid.shape[0] * grid.shape[1]
        warped, candidates = (np.empty((columns, words(grid)), np.uint64) for _ in range(2))
        source, origin = np.empty(columns, np.int8), np.empty(columns, np.int32)
        offsets = np.zeros(columns + 1, np.int32)
        motions = np.asarray(motions, float)
        lift = np.array([levels_up.py_func(motion, grid.voxel) for motion in motions])
        lower, voxel = np.array(grid.lower), np.array(grid.voxel)
        turns = np.cos(motions[:, 3]), np.sin(motions[:, 3])
        _warp(past.arrays, motions, turns, lower, voxel, grid.shape, lift, warped, source, origin)
        _reach(warped, past.now.bits, grid.shape, candidates, offsets)
        return cls(warped, source, origin, lift, candidates, offsets)


@compiled(inline="always")
def window(bits, column, level):
    """64 bits of a column from a level on, which may be below 0; beyond the column they are 0."""
    count = bits.shape[1]
    word = level >> 6
    shift = np.uint64(level & 63)
    out = np.uint64(0)
    if 0 <= word < count:
        out = bits[column, word] >> shift
    if shift and 0 <= word + 1 < count:
        out |= bits[column, word + 1] << (np.uint64(64) - shift)
    return out


def _ones(_typing: Any, _word: Any) -> tuple[Any, Any]:
    return types.int64(types.uint64), lambda _context, builder, _signature, words: builder.ctpop(words[0])


def _lowest(_typing: Any, _word: Any) -> tuple[Any, Any]:
    return types.int64(types.uint64), lambda _context, builder, _signature, words: builder.cttz(words[0], _DEFINED)


ones: Any = intrinsic(_ones)
"""How many bits of a uint64 are set, as int64, in compiled loops: an instruction of the processor."""
lowest: Any = intrinsic(_lowest)
"""The number of the lowest bit that is set, as int64, of a uint64 that is not 0."""


@compiled(inline="always")
def has(bits, column, level):
    """Whether a voxel's bit is set."""
    return (bits[column, level >> 6] >> np.uint64(level & 63)) & np.uint64(1)


@compiled(inline="always")
def class_at(bits, starts, classes, column, level):
    """The class of a voxel whose bit is set: by how many are set below it in its column."""
    word = level >> 6
    before = 0
    for w in range(word):
        before += ones(bits[column, w])
    below = (np.uint64(1) << np.uint64(level & 63)) - np.uint64(1)
    return classes[starts[column] + before + ones(bits[column, word] & below)]


@compiled(inline="always")
def class_in_past(past, frame, column, level, lift):
    """The class of a voxel of a frame of the past whose bit is set. level: in the target; lift: as of `BitView`."""
    if frame == len(lift) - 1:
        out = class_at(past.bits, past.starts, past.classes, column, level + lift[frame])
    else:
        row = frame * len(past.bits) + column
        out = class_at(past.before_bits, past.before_starts, past.before_classes, row, level + lift[frame])
    return out


@loop
def _set_bits(voxels, classes, nz, moves, bits, still, starts):
    for n in range(len(voxels)):
        column = voxels[n] // nz
        level = voxels[n] - column * nz
        bit = np.uint64(1) << np.uint64(level & 63)
        bits[column, level >> 6] |= bit
        if not moves[classes[n]]:
            still[column, level >> 6] |= bit
        starts[column + 1] += 1
    for column in range(len(starts) - 1):
        starts[column + 1] += starts[column]


@loop
def _warp(past, motions, turns, lower, voxel, shape, lift, warped, source, origin):
    nx, ny, nz = shape
    words, latest = warped.shape[1], len(motions) - 1
    last = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 * words - nz)
    for i in range(nx):
        for j in range(ny):
            column = i * ny + j
            source[column], origin[column] = -1, 0
            for w in range(words):
                warped[column, w] = 0
            for t in range(latest, -1, -1):
                a, b = source_column(i, j, motions[t], turns[0][t], turns[1][t], lower, voxel)
                if 0 <= a < nx and 0 <= b < ny:
                    there = a * ny + b
                    source[column], origin[column] = t, there
                    for w in range(words):
                        level = 64 * w + lift[t]
                        if t == latest:
                            warped[column, w] = window(past.bits, there, level)
                        else:
                            warped[column, w] = window(past.before_bits, t * nx * ny + there, level)
                    warped[column, words - 1] &= last
                    break


@loop
def _reach(warped, current, shape, candidates, offsets):
    """Row by row of columns, over their words as one line: loops that the compiler makes vectors of."""
    nx, ny, nz = shape
    words = warped.shape[1]
    line = ny * words
    last = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 * words - nz)
    ours, theirs, out = warped.reshape(-1), current.reshape(-1), candidates.reshape(-1)
    one, top = np.uint64(1), np.uint64(63)
    for i in range(nx):
        here, now, near = (
            ours[i * line : (i + 1) * line],
            theirs[i * line : (i + 1) * line],
            out[i * line : (i + 1) * line],
        )
        for f in range(line):
            near[f] = here[f] | now[f] | (here[f] << one) | (here[f] >> one)
        for f in range(line - words):
            near[f] |= here[f + words]
        for f in range(words, line):
            near[f] |= here[f - words]
        if i > 0:
            beside = ours[(i - 1) * line : i * line]
            for f in range(line):
                near[f] |= beside[f]
        if i < nx - 1:
            beside = ours[(i + 1) * line : (i + 2) * line]
            for f in range(line):
                near[f] |= beside[f]
        for j in range(ny):
            total = 0
            for w in range(words):
                f = j * words + w
                if w > 0:
                    near[f] |= here[f - 1] >> top
                if w < words - 1:
                    near[f] |= here[f + 1] << top
                else:
                    near[f] &= last
                total += ones(near[f])
            offsets[i * ny + j + 1] = offsets[i * ny + j] + total
