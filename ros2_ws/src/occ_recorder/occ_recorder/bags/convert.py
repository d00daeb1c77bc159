"""A bag into sessions: the same synchronizer, tracker and recording as live, fed from a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from tqdm import tqdm

from occ_core.citymap import CityMap
from occ_core.grid import FRAME_PERIOD_S, TOKYO_GRID
from occ_core.keyframes import DEFAULT_WINDOW_S, KeyframeBuilder, OccupancySource
from occ_core.session import Session, SessionError, SessionInfo, extrinsics, installed_versions
from occ_core.sync import SweepSynchronizer
from occ_core.tracker import FrameTracker
from occ_recorder.bags.config import BagConfig, Ground
from occ_recorder.bags.plan import Known, RobotPlan, look, planned, topics_of_robots, with_topics
from occ_recorder.bags.reading import Bag, BagError
from occ_recorder.bags.robot import RobotReader
from occ_recorder.recording import RobotRecording

# So many starts of the clock in one bag are more than anybody restarts a simulator.
_RESETS_OF_ONE_ROBOT = 5


@dataclass(frozen=True)
class Conversion:
    """How bags become sessions.

    config: what is where in the bag. robots: names to take, () for all. ground: over each robot's. city: folder of
    the imported city, '' for none. seed: of the simulation. The rest as the recorder's parameters.
    """

    config: BagConfig = field(default_factory=BagConfig)
    robots: tuple[str, ...] = ()
    ground: Ground | None = None
    city: str = ""
    occupancy: OccupancySource = OccupancySource.ACCUMULATED
    window: float = DEFAULT_WINDOW_S
    session_seconds: float = 0.0
    jpeg_quality: int = 90
    cameras: bool = True
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.occupancy is OccupancySource.GROUND_TRUTH and not self.city:
            raise ValueError("occupancy 'ground_truth' needs the imported city: give --city")


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
            city = CityMap.load(Path(conversion.city)) if conversion.city else None
            drives, problems = _drives(bag, conversion, city is not None)
        except BagError as error:
            raise BagError(f"{path}: {error}{_also(bag.problems)}") from error
        source = f"{path.resolve().name}, {bag.count} messages from {span[0] if span else 0} ns"
        _refuse_twice(output, source)
        began = datetime.fromtimestamp(span[0] * 1e-9) if span else datetime.now()
        recorded = [_Drive(plan, known, bag, conversion, city, output, source, began) for plan, known in drives]
        try:
            seconds = _feed(bag, recorded, progress)
        finally:
            for drive in recorded:
                drive.recording.close()
        problems += [problem for drive in recorded for problem in drive.problems()]
        frames = {drive.reader.config.name: drive.recording.status.frames for drive in recorded}
        sessions = sum(drive.recording.status.sessions for drive in recorded)
        return BagReport(path, frames, sessions, seconds, bag.problems + problems)


def _drives(bag: Bag, conversion: Conversion, has_city: bool) -> tuple[list[tuple[RobotPlan, Known]], list[str]]:
    """The robots that can be converted; sentences about those that can't. BagError where none can."""
    config, topics = conversion.config, bag.topics
    robots = topics_of_robots(config, topics)
    if missing := set(conversion.robots) - {robot.name for robot in robots}:
        raise BagError(f"no robot '{missing.pop()}' in it; there are {', '.join(robot.name for robot in robots)}")
    plans, problems = [], []
    for robot in robots:
        if conversion.robots and robot.name not in conversion.robots:
            continue
        try:
            found = with_topics(replace(robot, ground=conversion.ground or robot.ground), topics, config.tf)
            known = look(bag, config, [found])
            plans.append((planned(found, known, has_city), known))
        except BagError as error:
            problems.append(str(error))
    if not plans:
        raise BagError("; ".join(problems))
    if has_city and config.actors not in topics:
        if conversion.occupancy is OccupancySource.GROUND_TRUTH:
            raise BagError(f"no {config.actors} in it: ground truth would lack all that moves; take 'accumulated'")
        problems.append(f"no {config.actors} in it: what moves is labelled as the city around it, or `other`")
    return plans, problems


