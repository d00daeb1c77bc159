"""The history as columns of bits, and what it shows in the columns of a frame to come.

A bit a voxel and a list of classes are a thirtieth of a dense grid, and 64 voxels are looked at at once: that nearly
all of a grid is empty costs nothing. The numbers are those of `aligned` and `evidence`, which training takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from occ_core.classes import DYNAMIC_IDS
from occ_core.grid import VoxelGrid
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

    bits, solid: uint64 (t * columns, words), all voxels, and those of things that stay where they are; in the last
    frame solid is all. starts: (t * columns,) int32, where each row's voxels begin among `classes`, (n,) uint8.
    """

    bits: np.ndarray
    solid: np.ndarray
    starts: np.ndarray
    classes: np.ndarray


@dataclass(frozen=True)
class BitPast:
    """frames: oldest first, each in its own footprint. latest: the last of them, as voxels."""

    frames: tuple[BitFrame, ...]
    latest: SparseGrid

    @cached_property
    def rows(self) -> BitRows:
        """The frames as one."""
        begins = np.cumsum([0, *(len(frame.classes) for frame in self.frames)])
        return BitRows(
            np.concatenate([frame.bits for frame in self.frames]),
            np.concatenate([*(frame.still for frame in self.frames[:-1]), self.frames[-1].bits]),
            np.concatenate([f.starts[:-1] + np.int32(begin) for f, begin in zip(self.frames, begins, strict=False)]),
            np.concatenate([frame.classes for frame in self.frames]),
        )

    @classmethod
    def of(cls, grid: VoxelGrid, frames: Sequence[SparseGrid]) -> BitPast:
        """frames: oldest first."""
        return cls(tuple(BitFrame.of(grid, frame) for frame in frames), frames[-1])

    def advanced(self, grid: VoxelGrid, tracks: Tracks, velocity: np.ndarray, seconds: float) -> BitPast:
        """As `tracks.advance`: the moving things of the latest frame carried along, each in one piece."""
        if not tracks.things:
            return self
        voxels, classes = self.latest.voxels, self.latest.classes
        stays = ~np.isin(voxels, np.concatenate([thing.voxels for thing in tracks.things]))
        placed, named = [voxels[stays]], [classes[stays]]
        for thing in tracks.things:
            index = np.stack(np.unravel_index(thing.voxels, grid.shape), axis=1)
            shift = velocity[:, index[:, 0], index[:, 1]].mean(axis=1) * seconds
            numbers = grid.numbers(grid.centers(index) + shift)
            placed.append(numbers[numbers >= 0].astype(np.int32))
            named.append(np.full(len(placed[-1]), thing.semantic, np.uint8))
        # Of voxels that fall together the last one stays: the first of them, seen from the end.
        backwards, classes = np.concatenate(placed)[::-1], np.concatenate(named)[::-1]
        voxels, first = np.unique(backwards, return_index=True)
        latest = SparseGrid(voxels, classes[first], np.zeros(len(voxels), np.uint16))
        return replace(self, frames=(*self.frames[:-1], BitFrame.of(grid, latest)), latest=latest)


@dataclass(frozen=True)
class BitView:
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
        warped, candidates = (np.zeros((columns, words(grid)), np.uint64) for _ in range(2))
        source, origin = np.full(columns, -1, np.int8), np.zeros(columns, np.int32)
        lift, offsets = np.zeros(len(past.frames), np.int64), np.zeros(columns + 1, np.int32)
        lower, voxel = np.array(grid.lower), np.array(grid.voxel)
        _warp(past.rows.bits, np.asarray(motions, float), lower, voxel, grid.shape, warped, source, origin, lift)
        _reach(warped, past.frames[-1].bits, grid.shape, candidates, offsets)
        return cls(warped, source, origin, lift, candidates, offsets)


@numba.njit(cache=True, inline="always")
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


@numba.njit(cache=True, inline="always")
def has(bits, column, level):
    """Whether a voxel's bit is set."""
    return (bits[column, level >> 6] >> np.uint64(level & 63)) & np.uint64(1)


@numba.njit(cache=True, inline="always")
def class_at(bits, starts, classes, column, level):
    """The class of a voxel whose bit is set: by how many are set below it in its column."""
    word = level >> 6
    before = 0
    for w in range(word):
        before += ones(bits[column, w])
    below = (np.uint64(1) << np.uint64(level & 63)) - np.uint64(1)
    return classes[starts[column] + before + ones(bits[column, word] & below)]


@numba.njit(cache=True, nogil=True)
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


@numba.njit(cache=True, nogil=True)
def _warp(bits, motions, lower, voxel, shape, warped, source, origin, lift):
    nx, ny, nz = shape
    count = warped.shape[1]
    last = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 * count - nz)
    cosines, sines = np.cos(motions[:, 3]), np.sin(motions[:, 3])
    for t in range(len(motions)):
        lift[t] = levels_up(motions[t], voxel)
    for i in range(nx):
        for j in range(ny):
            for t in range(len(motions) - 1, -1, -1):
                a, b = source_column(i, j, motions[t], cosines[t], sines[t], lower, voxel)
                if 0 <= a < nx and 0 <= b < ny:
                    column, there = i * ny + j, a * ny + b
                    source[column], origin[column] = t, there
                    for w in range(count):
                        warped[column, w] = window(bits, t * nx * ny + there, 64 * w + lift[t])
                    warped[column, count - 1] &= last
                    break


@numba.njit(cache=True, nogil=True)
def _reach(warped, current, shape, candidates, offsets):
    nx, ny, nz = shape
    count = warped.shape[1]
    last = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 * count - nz)
    for i in range(nx):
        for j in range(ny):
            column = i * ny + j
            total = 0
            for w in range(count):
                near = warped[column, w] | current[column, w]
                near |= window(warped, column, 64 * w - 1) | window(warped, column, 64 * w + 1)
                if i > 0:
                    near |= warped[column - ny, w]
                if i < nx - 1:
                    near |= warped[column + ny, w]
                if j > 0:
                    near |= warped[column - 1, w]
                if j < ny - 1:
                    near |= warped[column + 1, w]
                if w == count - 1:
                    near &= last
                candidates[column, w] = near
                total += ones(near)
            offsets[column + 1] = offsets[column] + total
