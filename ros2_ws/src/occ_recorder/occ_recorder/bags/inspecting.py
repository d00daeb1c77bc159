"""What a bag holds, as somebody wants to know who converts it: topics, frames, clocks, clouds, odometry."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from occ_core.messages import cloud_xyz, from_cloud, from_pose, from_transform, vector
from occ_core.point_times import FIELDS
from occ_core.poses import Pose
from occ_core.stamps import from_stamp
from occ_core.topics import ROBOT_DESCRIPTION
from occ_core.transforms import Source, TransformTree
from occ_core.urdf import body, link_poses
from occ_recorder.bags.config import BagConfig
from occ_recorder.bags.reading import Bag
from occ_recorder.bags.sensors import CLOUDS, instead_of_clouds, no_metres

ODOMETRY = "nav_msgs/msg/Odometry"
POSES = ("geometry_msgs/msg/PoseStamped", "geometry_msgs/msg/PoseWithCovarianceStamped")
_CLOUDS_READ, _CLOUDS_FOR_UNIT = 20, 3
_STEP_S = 0.1  # between poses whose difference is a velocity: less would measure their noise
_STILL = 0.1  # m/s: a robot that is slower says nothing about its twist
_OTHER_CLOCK_S = 1.0  # between stamp and logging: more than any sensor takes
_UNITS = {"seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9}
_SWEEP_S = (0.004, 1.05)  # that a turn of a LiDAR can take


@dataclass(frozen=True)
class CloudFacts:
    """The first clouds of a topic. ranges: of 1, 50 and 99% of the returns, metres. zero, nan: shares of the points.

    time: what a field of times by point means, '' where there is none. xyz: (n, 3) the returns of the first one.
    no_metres: why x, y and z can't be any, '' where they can.
    """

    frame: str
    fields: tuple[str, ...]
    points: int
    ranges: tuple[float, float, float]
    zero: float
    nan: float
    time: str
    xyz: np.ndarray
    no_metres: str = ""


@dataclass(frozen=True)
class OdometryFacts:
    """metres: way that it goes. speed: mean, m/s. jump: longest step between two poses, metres. twist: a sentence."""

    frame: str
    child: str
    metres: float
    speed: float
    jump: float
    twist: str


@dataclass(frozen=True)
class FrameFacts:
    """A frame in its parent; fixed: from /tf_static. count: how often it was sent."""

    parent: str
    fixed: bool
    count: int


@dataclass
class BagFacts:
    """offsets: seconds from stamp to logging, by topic. frames: by name of the child. problems: of reading it.

    steps: metres from each pose of a frame that moves to its next, by the child's name.
    links: poses of a URDF's links in its first one, by name. sized: it says what the robot's body fills.
    """

    topics: dict[str, str]
    counts: dict[str, int]
    seconds: float
    clouds: dict[str, CloudFacts] = field(default_factory=dict)
    odometry: dict[str, OdometryFacts] = field(default_factory=dict)
    frames: dict[str, FrameFacts] = field(default_factory=dict)
    tree: TransformTree = field(default_factory=TransformTree)
    steps: dict[str, list[float]] = field(default_factory=dict)
    links: dict[str, Pose] = field(default_factory=dict)
    sized: bool = False
    offsets: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def inspected(bag: Bag, config: BagConfig) -> BagFacts:
    """Read /tf and odometry whole, of everything else that has a stamp the beginning."""
    span = bag.lasted
    facts = BagFacts(bag.topics, bag.counts, (span[1] - span[0]) * 1e-9 if span else 0.0)
    places: dict[str, np.ndarray] = {}
    for message in bag.messages({config.tf, config.tf_static} & facts.topics.keys()):
        _take_transforms(facts, message.content, message.topic == config.tf_static)
        if message.topic == config.tf:
            _take_steps(facts.steps, places, message.content)
    for topic, kind in sorted(facts.topics.items()):
        if kind == ROBOT_DESCRIPTION.type and topic.endswith(ROBOT_DESCRIPTION.name):
            _take_description(facts, next(bag.messages({topic})).content.data)
        first = list(islice(bag.messages({topic}), _CLOUDS_READ)) if _stamped(kind, topic, config) else []
        headers = [(m.logged * 1e-9, m.content.header) for m in first if hasattr(m.content, "header")]
        if headers:
            facts.offsets[topic] = float(np.median([logged - from_stamp(h.stamp) for logged, h in headers]))
        if kind in CLOUDS and first:
            facts.clouds[topic] = _cloud_facts([message.content for message in first])
        elif kind in (ODOMETRY, *POSES):
            facts.odometry[topic] = _odometry_facts(message.content for message in bag.messages({topic}))
    facts.problems += bag.problems
    if not facts.clouds and (said := instead_of_clouds(facts.topics, bag.foreign)):
        facts.problems.append(said)
    return facts


def _take_description(facts: BagFacts, text: str) -> None:
    try:
        links = link_poses(text)
        facts.links |= links
        facts.sized = facts.sized or bool(body(text, links))
    except ValueError as error:
        facts.problems.append(f"the robot description can't be used: {error}")


def _stamped(kind: str, topic: str, config: BagConfig) -> bool:
    package = kind.split("/")[0]
    return kind in CLOUDS or (package in ("sensor_msgs", "nav_msgs", "geometry_msgs") and topic != config.tf)


def _take_transforms(facts: BagFacts, message: Any, fixed: bool) -> None:
    for transform in message.transforms:
        parent, child = transform.header.frame_id.lstrip("/"), transform.child_frame_id.lstrip("/")
        before = facts.frames.get(child)
        facts.frames[child] = FrameFacts(parent, fixed, before.count + 1 if before else 1)
        if fixed or before is None or before.parent != parent:
            try:
                pose = from_transform(transform.transform)
                if fixed:
                    facts.tree.add_fixed(parent, child, pose, Source.TF_STATIC, rigid=False)
                else:
                    facts.tree.add_moving(parent, child, 0.0, pose)
            except ValueError:
                facts.problems.append(f"{parent} to {child}: no rotation is a quaternion like that")


def _take_steps(steps: dict[str, list[float]], places: dict[str, np.ndarray], message: Any) -> None:
    """Note how far frames have moved since they were heard of last. places: where that was."""
    for transform in message.transforms:
        child, at = transform.child_frame_id.lstrip("/"), vector(transform.transform.translation)
        if child in places:
            steps.setdefault(child, []).append(math.dist(at.tolist(), places[child].tolist()))
        places[child] = at


def _cloud_facts(messages: list[Any]) -> CloudFacts:
    frame, names = messages[0].header.frame_id.lstrip("/"), tuple(field.name for field in messages[0].fields)
    counts, returns, zero, total, meaning = [], [], 0, 0, ""
    for message in messages:
        try:
            cloud = from_cloud(message)
            xyz = cloud_xyz(cloud)
        except ValueError:
            continue
        finite = xyz[np.isfinite(xyz).all(axis=1)]
        real = finite[finite.any(axis=1)]
        total, zero = total + len(xyz), zero + len(finite) - len(real)
        counts.append(len(xyz))
        returns.append(real)
        meaning = meaning or _meaning_of_time(cloud, from_stamp(message.header.stamp))
    everything = np.concatenate(returns) if returns else np.zeros((0, 3), np.float32)
    distance = np.linalg.norm(everything.astype(np.float64), axis=1)
    low, middle, high = np.percentile(distance, (1, 50, 99)) if len(distance) else (0.0, 0.0, 0.0)
    nan = total - zero - len(everything)
    first = next((points for points in returns if len(points)), everything)
    return CloudFacts(
        frame, names, int(np.median(counts)) if counts else 0, (float(low), float(middle), float(high)),
        zero / max(total, 1), nan / max(total, 1), meaning, first,
        next((why for why in map(no_metres, messages[:_CLOUDS_FOR_UNIT]) if why), ""),
    )  # fmt: skip


def _meaning_of_time(cloud: np.ndarray, stamp: float) -> str:
    """What the times of points are, from how long a sweep takes: unit, and what they count from."""
    name = next((name for name in FIELDS if name in (cloud.dtype.names or ())), "")
    if not name or len(cloud) < 2:
        return ""
    values = cloud[name].astype(np.float64)
    values = values[np.isfinite(values)]
    if not len(values) or np.ptp(values) == 0:
        return f"{name}: the same for all points, no use"
    for unit, seconds in _UNITS.items():
        first, last = values.min() * seconds, values.max() * seconds
        if not _SWEEP_S[0] <= last - first <= _SWEEP_S[1]:
            continue
        if abs(first - stamp) < 10.0 and stamp > 1e6:
            first, last, since = first - stamp, last - stamp, "since 1970"
        else:
            since = "from the stamp"
        if abs(first) > 10.0:
            continue
        return f"{name}: {unit} {since}, {first:+.3f} to {last:+.3f} s about the stamp"
    return f"{name}: {values.min():g} to {values.max():g}, which is no turn of a LiDAR in any unit"


def _odometry_facts(messages: Iterator[Any]) -> OdometryFacts:
    frame, child, at = "", "", -np.inf
    poses: list[tuple[float, Pose, np.ndarray | None]] = []
    jump, previous = 0.0, None
    for message in messages:
        frame = frame or message.header.frame_id.lstrip("/")
        child = child or getattr(message, "child_frame_id", "").lstrip("/")
        inner = message.pose if hasattr(message.pose, "position") else message.pose.pose
        try:
            stamp, pose = from_stamp(message.header.stamp), from_pose(inner)
        except ValueError:
            continue
        if previous is not None:
            jump = max(jump, float(np.linalg.norm(pose.position - previous)))
        previous = pose.position
        if stamp - at >= _STEP_S - 1e-6 or stamp < at:
            at = stamp
            linear = message.twist.twist.linear if hasattr(message, "twist") else None
            poses.append((stamp, pose, np.array([linear.x, linear.y, linear.z]) if linear is not None else None))
    steps = [np.linalg.norm(b[1].position - a[1].position) for a, b in zip(poses, poses[1:], strict=False)]
    seconds = poses[-1][0] - poses[0][0] if len(poses) > 1 else 0.0
    metres = float(np.sum(steps))
    speed = metres / seconds if seconds > 0 else 0.0
    return OdometryFacts(frame, child, metres, speed, jump, _twist(poses, frame, child))


def _twist(poses: list[tuple[float, Pose, np.ndarray | None]], frame: str, child: str) -> str:
    """How an Odometry's twist goes with what its poses do."""
    own, parents, said = [], [], []
    for (begin, a, first), (end, b, last) in zip(poses, poses[1:], strict=False):
        if first is None or last is None or not 0 < end - begin < 1.0:
            continue
        velocity = (b.position - a.position) / (end - begin)
        if np.linalg.norm(velocity) < _STILL:
            continue
        said.append((first + last) / 2)
        parents.append(velocity)
        own.append((a.rotation.T @ velocity + b.rotation.T @ velocity) / 2)
    if poses and poses[0][2] is None:
        return "has no twist: velocities follow from the poses"
    if said and np.isnan(said).any(axis=1).mean() > 0.5:
        return "twist is no numbers: velocities follow from the poses"
    if len(said) < 3:
        return "the robot hardly moves: nothing to compare its twist with"
    speed = float(np.median(np.linalg.norm(own, axis=1)))

    def off(velocities: list[np.ndarray]) -> float:
        return float(np.median(np.linalg.norm(np.array(said) - np.array(velocities), axis=1)))

    if float(np.median(np.linalg.norm(said, axis=1))) < 0.05 * speed:
        return f"twist is zero, though the poses move at {speed:.2f} m/s"
    if off(own) <= max(0.2 * speed, 0.05):
        return f"twist agrees with the poses ({off(own):.2f} m/s apart at {speed:.2f} m/s)"
    if off(parents) <= max(0.2 * speed, 0.05):
        return f"twist is in the frame '{frame}' and not in '{child or 'the base'}', as REP 147 and the message have it"
    return f"twist is {off(own):.2f} m/s off what the poses do at {speed:.2f} m/s"


