"""Which topics and frames of a bag belong to which robot: the config completed by what the bag has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

from occ_core.messages import from_compressed_image, from_image, from_transform
from occ_core.point_filters import PointFilter
from occ_core.poses import Pose
from occ_core.stamps import from_stamp
from occ_core.sync import PATIENCE_S
from occ_core.topics import CAMERAS, IMU, LIDAR, ODOM, ROBOT_DESCRIPTION, Topic, image_topic
from occ_core.transforms import Source, TransformTree
from occ_core.urdf import body, joints, link_poses
from occ_recorder.bags.config import TF_ODOMETRY, BagConfig, GroundSource, RobotConfig
from occ_recorder.bags.reading import Bag, BagError
from occ_recorder.bags.sensors import CLOUDS, IMAGES, instead_of_clouds, no_metres

ODOMETRY = "nav_msgs/msg/Odometry"
POSES = ("geometry_msgs/msg/PoseStamped", "geometry_msgs/msg/PoseWithCovarianceStamped")
HEIGHTS = ("sensor_msgs/msg/Range", "geometry_msgs/msg/PointStamped")
_TF_TO_LOOK_AT = 300  # of each frame
# A first message may be odd where the rest is well: so many must be, for the topic to be.
_FIRST = 3


@dataclass
class Known:
    """What is read before the conversion: fixed transforms, descriptions by topic, frames of odometry by topic.

    tree: fixed transforms alone. sample: those and the first of each frame of /tf. odometry: (frame, child frame).
    clouds: frame ids of the first clouds. unreadable: why no image of a topic can be read. refused: fixed transforms
    that are none, `parent` to `child`, and why. units: why x, y and z of a topic's clouds can't be metres, '' where
    they can.
    """

    tree: TransformTree = field(default_factory=TransformTree)
    sample: TransformTree = field(default_factory=TransformTree)
    descriptions: dict[str, str] = field(default_factory=dict)
    odometry: dict[str, tuple[str, str]] = field(default_factory=dict)
    clouds: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RobotPlan:
    """config: with nothing left open but cameras that are not there. links: poses of frames in base_frame.

    tree: the frames that do not move, from config, URDF and /tf_static together. sample: those, and what /tf was seen
    to move. child: the frame whose odometry there is. continuous: the frame that odometry is smooth in, which sweeps
    are accumulated in; poses are reported in the config's fixed_frame. problems: sentences about what is left out.
    patience: seconds of message time that a sweep waits for odometry and transforms.
    """

    config: RobotConfig
    links: dict[str, Pose]
    tree: TransformTree
    sample: TransformTree
    child: str
    continuous: str
    returns: PointFilter
    problems: tuple[str, ...] = ()
    patience: float = PATIENCE_S


def topics_of_robots(config: BagConfig, topics: dict[str, str], foreign: Mapping[str, str]) -> list[RobotConfig]:
    """The config's robots, or one for each namespace with a LiDAR topic as this project names them.

    BagError where there is none, with the clouds that there are.
    """
    if config.robots:
        return list(config.robots)
    ending = f"/{LIDAR.name}"
    names = sorted(topic[1 : -len(ending)] for topic in topics if topic.endswith(ending) and topic.count("/") == 3)
    if not names:
        help_ = "name its topics in a --config, which --inspect writes"
        raise BagError(f"no robot's {ending[1:]} in it: {help_}; {_clouds_there(topics, foreign)}")
    try:
        return [RobotConfig(name) for name in names]
    except ValueError as error:
        raise BagError(str(error)) from error


def with_topics(robot: RobotConfig, topics: dict[str, str], tf: str, foreign: Mapping[str, str]) -> RobotConfig:
    """The robot with a topic for everything that the bag has of it. BagError that names what is missing."""

    def find(given: str, usual: Topic, kinds: Iterable[str], what: str) -> str:
        name = given or f"/{robot.name}/{usual.name}"
        if topics.get(name) in kinds:
            return name
        there = _clouds_there(topics, foreign) if kinds is CLOUDS else _there(topics, kinds)
        if given and name in topics:
            raise BagError(f"{robot.name}: {what} {given} is a {topics[name]}; {there}")
        if given and name in foreign:
            raise BagError(f"{robot.name}: {what} {given} is {foreign[name]}, not a ROS message; {there}")
        if given:
            raise BagError(f"{robot.name}: {what} {given} is not in it; {there}")
        return ""

    lidar = find(robot.lidar, LIDAR, CLOUDS, "lidar")
    if not lidar:
        raise BagError(f"{robot.name}: no /{robot.name}/{LIDAR.name} in it; {_clouds_there(topics, foreign)}")
    odometry = robot.odometry
    if odometry != TF_ODOMETRY:
        odometry = find(odometry, ODOM, (ODOMETRY, *POSES), "odometry") or (TF_ODOMETRY if tf in topics else "")
    if not odometry or (odometry == TF_ODOMETRY and tf not in topics):
        raise BagError(f"{robot.name}: neither odometry nor {tf} in it; {_there(topics, (ODOMETRY, *POSES))}")
    if robot.cameras is None:
        usual = {camera: f"/{robot.name}/{image_topic(camera).name}" for camera in CAMERAS}
        found = {c: n for c, name in usual.items() for n in (f"{name}/compressed", name) if topics.get(n) in IMAGES}
        cameras = found
    else:
        cameras = {c: find(name, image_topic(c), IMAGES, f"camera {c}") for c, name in robot.cameras.items()}
    return replace(
        robot, lidar=lidar, odometry=odometry, cameras=cameras,
        imu=find(robot.imu, IMU, (IMU.type,), "imu"),
        description=find(robot.description, ROBOT_DESCRIPTION, (ROBOT_DESCRIPTION.type,), "description"),
        ground_topic=find(robot.ground_topic, _NOWHERE, HEIGHTS, "ground_topic"),
    )  # fmt: skip


_NOWHERE = Topic("", "", 0)


def _there(topics: dict[str, str], kinds: Iterable[str]) -> str:
    found = sorted(topic for topic, kind in topics.items() if kind in kinds)
    words = " or ".join(kind.split("/")[-1] for kind in kinds)
    return f"of {words} it has {', '.join(found)}" if found else f"it has no {words}"


def _clouds_there(topics: dict[str, str], foreign: Mapping[str, str]) -> str:
    """The clouds that there are; what there is instead, where there are none."""
    there = _there(topics, CLOUDS[:2])
    others = "" if set(topics.values()) & set(CLOUDS) else instead_of_clouds(topics, foreign)
    return f"{there}; {others}" if others else there


def look(bag: Bag, config: BagConfig, robots: list[RobotConfig]) -> Known:
    """Read what the conversion needs to know before: transforms, descriptions, the first of odometry, clouds, images.

    All of /tf: frames that begin late, as a localiser's do, count too.
    """
    known = Known()
    seen: Counter[tuple[str, str]] = Counter()
    for message in bag.messages({config.tf_static, config.tf} & bag.topics.keys()):
        _grow(message.content, known, message.topic == config.tf_static, seen)
    for robot in robots:
        for message in islice(bag.messages({robot.description} - {""}), 1):
            known.descriptions[robot.description] = message.content.data
        for message in islice(bag.messages({robot.odometry} - {TF_ODOMETRY}), 1):
            header, child = message.content.header, getattr(message.content, "child_frame_id", "")
            known.odometry[robot.odometry] = header.frame_id.lstrip("/"), child.lstrip("/")
        clouds = islice(bag.messages({robot.lidar}), _FIRST)
        frames = []
        for message in clouds:
            frames.append(message.content.header.frame_id.lstrip("/"))
            if not robot.point_unit and not known.units.get(robot.lidar):
                known.units[robot.lidar] = no_metres(message.content)
        known.clouds[robot.lidar] = tuple(frames)
        for topic in (robot.cameras or {}).values():
            if why := unreadable_images(bag, topic):
                known.unreadable[topic] = why
    return known


def _grow(message, known: Known, fixed: bool, seen: Counter[tuple[str, str]]) -> None:
    """Take transforms into the trees: all that are fixed, of those that move the first of each frame."""
    for transform in message.transforms:
        parent, child = transform.header.frame_id, transform.child_frame_id
        if not fixed and seen[parent, child] >= _TF_TO_LOOK_AT:
            continue
        try:
            pose = from_transform(transform.transform)
        except ValueError as error:
            if fixed:  # Of those that move, the conversion counts how many are left out.
                known.refused[f"'{parent}' to '{child}'"] = str(error)
            continue
        if fixed:
            for tree in (known.tree, known.sample):
                tree.add_fixed(parent, child, pose, Source.TF_STATIC, rigid=False)
        else:
            seen[parent, child] += 1
            known.sample.add_moving(parent, child, from_stamp(transform.header.stamp), pose)


def unreadable_images(bag: Bag, topic: str) -> str:
    """Why none of a topic's first images can be read; '' where one can, or there is none."""
    why = ""
    for message in islice(bag.messages({topic}), _FIRST):
        image = message.content
        try:
            from_image(image) if hasattr(image, "encoding") else from_compressed_image(image)
        except ValueError as error:
            why = why or str(error)
        else:
            return ""
    return why


