"""What a frame leaves out because it is less sure than pays, by the IoU that the frame leads to expect of itself.

One half is the right threshold for the fewest wrong voxels, not for IoU: what is more likely than J / (1 + J), with J
the IoU that is reached, raises IoU when it is included. Three seconds ahead J is about 0.2 in a street and 0.6 on open
ground: thresholds fitted on one are wrong on the other. But the gate makes probabilities mean what they say, and so
each frame tells which J to expect of it. What `calibrate` fits on training windows is how often names are right, and
how much of each class is missed altogether.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from occ_core.classes import NUM_CLASSES
from occ_core.sparse_grid import SparseGrid
from occworld.scene import ForecastFrame

_BINS = 40
LEAST, _MOST = 0.1, 0.9
_SWEEPS = 4
_SUPPORT = 200  # voxels of a class below which nothing is concluded
_DOUBT = 20.0  # voxels, as if so many had been named rightly
_MOST_MISSED = 3.0
EDGES = np.linspace(LEAST, 1.0, _BINS + 1)  # of the bins of probability


def decided(frame: ForecastFrame, named_right: np.ndarray, missed: np.ndarray) -> ForecastFrame:
    """A frame without the voxels that are less sure than pays, by the IoU and mIoU that it leads to expect itself.

    frame: with all voxels above the least threshold. named_right, missed: (classes,) as `Counts` has them; where all
    of the first are 0 they were never fitted, and the frame stays as it is.
    """
    if not named_right.any():
        return frame
    flat = _binned(frame)
    said = np.bincount(flat, minlength=NUM_CLASSES * _BINS).reshape(NUM_CLASSES, _BINS)
    said[0] = 0
    hit = said * (EDGES[:-1] + EDGES[1:]) / 2
    right = hit * named_right[:, None]
    least = best_thresholds(Counts(said, right, hit, right.sum(axis=1) * missed), support=1)
    keep = (EDGES[:-1] >= least[:, None] - 1e-9).astype(np.uint8)
    return replace(frame, labels=frame.labels * keep.reshape(-1)[flat])


def _bin_of_halves() -> np.ndarray:
    """The bin of each float16, (65536,), by its bits: a table is read faster than edges are searched."""
    values = np.nan_to_num(np.arange(2**16, dtype=np.uint16).view(np.float16))
    return np.clip(np.searchsorted(EDGES, values.astype(np.float32), side="right") - 1, 0, _BINS - 1)


_BIN_OF_HALF = _bin_of_halves()


def _binned(frame: ForecastFrame) -> np.ndarray:
    """class * bins + the bin of their probability, (n,), of a frame's voxels."""
    return frame.labels * np.int64(_BINS) + _BIN_OF_HALF[frame.odds.view(np.uint16)]


@dataclass
class Counts:
    """Voxels of some frames at one horizon. said, right, hit: (classes, bins), those that were given a class, those of
    them that are of it, and those that are occupied by anything, by the probability given. there: (classes,), in truth.
    """

    said: np.ndarray
    right: np.ndarray
    hit: np.ndarray
    there: np.ndarray

    @classmethod
    def none(cls) -> Counts:
        """Of no frame."""
        said, right, hit = (np.zeros((NUM_CLASSES, _BINS), np.int64) for _ in range(3))
        return cls(said, right, hit, np.zeros(NUM_CLASSES, np.int64))

    def add(self, frame: ForecastFrame, truth: SparseGrid) -> None:
        """Count a frame."""
        there = frame.labels > 0
        flat = _binned(frame)[there]
        named, real = flat // _BINS, truth.classes_at(frame.voxels[there])
        for counts, chosen in ((self.said, flat), (self.right, flat[real == named]), (self.hit, flat[real > 0])):
            counts += np.bincount(chosen, minlength=counts.size).reshape(counts.shape)
        self.there += np.bincount(truth.classes, minlength=NUM_CLASSES)[:NUM_CLASSES]

    def named_right(self) -> np.ndarray:
        """(classes,) float32: of what was given a class and was occupied, how much was of that class."""
        right, hit = self.right.sum(axis=1), self.hit.sum(axis=1)
        return ((right + _DOUBT) / (hit + _DOUBT)).astype(np.float32)

    def missed(self) -> np.ndarray:
        """(classes,) float32: voxels of each class over those of them that were found; 1 for one too rare to tell."""
        found = self.right.sum(axis=1)
        share = np.clip(self.there / np.maximum(found, 1), 1, _MOST_MISSED)
        return np.where(found >= _SUPPORT, share, 1).astype(np.float32)


def best_thresholds(counts: Counts, support: int = _SUPPORT) -> np.ndarray:
    """(classes,) probabilities from which IoU of occupied voxels and mIoU together are largest.

    Found class by class, again and again. A class that is too rare to tell keeps one half; that of 'empty', which is
    never said, is the highest.
    """
    said, right, hit = (c[:, ::-1].cumsum(axis=1)[:, ::-1] for c in (counts.said, counts.right, counts.hit))
    common = [c for c in range(1, NUM_CLASSES) if counts.there[c] >= support]
    occupied = counts.there[1:].sum()
    class_iou = right / np.maximum(said + counts.there[:, None] - right, 1)
    allowed = int(np.searchsorted(EDGES, _MOST))
    chosen = np.full(NUM_CLASSES, int(np.searchsorted(EDGES, 0.5)))
    for _ in range(_SWEEPS):
        for c in common:
            rest = [other for other in range(1, NUM_CLASSES) if other != c]
            others_said, others_hit = said[rest, chosen[rest]].sum(), hit[rest, chosen[rest]].sum()
            both, either = others_hit + hit[c], occupied + others_said + said[c]
            quality = both / np.maximum(either - both, 1) + class_iou[c] / len(common)
            chosen[c] = int(quality[:allowed].argmax())
    chosen[0] = chosen[1:].max()
    return EDGES[chosen]
