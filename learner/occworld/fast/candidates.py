"""Compiled loops over the candidates of a frame to come: what the past says of each, and the layers of the voxel head.

Numbers of all candidates are gathered first and turned into rows of the first layer after that, in a loop so plain that
the compiler makes vectors of it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from occ_core.grid import VoxelGrid
from occ_core.loops import arithmetic, loop
from occworld.bit_columns import BitView, class_at, class_in_past, lowest, window
from occworld.hindcast import SIGNS, stratum

# The warp baseline as a logit: sure enough to stand at first, weak enough to be overruled.
SKIP_LOGIT = 2.0
CLASS_SKIP = 4.0
# Of a stratum before anything is fitted: weights of its signs, whose sum is added, and how much the logit counts.
GATE = (0.0,) * SIGNS + (1.0,)
_SPAN = 62  # levels that are looked at in one word of 64: those above and below are in the same word


class Lattices(NamedTuple):
    """How the frames of the past lie beside the target's, and room for what they hold of one column.

    motions: (t, 4), the target in each of them. cosines, sines: (t,), of its yaw. whole: (t,) int64 levels that a voxel
    is higher there, and blend: float32 (t, 4), what is left: the share of a voxel whose two levels there are empty, of
    which the lower, the upper, and both are occupied. lower, voxel: of the grid. corners, weights: (t, 4), the columns
    about the centre, -1 outside. around: (9,) columns about it in the target. in_corner, in_frame, near: their words.
    """

    motions: np.ndarray
    cosines: np.ndarray
    sines: np.ndarray
    whole: np.ndarray
    blend: np.ndarray
    lower: np.ndarray
    voxel: np.ndarray
    corners: np.ndarray
    weights: np.ndarray
    around: np.ndarray
    in_corner: np.ndarray
    in_frame: np.ndarray
    near: np.ndarray

    @classmethod
    def of(cls, grid: VoxelGrid, motions: np.ndarray) -> Lattices:
        """motions: (t, 4)."""
        motions, count = np.asarray(motions, float), len(motions)
        levels = motions[:, 2] / grid.voxel[2]
        up = levels - np.floor(levels)
        blend = np.stack([np.zeros(count), 1 - up, up, np.ones(count)], axis=1).astype(np.float32)
        return cls(
            motions, np.cos(motions[:, 3]), np.sin(motions[:, 3]), np.floor(levels).astype(np.int64), blend,
            np.array(grid.lower), np.array(grid.voxel), np.empty((count, 4), np.int64),
            np.empty((count, 4), np.float32), np.empty(9, np.int64), np.empty((count, 4), np.uint64),
            np.empty(count, np.uint64), np.empty(9, np.uint64),
        )  # fmt: skip


class Gathered(NamedTuple):
    """Room for some candidates and their columns.

    Of each column that holds any: rows, int32 (c, 2), its row among the decoder's columns and the set of frames that
    cover it; shifts, float32 (c, 2), where its centre falls within the latest frame's voxel. Of each candidate: voxels,
    int32 (n,), proposal, uint8 (n,), strata, uint8 (n,), column, int32 (n,), the number of its column here, patterns,
    int32 (n, 3), of the 27 voxels about it, and share, float32 (n, t + 1), its occupancy in each frame and whether it
    is occupied in the current frame as it is.
    """

    rows: np.ndarray
    shifts: np.ndarray
    voxels: np.ndarray
    proposal: np.ndarray
    strata: np.ndarray
    column: np.ndarray
    patterns: np.ndarray
    share: np.ndarray

    @classmethod
    def room(cls, size: int, frames: int) -> Gathered:
        """For so many candidates."""
        return cls(
            np.empty((size, 2), np.int32), np.empty((size, 2), np.float32), np.empty(size, np.int32),
            np.empty(size, np.uint8), np.empty(size, np.uint8), np.empty(size, np.int32), np.empty((size, 3), np.int32),
            np.empty((size, frames + 1), np.float32),
        )  # fmt: skip


@loop
def chunk_end(offsets, begin, most):
    """Behind the last column of those from `begin` on that hold so many candidates at most, or that one alone."""
    end = begin + 1
    while end < len(offsets) - 1 and offsets[end + 1] - offsets[begin] <= most:
        end += 1
    return end


@loop
def gather(begin, end, past, view: BitView, lattices: Lattices, shape, patch, ring, out: Gathered):
    """What the past says of the candidates in columns begin ... end - 1. Returns how many columns hold any, and how
    many candidates there are. past: as of `BitPast.arrays`. ring: as of `hindcast.rings`."""
    nx, ny, nz = shape
    at, near = lattices, lattices.near
    count, latest, columns = len(at.motions), len(at.motions) - 1, nx * ny
    span, two, seven = np.uint64((1 << _SPAN) - 1), np.uint64(2), np.uint64(7)
    n, filled = 0, 0
    for column in range(begin, end):
        some = np.uint64(0)
        for w in range(view.candidates.shape[1]):
            some |= view.candidates[column, w]
        if some == 0:
            continue
        i, j = column // ny, column % ny
        x, y = at.lower[0] + (i + 0.5) * at.voxel[0], at.lower[1] + (j + 0.5) * at.voxel[1]
        covers = 0
        for t in range(count):
            u = (at.cosines[t] * x - at.sines[t] * y + at.motions[t, 0] - at.lower[0]) / at.voxel[0] - 0.5
            v = (at.sines[t] * x + at.cosines[t] * y + at.motions[t, 1] - at.lower[1]) / at.voxel[1] - 0.5
            a, b = np.int64(np.floor(u)), np.int64(np.floor(v))
            right, up_there = np.float32(u - a), np.float32(v - b)
            first_in, last_in = 0 <= a < nx, -1 <= a < nx - 1
            left_in, right_in = 0 <= b < ny, -1 <= b < ny - 1
            corner = a * ny + b
            at.corners[t, 0] = corner if first_in and left_in else -1
            at.corners[t, 1] = corner + 1 if first_in and right_in else -1
            at.corners[t, 2] = corner + ny if last_in and left_in else -1
            at.corners[t, 3] = corner + ny + 1 if last_in and right_in else -1
            at.weights[t, 0] = (1 - right) * (1 - up_there)
            at.weights[t, 1] = (1 - right) * up_there
            at.weights[t, 2] = right * (1 - up_there)
            at.weights[t, 3] = right * up_there
            if (first_in or last_in) and (left_in or right_in):
                covers |= 1 << t
            if t == latest:
                out.shifts[filled, 0], out.shifts[filled, 1] = u - np.floor(u + 0.5), v - np.floor(v + 0.5)
        out.rows[filled, 0] = (
            ((i // patch) * (ny // patch) + j // patch) * patch * patch + (i % patch) * patch + j % patch
        )
        out.rows[filled, 1] = covers
        for m in range(9):
            ia, ib = i + m // 3 - 1, j + m % 3 - 1
            at.around[m] = ia * ny + ib if 0 <= ia < nx and 0 <= ib < ny else -1
        for base in range(0, nz, _SPAN):
            word = window(view.candidates, column, base) & span
            if word == 0:
                continue
            for m in range(9):
                near[m] = window(view.warped, at.around[m], base - 1) if at.around[m] >= 0 else np.uint64(0)
            for t in range(count):
                at.in_frame[t] = 0
                for m in range(4):
                    at.in_corner[t, m] = 0
                    if at.corners[t, m] >= 0 and t == latest:
                        at.in_corner[t, m] = window(past.bits, at.corners[t, m], base + at.whole[t])
                    elif at.corners[t, m] >= 0:
                        row = t * columns + at.corners[t, m]
                        at.in_corner[t, m] = window(past.before_still, row, base + at.whole[t])
                    at.in_frame[t] |= at.in_corner[t, m]
            copies = window(past.bits, column, base)
            earlier = window(past.before_bits, (latest - 1) * columns + column, base)
            while word:
                bit = np.uint64(lowest(word))
                word &= word - np.uint64(1)
                k = base + np.int64(bit)
                copied, before = (copies >> bit) & np.uint64(1), (earlier >> bit) & np.uint64(1)
                there = (near[4] >> bit) & two
                # The nearest voxel of the warped past: level neighbours first, then below and above.
                nearest, level = column, k
                if there:
                    pass
                elif (near[1] >> bit) & two:
                    nearest = column - ny
                elif (near[7] >> bit) & two:
                    nearest = column + ny
                elif (near[3] >> bit) & two:
                    nearest = column - 1
                elif (near[5] >> bit) & two:
                    nearest = column + 1
                elif (near[4] >> bit) & np.uint64(1):
                    level = k - 1
                elif (near[4] >> bit) & np.uint64(4):
                    level = k + 1
                else:
                    nearest = -1
                if nearest >= 0:
                    kind = class_in_past(past, view.source[nearest], view.origin[nearest], level, view.lift)
                else:
                    kind = class_at(past.bits, past.starts, past.classes, column, k)
                for t in range(count):
                    total = np.float32(0.0)
                    if (at.in_frame[t] >> bit) & np.uint64(3):
                        for m in range(4):
                            total += (
                                at.weights[t, m] * at.blend[t, np.int64((at.in_corner[t, m] >> bit) & np.uint64(3))]
                            )
                    out.share[n, t] = total
                out.share[n, count] = copied
                for c in range(3):
                    out.patterns[n, c] = (
                        ((near[3 * c] >> bit) & seven)
                        | (((near[3 * c + 1] >> bit) & seven) << np.uint64(3))
                        | (((near[3 * c + 2] >> bit) & seven) << np.uint64(6))
                    )
                out.voxels[n], out.proposal[n], out.column[n] = column * nz + k, kind, filled
                foretold = there != 0 and view.source[column] == latest
                out.strata[n] = stratum(ring[column], kind, foretold, copied, before)
                n += 1
        filled += 1
    return filled, n


@arithmetic
def add_cover(rows, shifts, covered, shift_weights, lanes, said):
    """What coverage and shift add to what the decoder says of columns, `said`, (c, hidden).

    rows, shifts: as of `Gathered`. covered: (2 ** t, hidden), of each set of frames. shift_weights: (2, hidden). lanes:
    a tuple as long as there are hidden numbers: the compiler knows its length.
    """
    for c in range(len(said)):
        covers, du, dv = rows[c, 1], shifts[c, 0], shifts[c, 1]
        for h in range(len(lanes)):
            said[c, h] += covered[covers, h] + du * shift_weights[0, h] + dv * shift_weights[1, h]


@arithmetic
def first_layer(gathered: Gathered, said, table, near, frame_weights, nz, lanes, frames, hidden):
    """Rows of the first layer, (n, hidden), of gathered candidates.

    said: (c, hidden), the same for all of a column. table: (classes * Z, hidden), of proposal and level. near,
    frame_weights: as of `HeadTables`. frames: a tuple as long as a row of `share`.
    """
    share = gathered.share
    for n in range(len(hidden)):
        c, at = gathered.column[n], gathered.proposal[n] * nz + gathered.voxels[n] % nz
        first, second, third = gathered.patterns[n, 0], gathered.patterns[n, 1], gathered.patterns[n, 2]
        for h in range(len(lanes)):
            value = said[c, h] + table[at, h] + near[0, first, h] + near[1, second, h] + near[2, third, h]
            for t in range(len(frames)):
                value += share[n, t] * frame_weights[t, h]
            hidden[n, h] = max(value, np.float32(0.0))


@arithmetic
def judge(middle, bias, strata, occupied, scale, worth, least, lanes, kept, logits):
    """Which candidates are above the least threshold: their numbers into `kept`, their logits, and how many.

    middle: (n, hidden), before its bias (hidden,) and its rectifier, which are applied to the rows of those that are
    kept; they move up.
    """
    found = 0
    for n in range(len(middle)):
        logit = np.float32(0.0)
        for h in range(len(lanes)):
            logit += max(middle[n, h] + bias[h], np.float32(0.0)) * occupied[h]
        logit = scale[strata[n]] * logit + worth[strata[n]]
        if logit > least:
            for h in range(len(lanes)):
                middle[found, h] = max(middle[n, h] + bias[h], np.float32(0.0))
            kept[found], logits[found] = n, logit
            found += 1
    return found


@loop
def label(scores, proposal, favour, logits, threshold, labels):
    """Of each row the likeliest class but 'empty', where the proposal is favoured; 0 below its own threshold."""
    for n in range(len(scores)):
        scores[n, proposal[n]] += favour
        best = 1
        for c in range(2, scores.shape[1]):
            if scores[n, c] > scores[n, best]:
                best = c
        labels[n] = best if logits[n] > threshold[best] else 0
