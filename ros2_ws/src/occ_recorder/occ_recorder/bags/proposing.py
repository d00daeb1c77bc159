"""A config that fits a bag, from what inspecting it has shown: as YAML with the reasons beside."""

from __future__ import annotations

import json
from itertools import takewhile

import numpy as np

from occ_core.point_filters import PointFilter
from occ_core.poses import Pose
from occ_core.topics import CAMERAS, IMU, LIDAR, ROBOT_DESCRIPTION
from occ_recorder.bags.clocks import check_clocks
from occ_recorder.bags.config import TF_ODOMETRY, BagConfig, RobotConfig
from occ_recorder.bags.inspecting import ODOMETRY, BagFacts, CloudFacts
from occ_recorder.bags.plan import unreadable_images
from occ_recorder.bags.reading import Bag, BagError
from occ_recorder.bags.sensors import IMAGES
from occ_recorder.bags.vehicle import as_yaml, height_above_ground, seen_of_itself

_YAML_WORDS = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")  # which mean something without quotes
_MILLIMETRES = 0.001
_WORLDS = ("map", "odom", "world", "earth", "camera_init")
_JUMP_M, _JUMP_TIMES = 0.2, 6.0  # a step of a frame that is longer, and so many times its usual ones, is a jump
_NOT_RAW = ("map", "registered", "aligned", "accumulated", "ground", "obstacle", "cluster", "segment", "plane")
# Words in a camera's topic, those of two sides before those of one, and the camera that it is.
_SIDES = {
    "front_left": "front_left", "left_front": "front_left", "front_right": "front_right",
    "right_front": "front_right", "back_left": "back_left", "rear_left": "back_left", "left_back": "back_left",
    "back_right": "back_right", "rear_right": "back_right", "right_back": "back_right", "front": "front",
    "rear": "back", "back": "back", "left": "front_left", "right": "front_right",
}  # fmt: skip


def proposal(bag: Bag, facts: BagFacts, config: BagConfig) -> str:
    """YAML for `--config`; '' where no cloud is there, or the names are this project's and none is needed."""
    lidar = _lidar(facts)
    ours = [topic for topic in facts.clouds if topic.endswith(f"/{LIDAR.name}") and topic.count("/") == 3]
    if not lidar or ours:
        return ""
    odometry = _odometry(facts, lidar)
    base = _base(facts, odometry, lidar)
    lines = ["robots:", "  - name: robot_0  # sessions are named after it", f"    lidar: {_text(lidar)}"]
    if odometry:
        lines.append(f"    odometry: {_text(odometry)}  # {_why(facts, odometry)}")
    else:
        lines.append("    odometry: tf  # nothing in the bag places the robot: name the topic or frames that do")
    if odometry in ("", TF_ODOMETRY) or (base and base != facts.odometry[odometry].child):
        lines.append(f"    base_frame: {_text(base or 'base_link')}")
    if odometry == TF_ODOMETRY:
        lines.append(f"    fixed_frame: {_text(_world(facts, base))}")
        lines += _continuous(facts, base)
    for key, kind, words in (("imu", IMU.type, ""), ("description", ROBOT_DESCRIPTION.type, "robot_description")):
        if found := [t for t, k in sorted(facts.topics.items()) if k == kind and t.endswith(words)]:
            lines.append(f"    {key}: {_text(max(found, key=lambda topic: _shared(topic, lidar)))}")
    cameras = _cameras(bag, facts, lidar)
    lines.append("    cameras:" if cameras else "    cameras: {}")
    lines += [f"      {camera}: {_text(topic)}" for camera, topic in cameras.items()]
    mount = _mount(facts, base, lidar)
    if mount is None:
        lines += [
            f"    extrinsics:  # nothing in the bag says where the LiDAR is in {base or 'the base'}: measure it",
            f"      {_text(facts.clouds[lidar].frame)}: {{xyz: [0.0, 0.0, 0.0], rpy: [0.0, 0.0, 0.0]}}  # m, radians",
        ]
    elif not facts.tree.moves(base, facts.clouds[lidar].frame) and not facts.sized:
        if boxes := seen_of_itself(bag, lidar, mount, PointFilter(), _unit(facts.clouds[lidar])):
            lines.append(f"    self_filter: {as_yaml(boxes)}  # what the LiDAR was seen to see of the vehicle")
    if why := facts.clouds[lidar].no_metres:
        lines.append(f"    point_unit: {_MILLIMETRES}  # metres of 1 in x, y and z: {why}; taken for millimetres")
    lines += _ground(facts, base, lidar, mount)
    if cameras:
        slowest = min(facts.counts[topic] for topic in cameras.values()) / max(facts.seconds, 1e-9)
        tolerance = min(max(0.6 / max(slowest, 1.0), 0.005), 0.5)
        lines.append(f"image_tolerance: {tolerance:.3f}  # seconds: a little more than half between two images")
    if _needs_log(bag, config, lidar, odometry):
        lines.append("stamps: log  # of LiDAR and odometry are of two clocks, or none: times of recording are taken")
    return "\n".join(lines) + "\n"


