"""What a bring-up needs in Gazebo (Harmonic, Ionic), as plain data: the bridge's topics, and where robots start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from occ_core.citymap import CityMap
from occ_core.topics import CAMERAS, CLOCK, CMD_VEL, IMU, LIDAR, ODOM, Topic, camera_info_topic, image_topic
from tokyo_sim.engine.simulator import Fleet
from tokyo_sim.engine.spawn import spawn_poses
from tokyo_sim.missions.obstacles import ObstacleMap
from tokyo_sim.traffic.lanes import street_network

_GZ_TYPES = {
    "rosgraph_msgs/msg/Clock": "gz.msgs.Clock",
    "sensor_msgs/msg/PointCloud2": "gz.msgs.PointCloudPacked",
    "sensor_msgs/msg/Imu": "gz.msgs.IMU",
    "sensor_msgs/msg/Image": "gz.msgs.Image",
    "sensor_msgs/msg/CameraInfo": "gz.msgs.CameraInfo",
    "nav_msgs/msg/Odometry": "gz.msgs.Odometry",
    "geometry_msgs/msg/Twist": "gz.msgs.Twist",
}


@dataclass(frozen=True)
class Spawn:
    """A robot to create in Gazebo. xml: its URDF. xyz: metres, yaw: radians, of base_link in map."""

    name: str
    xml: str
    xyz: tuple[float, float, float]
    yaw: float


def bridge_entries(robots: list[str]) -> list[dict[str, str]]:
    """Configuration of ros_gz_bridge's parameter_bridge for these robots, from the topic table."""
    entries = [_entry(CLOCK, "", "/clock")]
    for robot in robots:
        entries += [_entry(topic, robot) for topic in (LIDAR, IMU, ODOM)]
        entries += [_entry(image_topic(camera), robot) for camera in CAMERAS]
        entries += [_entry(camera_info_topic(camera), robot) for camera in CAMERAS]
        entries.append(_entry(CMD_VEL, robot, direction="ROS_TO_GZ"))
    return entries


def _entry(topic: Topic, robot: str, gz_topic: str = "", direction: str = "GZ_TO_ROS") -> dict[str, str]:
    name = topic.name if topic.name.startswith("/") else f"/{robot}/{topic.name}"
    return {
        "ros_topic_name": name,
        "gz_topic_name": gz_topic or name,
        "ros_type_name": topic.type,
        "gz_type_name": _GZ_TYPES[topic.type],
        "direction": direction,
    }


def write_bridge_config(path: Path, robots: list[str]) -> None:
    """Write the bridge's YAML file."""
    path.write_text(yaml.safe_dump(bridge_entries(robots), sort_keys=False))


def spawns(city: Path, fleet: Fleet, seed: int) -> list[Spawn]:
    """The same robots at the same places as the embedded engine for a seed."""
    mesh = CityMap.load(city)
    rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(3)[0])
    robots = fleet.load()
    streets, obstacles = street_network(mesh), ObstacleMap(mesh)
    poses = spawn_poses(robots, mesh, streets, obstacles, fleet.drone_altitude, rng, fleet.places)
    return [
        Spawn(robot.name, robot.xml, tuple(float(v) for v in pose.position), pose.yaw)
        for robot, pose in zip(robots, poses, strict=True)
    ]
