"""A forecast frame on a processor: the voxel head as compiled loops over columns of bits.

The same function as `fill.fill`, by other means. Of the head's first layer nearly all inputs are bits: the 27 voxels
about a candidate are three rows of tables with 512 rows, what is of a column is added up once for it, and a grid is
never written out. What is left for a matrix product is the layer in the middle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from occ_core.grid import VoxelGrid
from occ_core.loops import loop
from occworld.bit_columns import BitPast, BitView, class_in_past, lowest
from occworld.fast.candidates import Gathered, Lattices, add_cover, chunk_end, first_layer, gather, judge, label
from occworld.fast.column_prior import above, surplus
from occworld.fast.tokenizer import SparsePatchify
from occworld.fast.voxel_head import CLASS_SKIP, SKIP_LOGIT, VoxelHead
from occworld.hindcast import KINDS, STRATA, WARPED, rings
from occworld.history_features import NEIGHBOURS
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
class HeadTables:
    """A voxel head for these loops, the same for all steps.

    near: float32 (3, 512, hidden), what three columns of the 27 neighbours add. frames: (t + 1, hidden), the weights of
    each frame's occupancy and of 'occupied in the current frame'. covered: (2 ** t, hidden), what coverage by each set
    of frames adds. shift: (2, hidden), of the shift within a voxel. lift: (hidden,), of the shift in height.
    """

    head: VoxelHead
    embedding: Tensor
    near: np.ndarray
    frames: np.ndarray
    covered: np.ndarray
    shift: np.ndarray
    lift: Tensor

    @classmethod
    def of(cls, head: VoxelHead, embedding: Tensor, history: int) -> HeadTables:
        """embedding: (classes, e). Weights are read, none is kept."""
        weight = head.from_features.weight.T.float()
        occupied, covered = weight[:history], weight[history : 2 * history]
        around, (x, y, z, copy) = weight[2 * history :][:NEIGHBOURS], weight[2 * history + NEIGHBOURS :]
        near = _subsets(9) @ around.reshape(3, 9, -1)
        return cls(
            head, embedding, near.contiguous().numpy(), torch.cat([occupied, copy[None]]).numpy(),
            (_subsets(history) @ covered).numpy(), torch.stack([x, y]).numpy(), z,
        )  # fmt: skip

    def of_columns(self, columns: Tensor, rows: np.ndarray) -> np.ndarray:
        """(n, hidden): what the features of some columns add. rows: (n,) int32 of them."""
        layer = self.head.from_column
        return F.linear(columns.index_select(0, torch.from_numpy(rows)), layer.weight[:, :, 0, 0], layer.bias).numpy()


def _subsets(count: int) -> Tensor:
    """float32 (2 ** count, count): row n has the bits of n."""
    return ((torch.arange(2**count)[:, None] >> torch.arange(count)) & 1).float()


def fold_view(fold: SparsePatchify, table: Tensor, view: ColumnView) -> tuple[Tensor, Tensor]:
    """What `SparsePatchify` makes of the aligned history, (c, h, w), and which part of each patch it covers, (h, w).

    table: `fold.table()`.
    """
    folded = fold.bias.detach().numpy()[None].repeat(fold.size[0] * fold.size[1], axis=0)
    cover = np.zeros(len(folded), np.float32)
    _fold(view.past.arrays, view.bits, fold.shape, fold.patch, fold.class_rows(), table.numpy(), folded, cover)
    return torch.from_numpy(folded).T.reshape(-1, *fold.size), torch.from_numpy(cover).reshape(fold.size)


def fill_columns(grid: VoxelGrid, tables: HeadTables, columns: Tensor, patch: int, view: ColumnView) -> ForecastFrame:
    """One frame. columns: (X * Y, column_dim), patch after patch, in a patch by x and y."""
    said = _Said.of(grid, tables, view)
    near = _candidates(grid, tables, said, columns, patch, view)
    far = _by_prior(grid, tables, said, columns, patch, view)
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
    naming: float
    classes: Tensor
    classes_bias: Tensor
    threshold: np.ndarray
    level: np.ndarray
    unseen: np.ndarray
    lanes: tuple[int, ...]

    @classmethod
    def of(cls, grid: VoxelGrid, tables: HeadTables, view: ColumnView) -> _Said:
        head, row, names = tables.head, view.row, tables.embedding.T
        weight, bias = head.out_weight[row], head.out_bias[row]
        skip = SKIP_LOGIT * (torch.arange(STRATA) % KINDS // WARPED * 2.0 - 1.0)
        added, scale = head.weighed(row, torch.from_numpy(view.signs))
        worth = added + scale * (bias[0] + skip)
        shift = view.motions[-1, 2] / grid.voxel[2]
        height = head.from_height + head.from_horizon[row]
        level = height + float(shift - np.floor(shift + 0.5)) * tables.lift
        return cls(
            weight[0].numpy(), scale.contiguous().numpy(), worth.numpy(), float(head.naming[row]),
            weight[1:].T @ names, bias[1:] @ names, head.threshold[row].numpy(),
            (head.from_proposal[:, None] + level).flatten(0, 1).numpy(), (head.from_proposal[0] + height).numpy(),
            (0,) * weight.shape[1],
        )  # fmt: skip

    def labelled(self, described: Tensor, say: float, proposal: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """(n,) uint8 classes, 0 for voxels below the threshold of theirs. described: (n, hidden), rectified. say: 0 to
        1, how much it has to say against the proposal. proposal: (n,) classes, 0 none. logits: (n,)."""
        scores = torch.addmm(say * self.classes_bias, described, say * self.classes).numpy()
        labels = np.empty(len(scores), np.uint8)
        label(scores, proposal, np.float32(CLASS_SKIP), logits, self.threshold, labels)
        return labels


Found = tuple[np.ndarray, np.ndarray, np.ndarray]
"""(n,) voxels, labels and logits of those above the least threshold, ascending."""


def _middle(head: VoxelHead, hidden: np.ndarray, out: Tensor) -> Tensor:
    """The layer in the middle, before its rectifier. hidden: (n, hidden). out: at least as many rows."""
    return torch.addmm(head.middle.bias, torch.from_numpy(hidden), head.middle.weight.T, out=out[: len(hidden)])


def _candidates(
    grid: VoxelGrid, tables: HeadTables, said: _Said, columns: Tensor, patch: int, view: ColumnView
) -> Found:
    """Of the candidates."""
    bits, past, count, nz = view.bits, view.past.arrays, view.past.count, grid.shape[2]
    room, width = _CANDIDATES + nz, len(said.lanes)
    gathered, lattices = Gathered.room(room, count), Lattices.of(grid, view.motions)
    hidden, middle = np.empty((room, width), np.float32), torch.empty(room, width)
    kept, near_logits = np.empty(room, np.int32), np.empty(room, np.float32)
    total = int(bits.offsets[-1])
    voxels, labels, logits = np.empty(total, np.int32), np.empty(total, np.uint8), np.empty(total, np.float32)
    ring, least, frames = rings(grid), said.threshold.min(), (0,) * (count + 1)
    found, column = 0, 0
    while column < len(bits.offsets) - 1:
        end = chunk_end(bits.offsets, column, _CANDIDATES)
        filled, n = gather(column, end, past, bits, lattices, grid.shape, patch, ring, gathered)
        shared = tables.of_columns(columns, gathered.rows[:filled, 0])
        add_cover(gathered.rows, gathered.shifts, tables.covered, tables.shift, said.lanes, shared)
        first_layer(gathered, shared, said.level, tables.near, tables.frames, nz, said.lanes, frames, hidden[:n])
        after = _middle(tables.head, hidden[:n], middle)
        m = judge(
            after.numpy(), gathered.strata, said.occupied, said.scale, said.worth, least, said.lanes, kept, near_logits
        )  # fmt: skip
        part, chosen = slice(found, found + m), kept[:m]
        voxels[part], logits[part] = gathered.voxels[chosen], near_logits[:m]
        labels[part] = said.labelled(after[:m], said.naming, gathered.proposal[chosen], near_logits[:m])
        found, column = found + m, end
    return voxels[:found], labels[:found], logits[:found]


def _by_prior(grid: VoxelGrid, tables: HeadTables, said: _Said, columns: Tensor, patch: int, view: ColumnView) -> Found:
    """Of the voxels that are no candidates: by one prior in columns that no frame of the past covers, by another in
    those that one does."""
    head, told = tables.head, torch.from_numpy(view.signs)
    weights, biases = [], []
    for seen, layer in enumerate((head.prior, head.seen_prior)):
        worth, scale = head.weighed_prior(view.row, bool(seen), told)
        weights.append((scale * layer.weight[:, :, 0, 0]).numpy())
        biases.append((worth + scale * cast(Tensor, layer.bias)).numpy())
    voxels, rows, logits = above(
        columns.numpy(), np.stack(weights), np.stack(biases), said.threshold.min(), view.bits.source,
        view.bits.candidates, grid.shape, patch,
    )  # fmt: skip
    if taken := surplus(logits, len(view.past.latest.voxels)):
        logits = logits - np.float32(taken)
        left = logits > said.threshold.min()
        voxels, rows, logits = voxels[left], rows[left], logits[left]
    hidden = np.maximum(tables.of_columns(columns, rows) + said.unseen[voxels % grid.shape[2]], 0)
    described = F.relu(_middle(head, hidden, torch.empty(hidden.shape)))
    return voxels, said.labelled(described, 1.0, np.zeros(len(voxels), np.uint8), logits), logits


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


@loop
def _fold(past, view, shape, patch, class_rows, table, folded, cover):
    ny = shape[1]
    across = ny // patch
    share = np.float32(1.0 / (patch * patch))
    for column in range(len(view.warped)):
        t = view.source[column]
        if t < 0:
            continue
        x, y = column // ny, column % ny
        place = (x // patch) * across + y // patch
        cover[place] += share
        for w in range(view.warped.shape[1]):
            word = view.warped[column, w]
            while word:
                level = 64 * w + lowest(word)
                word &= word - np.uint64(1)
                kind = class_in_past(past, t, view.origin[column], level, view.lift)
                row = ((class_rows[kind] + level) * patch + x % patch) * patch + y % patch
                for c in range(folded.shape[1]):
                    folded[place, c] += table[row, c]