class _Drive:
    """One robot: from its messages to its sessions."""

    def __init__(
        self,
        plan: RobotPlan,
        known: Known,
        bag: Bag,
        conversion: Conversion,
        city: CityMap | None,
        output: Path,
        source: str,
        began: datetime,
    ) -> None:
        config, links = plan.config, plan.links
        cameras = frozenset(config.cameras or ()) if conversion.cameras else frozenset()
        self.sync = SweepSynchronizer(
            FRAME_PERIOD_S,
            cameras,
            needs_actors=city is not None and conversion.config.actors in bag.topics,
            with_imu=bool(config.imu),
            needs_ground=config.ground in (Ground.FOOTPRINT, Ground.TOPIC),
            image_tolerance=conversion.config.image_tolerance,
            patience=conversion.config.patience,
        )
        builder = KeyframeBuilder(TOKYO_GRID, conversion.occupancy, conversion.window, city)
        tracker = FrameTracker(config.name, builder, links, self._ground(config.ground, city))
        info = SessionInfo(
            agent=config.name,
            grid=TOKYO_GRID,
            frame_period=FRAME_PERIOD_S,
            occupancy=conversion.occupancy.value,
            city=conversion.city,
            seed=conversion.seed,
            sensors={name: extrinsics(pose) for name, pose in links.items()},
            versions=installed_versions("occ_core", "occ_recorder", "numpy", "rosbags"),
            source=source,
        )
        self.recording = RobotRecording(
            tracker, info, output, conversion.session_seconds, conversion.jpeg_quality,
            lossless=True, now=lambda: began,
        )  # fmt: skip
        self.reader = RobotReader(plan, conversion.config, known, self.sync, self.recording.add)
        if not conversion.cameras:
            for topic in (config.cameras or {}).values():
                self.reader.takes.pop(topic)

    def _ground(self, ground: Ground | None, city: CityMap | None) -> Callable[[float, float], float]:
        if ground is Ground.CITY and city is not None:
            return city.ground_height
        if ground is Ground.TAKEOFF:
            return lambda x, y: self.reader.takeoff
        return lambda x, y: self.reader.config.ground_height

    def problems(self) -> list[str]:
        """Sentences about what was left out of this robot's sessions."""
        name, status = self.reader.config.name, self.recording.status
        said = [f"{what}: {n} messages left out ({why})" for what, (n, why) in self.reader.complaints.items()]
        said += [f"{why}: {n} times" for why, n in self.sync.dropped.items()]
        missed = sum(n for why, n in self.sync.dropped.items() if why.startswith("no image"))
        if status.dropped_frames > missed:
            said.append(f"{status.dropped_frames - missed} frames dropped: {status.problem}")
        if self.sync.resets:
            said.append(f"the clock went back {self.sync.resets} times, a new session began with each")
        if self.sync.resets >= _RESETS_OF_ONE_ROBOT or self.sync.dropped.get("sweep out of order", 0) > status.frames:
            said.append("do two robots, or two simulators, share the name?")
        if not status.frames:
            said.append("no frame came of it")
        return [f"{name}: {problem}" for problem in said]


def _feed(bag: Bag, drives: list[_Drive], progress: bool) -> float:
    """Hand every message to the robots that take it; the seconds that the bag lasted."""
    topics = {topic for drive in drives for topic in drive.reader.takes}
    first, last = span if (span := bag.lasted) else (0, 0)
    newest, seconds = first, (last - first) * 1e-9
    with tqdm(
        total=round(seconds, 1), desc=bag.path.name, unit="s", disable=None if progress else True,
        bar_format="{desc}: {percentage:3.0f}% |{bar}| {n:.1f}/{total:.1f} s of bag, {rate_fmt}, {remaining} left",
    ) as bar:  # fmt: skip
        for message in bag.messages(topics):
            for drive in drives:
                if take := drive.reader.takes.get(message.topic):
                    take(message.content)
            if message.logged - newest > 10**8:
                bar.update((message.logged - newest) * 1e-9)
                newest = message.logged
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
