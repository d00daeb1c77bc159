"""Configuration of ros_gz_bridge's parameter_bridge, generated from the topic table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from occ_core.topics import CAMERAS, CLOCK, CMD_VEL, IMU, LIDAR, ODOM, Topic, camera_info_topic, image_topic
from tokyo_sim.engine.robot import RobotKind
from tokyo_sim.gazebo.names import GZ_TO_ROS, GZ_TYPES, ROS_TO_GZ


@dataclass(frozen=True)
class BridgeEntry:
    """One topic of the bridge; field names are the bridge's own. lazy: carried only while somebody in ROS listens."""

    ros_topic_name: str
    gz_topic_name: str
    ros_type_name: str
    gz_type_name: str
    direction: str
    lazy: bool


def raw(topic: Topic) -> Topic:
    """Where in ROS a topic of Gazebo's is that `gazebo_adapter` makes, or is made of, the table's."""
    return Topic(f"gazebo/{topic.name}", topic.type, topic.rate_hz)


def bridge_entries(robots: list[str], cameras: bool = True) -> list[BridgeEntry]:
    """The clock, and what goes in and out of each robot."""
    return [_entry(CLOCK, CLOCK, lazy=False)] + [e for robot in robots for e in _robot_entries(robot, cameras)]


def _robot_entries(robot: str, cameras: bool) -> list[BridgeEntry]:
    entries = [_entry(LIDAR, LIDAR, robot), _entry(ODOM, raw(ODOM), robot), _entry(IMU, raw(IMU), robot)]
    for camera in CAMERAS if cameras else ():
        image, info = image_topic(camera), camera_info_topic(camera)
        entries += [_entry(image, image, robot), _entry(info, raw(info), robot)]
    # Drones are commanded level with the ground; `gazebo_adapter` turns that into the body frame that Gazebo takes.
    command = raw(CMD_VEL) if robot.startswith(RobotKind.DRONE.value) else CMD_VEL
    return [*entries, _entry(CMD_VEL, command, robot, ROS_TO_GZ, lazy=False)]


def _entry(gz: Topic, ros: Topic, robot: str = "", direction: str = GZ_TO_ROS, lazy: bool = True) -> BridgeEntry:
    space = f"/{robot}/" if robot else ""
    return BridgeEntry(f"{space}{ros.name}", f"{space}{gz.name}", ros.type, GZ_TYPES[ros.type], direction, lazy)


def write_bridge_config(path: Path, entries: list[BridgeEntry]) -> None:
    """Write the bridge's YAML file."""
    path.write_text(yaml.safe_dump([asdict(entry) for entry in entries], sort_keys=False))
