"""The drives of the demo: recorded in lock step, each from a seed of its own, checked, and kept for the next run."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from occ_core.grid import FRAME_PERIOD_S
from occ_core.progress import ProgressBar
from occ_core.session import Session, SessionError, find_sessions
from occ_core.session_log import EventKind
from occ_ros.domain import held_domain
from tokyo_occworld.cli.clock import SimulatedTime
from tokyo_occworld.cli.processes import NodeProcesses, terminate_as_interrupt
from tokyo_occworld.demo.stages import Stage, StageFailed, Stages
from tokyo_sim.bringup import Arguments, nodes
from tokyo_sim.missions.mission import Surroundings

_MOST_AT_ONCE = 4  # a simulator and a recorder each: about a gigabyte
_LOOK_S = 0.1


@dataclass(frozen=True)
class Drive:
    """number: from 1. Sessions of all drives are in one folder, named after robot and drive."""

    number: int
    seed: int
    seconds: float

    @property
    def name(self) -> str:
        """As a stage."""
        return f"drive {self.number:02}"

    @property
    def frames(self) -> int:
        """That each robot's session has: one at each frame period, the first one period in."""
        return int(self.seconds / FRAME_PERIOD_S + 1e-6)

    def session_name(self, robot: str) -> str:
        """Of a robot's session: the same in each run, unlike the time of day."""
        return f"{robot}_drive_{self.number:02}"


def drive_arguments(city: Path, seed: int, **extra: object) -> Arguments:
    """A drone and a rover with small pictures; images with frames alone, as nobody else looks at them."""
    common: dict[str, object] = {"image_width": 320, "image_height": 180, "camera_rate": 1 / FRAME_PERIOD_S}
    common |= {"drone_altitude": 15.0, "drone_speed": 4.0}
    if has_roads(city):
        # Along the streets at 15 m: from higher up, a LiDAR of +-45 degrees sees no street within the grid's 40 m.
        common |= {"actors": 40, "drone_pattern": "street", "rover_pattern": "street"}
    else:
        common |= {"actors": 0, "drone_pattern": "roam", "rover_pattern": "roam"}
    return Arguments(city=str(city), sim="embedded", seed=seed, **(common | extra))  # type: ignore[arg-type]


@cache
def has_roads(city: Path) -> bool:
    """Has a city the lanes that traffic and street missions need, where there is something to see?"""
    return Surroundings(city).streets


def record_drives(out: Path, city: Path, drives: Sequence[Drive], stages: Stages) -> list[Drive]:
    """Record the drives that are not there yet; those that are there at the end."""
    sessions = out / "sessions"
    sessions.mkdir(exist_ok=True)
    kept = [d for d in drives if stages.up_to_date(d.name, _inputs(d), ("city",)) is not None and _whole(d, sessions)]
    _set_aside(sessions, {drive.session_name(robot) for drive in kept for robot in _robots(city)}, out / "set_aside")
    todo = [drive for drive in drives if drive not in kept]
    for drive in todo:  # a mark without its sessions
        stages.forget(drive.name)
    with (
        ProgressBar(round(sum(drive.seconds for drive in todo)), "drives", "simulated s") as progress,
        terminate_as_interrupt(),
    ):
        come = dict.fromkeys((drive.number for drive in todo), 0.0)

        def record(drive: Drive) -> Generator[None]:
            def tell(seconds: float) -> None:
                come[drive.number] = min(seconds, drive.seconds)
                progress.note(f"{drive.name} of {len(drives)}")
                progress.at(round(sum(come.values())))

            return record_drive(out, city, drive, tell)

        work = [Stage(drive.name, _inputs(drive), partial(record, drive), ("city",)) for drive in drives]
        done = stages.run_beside(work, _at_once())
    shutil.rmtree(out / "recording", ignore_errors=True)
    return [drive for drive in drives if drive.name in done]


def _at_once() -> int:
    """Drives to record side by side: in lock step, one keeps a core busy, and what comes of it is the same."""
    return min(len(os.sched_getaffinity(0)), _MOST_AT_ONCE)


def _inputs(drive: Drive) -> list[float]:
    return [drive.seed, drive.seconds]


def _robots(city: Path) -> list[str]:
    return drive_arguments(city, 1).robots


def _whole(drive: Drive, sessions: Path) -> bool:
    """Are the sessions of a drive there, and in order?"""
    found = [path.parent for path in sessions.glob(f"*_drive_{drive.number:02}/session.json")]
    try:
        return bool(found) and all(fault(Session.open(folder), drive) == "" for folder in found)
    except SessionError:
        return False


def _set_aside(sessions: Path, kept: set[str], aside: Path) -> None:
    """What is in the folder and not of these drives would be trained on too: move it away, nothing is deleted."""
    for folder in [path.parent for path in sessions.glob("[!.]*/session.json")]:
        if folder.name not in kept:
            aside.mkdir(exist_ok=True)
            number = sum(1 for _ in aside.iterdir()) + 1
            folder.rename(aside / f"{number:03}_{folder.name}")
            print(f"{folder.name} is not of these drives: moved to {aside}", flush=True)


def record_drive(out: Path, city: Path, drive: Drive, tell: Callable[[float], None]) -> Generator[None]:
    """Record one drive, in a ROS domain of its own; its sessions appear only when they are whole.

    tell: takes the simulated time, seconds. Yields while the drive goes on.
    """
    log, folder = out / "record.log", out / "recording" / drive.name.replace(" ", "_")
    shutil.rmtree(folder, ignore_errors=True)
    args = drive_arguments(
        city, drive.seed, record=True, output=str(folder), lockstep=True, real_time_factor=0.0, duration=drive.seconds
    )
    with (
        held_domain("auto", ()) as domain,
        SimulatedTime(domain) as clock,
        NodeProcesses(nodes(args), log, domain) as processes,
    ):
        while not processes.done():
            if problem := processes.failed():
                raise StageFailed(f"{problem}; see {log}")
            tell(clock.seconds)
            yield
            time.sleep(_LOOK_S)
    try:
        found = find_sessions(folder)
    except SessionError as error:
        raise StageFailed(f"nothing was recorded; see {log}") from error
    if (robots := sorted(session.info.agent for session in found)) != sorted(args.robots):
        raise StageFailed(
            f"sessions of {', '.join(robots)}, one of each of {', '.join(args.robots)} is wanted; see {log}"
        )
    for session in found:
        if problem := fault(session, drive):
            raise StageFailed(f"{session.info.agent}: {problem}; see {log}")
    for session in found:
        session.folder.rename(out / "sessions" / drive.session_name(session.info.agent))
    shutil.rmtree(folder, ignore_errors=True)


def fault(session: Session, drive: Drive) -> str:
    """What is wrong with a session of a drive: frames that are missing, or off the beat as after a clock's jump."""
    if len(session) != drive.frames:
        return f"{len(session)} frames instead of {drive.frames}"
    stamps = np.array([session.state(number).stamp for number in session.numbers])
    if not np.allclose(stamps, FRAME_PERIOD_S * np.arange(1, drive.frames + 1), atol=1e-3):
        return "the frames are not half a second apart from the start on: the clock has jumped"
    if said := [f"{event.kind.value} {event.label}" for event in session.events() if event.kind is not EventKind.END]:
        return "; ".join(said)
    return ""
