"""IoU, mIoU and ego-motion errors per horizon, from one confusion matrix each."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from occ_core.classes import DYNAMIC_IDS, NAMES, NUM_CLASSES
from occ_core.loops import loop


@loop
def _tally(prediction, truth, prediction_words, truth_words, keep, out):
    """Eight voxels at a time, since nearly all are empty in both."""
    for word in range(len(truth_words) + 1):
        if word < len(truth_words) and not (prediction_words[word] | truth_words[word]):
            continue
        for v in range(8 * word, min(8 * (word + 1), len(truth))):
            if (prediction[v] | truth[v]) and (len(keep) == 0 or (keep[v >> 3] >> (7 - (v & 7))) & 1):
                out[truth[v], prediction[v]] += 1


def confusion(
    prediction: np.ndarray, truth: np.ndarray, keep: np.ndarray | None = None, classes: int = NUM_CLASSES
) -> np.ndarray:
    """(classes, classes) int64, rows are truth; voxels that are empty in both are not counted.

    prediction, truth: uint8 of one shape. keep: (ceil(size / 8),) uint8 bits of the voxels to look at, or None.
    """
    out = np.zeros((classes, classes), np.int64)
    bits = np.zeros(0, np.uint8) if keep is None else np.ascontiguousarray(keep)
    flat = [np.ascontiguousarray(grid).reshape(-1) for grid in (prediction, truth)]
    words = [grid[: len(grid) // 8 * 8].view(np.uint64) for grid in flat]
    _tally(*flat, *words, bits, out)
    return out


@dataclass(frozen=True)
class HorizonScore:
    """At one horizon. per_class: IoU of the classes that occur. dynamic_iou: moving classes as one, None if none."""

    horizon_s: float
    iou: float
    miou: float
    dynamic_iou: float | None
    dynamic_miou: float | None
    per_class: dict[str, float]


def score(matrix: np.ndarray, horizon_s: float) -> HorizonScore:
    """Scores of a confusion matrix over any number of frames."""
    union = matrix.sum(axis=0) + matrix.sum(axis=1) - np.diag(matrix)
    present = [c for c in range(1, NUM_CLASSES) if matrix[c].sum()]
    per_class = {NAMES[c]: float(matrix[c, c] / union[c]) for c in present}
    moving = [per_class[NAMES[c]] for c in present if c in DYNAMIC_IDS]
    occupied, dynamic = np.arange(1, NUM_CLASSES), np.array(DYNAMIC_IDS)
    return HorizonScore(
        horizon_s=horizon_s,
        iou=_group_iou(matrix, occupied),
        miou=float(np.mean(list(per_class.values()))) if per_class else 0.0,
        dynamic_iou=_group_iou(matrix, dynamic) if moving else None,
        dynamic_miou=float(np.mean(moving)) if moving else None,
        per_class=per_class,
    )


def _group_iou(matrix: np.ndarray, ids: np.ndarray) -> float:
    both = matrix[np.ix_(ids, ids)].sum()
    either = matrix[ids].sum() + matrix[:, ids].sum() - both
    return float(both / either) if either else 1.0


@dataclass
class OccupancyScores:
    """Sums confusion matrices of one method, (steps, classes, classes)."""

    frame_period: float
    steps: int
    matrices: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.matrices = np.zeros((self.steps, NUM_CLASSES, NUM_CLASSES), np.int64)

    def add(self, step: int, prediction: np.ndarray, truth: np.ndarray, keep: np.ndarray | None = None) -> None:
        """Count one frame at a step from 0."""
        self.matrices[step] += confusion(prediction, truth, keep)

    def scores(self) -> list[HorizonScore]:
        """One per horizon."""
        return [score(m, self.frame_period * (i + 1)) for i, m in enumerate(self.matrices)]


@dataclass
class PathScores:
    """Errors of forecast ego paths in x and y, metres."""

    frame_period: float
    errors: list[np.ndarray] = field(default_factory=list)

    def add(self, path: np.ndarray, truth: np.ndarray) -> None:
        """path, truth: (steps, >= 2) x y in the current `base_footprint`."""
        self.errors.append(np.linalg.norm(np.asarray(path)[:, :2] - np.asarray(truth)[:, :2], axis=1))

    def report(self) -> dict[str, float]:
        """ADE over all steps, FDE at the last, and the mean error at 1, 2 and 3 s where the forecast reaches them."""
        errors = np.array(self.errors)
        out = {"ade": float(errors.mean()), "fde": float(errors[:, -1].mean())}
        for seconds in (1, 2, 3):
            step = round(seconds / self.frame_period) - 1
            if 0 <= step < errors.shape[1]:
                out[f"l2_{seconds}s"] = float(errors[:, step].mean())
        return out
