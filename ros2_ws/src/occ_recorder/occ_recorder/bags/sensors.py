"""What a bag has instead of 3D clouds: what it is, and what to do to get clouds of it."""

from __future__ import annotations

from collections.abc import Mapping

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


def _is_packet(kind: str) -> bool:
    return any(word in kind for word in ("Packet", "Scan", "Udp"))
