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

from occ_core.poses import Pose
from occ_core.sync import PATIENCE_S
from occ_core.topics import ACTORS, CAMERAS, TF, TF_STATIC
from occ_recorder.bags.reading import DISTROS, BagError

TF_ODOMETRY = "tf"
# What is a folder's name everywhere, is not hidden, and means nothing to those who list folders.
_NAME = re.compile(r"[^\W_][\w.-]*")


class Ground(str, Enum):
    """Where z = 0 of the grid comes from.

    city: the imported city. footprint: the frame `base_footprint` of /tf. takeoff: the ground that the robot stands on
    in its first message. topic: heights that somebody measures. constant: a number.
    """

    CITY = "city"
    FOOTPRINT = "footprint"
    TAKEOFF = "takeoff"
    TOPIC = "topic"
    CONSTANT = "constant"


@dataclass(frozen=True)
class RobotConfig:
    """One robot's topics and frames; what is empty is found by the names of this project, or in /tf.

    lidar: PointCloud2. odometry: Odometry, PoseStamped or PoseWithCovarianceStamped; `tf` for the transforms.
    imu: Imu. description: URDF in a String. cameras: Image or CompressedImage topics by name (front, ...); None: those
    that are there. fixed_frame, base_frame, footprint_frame: where `tf` is asked. extrinsics: poses of frames in
    base_frame, before what /tf_static says. ground_height: metres in the fixed frame, of `constant`. base_height: of
    base_frame above the ground, of `takeoff`. ground_topic: Range (straight down) or PointStamped (z of the ground).
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
    extrinsics: dict[str, Pose] = field(default_factory=dict)
    ground: Ground | None = None
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
        if self.ground is Ground.TOPIC and not self.ground_topic:
            raise ValueError(f"ground of {self.name} is 'topic', and ground_topic does not say which")


@dataclass(frozen=True)
class BagConfig:
    """robots: () takes every robot whose topics are named as in this project. remap: bag's topic name to ours.

    image_tolerance: seconds between a keyframe and its images. patience: seconds of message time that a sweep waits.
    """

    robots: tuple[RobotConfig, ...] = ()
    remap: dict[str, str] = field(default_factory=dict)
    ros_distro: str = ""
    actors: str = ACTORS.name
    tf: str = TF.name
    tf_static: str = TF_STATIC.name
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
    robots = values.pop("robots", [])
    if not isinstance(robots, list):
        raise ValueError("robots is a list, each with a name")
    return BagConfig(robots=tuple(_robot(robot) for robot in robots), **values)


def _robot(content: Any) -> RobotConfig:
    values = _checked(content, RobotConfig, "a robot")
    if "ground" in values:
        words = [kind.value for kind in Ground]
        if values["ground"] not in words:
            raise ValueError(f"ground '{values['ground']}': one of {', '.join(words)} is wanted")
        values["ground"] = Ground(values["ground"])
    values["extrinsics"] = {frame: _pose(frame, pose) for frame, pose in values.get("extrinsics", {}).items()}
    return RobotConfig(**values)


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
        wanted = {"cameras": dict, "remap": dict, "extrinsics": dict, "robots": list}.get(name, str)
        default = known[name].default
        if default is not MISSING and isinstance(default, float):
            wanted, value = float, float(value) if isinstance(value, int) and not isinstance(value, bool) else value
            content[name] = value
        if not isinstance(value, wanted):
            raise ValueError(f"{name} of {what} is {value!r}, a {_WORDS[wanted]} is wanted")
    if "name" in known and "name" not in content:
        raise ValueError(f"{what} has no name")
    return dict(content)


_WORDS = {dict: "mapping", list: "list", str: "text", float: "number"}


def _pose(frame: str, content: Any) -> Pose:
    """`xyz` in metres; `rpy` in radians or `xyzw`, a quaternion."""
    known = {"xyz", "rpy", "xyzw"}
    if (
        not isinstance(content, dict)
        or "xyz" not in content
        or content.keys() - known
        or {"rpy", "xyzw"} <= content.keys()
    ):
        raise ValueError(f"extrinsics of {frame}: xyz (metres) and rpy (radians) or xyzw (quaternion) are wanted")
    try:
        xyz = np.array(content["xyz"], dtype=float)
        if "xyzw" in content:
            return Pose(xyz, np.roll(np.array(content["xyzw"], dtype=float), 1))
        rpy = np.array(content.get("rpy", (0, 0, 0)), dtype=float)
        if xyz.shape != (3,) or rpy.shape != (3,):
            raise ValueError("three numbers each")
        return Pose.from_xyz_rpy(xyz, rpy)
    except (ValueError, TypeError) as error:
        raise ValueError(f"extrinsics of {frame}: {error}") from error
