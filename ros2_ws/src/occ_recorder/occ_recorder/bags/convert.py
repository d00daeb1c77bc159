"""A bag into sessions: the same synchronizer, tracker and recording as live, fed from a file."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from occ_core.citymap import CityMap
from occ_core.grid import FRAME_PERIOD_S
from occ_core.progress import Steps
from occ_core.session import Session, SessionError, SessionInfo, extrinsics, installed_versions
from occ_core.threads import thread_count
from occ_recorder.bags.drive import BagDrive, Conversion, drives, feed
from occ_recorder.bags.plan import RobotPlan
from occ_recorder.bags.reading import Bag, BagError
from occ_recorder.recording import RobotRecording

# So many starts of the clock in one bag are more than anybody restarts a simulator.
_RESETS_OF_ONE_ROBOT = 5


@dataclass(frozen=True)
class BagReport:
    """What came of a bag. frames: by robot. seconds: of the bag. problems: sentences, [] where all went well."""

    bag: Path
    frames: dict[str, int]
    sessions: int
    seconds: float
    problems: list[str]


def convert(path: Path, output: Path, conversion: Conversion, progress: bool = True) -> BagReport:
    """Write the sessions of every robot in a bag into the folder `output`.

    What can't be read is left out and said in the report. BagError where nothing can be converted, and where sessions
    of this bag are in the folder already; SessionError where the folder can't be written.
    """
    config = conversion.config
    with Bag(path, config.remap, config.ros_distro) as bag:
        span = bag.lasted
        if span is None and not bag.count and not bag.problems:
            raise BagError(f"{path} is empty: it has no messages")
        try:
            with ThreadPoolExecutor(1) as beside:  # the beginning of the bag is looked at meanwhile
                loading = beside.submit(CityMap.load, Path(conversion.city)) if conversion.city else None
                found, problems = drives(bag, conversion, loading is not None)
            city = loading.result() if loading else None
        except BagError as error:
            raise BagError(f"{path}: {error}{_also(bag.problems)}") from error
        source = f"{path.resolve().name}, {bag.count} messages from {span[0] if span else 0} ns"
        _refuse_twice(output, source)
        began = datetime.fromtimestamp(span[0] * 1e-9) if span else datetime.now()
        recorded = [_Drive(plan, bag, conversion, city, output, source, began) for plan in found]
        try:
            seconds = _feed(bag, [drive.drive for drive in recorded], progress)
        finally:
            for drive in recorded:
                drive.recording.close()
        problems += [problem for drive in recorded for problem in drive.problems(span)]
        frames = {drive.drive.robot: drive.recording.status.frames for drive in recorded}
        sessions = sum(drive.recording.status.sessions for drive in recorded)
        return BagReport(path, frames, sessions, seconds, bag.problems + problems)


class _Drive:
    """One robot: from its messages to its sessions."""

    def __init__(
        self,
        plan: RobotPlan,
        bag: Bag,
        conversion: Conversion,
        city: CityMap | None,
        output: Path,
        source: str,
        began: datetime,
    ) -> None:
        self.drive = drive = BagDrive(plan, bag, conversion, city, lambda sweep: self.recording.add(sweep))
        info = SessionInfo(
            agent=drive.robot,
            grid=conversion.grid,
            frame_period=FRAME_PERIOD_S,
            occupancy=conversion.occupancy.value,
            city=conversion.city,
            seed=conversion.seed,
            sensors={name: extrinsics(pose) for name, pose in plan.links.items()},
            versions=installed_versions("occ_core", "occ_recorder", "numpy", "rosbags", "mcap"),
            source=source,
        )
        self.recording = RobotRecording(
            drive.tracker, info, output, conversion.session_seconds, conversion.jpeg_quality,
            lossless=True, now=lambda: began, makers=thread_count(),
        )  # fmt: skip

    def problems(self, span: tuple[int, int] | None) -> list[str]:
        """Sentences about what was left out of this robot's sessions. span: of the bag, nanoseconds as recorded."""
        drive, status = self.drive, self.recording.status
        said = [f"{what}: {n} messages left out ({why})" for what, (n, why) in drive.reader.complaints.items()]
        said += [f"{why}: {n} times" for why, n in drive.sync.dropped.items()]
        said += [what if n == 1 else f"{what}: {n} times" for what, n in drive.sync.mended.items()]
        missed = sum(n for why, n in drive.sync.dropped.items() if why.startswith(("no image", "/tf does not place")))
        if span is not None:
            said += drive.reader.problems(span[0] * 1e-9, span[1] * 1e-9)
        if status.dropped_frames > missed:
            said.append(f"{status.dropped_frames - missed} frames dropped: {status.problem}")
        if drive.sync.resets:
            said.append(f"the clock went back {drive.sync.resets} times, a new session began with each")
        if drive.sync.resets >= _RESETS_OF_ONE_ROBOT or drive.sync.dropped.get("sweep out of order", 0) > status.frames:
            said.append("do two robots, or two simulators, share the name?")
        if not status.frames:
            said.append("no frame came of it")
        return [f"{drive.robot}: {problem}" for problem in said]


def _feed(bag: Bag, drives: list[BagDrive], progress: bool) -> float:
    """Hand every message to the robots that take it; the seconds that the bag lasted."""
    first, last = span if (span := bag.lasted) else (0, 0)
    seconds = (last - first) * 1e-9
    with Steps(
        total=round(seconds, 1), desc=bag.path.name, unit="s", disable=None if progress else True,
        bar_format="{desc}: {percentage:3.0f}% |{bar}| {n:.1f}/{total:.1f} s of bag, {rate_fmt}, {remaining} left",
    ) as bar:  # fmt: skip
        newest = first
        for logged in feed(bag, drives):
            if logged - newest > 10**8:
                bar.update((logged - newest) * 1e-9)
                newest = logged
    return seconds


def _refuse_twice(output: Path, source: str) -> None:
    """The same drive twice in a data set would be in training and in validation."""
    for path in sorted(Path(output).glob("[!.]*/session.json")):
        try:
            session = Session.open(path.parent)
        except SessionError:
            continue
        if session.info.source == source:
            raise BagError(
                f"{output} has sessions of this bag already ({session.name}): remove them, or take another --output"
            )


def _also(problems: list[str]) -> str:
    return f" ({'; '.join(problems)})" if problems else ""
