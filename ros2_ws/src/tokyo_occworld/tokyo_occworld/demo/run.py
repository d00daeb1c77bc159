"""The demo from end to end."""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from occ_core.citymap import CityMap
from occ_core.output_folders import check_addable
from occ_core.session import find_sessions
from tokyo_city.plateau.model import ImportProblem
from tokyo_city.world.city import import_or_generate
from tokyo_occworld.cli.clock import SimulatedTime
from tokyo_occworld.cli.processes import NodeProcesses
from tokyo_occworld.demo import DEMO
from tokyo_occworld.demo.live import measure_live
from tokyo_occworld.demo.report import write_report
from tokyo_occworld.demo.stages import StageFailed, Stages, python
from tokyo_sim.bringup import Arguments, nodes
from tokyo_sim.traffic.stored import lane_graph

_STARTUP_SECONDS = 90.0  # of wall time until the first frames must be there


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
class Plan:
    """source: a udx folder, None for the sample city. minutes: of training. drives, drive_seconds: what is recorded."""

    source: Path | None
    seed: int
    minutes: float
    drives: int
    drive_seconds: float

    def __post_init__(self) -> None:
        if self.drives < 2 or self.drive_seconds < 6:
            raise ValueError("the demo needs 2 drives or more, one to learn from and one to test on, of 6 s or more")


def run_demo(out: Path, plan: Plan) -> int:
    """City, drives, training, evaluation, live forecast, report. Returns the exit code."""
    out = Path(out).resolve()
    check_addable(out, DEMO)
    out.mkdir(parents=True, exist_ok=True)
    places, stages = Places(out), Stages(out)
    try:
        learner = _learner_folder()
        recipe = (learner / "config/demo_tokyo.py").read_text()
        stages.run("city", [str(plan.source), plan.seed], lambda: _make_city(places, plan))
        stages.run("record", [plan.drives, plan.drive_seconds], lambda: _record(places, plan))
        stages.run("train", [plan.minutes, recipe], lambda: _train(places, plan, learner))
        stages.run("evaluate", [], lambda: _evaluate(places, learner))
        checkpoint = str(places.training / "best.pth")
        live = {"drones": 0, "camera_rate": 0.0, "real_time_factor": 1.0, "predict": checkpoint, "device": "cpu"}
        stages.run("live", [], lambda: measure_live(drive_arguments(places, plan.seed, **live), out / "live.json"))
        write_report(out, stages.times(), plan.seed)
    except (StageFailed, ImportProblem) as problem:
        print(f"tokyo demo: {problem}", file=sys.stderr)
        return 1
    print(f"done: open {out / 'report.html'}")
    return 0


def _learner_folder() -> Path:
    """The learner's scripts, beside the workspace of a checkout."""
    for parent in Path(__file__).resolve().parents:
        if (parent / "learner" / "train.py").is_file():
            return parent / "learner"
    raise StageFailed("the demo runs from a checkout: there is no learner/train.py above this package")


def _make_city(places: Places, plan: Plan) -> None:
    report = import_or_generate(plan.source, places.city, seed=plan.seed)
    print(f"{report.objects} objects, {sum(report.triangles.values())} triangles, {len(report.skipped)} skipped")
    for problem in report.failed:
        print(f"not read: {problem}", file=sys.stderr)
    if not has_roads(places.city):
        print("this city has no roads: no traffic, and the robots roam between random places")


def drive_arguments(places: Places, seed: int, **extra: object) -> Arguments:
    """A drone and a rover with small pictures, as fast as the machine can up to twice real time."""
    common: dict[str, object] = {"image_width": 320, "image_height": 180, "camera_rate": 2.0, "real_time_factor": 2.0}
    common |= {"drone_altitude": 15.0, "drone_speed": 4.0}
    if has_roads(places.city):
        # Along the streets at 15 m: from higher up, a LiDAR of +-45 degrees sees no street within the grid's 40 m.
        common |= {"actors": 40, "drone_pattern": "street", "rover_pattern": "street"}
    else:
        common |= {"actors": 0, "drone_pattern": "roam", "rover_pattern": "roam"}
    return Arguments(city=str(places.city), sim="embedded", seed=seed, **(common | extra))  # type: ignore[arg-type]


@cache
def has_roads(city: Path) -> bool:
    """Has a city the lanes that traffic and street missions need?"""
    return bool(lane_graph(city, CityMap.load(city)).lanes)


def _record(places: Places, plan: Plan) -> None:
    """Several short drives, each from other places with other traffic: sessions never share frames."""
    shutil.rmtree(places.sessions, ignore_errors=True)
    for drive in range(plan.drives):
        args = drive_arguments(places, plan.seed * 100 + drive, record=True, output=str(places.sessions))
        run_for(args, plan.drive_seconds, f"drive {drive + 1}/{plan.drives}", places.out / "record.log")
    frames = {session.name: len(session) for session in find_sessions(places.sessions)}
    print(f"{len(frames)} sessions, {sum(frames.values())} frames")
    expected = 2 * plan.drive_seconds * 0.8
    if short := [name for name, count in frames.items() if count < expected]:
        raise StageFailed(f"{', '.join(short)}: fewer than {expected:.0f} frames; see {places.out / 'record.log'}")


def run_for(args: Arguments, seconds: float, what: str, log: Path) -> None:
    """Run a bring-up until it has recorded some simulated seconds, then stop every process.

    Time counts from the first frame of every robot: on a fast machine the recorder starts seconds after the clock.
    """
    root = Path(args.output)
    wanted = _sessions_in(root) + len(args.robots)
    began = time.monotonic()
    first: float | None = None
    with SimulatedTime() as clock, NodeProcesses(nodes(args), log) as processes:

        def finished() -> bool:
            nonlocal first
            if first is None and _sessions_in(root) >= wanted:
                first = clock.seconds
            waited = time.monotonic() - began
            if first is None and waited > _STARTUP_SECONDS:
                raise StageFailed(f"{what}: nothing recorded in {waited:.0f} s; see {log}")
            return first is not None and clock.seconds >= first + seconds

        if processes.wait(finished):
            raise StageFailed(f"{what}: {processes.failed()}; see {log}")
        if not finished():
            raise KeyboardInterrupt
        factor = clock.seconds / (time.monotonic() - began)
    print(f"{what}: {seconds:.0f} s recorded, {factor:.2f} x real time with start-up", flush=True)


def _sessions_in(root: Path) -> int:
    return len(list(root.glob("*/session.json")))


def _train(places: Places, plan: Plan, learner: Path) -> None:
    shutil.rmtree(places.training, ignore_errors=True)
    python(
        "train", "train.py", "--config", "config/demo_tokyo.py", "--work-dir", str(places.training),
        "--data-root", str(places.sessions), "--seed", str(plan.seed), "--max-minutes", str(plan.minutes), cwd=learner,
    )  # fmt: skip


def _evaluate(places: Places, learner: Path) -> None:
    python(
        "evaluate", "eval.py", "--checkpoint", str(places.training / "best.pth"), "--data-root", str(places.sessions),
        "--out", str(places.evaluation), "--max-windows", "24", cwd=learner,
    )  # fmt: skip