def _text(name: str) -> str:
    """A name in YAML, in quotes where it needs them."""
    plain = name.replace("/", "").replace("_", "").isalnum() and not name[:1].isdigit()
    return name if plain and name.lower() not in _YAML_WORDS else json.dumps(name)


def _lidar(facts: BagFacts) -> str:
    """The cloud with the most points, of those that are as a sensor saw them."""
    worlds = {odometry.frame for odometry in facts.odometry.values()} | set(_WORLDS)
    if not facts.clouds:
        return ""

    def rank(topic: str) -> tuple[bool, bool, int]:
        cloud = facts.clouds[topic]
        raw = not any(word in topic for word in _NOT_RAW)
        return cloud.frame not in worlds, raw, cloud.points * facts.counts[topic]

    return max(sorted(facts.clouds), key=rank)


def _odometry(facts: BagFacts, lidar: str) -> str:
    """The topic that moves, is connected with the LiDAR, and comes often; `tf` where only transforms are there."""
    frame = facts.clouds[lidar].frame

    def rank(topic: str) -> tuple[bool, int, bool, bool, int]:
        odometry = facts.odometry[topic]
        near = odometry.child == frame or bool(odometry.child and facts.tree.connected(odometry.child, frame))
        absolute = any(word in topic for word in ("gps", "gnss", "navsat"))
        return near, _shared(topic, lidar), facts.topics[topic] == ODOMETRY, not absolute, facts.counts[topic]

    enough = [topic for topic in sorted(facts.odometry) if facts.counts[topic] >= 2]
    if enough:
        return max(enough, key=rank)
    return TF_ODOMETRY if any(not entry.fixed for entry in facts.frames.values()) else ""


def _shared(topic: str, lidar: str) -> int:
    """How many names a topic has in common with the LiDAR's, from the front: namespaces are of one robot."""
    both = zip(topic.split("/")[1:-1], lidar.split("/")[1:-1], strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], both)))


def _why(facts: BagFacts, odometry: str) -> str:
    if odometry == TF_ODOMETRY:
        return "no topic has poses"
    others = [topic for topic in facts.odometry if topic != odometry]
    return facts.odometry[odometry].twist + (f"; there are {', '.join(others)} too" if others else "")


def _base(facts: BagFacts, odometry: str, lidar: str) -> str:
    """The odometry's child; base_link where it is fixed to that, or where nobody names a child."""
    child = facts.odometry[odometry].child if odometry in facts.odometry else ""
    usual = [f for f in sorted(facts.tree.frames, key=len) if f.split("/")[-1] == "base_link"]
    if usual and (not child or facts.tree.lookup(child, usual[0]) is not None):
        return usual[0]
    if child:
        return child
    return _top_of_the_robot(facts, facts.clouds[lidar].frame)


