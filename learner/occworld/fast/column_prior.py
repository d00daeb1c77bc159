"""Voxels without evidence, by the priors of their columns: only levels that can matter are ever computed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from occ_core.loops import arithmetic
from occworld.bit_columns import has

_ROUNDING = 1e-3  # a logit that is as good as on a threshold is computed
_BAND = 8  # levels that are ruled out together
_ROOM = 16384  # voxels that are found before more room is made
_MOST_NEW = 0.25  # of as many voxels as there are now
_HALVINGS = 20


def surplus(logits: np.ndarray, present: int) -> float:
    """What to take from the logits (n,) of all voxels without evidence, so that no more of them are expected than a
    quarter of those that there are now; 0 nearly always. present: voxels of the latest frame.

    Where features of columns are like none that were trained on, in a turn too tight for instance, priors may fill all
    that nobody has seen: thirty times as many voxels as come. The shipped model's expect 0.07 of the present at most.
    """
    most = _MOST_NEW * present

    def expected(taken: float) -> float:
        return float((1 / (1 + np.exp(taken - logits))).sum())

    if expected(0.0) <= most:
        return 0.0
    low, high = 0.0, float(logits.max()) + np.log(len(logits) / max(most, 1.0)) + 1
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if expected(middle) > most else (low, middle)
    return high


def above(
    columns: np.ndarray, weights: np.ndarray, biases: np.ndarray, least: float, source: np.ndarray,
    candidates: np.ndarray, shape: tuple[int, int, int], patch: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """(n,) int32 voxels, ascending, that are no candidates and whose logit is above the least threshold, (n,) int32 the
    rows of their columns, and (n,) float32 those logits.

    columns: float32 (X * Y, d), patch after patch. weights, biases: (2, Z, d) and (2, Z), of columns that no frame
    covers and of those that one does. source, candidates: as of `BitView`.
    """
    bands = range(0, shape[2], _BAND)
    largest, smallest = (of.reduceat(weights, bands, axis=1) for of in (np.maximum, np.minimum))
    priors = _Priors(weights, biases, largest, smallest, np.maximum.reduceat(biases, bands, axis=1))
    area, width = patch * patch, columns.shape[1]
    room = max(_ROOM, area * shape[2])
    buffers = np.empty(area, np.int64), np.empty(width, np.float32), np.empty(width, np.float32)
    parts, place = [], 0
    while place < len(columns) // area:
        part = np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.float32)
        found, place = _above(
            place, columns, priors, np.float32(least), source, candidates, shape, patch, (0,) * width, buffers, *part
        )  # fmt: skip
        parts.append(tuple(values[:found] for values in part))
    voxels, rows, logits = (np.concatenate(values) for values in zip(*parts, strict=True))
    order = np.argsort(voxels)
    return voxels[order], rows[order], logits[order]


class _Priors(NamedTuple):
    """weights: (2, Z, d), biases: (2, Z). largest, smallest: (2, bands, d), of the weights of each band of levels, and
    band_biases: (2, bands), the largest of their biases."""

    weights: np.ndarray
    biases: np.ndarray
    largest: np.ndarray
    smallest: np.ndarray
    band_biases: np.ndarray


@arithmetic
def _above(place, columns, priors, least, source, candidates, shape, patch, lanes, buffers, voxels, rows, logits):
    """As `above`, of patches from `place` on as long as there is room. Returns how many there are, and the next place.

    lanes: a tuple of d: the compiler knows its length, and makes vectors of it. The columns of a patch are alike: what
    the largest and the smallest of their numbers could come to at most tells which levels are worth computing, a few of
    a hundred.
    """
    ny, nz = shape[1], shape[2]
    across, area = ny // patch, patch * patch
    rounding = np.float32(_ROUNDING)
    numbers, low, high = buffers
    found = 0
    while place < len(columns) // area and found + area * nz <= len(voxels):
        first = place * area
        corner = (place // across) * patch * ny + (place % across) * patch
        place += 1
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
            for band in range(priors.largest.shape[1]):
                most = priors.band_biases[seen, band] + rounding
                for d in range(len(lanes)):
                    up, down = priors.largest[seen, band, d], priors.smallest[seen, band, d]
                    most += max(max(up * low[d], up * high[d]), max(down * low[d], down * high[d]))
                if most <= least:
                    continue
                for k in range(band * _BAND, min(nz, (band + 1) * _BAND)):
                    most = priors.biases[seen, k] + rounding
                    for d in range(len(lanes)):
                        most += max(priors.weights[seen, k, d] * low[d], priors.weights[seen, k, d] * high[d])
                    if most <= least:
                        continue
                    for m in range(count):
                        q = numbers[m]
                        logit = priors.biases[seen, k]
                        for d in range(len(lanes)):
                            logit += columns[first + q, d] * priors.weights[seen, k, d]
                        column = corner + (q // patch) * ny + q % patch
                        if logit > least and not has(candidates, column, k):
                            voxels[found], rows[found], logits[found] = column * nz + k, first + q, logit
                            found += 1
    return found, place
