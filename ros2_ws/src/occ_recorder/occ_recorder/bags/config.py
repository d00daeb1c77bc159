"""What is where in somebody's bag, as YAML says it: robots, topics, frames, extrinsics, ground."""

from __future__ import annotations

import difflib
import re
from dataclasses import MISSING, dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from occ_core.point_filters import MIN_RANGE_M, PointFilter, VehicleBox
from occ_core.poses import Pose
from occ_core.sync import PATIENCE_S
from occ_core.topics import ACTORS, CAMERAS, TF, TF_STATIC
from occ_recorder.bags.reading import DISTROS, BagError

TF_ODOMETRY = "tf"
# What is a folder's name everywhere, is not hidden, and means nothing to those who list folders.
_NAME = re.compile(r"[^\W_][\w.-]*")


class GroundSource(str, Enum):
    """Where z = 0 of the grid comes from.

    city: the imported city. footprint: the frame `base_footprint` of /tf. takeoff: the ground that the robot stands on
    in its first message. topic: heights that somebody measures. constant: a number.
    """

    CITY = "city"
    FOOTPRINT = "footprint"
    TAKEOFF = "takeoff"
    TOPIC = "topic"
    CONSTANT = "constant"


class Stamps(str, Enum):
    """When a message is of. header: as its own header says. log: when it was recorded."""

    HEADER = "header"
    LOG = "log"


@dataclass(frozen=True)
class RobotConfig:
    """One robot's topics and frames; what is empty is found by the names of this project, or in /tf.

    lidar: PointCloud2. odometry: Odometry, PoseStamped or PoseWithCovarianceStamped; `tf` for the transforms.
    imu: Imu. description: URDF in a String. cameras: Image or CompressedImage topics by name (front, ...); None: those
    that are there. fixed_frame, base_frame, footprint_frame: where `tf` is asked; poses are reported in fixed_frame.
    continuous_frame: of `tf`, the one between fixed_frame and base_frame that does not jump. extrinsics: poses of
    frames in base_frame, before what a URDF and /tf_static say. point_unit: metres of 1 in x, y and z of clouds; 0:
    nobody says, and what can't be metres is refused. min_range: metres; what is nearer is no return.
    self_filter: boxes that the vehicle fills, in base_frame; None: those of its description. undistort: points are put
    where they were measured, by their own times. ground_height: metres in the fixed frame, of `constant`.
    base_height: of base_frame above the ground, of `takeoff`. ground_topic: Range (straight down) or PointStamped (z
    of the ground).
    """

    name: str
    lidar: str = ""
    odometry: str = ""
    imu: str = ""
    description: str = ""
    cameras: dict[str, str] | None = None
    fixed_frame: str = ""
    base_frame: str = ""
    footprint_frame: str = ""
    continuous_frame: str = ""
    extrinsics: dict[str, Pose] = field(default_factory=dict)
    point_unit: float = 0.0
    min_range: float = MIN_RANGE_M
    self_filter: tuple[VehicleBox, ...] | None = None
    undistort: bool = True
    ground: GroundSource | None = None
    ground_height: float = 0.0
    base_height: float = 0.0
    ground_topic: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"a robot's name is one word of letters, digits, '_', '-' and '.' that begins with a letter or a digit:"
                f" its sessions are folders of that name; got '{self.name}'"
            )
        if unknown := set(self.cameras or ()) - CAMERAS.keys():
            raise ValueError(f"camera '{unknown.pop()}' of {self.name}: one of {', '.join(CAMERAS)} is wanted")
        PointFilter(self.min_range)  # which refuses what is no range
        if not 0 <= self.point_unit <= 1000:
            raise ValueError(f"point_unit of {self.name} is in [0, 1000] metres, got {self.point_unit}")
        if self.ground is GroundSource.TOPIC and not self.ground_topic:
            raise ValueError(f"ground of {self.name} is 'topic', and ground_topic does not say which")

    @property
    def metres(self) -> float:
        """Of 1 in x, y and z of clouds."""
        return self.point_unit or 1.0


@dataclass(frozen=True)
class BagConfig:
    """robots: () takes every robot whose topics are named as in this project. remap: bag's topic name to ours.

    stamps: which clock messages are put together by. image_tolerance: seconds between a keyframe and its images.
    patience: seconds of message time that a sweep waits.
    """

    robots: tuple[RobotConfig, ...] = ()
    remap: dict[str, str] = field(default_factory=dict)
    ros_distro: str = ""
    actors: str = ACTORS.name
    tf: str = TF.name
    tf_static: str = TF_STATIC.name
    stamps: Stamps = Stamps.HEADER
    image_tolerance: float = 0.005
    patience: float = PATIENCE_S

    def __post_init__(self) -> None:
        names = [robot.name for robot in self.robots]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(
                f"two robots are named '{twice[0]}': each needs a name of its own, sessions are named after it"
            )
        if self.ros_distro and self.ros_distro not in DISTROS:
            raise ValueError(f"ros_distro '{self.ros_distro}': one of {', '.join(DISTROS)} is wanted")
        if not (0 < self.image_tolerance <= 1 and 0 < self.patience <= 60):
            raise ValueError("image_tolerance is in (0, 1] and patience in (0, 60], seconds")


