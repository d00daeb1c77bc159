"""How sure the fast model must be before it calls a voxel occupied: per horizon and class, from training windows.

One half is the right threshold for the fewest wrong voxels, not for IoU: what is more likely than J / (1 + J), with J
the IoU that is reached, raises IoU when it is included. Three seconds ahead J is about 0.2, and a model that waits for
one half says less than it knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from occ_core.classes import NUM_CLASSES
from occworld.dataset import GazeboOccWorldDataset
from occworld.evaluator import evenly
from occworld.scene import ForecastFrame, Scene

if TYPE_CHECKING:
    from occworld.fast.model import FastOccWorld

_BINS = 40
_LEAST, _MOST = 0.1, 0.9
_SWEEPS = 4
_SUPPORT = 200  # voxels of a class below which nothing is concluded
EDGES = np.linspace(_LEAST, 1.0, _BINS + 1)  # of the bins of probability


def calibrate(model: FastOccWorld, data: GazeboOccWorldDataset, limit: int | None = None) -> None:
    """Set `model.head.threshold` from windows of a dataset, with and without a plan. Leaves the model in eval mode."""
    model.eval()
    model.head.threshold.fill_(float(_logit(_LEAST)))
    rows = [Counts.none() for _ in range(2 * model.steps)]
    for index in tqdm(evenly(len(data), limit), desc="calibrating", unit="window", leave=False):
        window = data[index]
        for planned in (False, True):
            result = model.forecast(Scene.of(model.grid, window, planned))
            for step, frame in enumerate(result.frames):
                truth = window.frames[window.history + step].dense(model.grid.shape)
                rows[step + model.steps * planned].add(frame, truth)
    best = np.stack([best_thresholds(counts) for counts in rows])
    model.head.threshold.copy_(torch.from_numpy(_logit(best).astype(np.float32)))


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

    def add(self, frame: ForecastFrame, truth: np.ndarray) -> None:
        """Count a frame. truth: uint8 (X, Y, Z)."""
        truth = truth.reshape(-1)
        there = frame.labels > 0
        named, real = frame.labels[there].astype(int), truth[frame.voxels[there]]
        sure = frame.odds[there].astype(np.float32)
        bins = np.clip(np.searchsorted(EDGES, sure, side="right") - 1, 0, _BINS - 1)
        flat = named * _BINS + bins
        for counts, chosen in ((self.said, flat), (self.right, flat[real == named]), (self.hit, flat[real > 0])):
            counts += np.bincount(chosen, minlength=counts.size).reshape(counts.shape)
        self.there += np.bincount(truth, minlength=NUM_CLASSES)[:NUM_CLASSES]


def best_thresholds(counts: Counts) -> np.ndarray:
    """(classes,) probabilities from which IoU of occupied voxels and mIoU together are largest.

    Found class by class, again and again. A class that is too rare to tell keeps one half; that of 'empty', which is
    never said, is the highest.
    """
    said, right, hit = (c[:, ::-1].cumsum(axis=1)[:, ::-1] for c in (counts.said, counts.right, counts.hit))
    common = [c for c in range(1, NUM_CLASSES) if counts.there[c] >= _SUPPORT]
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


def _logit(probability: float | np.ndarray) -> np.ndarray:
    return np.log(probability) - np.log1p(-np.asarray(probability))