def planned(robot: RobotConfig, known: Known, has_city: bool) -> RobotPlan:
    """The frames and the ground of a robot whose topics are known. BagError where they can't be told."""
    frames = known.sample.frames
    stated, child = known.odometry.get(robot.odometry, ("", ""))
    base = robot.base_frame.lstrip("/") or child or _first((f"{robot.name}/base_link", "base_link"), frames)
    named = base or "base_link"
    description = known.descriptions.get(robot.description, "")
    tree, sample = known.tree.copy(), known.sample
    try:
        described = _describe(robot, named, description, (tree, sample))
    except ValueError as error:
        raise BagError(f"{robot.name}: {robot.description}: {error}") from error
    fixed = robot.fixed_frame.lstrip("/") or stated or _first(("map", f"{robot.name}/odom", "odom"), sample.frames)
    if robot.odometry == TF_ODOMETRY and not (base and fixed and sample.connected(fixed, base)):
        there = ", ".join(sorted(frames)[:20]) or "none"
        raise BagError(
            f"{robot.name}: /tf does not place '{base or 'base_link'}' in '{fixed or 'map'}': say base_frame and"
            f" fixed_frame in a --config; frames: {there}{_said_of(known)}"
        )
    base = named
    if child and child != base and not sample.connected(child, base):
        raise BagError(
            f"{robot.name}: {robot.odometry} is the odometry of '{child}', and nothing says where that is in '{base}':"
            " neither extrinsics in the --config nor a URDF nor /tf; without base_frame it is taken for the"
            f" base{_said_of(known)}"
        )
    names = (f"{robot.name}/base_footprint", "base_footprint")
    below = robot.footprint_frame or _first(names, [f for f in sample.frames if sample.connected(base, f)])
    ground = robot.ground or (
        GroundSource.CITY if has_city else GroundSource.FOOTPRINT if below else GroundSource.TAKEOFF
    )
    if ground is GroundSource.CITY and not has_city:
        raise BagError(f"{robot.name}: ground 'city' needs the imported city: give --city")
    if ground is GroundSource.FOOTPRINT and not below:
        raise BagError(f"{robot.name}: no base_footprint in /tf; ground may be takeoff, topic or constant")
    cameras = {camera: topic for camera, topic in (robot.cameras or {}).items() if topic not in known.unreadable}
    config = replace(
        robot, base_frame=base, fixed_frame=fixed, footprint_frame=below, ground=ground, cameras=cameras
    )  # fmt: skip
    links = _links(config, tree, described)
    if why := known.units.get(robot.lidar):
        raise BagError(
            f"{robot.name}: {why}: say how many metres 1 is, such as `point_unit: 0.001` for millimetres, in a --config"
        )
    _refuse_unplaced(config, known, links)
    own = robot.self_filter if robot.self_filter is not None else body(description, links) if description else ()
    continuous = stated or (_continuous(config, sample) if robot.odometry == TF_ODOMETRY else fixed)
    if fixed != continuous and not sample.connected(fixed, continuous):
        raise BagError(
            f"{robot.name}: fixed_frame is '{fixed}', and /tf does not place '{continuous}', the frame of"
            f" {robot.odometry}, in it; without fixed_frame poses are reported in '{continuous}'"
        )
    left_out = {camera: topic for camera, topic in (robot.cameras or {}).items() if camera not in cameras}
    problems = tuple(_without(robot.name, *entry, known) for entry in left_out.items()) + tuple(
        f"{robot.name}: /tf_static has {which}, which is left out: {why}" for which, why in known.refused.items()
    )
    return RobotPlan(
        config, links, tree, sample, child or base, continuous, PointFilter(robot.min_range, own), problems
    )  # fmt: skip