def read_config(path: Path) -> BagConfig:
    """A config of YAML; BagError names the file, the key and the nearest valid one."""
    try:
        content = yaml.safe_load(Path(path).read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise BagError(f"{path} can't be read: {' '.join(str(error).split())}") from error
    try:
        return _bag_config(content if content is not None else {})
    except (ValueError, TypeError) as error:
        raise BagError(f"{path}: {error}") from error


def _bag_config(content: Any) -> BagConfig:
    values = _checked(content, BagConfig, "the config")
    values |= _chosen(values, "stamps", Stamps)
    robots = values.pop("robots", [])
    if not isinstance(robots, list):
        raise ValueError("robots is a list, each with a name")
    return BagConfig(robots=tuple(_robot(robot) for robot in robots), **values)


def _robot(content: Any) -> RobotConfig:
    values = _checked(content, RobotConfig, "a robot")
    values |= _chosen(values, "ground", GroundSource)
    values["extrinsics"] = {
        frame: _pose(f"extrinsics of {frame}", pose) for frame, pose in values.get("extrinsics", {}).items()
    }
    if "self_filter" in values:
        values["self_filter"] = tuple(_box(box) for box in values["self_filter"])
    return RobotConfig(**values)


def _chosen(values: dict[str, Any], key: str, kind: type[Enum]) -> dict[str, Any]:
    """The one of an enumeration that a key names, where it is there."""
    if key not in values:
        return {}
    words = [one.value for one in kind]
    if values[key] not in words:
        raise ValueError(f"{key} '{values[key]}': one of {', '.join(words)} is wanted")
    return {key: kind(values[key])}


def _box(content: Any) -> VehicleBox:
    """`size` in metres, with the centre's `xyz` and `rpy` or `xyzw` in base_frame."""
    if not isinstance(content, dict) or "size" not in content:
        raise ValueError(
            "self_filter is a list of boxes: size (three lengths), xyz and rpy of its centre in base_frame"
        )
    size = np.array(content["size"], dtype=float)
    if size.shape != (3,) or not (size > 0).all():
        raise ValueError(f"self_filter: size is three lengths in metres, got {content['size']}")
    where = {key: value for key, value in content.items() if key != "size"}
    return VehicleBox(_pose("self_filter", {"xyz": [0.0, 0.0, 0.0], **where}), size)


def _checked(content: Any, kind: type, what: str) -> dict[str, Any]:
    """The content, where its keys are fields of a dataclass with values of the type of their defaults."""
    if not isinstance(content, dict):
        raise ValueError(f"{what} is a mapping of names to values, got {type(content).__name__}")
    known = {f.name: f for f in fields(kind)}
    for name, value in content.items():
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1)
            raise ValueError(
                f"{what} has no '{name}'"
                + (f", did you mean '{near[0]}'?" if near else f"; {', '.join(known)} are known")
            )
        wanted = _KINDS.get(name, str)
        default = known[name].default
        if default is not MISSING and isinstance(default, float):
            wanted, value = float, float(value) if isinstance(value, int) and not isinstance(value, bool) else value
            content[name] = value
        if not isinstance(value, wanted):
            raise ValueError(f"{name} of {what} is {value!r}, a {_WORDS[wanted]} is wanted")
    if "name" in known and "name" not in content:
        raise ValueError(f"{what} has no name")
    return dict(content)


_KINDS = {
    "cameras": dict, "remap": dict, "extrinsics": dict, "robots": list, "self_filter": list, "undistort": bool
}  # fmt: skip
_WORDS = {dict: "mapping", list: "list", str: "text", float: "number", bool: "true or false"}


def _pose(what: str, content: Any) -> Pose:
    """`xyz` in metres; `rpy` in radians or `xyzw`, a quaternion."""
    known = {"xyz", "rpy", "xyzw"}
    if (
        not isinstance(content, dict)
        or "xyz" not in content
        or content.keys() - known
        or {"rpy", "xyzw"} <= content.keys()
    ):
        raise ValueError(f"{what}: xyz (metres) and rpy (radians) or xyzw (quaternion) are wanted")
    try:
        xyz = np.array(content["xyz"], dtype=float)
        if "xyzw" in content:
            return Pose(xyz, np.roll(np.array(content["xyzw"], dtype=float), 1))
        rpy = np.array(content.get("rpy", (0, 0, 0)), dtype=float)
        if xyz.shape != (3,) or rpy.shape != (3,):
            raise ValueError("three numbers each")
        return Pose.from_xyz_rpy(xyz, rpy)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{what}: {error}") from error
