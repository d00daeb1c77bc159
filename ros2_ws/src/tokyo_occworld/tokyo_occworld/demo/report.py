"""`report.json` with every figure, and `report.html` to look at."""

from __future__ import annotations

import html
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from occ_core.session import Session, find_sessions
from tokyo_city.world import CITY_FILE
from tokyo_occworld.demo import pictures
from tokyo_occworld.demo.stages import Stages

_PACKAGES = ("numpy", "numba", "torch", "mujoco", "embreex", "moderngl", "ros-rclpy", "occ_core", "tokyo_sim")


def write_report(out: Path, stages: Stages, seed: int) -> None:
    """Collect what the stages left, draw the pictures, write both files; what is missing is said there too."""
    folder = out / "pictures"
    folder.mkdir(exist_ok=True)
    sessions = find_sessions(out / "sessions")
    evaluation = json.loads((out / "evaluation/metrics.json").read_text()) if stages.done("evaluate") else None
    times = stages.times()
    body = {
        "seed": seed,
        "machine": {"python": platform.python_version(), "system": platform.platform()},
        "versions": {package: _version(package) for package in _PACKAGES},
        "stages": times,
        "missing": stages.missing,
        "wall_time_s": sum(stage["seconds"] for stage in times),
        "city": json.loads((out / "city" / CITY_FILE).read_text()),
        "sessions": {session.name: len(session) for session in sessions},
        "evaluation": evaluation,
        "live": json.loads((out / "live.json").read_text()) if stages.done("live") else None,
    }
    (out / "report.json").write_text(json.dumps(body, indent=1, ensure_ascii=False))
    shown = _draw(out, folder, sessions, evaluation, stages.done("train"))
    (out / "report.html").write_text(_page(body, shown), encoding="utf-8")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _draw(
    out: Path, folder: Path, sessions: list[Session], evaluation: dict | None, trained: bool
) -> list[tuple[str, str]]:
    """(file name, caption) of each picture that could be made."""
    rover = next(session for session in sessions if session.name.startswith("rover"))
    drone = next(session for session in sessions if session.name.startswith("drone"))
    shown = []
    if pictures.city_from_above(out / "city", folder / "city.png"):
        shown.append(("city.png", "The city from above, as the drone's camera renderer sees it."))
    for session in (rover, drone):
        kind = session.name.split("_")[0]
        if pictures.six_views(session, folder / f"{kind}_views.png"):
            shown.append((f"{kind}_views.png", f"The {kind}'s six cameras: front row looks ahead, back row behind."))
        pictures.lidar_sweep(session, folder / f"{kind}_sweep.png")
        shown.append((f"{kind}_sweep.png", f"One LiDAR sweep of the {kind}, in base_footprint."))
    if trained:
        pictures.training_curves(out / "training/logs", folder / "training.png")
        shown.append(("training.png", "Training, from the TensorBoard logs."))
    if evaluation is None:
        return shown
    pictures.iou_by_horizon(evaluation, folder / "iou.png")
    shown.append(("iou.png", "Forecast of held-out drives beside copy, warp and warp-oracle."))
    pictures.truth_beside_forecast(out / "evaluation/samples.npz", folder / "forecast.png")
    shown.append(("forecast.png", "What happened beside what was forecast from the 2 s before."))
    return shown


def _page(body: dict, shown: list[tuple[str, str]]) -> str:
    figures = "".join(
        f'<figure><img src="pictures/{name}" alt="{html.escape(text)}">'
        f"<figcaption>{html.escape(text)}</figcaption></figure>"
        for name, text in shown
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Tokyo OccWorld demo</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; color: #222 }}
table {{ border-collapse: collapse; margin: 1em 0 }}
td, th {{ border: 1px solid #ccc; padding: .25em .7em; text-align: right }}
td:first-child, th:first-child {{ text-align: left }} img {{ max-width: 100% }} figure {{ margin: 2em 0 }}
figcaption {{ color: #555 }}</style></head><body>
<h1>Tokyo OccWorld demo</h1>
<p>{len(body["sessions"])} drives, {sum(body["sessions"].values())} frames; seed {body["seed"]};
{body["wall_time_s"]:.0f} s of work.</p>
{"".join(f"<p>Missing: {html.escape(what)}</p>" for what in body["missing"])}
{_scores(body["evaluation"], "iou", "IoU") if body["evaluation"] else ""}
{_scores(body["evaluation"], "miou", "mIoU") if body["evaluation"] else ""}
{_live(body["live"]) if body["live"] else ""}
{figures}
<h2>Wall time</h2>
{_table(["stage", "seconds"], [[s["name"], f"{s['seconds']:.0f}"] for s in body["stages"]])}
<p>{html.escape(body["city"]["attribution"])}</p>
</body></html>
"""


def _scores(evaluation: dict, name: str, title: str) -> str:
    horizons = [f"{row['horizon_s']:g} s" for row in evaluation["scores"]["forecast"]]
    rows = [
        [method.replace("_", "-"), *(f"{100 * row[name]:.1f}" for row in scores)]
        for method, scores in evaluation["scores"].items()
    ]
    return f"<h2>{title}, held-out drives, %</h2>" + _table(["method", *horizons], rows)


def _live(live: dict) -> str:
    rows = [[stage, *(f"{1000 * v:.0f}" for v in values.values())] for stage, values in live["latency_s"].items()]
    return f"<h2>Live, {live['forecasts']} forecasts, ms</h2>" + _table(["stage", "p50", "p95", "max"], rows)


def _table(head: list[str], rows: list[list[str]]) -> str:
    cells = "".join(f"<th>{html.escape(text)}</th>" for text in head)
    lines = "".join("<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return f"<table><tr>{cells}</tr>{lines}</table>"