def _without(robot: str, camera: str, topic: str, known: Known) -> str:
    return (
        f"{robot}: camera {camera} is left out: {known.unreadable[topic]}. Its colour images, as {topic}/compressed or"
        " behind image_proc, can be recorded"
    )


def _refuse_unplaced(robot: RobotConfig, known: Known, links: Mapping[str, Pose]) -> None:
    """BagError where nobody says where the LiDAR is: no frame would come of it."""
    frames = known.clouds.get(robot.lidar, ())
    if not frames or any(
        frame in links
        or frame.removeprefix(f"{robot.name}/") in links
        or known.sample.connected(robot.base_frame, frame)
        for frame in frames
    ):
        return
    raise BagError(
        f"{robot.name}: nothing says where the LiDAR's frame '{frames[0]}' is in '{robot.base_frame}', neither a URDF"
        f' nor /tf_static: say it in a --config, extrinsics: {{"{frames[0]}": {{xyz: [0, 0, 1], rpy: [0, 0, 0]}}}}'
        f" (metres, radians); frames that are known: {', '.join(sorted(links))}{_said_of(known)}"
    )


def _said_of(known: Known) -> str:
    """What was left out of /tf_static, as the end of a sentence."""
    return "".join(f"; /tf_static has {which}, which is left out: {why}" for which, why in known.refused.items())