def _top_of_the_robot(facts: BagFacts, frame: str) -> str:
    """The highest frame that a frame is fixed to."""
    while frame in facts.frames and facts.frames[frame].fixed:
        frame = facts.frames[frame].parent
    return frame


def _world(facts: BagFacts, base: str) -> str:
    above = [base]
    while above[-1] in facts.frames and facts.frames[above[-1]].parent not in above:
        above.append(facts.frames[above[-1]].parent)
    return next((name for name in _WORLDS if name in above), above[-1])


def _continuous(facts: BagFacts, base: str) -> list[str]:
    """The frame that the base moves smoothly in, where one above it jumps, as a localiser's map does."""
    frame = base
    while frame in facts.frames:
        steps, parent = facts.steps.get(frame, [0.0]), facts.frames[frame].parent
        most, usual = max(steps), float(np.percentile(steps, 90))
        if most > _JUMP_M and most > _JUMP_TIMES * usual and frame != base:
            why = f"'{frame}' jumps by up to {most:.1f} m in '{parent}'"
            return [f"    continuous_frame: {_text(frame)}  # sweeps are put together in it: {why}"]
        frame = parent
    return []


def _needs_log(bag: Bag, config: BagConfig, lidar: str, odometry: str) -> bool:
    """Whether only the times of recording tell which sweep and which pose belong together."""
    try:
        check_clocks(bag, RobotConfig("robot_0", lidar=lidar, odometry=odometry or TF_ODOMETRY), config)
    except BagError as error:
        return "stamps: log" in str(error)
    return False


def _unit(cloud: CloudFacts) -> float:
    """Metres of 1 in x, y and z of clouds, as the proposal says it."""
    return _MILLIMETRES if cloud.no_metres else 1.0


def _mount(facts: BagFacts, base: str, lidar: str) -> Pose | None:
    """Where the LiDAR is in the base, as a URDF or /tf says; None where neither does."""
    frame = facts.clouds[lidar].frame
    if base in facts.links and frame in facts.links:
        return facts.links[base].inverse() @ facts.links[frame]
    return Pose.identity() if frame == base else facts.tree.lookup(base, frame, hold=True) if base else None


def _ground(facts: BagFacts, base: str, lidar: str, mount: Pose | None) -> list[str]:
    footprints = [f for f in facts.tree.frames if f.split("/")[-1] == "base_footprint"]
    if footprints and facts.tree.connected(base, footprints[0]):
        return ["    ground: footprint  # /tf has base_footprint"]
    at = mount or Pose.identity()
    height = height_above_ground(at.apply(facts.clouds[lidar].xyz * _unit(facts.clouds[lidar])), at.position)
    how = "of base_frame above the ground: estimated from the first cloud" if height is not None else "measure it"
    if mount is None and height is not None:
        how = "of the LiDAR above the ground, estimated from the first cloud: take away how high it is above base_frame"
    return ["    ground: takeoff", f"    base_height: {height or 0.0:.2f}  # metres, {how}"]


def _cameras(bag: Bag, facts: BagFacts, lidar: str) -> dict[str, str]:
    """Colour images by the side that their topic names; the first one without a side is the front.

    Of the LiDAR's namespace, where some are.
    """
    found: dict[str, str] = {}
    images = [t for t, k in facts.topics.items() if k in IMAGES and not any(w in t for w in ("depth", "infra", "mask"))]
    most = max((_shared(topic, lidar) for topic in images), default=0)
    images = [topic for topic in images if _shared(topic, lidar) == most]
    # Compressed before raw, and then by name.
    for topic in sorted(images, key=lambda topic: (not topic.endswith("/compressed"), topic)):
        side = next((camera for word, camera in _SIDES.items() if word in topic), "front")
        if side in found or unreadable_images(bag, topic):
            continue
        found[side] = topic
    if len(found) == 1 and not found.keys() <= {"back", "back_left", "back_right"}:
        return {"front": next(iter(found.values()))}  # one eye of a stereo pair looks ahead, whichever it is
    return {camera: found[camera] for camera in CAMERAS if camera in found}
