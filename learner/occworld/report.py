"""An evaluation as JSON, as Markdown and as a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from occworld.evaluator import METHODS, Evaluation

_MEASURES = (("IoU", "iou"), ("mIoU", "miou"), ("IoU of moving things", "dynamic_iou"))
_COLOURS = {"forecast": "#d62728", "copy": "#9a9a9a", "warp": "#1f77b4", "warp_oracle": "#2ca02c"}


def write_report(evaluation: Evaluation, folder: Path) -> None:
    """metrics.json, metrics.md and metrics.png into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    body = {**asdict(evaluation), "beats_warp": evaluation.beats("warp")}
    body["beats_warp_oracle"] = evaluation.beats("warp_oracle")
    (folder / "metrics.json").write_text(json.dumps(body, indent=1))
    (folder / "metrics.md").write_text(markdown(evaluation))
    plot(evaluation, folder / "metrics.png")


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


def markdown(evaluation: Evaluation) -> str:
    """Tables: IoU, mIoU and IoU of moving things per horizon and method, of all voxels and of observed ones; IoU per
    class at the last horizon; averages and VPQ; the ego path."""
    rows = evaluation.scores
    parts = [
        f"{evaluation.windows} windows; the model is given {_GIVEN[evaluation.condition]}; a forecast takes"
        f" {1e3 * evaluation.latency_s:.0f} ms."
    ]
    for voxels, scores in (("all voxels", rows), ("voxels that LiDAR has seen", evaluation.observed)):
        parts += [by_horizon(f"{title}, {voxels}", scores, name) for title, name in _HORIZON_TABLES]
    last = {method: scores[-1].per_class for method, scores in rows.items()}
    horizon = rows["forecast"][-1].horizon_s
    per_class = [[name, *(_percent(last[m].get(name)) for m in METHODS)] for name in last["forecast"]]
    parts.append(table(f"IoU per class at {horizon:g} s (%)", ["class", *map(_name, METHODS)], per_class))
    means = [
        [_name(m), *(_percent(evaluation.average[m][k]) for k in ("iou", "miou")), _percent(evaluation.vpq[m])]
        for m in METHODS
    ]
    parts.append(table("Means over 1, 2, 3 s, and VPQ of moving things (%)", ["method", "IoU", "mIoU", "VPQ"], means))
    errors = evaluation.paths
    titles = ["path", *(k for k in errors["forecast"])]
    cells = [
        [_name(p), *(_percent(v) if k.startswith("collision") else f"{v:.2f}" for k, v in row.items())]
        for p, row in errors.items()
    ]
    parts.append(table("Ego path: errors in m, collisions in % of windows", titles, cells))
    return "\n\n".join(parts) + "\n"


_GIVEN = {"none": "no plan", "poses": "the planned poses"}
_HORIZON_TABLES = (("IoU", "iou"), ("mIoU", "miou"), ("IoU of moving things", "dynamic_iou"))


def by_horizon(title: str, scores: Mapping[str, Sequence[Any]], name: str) -> str:
    """A table of one number of each method's scores, in per cent; scores have `horizon_s` and that name."""
    horizons = [f"{row.horizon_s:g} s" for row in scores["forecast"]]
    cells = [[_name(method), *(_percent(getattr(row, name)) for row in scores[method])] for method in METHODS]
    return table(f"{title} (%)", ["method", *horizons], cells)


def table(title: str, heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table below a bold title."""
    lines = [f"| {' | '.join(row)} |" for row in (heads, *rows)]
    return "\n".join([f"**{title}**", "", lines[0], "|---" * len(heads) + "|", *lines[1:]])


def _name(method: str) -> str:
    return method.replace("_", "-" if method.startswith("warp") else " ")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
