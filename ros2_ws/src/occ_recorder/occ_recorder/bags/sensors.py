"""What a bag has instead of 3D clouds: what it is, and what to do to get clouds of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from occ_core.messages import cloud_xyz, from_cloud
from occ_recorder.bags.livox import LIVOX

CLOUD = "sensor_msgs/msg/PointCloud2"
CLOUDS = (CLOUD, *LIVOX)
"""Messages that are read as a sweep."""
IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
# Packages of drivers whose messages are what came over the wire, and how each makes clouds of a bag of them.
_PACKETS = {
    "ouster_msgs": "an Ouster: `ros2 launch ouster_ros replay.launch.xml bag_file:=...`",
    "ouster_sensor_msgs": "an Ouster: `ros2 launch ouster_ros replay.launch.xml bag_file:=...`",
    "ouster_ros": "an Ouster: `ros2 launch ouster_ros replay.launch.xml bag_file:=...`",
    "velodyne_msgs": "a Velodyne: `ros2 run velodyne_pointcloud velodyne_transform_node`",
    "hesai_ros_driver": "a Hesai: hesai_ros_driver with source_type 3",
    "pandar_msgs": "a Hesai: hesai_ros_driver with source_type 3, or nebula_ros",
    "nebula_msgs": "nebula: `ros2 launch nebula_ros ... launch_hw:=false`",
    "rslidar_msg": "a Robosense: rslidar_sdk with msg_source 2",
    "rslidar_msgs": "a Robosense: rslidar_sdk with msg_source 2",
}
_PLANE = "one plane of a 2D LiDAR, of which no 3D grid can be made: a 3D LiDAR is needed"
_OTHERS = {
    "sensor_msgs/msg/LaserScan": _PLANE,
    "sensor_msgs/msg/MultiEchoLaserScan": _PLANE,
    "sensor_msgs/msg/PointCloud": "the cloud of before PointCloud2: convert it while the bag plays, and record that",
}
_LOOKED_AT = 2000  # points
_NOTHING = 1e9  # such as FLT_MAX
_FURTHEST_HALF = 1000.0  # metres: no LiDAR sees half of its points beyond
_DEPTH = "depth images: `ros2 run depth_image_proc point_cloud_xyz_node` makes clouds of them while the bag plays"


def instead_of_clouds(topics: Mapping[str, str], foreign: Mapping[str, str]) -> str:
    """A sentence about the topics that are no clouds but come from a sensor that could make some; '' for none.

    topics: types by name. foreign: what messages are that are not ROS's, by topic.
    """
    said: dict[str, list[str]] = {}
    for topic, kind in sorted(topics.items()):
        package = kind.split("/")[0]
        if package in _PACKETS and kind not in CLOUDS and _is_packet(kind):
            how = f"raw packets of {_PACKETS[package]} while the bag plays, and record the PointCloud2"
            said.setdefault(how, []).append(topic)
        elif kind in _OTHERS:
            said.setdefault(f"a {kind.split('/')[-1]}, {_OTHERS[kind]}", []).append(topic)
        elif kind in IMAGES and "depth" in topic:
            said.setdefault(_DEPTH, []).append(topic)
    for topic, what in sorted(foreign.items()):
        if "cloud" in what.lower() or "laser" in what.lower():
            how = f"{what}, not a ROS message: convert it to sensor_msgs/msg/PointCloud2"
            said.setdefault(how, []).append(topic)
    return "; ".join(f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} {how}" for how, names in said.items())


def no_metres(message: Any) -> str:
    """Why x, y and z of a cloud can't be metres; '' where they can, or the cloud can't be read."""
    try:
        cloud = from_cloud(message)
        with np.errstate(over="ignore"):
            points = cloud_xyz(cloud[:: max(len(cloud) // _LOOKED_AT, 1)])
    except ValueError:
        return ""  # The conversion reads it again, and complains.
    ranges = np.linalg.norm(points.astype(np.float64), axis=1)
    ranges = ranges[(ranges > 0) & (ranges < _NOTHING)]
    if not len(ranges):
        return ""
    half, kind = float(np.median(ranges)), cloud.dtype["x"]
    if kind.kind in "iu":
        return f"x, y and z of the LiDAR's clouds are whole numbers ({kind.name}), of which half lie beyond {half:,.0f}"
    beyond = f"half of the LiDAR's points lie beyond {half:,.0f}, which is no metres of a sensor's own frame"
    return beyond if half > _FURTHEST_HALF else ""


def _is_packet(kind: str) -> bool:
    return any(word in kind for word in ("Packet", "Scan", "Udp"))
