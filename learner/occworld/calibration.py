"""How sure the fast model must be before it calls a voxel occupied: per horizon and class, from training windows.

One half is the right threshold for the fewest wrong voxels, not for IoU: what is more likely than J / (1 + J), with J
the IoU that is reached, raises IoU when it is included. Three seconds ahead J is about 0.2, and a model that waits for
one half says less than it knows.
"""

from __future__ import annotations

import numpy as np
import torch
from tqdm import tqdm

from occ_core.classes import NUM_CLASSES
from occworld.dataset import GazeboOccWorldDataset
from occworld.evaluator import evenly
from occworld.model.fast import FastOccWorld
from occworld.model.scene import ForecastFrame, Scene

_BINS = 40
_LEAST, _MOST = 0.1, 0.6
_SUPPORT = 200  # voxels of a class below which nothing is concluded


def calibrate(model: FastOccWorld, data: GazeboOccWorldDataset, limit: int | None = None) -> None:
    """Set `model.head.threshold` from windows of a dataset, with and without a plan. Leaves the model in eval mode."""
    model.eval()
    model.head.threshold.fill_(float(_logit(_LEAST)))
    rows = 2 * model.steps
    said = np.zeros((rows, NUM_CLASSES, _BINS), np.int64)
    right, there = np.zeros_like(said), np.zeros((rows, NUM_CLASSES), np.int64)
    edges = np.linspace(_LEAST, 1.0, _BINS + 1)
    for index in tqdm(evenly(len(data), limit), desc="calibrating", unit="window", leave=False):
        window = data[index]
        for planned in (False, True):
            result = model.forecast(Scene.of(model.grid, window, planned))
            for step, frame in enumerate(result.frames):
                row = step + model.steps * planned
                truth = window.frames[window.history + step].dense(model.grid.shape)
                counts = _count(frame, truth, edges)
                for total, count in zip((said[row], right[row], there[row]), counts, strict=True):
                    total += count
    model.head.threshold.copy_(torch.from_numpy(_logit(best_thresholds(said, right, there, edges)).astype(np.float32)))


def _count(frame: ForecastFrame, truth: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of one frame: said and right (classes, bins), there (classes,), as of `best_thresholds`."""
    truth = truth.reshape(-1)
    voxels = np.flatnonzero(frame.classes)
    named = frame.classes.reshape(-1)[voxels].astype(int)
    sure = frame.probability.reshape(-1)[voxels].astype(np.float32)
    bins = np.clip(np.searchsorted(edges, sure, side="right") - 1, 0, _BINS - 1)
    flat, hit = named * _BINS + bins, truth[voxels] == named
    size = NUM_CLASSES * _BINS
    said, right = (np.bincount(part, minlength=size).reshape(NUM_CLASSES, _BINS) for part in (flat, flat[hit]))
    return said, right, np.bincount(truth, minlength=NUM_CLASSES)[:NUM_CLASSES]


def best_thresholds(said: np.ndarray, right: np.ndarray, there: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(rows, classes) probabilities from which IoU is largest; one half where a class is too rare to tell.

    said, right: (rows, classes, bins), voxels that were given a class, and rightly, by probability between edges
    (bins + 1,). there: (rows, classes), voxels of it in truth.
    """
    taken, hit = (counts[..., ::-1].cumsum(axis=-1)[..., ::-1] for counts in (said, right))
    iou = hit / np.maximum(taken + there[..., None] - hit, 1)
    allowed = edges[:-1] <= _MOST
    best = edges[:-1][np.where(allowed, iou, -1).argmax(axis=-1)]
    return np.where(there >= _SUPPORT, best, 0.5)


def _logit(probability: float | np.ndarray) -> np.ndarray:
    return np.log(probability) - np.log1p(-np.asarray(probability))
