"""A forecast frame on a processor: the voxel head as compiled loops over columns of bits.

The same function as `fill.fill`, by other means. Of the head's first layer nearly all inputs are bits: the 27 voxels
about a candidate are three rows of tables with 512 rows, what is of a column is added up once for it, and a grid is
never written out. What is left for a matrix product is the layer in the middle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numba
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from occ_core.grid import VoxelGrid
from occworld.bit_columns import BitPast, BitView, class_at, has, lowest, window
from occworld.fast.tokenizer import SparsePatchify
from occworld.fast.voxel_head import CLASS_SKIP, SKIP_LOGIT, VoxelHead
from occworld.hindcast import KINDS, STRATA, WARPED, rings, stratum
from occworld.history_features import NEIGHBOURS
from occworld.scene import ForecastFrame

_CANDIDATES = 4096  # so many at a time: what is between two layers stays in a core's own cache
_ROUNDING = 1e-3  # a logit that is as good as on a threshold is computed
_SPAN = 62  # levels that are looked at in one word
_PATTERNS = 512  # of the nine voxels in three columns beside each other


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
    each frame's occupancy and of 'occupied in the current frame'. column: (t + 2, hidden), those of each frame's
    coverage and of the shift within a voxel. lift: (hidden,), of the shift in height.
    """

    head: VoxelHead
    embedding: Tensor
    near: np.ndarray
    frames: np.ndarray
    column: np.ndarray
    lift: Tensor

    @classmethod
    def of(cls, head: VoxelHead, embedding: Tensor, history: int) -> HeadTables:
        """embedding: (classes, e). Weights are read, none is kept."""
        weight = head.from_features.weight.T.float()
        occupied, covered = weight[:history], weight[history : 2 * history]
        around, (x, y, z, copy) = weight[2 * history :][:NEIGHBOURS], weight[2 * history + NEIGHBOURS :]
        patterns = (np.arange(_PATTERNS)[:, None] >> np.arange(9)) & 1
        near = torch.from_numpy(patterns).float() @ around.reshape(3, 9, -1)
        return cls(
            head, embedding, near.contiguous().numpy(), torch.cat([occupied, copy[None]]).numpy(),
            torch.cat([covered, x[None], y[None]]).numpy(), z,
        )  # fmt: skip


def fold_view(fold: SparsePatchify, table: Tensor, view: ColumnView) -> tuple[Tensor, Tensor]:
    """What `SparsePatchify` makes of the aligned history, (c, h, w), and which part of each patch it covers, (h, w).

    table: `fold.table()`.
    """
    past, bits = view.past.rows, view.bits
    folded = fold.bias.detach().numpy()[None].repeat(fold.size[0] * fold.size[1], axis=0)
    cover = np.zeros(len(folded), np.float32)
    _fold(
        past.bits, past.starts, past.classes, bits.warped, bits.source, bits.origin, bits.lift, fold.shape, fold.patch,
        fold.class_rows(), table.numpy(), folded, cover,
    )  # fmt: skip
    return torch.from_numpy(folded).T.reshape(-1, *fold.size), torch.from_numpy(cover).reshape(fold.size)


def fill_columns(grid: VoxelGrid, tables: HeadTables, columns: Tensor, patch: int, view: ColumnView) -> ForecastFrame:
    """One frame. columns: (X * Y, column_dim), patch after patch, in a patch by x and y."""
    head = tables.head
    base = F.linear(columns, head.from_column.weight[:, :, 0, 0], head.from_column.bias)
    shift = view.motions[-1, 2] / grid.voxel[2]
    level = head.from_height + head.from_horizon[view.row] + float(shift - np.floor(shift + 0.5)) * tables.lift
    with_evidence = (head.from_proposal[:, None] + level).flatten(0, 1).numpy()
    without = (head.from_proposal[0] + head.from_height + head.from_horizon[view.row]).numpy()
    said = _Said.of(tables, view)
    parts = [_candidates(grid, tables, said, base.numpy(), with_evidence, patch, view)]
    parts.append(_by_prior(grid, tables, said, columns, base.numpy(), without, patch, view))
    voxels, labels, odds = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(voxels)
    return ForecastFrame(grid.shape, voxels[order], labels[order], odds[order].astype(np.float16))


