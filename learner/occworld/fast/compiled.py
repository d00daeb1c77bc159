"""A forecast frame on a processor: the voxel head as compiled loops over columns of bits.

The same function as `fill.fill`, by other means and without PyTorch. Of the head's first layer nearly all inputs are
bits: the 27 voxels about a candidate are three rows of tables with 512 rows, what is of a column is added up once for
it, and a grid is never written out. What is left for a matrix product is the layer in the middle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occ_core.classes import NUM_CLASSES
from occ_core.grid import VoxelGrid
from occ_core.loops import loop
from occworld.bit_columns import BitPast, BitView
from occworld.fast.candidates import (
    CLASS_SKIP,
    SKIP_LOGIT,
    Gathered,
    Lattices,
    add_cover,
    chunk_end,
    first_layer,
    gather,
    judge,
    label,
)
from occworld.fast.column_prior import above, surplus
from occworld.fast.numpy_layers import Linear, Weights
from occworld.hindcast import KINDS, NEWS, SIGNS, STRATA, WARPED, rings
from occworld.history_features import NEIGHBOURS, feature_count
from occworld.model_config import FastConfig
from occworld.scene import ForecastFrame

_CANDIDATES = 8192  # so many at a time: what is between two layers stays in a core's own cache


@dataclass(frozen=True)
class ColumnView:
    """The past seen from a frame to come, by columns. row, motions, motion, way, signs: as of `TargetView`."""

    row: int
    past: BitPast
    motions: np.ndarray
    motion: np.ndarray
    way: np.ndarray
    bits: BitView
    signs: np.ndarray


@dataclass(frozen=True)
class Head:
    """A voxel head for these loops: the tensors of `VoxelHead` by their names, and tables made of its first layer.

    prior: that of columns that no frame covers, and of those that one does. names: (e, classes), embeddings. near:
    float32 (3, 512, hidden), what three columns of the 27 neighbours add. frames: (t + 1, hidden), the weights of each
    frame's occupancy and of 'occupied in the current frame'. covered: (2 ** t, hidden), what coverage by each set of
    frames adds. shift: (2, hidden), of the shift within a voxel. lift: (hidden,), of the shift in height.
    """

    from_column: Linear
    from_height: np.ndarray
    from_proposal: np.ndarray
    from_horizon: np.ndarray
    middle: Linear
    out_weight: np.ndarray
    out_bias: np.ndarray
    prior: tuple[Linear, Linear]
    gate: np.ndarray
    prior_gate: np.ndarray
    naming: np.ndarray
    named_right: np.ndarray
    missed: np.ndarray
    threshold: np.ndarray
    names: np.ndarray
    near: np.ndarray
    frames: np.ndarray
    covered: np.ndarray
    shift: np.ndarray
    lift: np.ndarray

    @classmethod
    def of(
        cls, weights: Weights, config: FastConfig, embedding: np.ndarray, levels: int, history: int, rows: int
    ) -> Head:
        """embedding: (classes, e). levels: of the grid. rows: of the head's tables."""
        hidden, columns, e = config.voxel_hidden, config.column_dim, config.class_dim
        first = weights.take("from_features.weight", hidden, feature_count(history)).T
        occupied, covered = first[:history], first[history : 2 * history]
        around, (x, y, z, copy) = first[2 * history :][:NEIGHBOURS], first[2 * history + NEIGHBOURS :]
        unseen, seen = (Linear.of(weights.at(name), columns, levels, pixels=True) for name in ("prior", "seen_prior"))
        return cls(
            from_column=Linear.of(weights.at("from_column"), columns, hidden, pixels=True),
            from_height=weights.take("from_height", levels, hidden),
            from_proposal=weights.take("from_proposal", NUM_CLASSES, hidden),
            from_horizon=weights.take("from_horizon", rows, hidden),
            middle=Linear.of(weights.at("middle"), hidden, hidden),
            out_weight=weights.take("out_weight", rows, 1 + e, hidden),
            out_bias=weights.take("out_bias", rows, 1 + e),
            prior=(unseen, seen),
            gate=weights.take("gate", rows, STRATA, SIGNS + 1),
            prior_gate=weights.take("prior_gate", rows, 2, SIGNS + 1),
            naming=weights.take("naming", rows),
            named_right=weights.take("named_right", rows, NUM_CLASSES),
            missed=weights.take("missed", rows, NUM_CLASSES),
            threshold=weights.take("threshold", rows, NUM_CLASSES),
            names=embedding.T,
            near=_subsets(9) @ around.reshape(3, 9, -1),
            frames=np.concatenate([occupied, copy[None]]),
            covered=_subsets(history) @ covered,
            shift=np.stack([x, y]),
            lift=z,
        )

    def of_columns(self, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """(n, hidden): what the features of some columns add. rows: (n,) int32 of them."""
        return self.from_column(columns[rows])


def _subsets(count: int) -> np.ndarray:
    """float32 (2 ** count, count): row n has the bits of n."""
    return ((np.arange(2**count)[:, None] >> np.arange(count)) & 1).astype(np.float32)


def fill_columns(grid: VoxelGrid, head: Head, columns: np.ndarray, patch: int, view: ColumnView) -> ForecastFrame:
    """One frame. columns: float32 (X * Y, column_dim), patch after patch, in a patch by x and y."""
    said = _Said.of(grid, head, view)
    near = _candidates(grid, head, said, columns, patch, view)
    far = _by_prior(grid, head, said, columns, patch, view)
    voxels, labels, logits = _merged(near, far)
    return ForecastFrame(grid.shape, voxels, labels, (1 / (1 + np.exp(-logits))).astype(np.float16))


@dataclass(frozen=True)
class _Said:
    """What follows the middle layer in one row of the head's tables, and what height adds to the first.

    occupied: (hidden,). scale, worth: (STRATA,), what the gate makes of a candidate's logit: scale * logit + worth.
    naming: how much is said of a candidate's class against that of the proposal. classes: (hidden, classes) and their
    biases. level, unseen: (classes * Z, hidden) and (Z, hidden), of proposal and height, with and without evidence.
    lanes: a tuple as long as there are hidden numbers.
    """

    occupied: np.ndarray
    scale: np.ndarray
    worth: np.ndarray
    naming: np.float32
    classes: np.ndarray
    classes_bias: np.ndarray
    threshold: np.ndarray
    level: np.ndarray
    unseen: np.ndarray
    lanes: tuple[int, ...]

    @classmethod
    def of(cls, grid: VoxelGrid, head: Head, view: ColumnView) -> _Said:
        row, names = view.row, head.names
        weight, bias, gate = head.out_weight[row], head.out_bias[row], head.gate[row]
        skip = (SKIP_LOGIT * (np.arange(STRATA) % KINDS // WARPED * 2.0 - 1.0)).astype(np.float32)
        added, scale = (gate[:, :SIGNS] * view.signs).sum(axis=1), np.ascontiguousarray(gate[:, SIGNS])
        shift = view.motions[-1, 2] / grid.voxel[2]
        height = head.from_height + head.from_horizon[row]
        level = height + np.float32(shift - np.floor(shift + 0.5)) * head.lift
        return cls(
            weight[0], scale, added + scale * (bias[0] + skip), head.naming[row], weight[1:].T @ names,
            bias[1:] @ names, head.threshold[row], (head.from_proposal[:, None] + level).reshape(-1, weight.shape[1]),
            head.from_proposal[0] + height, (0,) * weight.shape[1],
        )  # fmt: skip

    def labelled(self, described: np.ndarray, say: np.float32, proposal: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """(n,) uint8 classes, 0 for voxels below the threshold of theirs. described: (n, hidden), rectified. say: 0 to
        1, how much it has to say against the proposal. proposal: (n,) classes, 0 none. logits: (n,)."""
        scores = described @ (say * self.classes)
        scores += say * self.classes_bias
        labels = np.empty(len(scores), np.uint8)
        label(scores, proposal, np.float32(CLASS_SKIP), logits, self.threshold, labels)
        return labels


Found = tuple[np.ndarray, np.ndarray, np.ndarray]
"""(n,) voxels, labels and logits of those above the least threshold, ascending."""


def _candidates(grid: VoxelGrid, head: Head, said: _Said, columns: np.ndarray, patch: int, view: ColumnView) -> Found:
    """Of the candidates."""
    bits, past, count, nz = view.bits, view.past.arrays, view.past.count, grid.shape[2]
    room, width = _CANDIDATES + nz, len(said.lanes)
    gathered, lattices = Gathered.room(room, count), Lattices.of(grid, view.motions)
    hidden, middle = (np.empty((room, width), np.float32) for _ in range(2))
    kept, near_logits = np.empty(room, np.int32), np.empty(room, np.float32)
    total = int(bits.offsets[-1])
    voxels, labels, logits = np.empty(total, np.int32), np.empty(total, np.uint8), np.empty(total, np.float32)
    ring, least, frames = rings(grid), said.threshold.min(), (0,) * (count + 1)
    found, column = 0, 0
    while column < len(bits.offsets) - 1:
        end = chunk_end(bits.offsets, column, _CANDIDATES)
        filled, n = gather(column, end, past, bits, lattices, grid.shape, patch, ring, gathered)
        shared = head.of_columns(columns, gathered.rows[:filled, 0])
        add_cover(gathered.rows, gathered.shifts, head.covered, head.shift, said.lanes, shared)
        first_layer(gathered, shared, said.level, head.near, head.frames, nz, said.lanes, frames, hidden[:n])
        after = np.matmul(hidden[:n], head.middle.weight, out=middle[:n])
        m = judge(
            after, head.middle.bias, gathered.strata, said.occupied, said.scale, said.worth, least, said.lanes, kept,
            near_logits,
        )  # fmt: skip
        part, chosen = slice(found, found + m), kept[:m]
        voxels[part], logits[part] = gathered.voxels[chosen], near_logits[:m]
        labels[part] = said.labelled(after[:m], said.naming, gathered.proposal[chosen], near_logits[:m])
        found, column = found + m, end
    return voxels[:found], labels[:found], logits[:found]


def _by_prior(grid: VoxelGrid, head: Head, said: _Said, columns: np.ndarray, patch: int, view: ColumnView) -> Found:
    """Of the voxels that are no candidates: by one prior in columns that no frame of the past covers, by another in
    those that one does."""
    weights, biases = [], []
    for layer, gate in zip(head.prior, head.prior_gate[view.row], strict=True):
        worth, scale = gate[:SIGNS] @ view.signs[NEWS], gate[SIGNS]
        weights.append(scale * layer.weight.T)
        biases.append(worth + scale * layer.bias)
    voxels, rows, logits = above(
        columns, np.stack(weights), np.stack(biases), said.threshold.min(), view.bits.source, view.bits.candidates,
        grid.shape, patch,
    )  # fmt: skip
    if taken := surplus(logits, len(view.past.latest.voxels)):
        logits = logits - np.float32(taken)
        left = logits > said.threshold.min()
        voxels, rows, logits = voxels[left], rows[left], logits[left]
    hidden = np.maximum(head.of_columns(columns, rows) + said.unseen[voxels % grid.shape[2]], 0)
    described = np.maximum(head.middle(hidden), 0)
    return voxels, said.labelled(described, np.float32(1), np.zeros(len(voxels), np.uint8), logits), logits


def _merged(one: Found, other: Found) -> Found:
    """Two ascending lists as one."""
    total = len(one[0]) + len(other[0])
    out = np.empty(total, np.int32), np.empty(total, np.uint8), np.empty(total, np.float32)
    _merge(one, other, out)
    return out


@loop
def _merge(one, other, out):
    a = b = 0
    for n in range(len(out[0])):
        if b == len(other[0]) or (a < len(one[0]) and one[0][a] < other[0][b]):
            out[0][n], out[1][n], out[2][n] = one[0][a], one[1][a], one[2][a]
            a += 1
        else:
            out[0][n], out[1][n], out[2][n] = other[0][b], other[1][b], other[2][b]
            b += 1
