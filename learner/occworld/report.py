"""An evaluation as JSON and as Markdown."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from occworld.evaluator import METHODS, Evaluation


def write_report(evaluation: Evaluation, folder: Path) -> None:
    """metrics.json and metrics.md into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(evaluation, folder / "metrics.json")
    (folder / "metrics.md").write_text(markdown(evaluation))


def write_json(evaluation: Evaluation, path: Path) -> None:
    """All numbers of an evaluation."""
    body = {**asdict(evaluation), "beats_warp": evaluation.beats("warp")}
    body["beats_warp_oracle"] = evaluation.beats("warp_oracle")
    path.write_text(json.dumps(body, indent=1))


def markdown(evaluation: Evaluation) -> str:
    """Tables: IoU, mIoU and dynamic IoU per horizon and method, IoU per class at the last, ego path errors."""
    rows = evaluation.scores
    horizons = [row.horizon_s for row in rows["forecast"]]
    lines = [f"{evaluation.windows} windows, condition: {evaluation.condition}; ", ""]
    lines[0] += f"median forecast {1000 * evaluation.latency_s:.0f} ms"
    for title, name in (("IoU", "iou"), ("mIoU", "miou"), ("IoU of moving classes", "dynamic_iou")):
        lines += [f"**{title}** (%)", "", "| method | " + " | ".join(f"{h:g} s" for h in horizons) + " |"]
        lines.append("|---" * (len(horizons) + 1) + "|")
        for method in METHODS:
            cells = [_percent(getattr(row, name)) for row in rows[method]]
            lines.append(f"| {method.replace('_', '-')} | " + " | ".join(cells) + " |")
        lines.append("")
    last = {method: rows[method][-1].per_class for method in METHODS}
    lines += [f"**IoU per class at {horizons[-1]:g} s** (%)", ""]
    lines += ["| class | " + " | ".join(m.replace("_", "-") for m in METHODS) + " |", "|---" * (len(METHODS) + 1) + "|"]
    for name in last["forecast"]:
        lines.append(f"| {name} | " + " | ".join(_percent(last[m].get(name)) for m in METHODS) + " |")
    lines += ["", "**Ego path** (m)", "", "| method | " + " | ".join(evaluation.paths["forecast"]) + " |"]
    lines.append("|---" * (len(evaluation.paths["forecast"]) + 1) + "|")
    for method, errors in evaluation.paths.items():
        lines.append(f"| {method.replace('_', ' ')} | " + " | ".join(f"{v:.2f}" for v in errors.values()) + " |")
    return "\n".join(lines) + "\n"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