@dataclass(frozen=True)
class _Said:
    """What follows the middle layer in one row. occupied: (hidden,). scale, worth: (STRATA,), what the gate makes of
    the logit of a candidate: scale * logit + worth. naming: how much is said of a candidate's class against that of the
    proposal. classes: (hidden, classes), with their biases. lanes, names: tuples as long as there are hidden numbers
    and classes."""

    occupied: np.ndarray
    scale: np.ndarray
    worth: np.ndarray
    naming: np.float32
    classes: np.ndarray
    classes_bias: np.ndarray
    threshold: np.ndarray
    lanes: tuple[int, ...]
    names: tuple[int, ...]

    @classmethod
    def of(cls, tables: HeadTables, view: ColumnView) -> _Said:
        head, row, names = tables.head, view.row, tables.embedding.T
        weight, bias = head.out_weight[row], head.out_bias[row]
        skip = SKIP_LOGIT * (torch.arange(STRATA) % KINDS // WARPED * 2.0 - 1.0)
        added, scale = head.weighed(row, torch.from_numpy(view.signs))
        worth = added + scale * (bias[0] + skip)
        return cls(
            weight[0].numpy(), scale.contiguous().numpy(), worth.numpy(), np.float32(head.naming[row]),
            (weight[1:].T @ names).contiguous().numpy(), (bias[1:] @ names).numpy(), head.threshold[row].numpy(),
            (0,) * weight.shape[1], (0,) * names.shape[1],
        )  # fmt: skip


def _middle(head: VoxelHead, hidden: np.ndarray, out: Tensor) -> np.ndarray:
    """The layer in the middle, before its rectifier. hidden: (n, hidden). out: at least as many rows."""
    return torch.addmm(head.middle.bias, torch.from_numpy(hidden), head.middle.weight.T, out=out[: len(hidden)]).numpy()


def _candidates(
    grid: VoxelGrid, tables: HeadTables, said: _Said, base: np.ndarray, table: np.ndarray, patch: int, view: ColumnView
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """(n,) voxels, labels and probabilities of those above the least threshold."""
    past, bits, width = view.past.rows, view.bits, base.shape[1]
    total, nz = int(bits.offsets[-1]), grid.shape[2]
    out = np.empty(total, np.int32), np.empty(total, np.uint8), np.empty(total, np.float32)
    room = _CANDIDATES + nz
    voxels, proposal = np.empty(room, np.int32), np.empty(room, np.uint8)
    strata, hidden, middle = np.empty(room, np.uint8), np.empty((room, width), np.float32), torch.empty(room, width)
    lower, voxel, motions = np.array(grid.lower), np.array(grid.voxel), np.asarray(view.motions, float)
    found, column = 0, 0
    while column < len(bits.offsets) - 1:
        end = _end(bits.offsets, column, _CANDIDATES)
        n = _first_layer(
            column, end, past.bits, past.solid, past.starts, past.classes, bits.warped, bits.source, bits.origin,
            bits.lift, bits.candidates, motions, lower, voxel, grid.shape, patch, base, table, tables.near,
            tables.frames, tables.column, rings(grid), said.lanes, voxels, proposal, strata, hidden,
        )  # fmt: skip
        found += _judge(
            _middle(tables.head, hidden[:n], middle), voxels, proposal, strata, said.occupied, said.scale, said.worth,
            said.naming, said.classes, said.classes_bias, said.threshold, said.lanes, said.names,
            *(part[found:] for part in out),
        )  # fmt: skip
        column = end
    return out[0][:found], out[1][:found], out[2][:found]


def _by_prior(
    grid: VoxelGrid, tables: HeadTables, said: _Said, columns: Tensor, base: np.ndarray, table: np.ndarray, patch: int,
    view: ColumnView,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """As `_candidates`, of the voxels that are none: by one prior in columns that no frame of the past covers, by
    another in those that one does."""
    head, told = tables.head, torch.from_numpy(view.signs)
    weights, biases = [], []
    for seen, layer in enumerate((head.prior, head.seen_prior)):
        worth, scale = head.weighed_prior(view.row, bool(seen), told)
        weights.append((scale * layer.weight[:, :, 0, 0]).numpy())
        biases.append((worth + scale * cast(Tensor, layer.bias)).numpy())
    found, rows, likely = _above(
        columns.numpy(), np.stack(weights), np.stack(biases), float(said.threshold.min()), view.bits.source,
        view.bits.candidates, grid.shape, patch, (0,) * weights[0].shape[1],
    )  # fmt: skip
    labels = np.empty(len(found), np.uint8)
    middle = torch.empty(_CANDIDATES, base.shape[1])
    for start in range(0, len(found), _CANDIDATES):
        part = slice(start, start + _CANDIDATES)
        hidden = np.maximum(base[rows[part]] + table[found[part] % grid.shape[2]], 0)
        _name(
            _middle(head, hidden, middle), likely[part], said.classes, said.classes_bias, said.threshold, said.names,
            labels[part],
        )  # fmt: skip
    return found, labels, 1 / (1 + np.exp(-likely))


@numba.njit(cache=True, nogil=True)
def _end(offsets, begin, most):
    """Behind the last column of those from `begin` on that hold so many candidates at most, or that one alone."""
    end = begin + 1
    while end < len(offsets) - 1 and offsets[end + 1] - offsets[begin] <= most:
        end += 1
    return end


@numba.njit(cache=True, nogil=True)
def _fold(bits, starts, classes, warped, source, origin, lift, shape, patch, class_rows, table, folded, cover):
    ny = shape[1]
    across = ny // patch
    share = np.float32(1.0 / (patch * patch))
    for column in range(len(warped)):
        t = source[column]
        if t < 0:
            continue
        x, y = column // ny, column % ny
        place = (x // patch) * across + y // patch
        cover[place] += share
        for w in range(warped.shape[1]):
            word = warped[column, w]
            while word:
                level = 64 * w + lowest(word)
                word &= word - np.uint64(1)
                kind = class_at(bits, starts, classes, t * len(warped) + origin[column], level + lift[t])
                row = ((class_rows[kind] + level) * patch + x % patch) * patch + y % patch
                for c in range(folded.shape[1]):
                    folded[place, c] += table[row, c]


@numba.njit(cache=True, inline="always")
def _warped_class(bits, starts, classes, source, origin, lift, column, level):
    t = source[column]
    return class_at(bits, starts, classes, t * len(source) + origin[column], level + lift[t])


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _first_layer(
    begin, end, bits, solid, starts, classes, warped, source, origin, lift, candidates, motions, lower, voxel, shape,
    patch, base, table, near, frame_weights, column_weights, ring, lanes, voxels, proposal, strata, hidden,
):  # fmt: skip
    """Of the candidates in columns begin ... end - 1: voxel, proposal, stratum and the first layer. Returns how many.

    lanes: a tuple as long as a row of `hidden`: the compiler knows its length, and makes vectors of it.
    """
    nx, ny, nz = shape
    count, latest, columns = len(motions), len(motions) - 1, nx * ny
    cosines, sines = np.cos(motions[:, 3]), np.sin(motions[:, 3])
    whole = np.floor(motions[:, 2] / voxel[2]).astype(np.int64)
    up = motions[:, 2] / voxel[2] - whole
    # Between two levels: neither, the lower, the upper, both are occupied.
    blend = np.zeros((count, 4), np.float32)
    for t in range(count):
        blend[t, 1], blend[t, 2], blend[t, 3] = 1.0 - up[t], up[t], 1.0
    cell = np.empty((count, 4), np.int64)
    weight = np.empty((count, 4), np.float32)
    around = np.empty(9, np.int64)
    # Words of 64 levels, of which 62 are looked at: those above and below are in the same word.
    span = np.uint64((1 << _SPAN) - 1)
    of_cell = np.zeros((count, 4), np.uint64)
    of_frame = np.zeros(count, np.uint64)
    of_near = np.zeros(9, np.uint64)
    of_column = np.empty(len(lanes), np.float32)
    share = np.empty(count + 1, np.float32)
    # What coverage by each set of frames adds.
    covered = np.zeros((1 << count, len(lanes)), np.float32)
    for frames in range(1, 1 << count):
        for t in range(count):
            if (frames >> t) & 1:
                covered[frames] += column_weights[t]
    du, dv = np.float32(0.0), np.float32(0.0)
    n = 0
    for column in range(begin, end):
        filled = False
        for w in range(candidates.shape[1]):
            filled |= candidates[column, w] != 0
        if not filled:
            continue
        i, j = column // ny, column % ny
        row = ((i // patch) * (ny // patch) + j // patch) * patch * patch + (i % patch) * patch + j % patch
        x, y = lower[0] + (i + 0.5) * voxel[0], lower[1] + (j + 0.5) * voxel[1]
        covers = 0
        for t in range(count):
            u = (cosines[t] * x - sines[t] * y + motions[t, 0] - lower[0]) / voxel[0] - 0.5
            v = (sines[t] * x + cosines[t] * y + motions[t, 1] - lower[1]) / voxel[1] - 0.5
            a, b = np.int64(np.floor(u)), np.int64(np.floor(v))
            right, up_there = np.float32(u - a), np.float32(v - b)
            first_in, last_in = 0 <= a < nx, -1 <= a < nx - 1
            left_in, right_in = 0 <= b < ny, -1 <= b < ny - 1
            corner = a * ny + b
            cell[t, 0] = corner if first_in and left_in else -1
            cell[t, 1] = corner + 1 if first_in and right_in else -1
            cell[t, 2] = corner + ny if last_in and left_in else -1
            cell[t, 3] = corner + ny + 1 if last_in and right_in else -1
            weight[t, 0] = (1 - right) * (1 - up_there)
            weight[t, 1] = (1 - right) * up_there
            weight[t, 2] = right * (1 - up_there)
            weight[t, 3] = right * up_there
            if (first_in or last_in) and (left_in or right_in):
                covers |= 1 << t
            if t == latest:
                du, dv = np.float32(u - np.floor(u + 0.5)), np.float32(v - np.floor(v + 0.5))
        for h in range(len(lanes)):
            of_column[h] = (
                base[row, h] + covered[covers, h] + du * column_weights[count, h] + dv * column_weights[count + 1, h]
            )
        for m in range(9):
            ia, ib = i + m // 3 - 1, j + m % 3 - 1
            around[m] = ia * ny + ib if 0 <= ia < nx and 0 <= ib < ny else -1
        for base_level in range(0, nz, _SPAN):
            word = window(candidates, column, base_level) & span
            if word == 0:
                continue
            for m in range(9):
                of_near[m] = window(warped, around[m], base_level - 1) if around[m] >= 0 else np.uint64(0)
            for t in range(count):
                of_frame[t] = 0
                for m in range(4):
                    if cell[t, m] >= 0:
                        of_cell[t, m] = window(solid, t * columns + cell[t, m], base_level + whole[t])
                        of_frame[t] |= of_cell[t, m]
                    else:
                        of_cell[t, m] = 0
            copies = window(bits, latest * columns + column, base_level)
            earlier = window(bits, max(latest - 1, 0) * columns + column, base_level)
            while word:
                bit = np.uint64(lowest(word))
                word &= word - np.uint64(1)
                k = base_level + np.int64(bit)
                copied = (copies >> bit) & np.uint64(1)
                there = ((of_near[4] >> bit) & np.uint64(2)) != 0
                if there:
                    kind = _warped_class(bits, starts, classes, source, origin, lift, column, k)
                elif (of_near[1] >> bit) & np.uint64(2):
                    kind = _warped_class(bits, starts, classes, source, origin, lift, column - ny, k)
                elif (of_near[7] >> bit) & np.uint64(2):
                    kind = _warped_class(bits, starts, classes, source, origin, lift, column + ny, k)
                elif (of_near[3] >> bit) & np.uint64(2):
                    kind = _warped_class(bits, starts, classes, source, origin, lift, column - 1, k)
                elif (of_near[5] >> bit) & np.uint64(2):
                    kind = _warped_class(bits, starts, classes, source, origin, lift, column + 1, k)
                elif (of_near[4] >> bit) & np.uint64(1):
                    kind = _warped_class(bits, starts, classes, source, origin, lift, column, k - 1)
                elif (of_near[4] >> bit) & np.uint64(4):
                    kind = _warped_class(bits, starts, classes, source, origin, lift, column, k + 1)
                else:
                    kind = class_at(bits, starts, classes, latest * columns + column, k)
                for t in range(count):
                    total = np.float32(0.0)
                    if (of_frame[t] >> bit) & np.uint64(3):
                        for m in range(4):
                            total += weight[t, m] * blend[t, np.int64((of_cell[t, m] >> bit) & np.uint64(3))]
                    share[t] = total
                share[count] = copied
                voxels[n], proposal[n] = column * nz + k, kind
                before = (earlier >> bit) & np.uint64(1)
                strata[n] = stratum(ring[column], kind, there and source[column] == latest, copied, before)
                first, second, third = np.int64(0), np.int64(0), np.int64(0)
                for m in range(3):
                    first |= np.int64((of_near[m] >> bit) & np.uint64(7)) << (3 * m)
                    second |= np.int64((of_near[3 + m] >> bit) & np.uint64(7)) << (3 * m)
                    third |= np.int64((of_near[6 + m] >> bit) & np.uint64(7)) << (3 * m)
                at = kind * nz + k
                for h in range(len(lanes)):
                    hidden[n, h] = (
                        of_column[h] + table[at, h] + near[0, first, h] + near[1, second, h] + near[2, third, h]
                    )
                for t in range(count + 1):
                    if share[t] != 0.0:
                        for h in range(len(lanes)):
                            hidden[n, h] += share[t] * frame_weights[t, h]
                for h in range(len(lanes)):
                    hidden[n, h] = max(hidden[n, h], np.float32(0.0))
                n += 1
    return n


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _judge(
    middle, voxels, proposal, strata, occupied, scale, worth, naming, classes, classes_bias, threshold, lanes, names,
    out_voxels, out_labels, out_odds,
):  # fmt: skip
    """Write voxels above the least threshold, their classes (0 below their own threshold) and odds; how many."""
    least = threshold.min()
    scores = np.empty(len(threshold), np.float32)
    found = 0
    for n in range(len(middle)):
        logit = np.float32(0.0)
        for h in range(len(lanes)):
            logit += max(middle[n, h], np.float32(0.0)) * occupied[h]
        logit = scale[strata[n]] * logit + worth[strata[n]]
        if logit > least:
            label = _likeliest(middle, n, proposal[n], naming, classes, classes_bias, names, scores)
            out_voxels[found] = voxels[n]
            out_labels[found] = label if logit > threshold[label] else 0
            out_odds[found] = np.float32(1.0) / (np.float32(1.0) + np.exp(-logit))
            found += 1
    return found


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _name(middle, likely, classes, classes_bias, threshold, names, labels):
    """The classes of voxels without evidence, 0 below their own thresholds. likely: (n,) logits."""
    scores = np.empty(len(threshold), np.float32)
    for n in range(len(middle)):
        label = _likeliest(middle, n, 0, np.float32(1.0), classes, classes_bias, names, scores)
        labels[n] = label if likely[n] > threshold[label] else 0


@numba.njit(cache=True, inline="always")
def _likeliest(middle, n, proposal, naming, classes, classes_bias, names, scores):
    """The likeliest class but 'empty'; the proposal is favoured, all the more the less `naming` is, and alone counts
    where that is 0. scores: (classes,), room to work in."""
    if naming == 0:
        return np.int64(proposal)
    for c in range(len(names)):
        scores[c] = naming * classes_bias[c]
    scores[proposal] += np.float32(CLASS_SKIP)
    for h in range(len(classes)):
        value = naming * middle[n, h]
        if value > 0:
            for c in range(len(names)):
                scores[c] += value * classes[h, c]
    label = 1
    for c in range(2, len(names)):
        if scores[c] > scores[label]:
            label = c
    return label


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _above(columns, weights, biases, least, source, candidates, shape, patch, lanes):
    """(n,) int32 voxels that are no candidates and whose logit is above the least threshold, (n,) int32 the rows of
    their columns, and (n,) those logits.

    columns: (X * Y, d), patch after patch. weights, biases: (2, Z, d) and (2, Z), of columns that no frame covers and
    of those that one does. lanes: a tuple of d. The columns of a patch are alike: what the largest and the smallest of
    their numbers could come to at most tells which levels are worth computing, a few of a hundred.
    """
    ny, nz = shape[1], shape[2]
    across, area = ny // patch, patch * patch
    voxels, rows, likely = np.empty(4096, np.int32), np.empty(4096, np.int32), np.empty(4096, np.float32)
    low, high = np.empty(len(lanes), np.float32), np.empty(len(lanes), np.float32)
    numbers = np.empty(area, np.int64)
    found = 0
    for place in range(len(columns) // area):
        first = place * area
        corner = (place // across) * patch * ny + (place % across) * patch
        if found + area * nz > len(voxels):
            voxels = np.concatenate((voxels, np.empty(len(voxels) + area * nz, np.int32)))
            rows = np.concatenate((rows, np.empty(len(voxels) - len(rows), np.int32)))
            likely = np.concatenate((likely, np.empty(len(voxels) - len(likely), np.float32)))
        for seen in range(2):
            count = 0
            for q in range(area):
                if (source[corner + (q // patch) * ny + q % patch] >= 0) == (seen == 1):
                    numbers[count] = q
                    count += 1
            if count == 0:
                continue
            for d in range(len(lanes)):
                low[d] = high[d] = columns[first + numbers[0], d]
            for m in range(1, count):
                for d in range(len(lanes)):
                    value = columns[first + numbers[m], d]
                    low[d], high[d] = min(low[d], value), max(high[d], value)
            for k in range(nz):
                most = biases[seen, k] + np.float32(_ROUNDING)
                for d in range(len(lanes)):
                    most += max(weights[seen, k, d] * low[d], weights[seen, k, d] * high[d])
                if most <= least:
                    continue
                for m in range(count):
                    q = numbers[m]
                    logit = biases[seen, k]
                    for d in range(len(lanes)):
                        logit += columns[first + q, d] * weights[seen, k, d]
                    column = corner + (q // patch) * ny + q % patch
                    if logit > least and not has(candidates, column, k):
                        voxels[found], rows[found], likely[found] = column * nz + k, first + q, logit
                        found += 1
    return voxels[:found], rows[:found], likely[:found]
