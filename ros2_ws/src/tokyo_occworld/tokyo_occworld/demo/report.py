"""`report.json` with every figure, and `report.html` to look at."""

from __future__ import annotations

import html
import json
import os
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
        "machine": {"python": platform.python_version(), "system": platform.platform()} | _hardware(),
        "versions": {package: _version(package) for package in _PACKAGES},
        "stages": times,
        "missing": stages.missing,
        "wall_time_s": sum(stage["seconds"] for stage in times),
        "city": json.loads((out / "city" / CITY_FILE).read_text()),
        "generated_city": (out / "city_citygml").is_dir(),  # `import_or_generate` writes what it made beside it
        "sessions": {session.name: len(session) for session in sessions},
        "evaluation": evaluation,
        "live": json.loads((out / "live.json").read_text()) if stages.done("live") else None,
    }
    (out / "report.json").write_text(json.dumps(body, indent=1, ensure_ascii=False))
    shown = _draw(out, folder, sessions, evaluation, stages.done("train"))
    (out / "report.html").write_text(_page(body, shown), encoding="utf-8")


def _hardware() -> dict[str, str | int | float]:
    """Processor, cores that may be used, and memory in GB."""
    told = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.partition(":")[2].strip() for line in told.splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cores = len(os.sched_getaffinity(0))
    return {"processor": names[0] if names else platform.machine(), "cores": cores, "memory_gb": round(memory / 1e9, 1)}


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
    pictures.truth_beside_forecast(out / "evaluation/samples.npz", folder / "forecast.png")
    pictures.forecast_in_3d(out / "evaluation/samples.npz", folder / "forecast.webp")
    # What it is all about stands first.
    return [
        ("forecast.webp", "What happened beside what was forecast from the 2 s before, each voxel as a block."),
        ("iou.png", "Forecast of held-out drives beside copy, warp and warp-oracle."),
        ("forecast.png", "The same forecast from above."),
        *shown,
    ]


_TERMS = {
    "IoU": "of all voxels that were forecast or are there, the share that is both; mIoU: the mean of that over classes",
    "copy": "nothing changes: the last frame again",
    "warp": "the last frame moved on as the robot moved in the last half second: what can be had without a model",
    "warp-oracle": "the last frame moved by the motion that really came, which no forecast knows",
}


def verdict(evaluation: dict | None, live: dict | None) -> str:
    """What was forecast, how much better than doing nothing, and how live, in two sentences."""
    if evaluation is None:
        first = "Nothing was evaluated: see below what is missing."
    else:
        scores = evaluation["scores"]
        last, copy, warp = (scores[method][-1] for method in ("forecast", "copy", "warp"))
        gain = 100 * (last["iou"] - max(copy["iou"], warp["iou"]))
        against = f"{abs(gain):.1f} points {'more' if gain >= 0 else 'less'} than the better of changing nothing"
        first = (
            f"What LiDAR will see of the street {last['horizon_s']:g} s ahead was forecast, on drives that were not"
            f" trained on, with an IoU of {100 * last['iou']:.1f}%: {against} ({100 * copy['iou']:.1f}%) and moving the"
            f" present on ({100 * warp['iou']:.1f}%)."
        )
    if live is None or not live["forecasts"]:
        return f"{first} No live forecast was measured."
    whole = live["latency_s"]["sweep to forecast"]["p50"]
    return f"{first} Live, a forecast is there {whole:.2f} s after its LiDAR sweep (median of {live['forecasts']})."


def _page(body: dict, shown: list[tuple[str, str]]) -> str:
    figures = [
        f'<figure><img src="pictures/{name}" alt="{html.escape(text)}">'
        f"<figcaption>{html.escape(text)}</figcaption></figure>"
        for name, text in shown
    ]
    machine, evaluation = body["machine"], body["evaluation"]
    source = "a generated city, laid out as PLATEAU's files are" if body["generated_city"] else "PLATEAU tiles"
    terms = "".join(f"<dt>{term}</dt><dd>{html.escape(text)}</dd>" for term, text in _TERMS.items())
    credit = "" if body["generated_city"] else f"<p>{html.escape(body['city']['attribution'])}</p>"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Tokyo OccWorld demo</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; color: #222 }}
table {{ border-collapse: collapse; margin: 1em 0 }}
td, th {{ border: 1px solid #ccc; padding: .25em .7em; text-align: right }}
td:first-child, th:first-child {{ text-align: left }} img {{ max-width: 100% }} figure {{ margin: 2em 0 }}
figcaption {{ color: #555 }} .verdict {{ font-size: 1.25em; max-width: 46em }}
dt {{ font-weight: 600; float: left; min-width: 7em }} dd {{ margin: 0 0 .3em 7.5em }}</style></head><body>
<h1>Tokyo OccWorld demo</h1>
<p class="verdict">{html.escape(verdict(evaluation, body["live"]))}</p>
{"".join(f"<p>Missing: {html.escape(what)}</p>" for what in body["missing"])}
{figures[0] if evaluation else ""}
{f"<h2>What the words mean</h2><dl>{terms}</dl>" if evaluation else ""}
{_scores(evaluation, "iou", "IoU") if evaluation else ""}
{_scores(evaluation, "miou", "mIoU") if evaluation else ""}
{_live(body["live"]) if body["live"] else ""}
{"".join(figures[1:] if evaluation else figures)}
<h2>How it was made</h2>
<p>{len(body["sessions"])} drives, {sum(body["sessions"].values())} frames, in {source}; seed {body["seed"]};
{body["wall_time_s"]:.0f} s of work on {html.escape(str(machine["processor"]))}, {machine["cores"]} cores,
{machine["memory_gb"]} GB of memory.</p>
{_table(["stage", "seconds"], [[s["name"], f"{s['seconds']:.0f}"] for s in body["stages"]])}
{credit}
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
