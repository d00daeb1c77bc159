"""An evaluation as curves over the horizon."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from occworld.evaluator import METHODS, Evaluation

_MEASURES = (("IoU", "iou"), ("mIoU", "miou"), ("IoU of moving things", "dynamic_iou"))
_COLOURS = {"forecast": "#d62728", "copy": "#9a9a9a", "warp": "#1f77b4", "warp_oracle": "#2ca02c"}


def plot(evaluation: Evaluation, path: Path) -> None:
    """A PNG: three measures over the horizon, of all voxels and, dotted, of those that LiDAR has seen."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(_MEASURES))
    for axis, (title, name) in zip(axes, _MEASURES, strict=True):
        for method in METHODS:
            for scores, style in ((evaluation.scores, "-"), (evaluation.observed, ":")):
                rows = scores[method]
                values = [np.nan if (value := getattr(row, name)) is None else 100 * value for row in rows]
                label = method.replace("_", "-") if style == "-" else None
                axis.plot([r.horizon_s for r in rows], values, style, color=_COLOURS[method], marker=".", label=label)
        axis.set(title=title, xlabel="seconds ahead", ylabel="%", ylim=(0, None))
        axis.grid(alpha=0.3)
    axes[0].legend(frameon=False)
    axes[-1].annotate("dotted: voxels that LiDAR has seen", (0.98, 0.02), xycoords="axes fraction", ha="right", size=8)
    figure.savefig(path, dpi=110)
