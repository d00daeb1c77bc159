"""A forecast on Occ3D-nuScenes beside the baselines, in its own 17 classes: what OccWorld was published with.

mIoU is the mean over the classes that occur. The paper's numbers are over all voxels; those of voxels that LiDAR or the
cameras see, which Occ3D's masks mark, stand beside them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from occ_core.progress import Steps
from occworld import baselines
from occworld.evaluator import METHODS, evenly
from occworld.metrics import confusion
from occworld.occ3d import NAMES, Occ3dDataset
from occworld.report import by_horizon, table
from occworld.scene import Scene

if TYPE_CHECKING:
    from occworld.faithful.model import FaithfulOccWorld

VOXELS = ("all voxels", "voxels that LiDAR sees", "voxels that the cameras see")
_AVERAGED_S = (1.0, 2.0, 3.0)


@dataclass(frozen=True)
class Occ3dScore:
    """At one horizon. per_class: IoU by Occ3D's name, of the classes that occur."""

    horizon_s: float
    iou: float
    miou: float
    per_class: dict[str, float]


@dataclass(frozen=True)
class Occ3dEvaluation:
    """scores: by kind of voxels, then by method, one per step. average: the same, iou and miou over 1, 2 and 3 s."""

    windows: int
    condition: str
    scores: dict[str, dict[str, list[Occ3dScore]]]
    average: dict[str, dict[str, dict[str, float]]]


def occ3d_score(matrix: np.ndarray, horizon_s: float) -> Occ3dScore:
    """Of a confusion matrix (18, 18), rows are truth, 0 is free."""
    both, said, there = np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1)
    per_class = {NAMES[c]: float(both[c] / (said[c] + there[c] - both[c])) for c in range(1, len(NAMES)) if there[c]}
    hit = matrix[1:, 1:].sum()
    either = hit + matrix[0, 1:].sum() + matrix[1:, 0].sum()
    return Occ3dScore(
        horizon_s, float(hit / either) if either else 1.0, float(np.mean(list(per_class.values()) or [0])), per_class
    )


def evaluate_occ3d(model: FaithfulOccWorld, data: Occ3dDataset, limit: int | None = None) -> Occ3dEvaluation:
    """Leaves the model in eval mode, and with Occ3D's classes. ConfigError for a model that has others."""
    model.use_occ3d_classes()
    model.eval()
    sums = np.zeros((len(VOXELS), len(METHODS), model.steps, len(NAMES), len(NAMES)), np.int64)
    chosen = evenly(len(data), limit)
    for index in Steps(chosen, desc="evaluating", unit="window", leave=False):
        window, t = data[index], data.history
        current = window.frames[t - 1].dense(model.grid.shape)
        result = model.forecast(Scene.of(model.grid, window, model.config.condition == "poses"))
        grids = (
            [frame.classes for frame in result.frames],
            baselines.copy(current, model.steps),
            baselines.warp(model.grid, current, window.footprint[:t], model.steps),
            baselines.warp_oracle(model.grid, current, window.motion[t:]),
        )
        camera = data.camera(index)
        for step in range(model.steps):
            truth = window.future[step].dense(model.grid.shape)
            for kind, keep in enumerate((None, window.observed[t + step], camera[t + step])):
                for method, frames in enumerate(grids):
                    sums[kind, method, step] += confusion(frames[step], truth, keep, len(NAMES))
    scores = {
        kind: {
            method: [occ3d_score(m, model.frame_period * (step + 1)) for step, m in enumerate(sums[i, j])]
            for j, method in enumerate(METHODS)
        }
        for i, kind in enumerate(VOXELS)
    }
    average = {kind: {method: _average(rows) for method, rows in theirs.items()} for kind, theirs in scores.items()}
    return Occ3dEvaluation(len(chosen), model.config.condition, scores, average)


def _average(rows: list[Occ3dScore]) -> dict[str, float]:
    chosen = [row for row in rows if any(abs(row.horizon_s - s) < 1e-6 for s in _AVERAGED_S)] or rows
    return {name: float(np.mean([getattr(row, name) for row in chosen])) for name in ("iou", "miou")}


def occ3d_markdown(evaluation: Occ3dEvaluation) -> str:
    """Tables by horizon, averages, and IoU per class at the last horizon."""
    parts = [f"Occ3D-nuScenes, {evaluation.windows} windows, condition '{evaluation.condition}'."]
    for kind, scores in evaluation.scores.items():
        parts += [by_horizon(f"{title}, {kind}", scores, name) for title, name in (("IoU", "iou"), ("mIoU", "miou"))]
    means = [
        [
            method,
            *(f"{100 * evaluation.average[kind][method][name]:.2f}" for kind in VOXELS for name in ("iou", "miou")),
        ]
        for method in METHODS
    ]
    heads = ["method", *(f"{name}, {kind}" for kind in VOXELS for name in ("IoU", "mIoU"))]
    parts.append(table("Means over 1, 2, 3 s (%)", heads, means))
    last = {method: rows[-1].per_class for method, rows in evaluation.scores[VOXELS[0]].items()}
    rows = [[name, *(f"{100 * last[method][name]:.1f}" for method in METHODS)] for name in last["forecast"]]
    parts.append(table("IoU per class at the last horizon (%)", ["class", *METHODS], rows))
    return "\n\n".join(parts) + "\n"


def write_occ3d_report(evaluation: Occ3dEvaluation, folder: Path) -> None:
    """metrics.json and metrics.md into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(asdict(evaluation), indent=1))
    (folder / "metrics.md").write_text(occ3d_markdown(evaluation))
