"""The demo from end to end. It goes on with what it has, and says at the end what is missing."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from occ_core.output_folders import check_addable
from occ_ros.domain import own_domain
from tokyo_city.world.city import import_or_generate
from tokyo_occworld.demo import DEMO
from tokyo_occworld.demo.drives import Drive, drive_arguments, has_roads, record_drives
from tokyo_occworld.demo.live import measure_live
from tokyo_occworld.demo.report import write_report
from tokyo_occworld.demo.stages import StageFailed, Stages, python

_TRAINING = ("--cpu-cores", "2", "--set", "evaluation.interval=100")
"""Two processes on any machine: how windows are shared out decides what is learned. One evaluation, at the end."""


@dataclass(frozen=True)
class Places:
    """Where the demo keeps things."""

    out: Path

    @property
    def city(self) -> Path:
        """The imported city."""
        return self.out / "city"

    @property
    def sessions(self) -> Path:
        """Recorded drives."""
        return self.out / "sessions"

    @property
    def training(self) -> Path:
        """The learner's work folder."""
        return self.out / "training"

    @property
    def evaluation(self) -> Path:
        """Metrics and sample grids."""
        return self.out / "evaluation"


@dataclass(frozen=True)
class DemoPlan:
    """source: a udx folder, None for the sample city. steps: of training. drives, drive_seconds: what is recorded."""

    source: Path | None
    seed: int
    steps: int
    drives: int
    drive_seconds: float

    def __post_init__(self) -> None:
        if self.drives < 2 or self.drive_seconds < 6:
            raise ValueError("the demo needs 2 drives or more, one to learn from and one to test on, of 6 s or more")
        if self.steps < 2:
            raise ValueError("--steps: 2 or more, one for the tokenizer and one for the forecast")


def run_demo(out: Path, plan: DemoPlan) -> int:
    """City, drives, training, evaluation, live forecast, report. Returns the exit code: 1 where nothing came of it."""
    out = Path(out).resolve()
    check_addable(out, DEMO)
    out.mkdir(parents=True, exist_ok=True)
    places, stages = Places(out), Stages(out)
    with own_domain("auto", ()) as domain:
        print(f"ROS_DOMAIN_ID={domain}: where this demo's topics are, and nobody else's", flush=True)
        made = _make(places, plan, stages)
    if made:
        write_report(out, stages, plan.seed)
        print(f"done: open {out / 'report.html'}")
    if stages.missing:
        print("tokyo demo: missing, and made by another run with the same options:", file=sys.stderr)
        for what in stages.missing:
            print(f"  {what}", file=sys.stderr)
    return 0 if made else 1


def _make(places: Places, plan: DemoPlan, stages: Stages) -> bool:
    """Every stage that can be made; False where there is nothing to report."""
    learner = _learner_folder()
    if not stages.run("city", [str(plan.source), plan.seed], lambda: _make_city(places, plan)):
        return False
    # Of each its own places and traffic: sessions never share frames.
    drives = [Drive(i + 1, plan.seed * 100 + i, plan.drive_seconds) for i in range(plan.drives)]
    recorded = [drive.name for drive in record_drives(places.out, places.city, drives, stages)]
    if not recorded:
        return False
    if learner is None:
        stages.missing.append("train: this is no checkout, there is no learner/train.py above this package")
        return True
    recipe = [plan.steps, plan.seed, (learner / "config/demo_tokyo.py").read_text(), *_TRAINING]
    stages.run("train", recipe, lambda: _train(places, plan, learner), after=recorded)
    stages.run("evaluate", [], lambda: _evaluate(places, learner), after=["train"])
    live = {"drones": 0, "camera_rate": 0.0, "predict": str(places.training / "best.pth"), "device": "cpu"}
    args = drive_arguments(places.city, plan.seed, **live)
    stages.run("live", [], lambda: measure_live(args, places.out / "live.json"), after=["train"])
    return True


def _learner_folder() -> Path | None:
    """The learner's scripts, beside the workspace of a checkout."""
    for parent in Path(__file__).resolve().parents:
        if (parent / "learner" / "train.py").is_file():
            return parent / "learner"
    return None


def _make_city(places: Places, plan: DemoPlan) -> None:
    report = import_or_generate(plan.source, places.city, seed=plan.seed)
    print(f"{report.objects} objects, {sum(report.triangles.values())} triangles, {len(report.skipped)} skipped")
    for problem in report.failed:
        print(f"not read: {problem}", file=sys.stderr)
    if not has_roads(places.city):
        print("this city has no roads: no traffic, and the robots roam between random places")


def _train(places: Places, plan: DemoPlan, learner: Path) -> None:
    shutil.rmtree(places.training, ignore_errors=True)
    python(
        "train", "train.py", "--config", "config/demo_tokyo.py", "--work-dir", str(places.training),
        "--data-root", str(places.sessions), "--seed", str(plan.seed), "--max-steps", str(plan.steps),
        *_TRAINING, cwd=learner,
    )  # fmt: skip
    if not (places.training / "best.pth").is_file():
        raise StageFailed("training ended before it had a model")


def _evaluate(places: Places, learner: Path) -> None:
    python(
        "evaluate", "eval.py", "--checkpoint", str(places.training / "best.pth"), "--data-root", str(places.sessions),
        "--out", str(places.evaluation), "--max-windows", "24", cwd=learner,
    )  # fmt: skip