def report(facts: BagFacts) -> list[str]:
    """The facts in lines."""
    lines = [f"{facts.seconds:.1f} s, {sum(facts.counts.values())} messages", "", "topics:"]
    width = max(map(len, facts.topics), default=0)
    for topic, kind in sorted(facts.topics.items()):
        count = facts.counts[topic]
        rate = f"{(count - 1) / facts.seconds:.1f} Hz" if facts.seconds > 0 and count > 1 else ""
        clock = _clock(facts.offsets.get(topic))
        lines.append(f"  {topic:<{width}}  {kind:<40} {count:>7} {rate:>9}  {clock}".rstrip())
    lines += _clocks_apart(facts)
    if facts.frames:
        lines += ["", "frames:", *_tree_lines(facts)]
    for topic, cloud in facts.clouds.items():
        near, middle, far = cloud.ranges
        lines += [
            "", f"clouds of {topic}, in frame '{cloud.frame}':",
            f"  {cloud.points} points with {', '.join(name for name in cloud.fields if name)}",
            f"  ranges {near:.1f} m (1%), {middle:.1f} m (half), {far:.1f} m (99%)",
            f"  {cloud.zero:.1%} are (0, 0, 0), {cloud.nan:.1%} are NaN or infinite: no returns",
            f"  time of each point: {cloud.time or 'no field'}",
            *([f"  {cloud.no_metres}: a config needs a point_unit"] if cloud.no_metres else []),
        ]  # fmt: skip
    for topic, odometry in facts.odometry.items():
        where = f"'{odometry.child}' in '{odometry.frame}'" if odometry.child else f"in '{odometry.frame}'"
        lines += [
            "", f"odometry of {topic}, {where}:",
            f"  {odometry.metres:.1f} m at {odometry.speed:.2f} m/s, longest step {odometry.jump:.2f} m",
            f"  {odometry.twist}",
        ]  # fmt: skip
    return lines + [f"\n{problem}" for problem in facts.problems]