def _first(names: Iterable[str], frames: Iterable[str]) -> str:
    return next((name for name in names if name in frames), "")


def _describe(robot: RobotConfig, base: str, description: str, trees: Iterable[TransformTree]) -> dict[str, Pose]:
    """Add what a URDF and the config say to trees of frames. Poses of the URDF's links in the base, by their names.

    Frames of /tf may be named after the robot, as `robot_state_publisher` does it with its `frame_prefix`.
    """
    found = joints(description) if description else []
    links = {joint.parent for joint in found} | {joint.child for joint in found}
    root = base if base in links else next((name for name in sorted(links) if base.endswith(f"/{name}")), "")
    prefix = base.removesuffix(root) if root else ""
    for tree in trees:
        for joint in found:
            tree.add_fixed(prefix + joint.parent, prefix + joint.child, joint.pose, Source.URDF, rigid=not joint.moves)
        for frame, pose in robot.extrinsics.items():
            if frame.lstrip("/") != base:
                tree.add_fixed(base, frame, pose, Source.CONFIG)
    return link_poses(description, root or "base_link") if description else {}


def _continuous(robot: RobotConfig, sample: TransformTree) -> str:
    """The frame of odometry by /tf: the base moves smoothly in it, while `map` may jump (REP 105)."""
    if robot.continuous_frame:
        if not sample.connected(robot.continuous_frame, robot.base_frame):
            raise BagError(f"{robot.name}: /tf does not place '{robot.base_frame}' in '{robot.continuous_frame}'")
        return robot.continuous_frame.lstrip("/")
    above = sample.above(robot.base_frame)
    if robot.fixed_frame not in above:
        return robot.fixed_frame
    way = above[1 : above.index(robot.fixed_frame)]
    if named := next((frame for frame in way if "odom" in frame.lower()), ""):
        return named
    mover = sample.mover(robot.base_frame)
    parents = [frame for frame in way if mover in above[: above.index(frame)]]
    smooth = [frame for frame in parents if not any(word in frame.lower() for word in ("base", "foot", "body"))]
    return smooth[0] if smooth else robot.fixed_frame


def _links(robot: RobotConfig, tree: TransformTree, described: dict[str, Pose]) -> dict[str, Pose]:
    """Extrinsics by frame: of the config before the robot's description before /tf_static."""
    links = {robot.base_frame: Pose.identity()}
    for frame in tree.frames:
        pose = tree.lookup(robot.base_frame, frame)
        if pose is not None and frame.removeprefix(f"{robot.name}/") not in described:
            links[frame] = pose
    below = {name: pose for name, pose in described.items() if name not in robot.extrinsics}
    return links | below | robot.extrinsics
