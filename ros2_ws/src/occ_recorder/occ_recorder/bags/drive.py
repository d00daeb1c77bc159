"""One robot of a bag: from its messages to whole sweeps, and the tracker that makes frames of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from occ_core.citymap import CityMap
from occ_core.grid import FRAME_PERIOD_S, TOKYO_GRID, VoxelGrid
from occ_core.keyframes import DEFAULT_WINDOW_S, KeyframeBuilder, OccupancySource
from occ_core.sync import SweepSynchronizer, SyncedSweep
from occ_core.tracker import FrameTracker
from occ_recorder.bags.clocks import check_clocks, restamp, twist_is_wrong
from occ_recorder.bags.config import BagConfig, GroundSource, Stamps
from occ_recorder.bags.plan import Known, RobotPlan, look, planned, topics_of_robots, with_topics
from occ_recorder.bags.reading import Bag, BagError
from occ_recorder.bags.robot_messages import RobotReader
from occ_recorder.bags.vehicle import as_yaml, seen_of_itself


@dataclass(frozen=True)
class Conversion:
    """How bags become sessions.

    config: what is where in the bag. robots: names to take, () for all. ground: over each robot's. city: folder of
    the imported city, '' for none. seed: of the simulation. The rest as the recorder's parameters.
    """

    config: BagConfig = field(default_factory=BagConfig)
    robots: tuple[str, ...] = ()
    ground: GroundSource | None = None
    city: str = ""
    occupancy: OccupancySource = OccupancySource.ACCUMULATED
    window: float = DEFAULT_WINDOW_S
    grid: VoxelGrid = TOKYO_GRID
    session_seconds: float = 0.0
    jpeg_quality: int = 90
    cameras: bool = True
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.occupancy is OccupancySource.GROUND_TRUTH and not self.city:
            raise ValueError("occupancy 'ground_truth' needs the imported city: give --city")


def drives(bag: Bag, conversion: Conversion, has_city: bool) -> tuple[list[RobotPlan], list[str]]:
    """The robots that can be converted; sentences about those that can't. BagError where none can."""
    config, topics = conversion.config, bag.topics
    robots = topics_of_robots(config, topics, bag.foreign)
    if missing := set(conversion.robots) - {robot.name for robot in robots}:
        raise BagError(f"no robot '{missing.pop()}' in it; there are {', '.join(robot.name for robot in robots)}")
    plans, problems = [], []
    for robot in robots:
        if conversion.robots and robot.name not in conversion.robots:
            continue
        try:
            robot = replace(robot, ground=conversion.ground or robot.ground)
            found = with_topics(robot, topics, config.tf, bag.foreign)
            timing = check_clocks(bag, found, config)
            known = look(bag, config, [found if conversion.cameras else replace(found, cameras={})])
            plan = _without_itself(bag, planned(found, known, has_city), known)
            plan = replace(plan, patience=timing.patience, problems=(*timing.problems, *plan.problems))
            plans.append(plan)
            problems += plan.problems
        except BagError as error:
            problems.append(str(error))
    if not plans:
        raise BagError("; ".join(problems))
    if has_city and config.actors not in topics:
        if conversion.occupancy is OccupancySource.GROUND_TRUTH:
            raise BagError(f"no {config.actors} in it: ground truth would lack all that moves; take 'accumulated'")
        problems.append(f"no {config.actors} in it: what moves is labelled as the city around it, or `other`")
    return plans, problems


def _without_itself(bag: Bag, plan: RobotPlan, known: Known) -> RobotPlan:
    """The plan of a robot whose size nobody states, with boxes about what its LiDAR is seen to see of it."""
    robot = plan.config
    frames = known.clouds.get(robot.lidar) or ("",)
    bare = frames[0].removeprefix(f"{robot.name}/")
    mount = next((plan.links[name] for name in (frames[0], bare) if name in plan.links), None)
    if robot.self_filter is not None or plan.returns.body or mount is None:
        return plan
    boxes = seen_of_itself(bag, robot.lidar, mount, plan.returns, robot.metres)
    if not boxes:
        return plan
    said = (
        f"{robot.name}: nothing says how large it is; what stays where it is in {robot.base_frame} while all else goes"
        f" by is left out as its own: `self_filter: {as_yaml(boxes)}` in a --config, [] keeps it"
    )
    returns = replace(plan.returns, body=boxes)
    return replace(plan, returns=returns, problems=(*plan.problems, said))


class BagDrive:
    """deliver: takes every sweep of the robot, whole and in order; `tracker` makes its frames."""

    def __init__(
        self,
        plan: RobotPlan,
        bag: Bag,
        conversion: Conversion,
        city: CityMap | None,
        deliver: Callable[[SyncedSweep], None],
    ) -> None:
        config = plan.config
        self.robot = config.name
        cameras = frozenset(config.cameras or ()) if conversion.cameras else frozenset()
        self.sync = SweepSynchronizer(
            FRAME_PERIOD_S,
            cameras,
            needs_actors=city is not None and conversion.config.actors in bag.topics,
            with_imu=bool(config.imu),
            needs_ground=config.ground in (GroundSource.FOOTPRINT, GroundSource.TOPIC),
            image_tolerance=conversion.config.image_tolerance,
            patience=plan.patience,
            distrust_twist=twist_is_wrong(bag, config, plan.child),
        )
        builder = KeyframeBuilder(conversion.grid, conversion.occupancy, conversion.window, city, threads=1)
        self.tracker = FrameTracker(self.robot, builder, plan.links, self._ground(config.ground, city), plan.returns)
        self.reader = RobotReader(plan, conversion.config, self.sync, deliver)
        self.by_log = conversion.config.stamps is Stamps.LOG
        if not conversion.cameras:
            for topic in (config.cameras or {}).values():
                self.reader.takes.pop(topic)

    def _ground(self, ground: GroundSource | None, city: CityMap | None) -> Callable[[float, float], float]:
        if ground is GroundSource.CITY and city is not None:
            return city.nearest_ground
        if ground is GroundSource.TAKEOFF:
            return lambda x, y: self.reader.takeoff
        return lambda x, y: self.reader.config.ground_height


def feed(bag: Bag, drives: list[BagDrive]) -> Iterator[int]:
    """Hand every message to the robots that take it; gives the log time of each, nanoseconds since 1970."""
    by_log = any(drive.by_log for drive in drives)
    for message in bag.messages({topic for drive in drives for topic in drive.reader.takes}):
        if by_log:
            restamp(message.content, message.logged)
        for drive in drives:
            if take := drive.reader.takes.get(message.topic):
                drive.reader.logged = message.logged * 1e-9
                take(message.content)
        yield message.logged
    for drive in drives:
        drive.reader.finish()
    if bag.lasted:
        yield bag.lasted[1]