def _clocks_apart(facts: BagFacts) -> list[str]:
    """A line for each pair of a cloud and an odometry that can't belong to one clock."""
    return [
        f"  {cloud} and {odometry} are not stamped by one clock: they are {abs(apart):,.1f} s apart"
        for cloud in facts.clouds
        for odometry in facts.odometry
        if abs(apart := facts.offsets.get(cloud, 0.0) - facts.offsets.get(odometry, 0.0)) > _OTHER_CLOCK_S
    ]


def _clock(offset: float | None) -> str:
    if offset is None:
        return ""
    if abs(offset) <= _OTHER_CLOCK_S:
        return f"stamped {offset * 1e3:.0f} ms before it was logged"
    return f"stamps of another clock: {abs(offset):,.1f} s {'behind' if offset > 0 else 'ahead of'} that of the log"


def _tree_lines(facts: BagFacts) -> list[str]:
    children: dict[str, list[str]] = {}
    for child, frame in facts.frames.items():
        children.setdefault(frame.parent, []).append(child)
    lines: list[str] = []

    def below(frame: str, depth: int, above: tuple[str, ...]) -> None:
        entry = facts.frames.get(frame)
        how = ""
        if entry is not None and depth:
            rate = f", {entry.count / facts.seconds:.0f} Hz" if facts.seconds > 0 and entry.count > 1 else ""
            how = "  (fixed)" if entry.fixed else f"  (moves{rate})" if entry.count > 1 else "  (sent once)"
        lines.append(f"  {'    ' * depth}{frame}{how}")
        for child in sorted(children.get(frame, ())):
            if child not in above:
                below(child, depth + 1, (*above, child))

    for root in sorted(children.keys() - facts.frames.keys()):
        below(root, 0, (root,))
    return lines or ["  they go round in a circle"]
