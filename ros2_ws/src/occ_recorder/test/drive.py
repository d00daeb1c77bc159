"""A short drive past a wall, as messages of any distro, and the bags that they become: no ROS, no simulator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from occ_core.poses import Pose

MOUNT = Pose.from_xyz_rpy([0.1, 0, 1.0], [0, 0, 0])
URDF = """<robot name="rover"><link name="base_link"/><link name="lidar_link"/>
<joint name="j" type="fixed"><parent link="base_link"/><child link="lidar_link"/><origin xyz="0.1 0 1"/></joint>
</robot>"""
EPOCH_NS = 1_700_000_000 * 10**9
SPEED = 2.0


@dataclass(frozen=True)
class Said:
    """A message of a topic at a stamp in seconds."""

    topic: str
    type: str
    stamp: float
    content: Any


def base_pose(t: float) -> Pose:
    """Along x at 2 m/s, climbing a little; base_link is 0.4 m above the ground, which is 0.1 m higher each second."""
    return Pose.from_xyz_rpy([SPEED * t, 0, 0.4 + 0.1 * t], [0, 0, 0])


class Drive:
    """Makes the messages of a robot. frame ids, names and rates can be somebody else's."""

    def __init__(self, distro: str = "kilted", robot: str = "rover_0") -> None:
        self.store: Typestore = get_typestore(Stores(f"ros2_{distro}"))
        self.robot = robot

    def make(self, kind: str, **values: Any) -> Any:
        return self.store.types[kind](**values)

    def header(self, t: float, frame: str) -> Any:
        nanoseconds = round(t * 1e9)
        stamp = self.make("builtin_interfaces/msg/Time", sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)
        return self.make("std_msgs/msg/Header", stamp=stamp, frame_id=frame)

    def cloud(self, t: float, frame: str, points: np.ndarray, **changes: Any) -> Any:
        """points: (n,) structured."""
        codes = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 8}
        fields = [
            self.make(
                "sensor_msgs/msg/PointField", name=n, offset=points.dtype.fields[n][1],
                datatype=codes[points.dtype[n].str[1:]], count=1,
            )
            for n in points.dtype.names
        ]  # fmt: skip
        size = points.dtype.itemsize
        values = {
            "header": self.header(t, frame), "height": 1, "width": len(points), "fields": fields, "is_bigendian": False,
            "point_step": size, "row_step": size * len(points), "data": np.frombuffer(points.tobytes(), np.uint8),
            "is_dense": False,
        }  # fmt: skip
        return self.make("sensor_msgs/msg/PointCloud2", **(values | changes))

    def odometry(self, t: float, frame: str, child: str) -> Any:
        cov = np.zeros(36)
        pose = self.make("geometry_msgs/msg/PoseWithCovariance", pose=self.pose(base_pose(t)), covariance=cov)
        twist = self.make(
            "geometry_msgs/msg/Twist", linear=self.vector([SPEED, 0, 0.1]), angular=self.vector([0, 0, 0])
        )
        with_cov = self.make("geometry_msgs/msg/TwistWithCovariance", twist=twist, covariance=cov)
        return self.make(
            "nav_msgs/msg/Odometry", header=self.header(t, frame), child_frame_id=child, pose=pose, twist=with_cov
        )

    def vector(self, xyz: Iterable[float]) -> Any:
        x, y, z = map(float, xyz)
        return self.make("geometry_msgs/msg/Vector3", x=x, y=y, z=z)

    def quaternion(self, pose: Pose) -> Any:
        w, x, y, z = map(float, pose.orientation)
        return self.make("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w)

    def pose(self, pose: Pose) -> Any:
        x, y, z = map(float, pose.position)
        point = self.make("geometry_msgs/msg/Point", x=x, y=y, z=z)
        return self.make("geometry_msgs/msg/Pose", position=point, orientation=self.quaternion(pose))

    def transforms(self, t: float, *entries: tuple[str, str, Pose]) -> Any:
        """entries: (parent, child, pose of the child in the parent)."""
        made = [
            self.make(
                "geometry_msgs/msg/TransformStamped", header=self.header(t, parent), child_frame_id=child,
                transform=self.make(
                    "geometry_msgs/msg/Transform", translation=self.vector(pose.position),
                    rotation=self.quaternion(pose),
                ),
            )
            for parent, child, pose in entries
        ]  # fmt: skip
        return self.make("tf2_msgs/msg/TFMessage", transforms=made)

    def image(self, t: float, frame: str, brightness: int) -> Any:
        return self.make(
            "sensor_msgs/msg/Image", header=self.header(t, frame), height=18, width=32, encoding="rgb8",
            is_bigendian=0, step=96, data=np.full(18 * 96, brightness, np.uint8),
        )  # fmt: skip

    def messages(self, seconds: float, begin: float = 0.0) -> list[Said]:
        """Description, odometry at 50 Hz, clouds of a wall and images at 10 Hz, named as in this project."""
        name = self.robot
        out = [
            Said(
                f"/{name}/robot_description", "std_msgs/msg/String", begin, self.make("std_msgs/msg/String", data=URDF)
            )
        ]
        for k in range(round(seconds * 50) + 1):
            t = begin + k / 50
            out.append(Said(f"/{name}/odom", "nav_msgs/msg/Odometry", t, self.odometry(t, "map", f"{name}/base_link")))
            if k % 5 == 0:
                cloud = self.cloud(t, f"{name}/lidar_link", wall(t))
                out.append(Said(f"/{name}/lidar/points", "sensor_msgs/msg/PointCloud2", t, cloud))
                topic = f"/{name}/camera/front/image_raw"
                out.append(Said(topic, "sensor_msgs/msg/Image", t, self.image(t, "cam", round(t * 10) % 200)))
        return out


def wall(t: float) -> np.ndarray:
    """What the sensor sees at a time of a wall across the way at x = 12, and two rays that found nothing."""
    y, z = np.meshgrid(np.arange(-4, 4, 0.2), np.arange(-0.5, 2, 0.25))
    points = np.zeros(y.size + 2, [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4")])
    sensor = (base_pose(t) @ MOUNT).position
    points["x"][:-2] = 12.1 - sensor[0]
    points["y"][:-2], points["z"][:-2] = y.ravel(), z.ravel() - sensor[2] + 1.5
    points["x"][-2:] = np.nan
    points["intensity"] = 7
    return points


def write_bag(
    folder: Path,
    drive: Drive,
    messages: Iterable[Said],
    storage: StoragePlugin = StoragePlugin.MCAP,
    compression: CompressionMode = CompressionMode.NONE,
) -> Path:
    """A bag whose log times are the stamps, from EPOCH_NS on."""
    with_compression = Writer(folder, version=8, storage_plugin=storage)
    with_compression.set_compression(compression, CompressionFormat.ZSTD)
    with with_compression as writer:
        connections: dict[str, Any] = {}
        for said in messages:
            if said.topic not in connections:
                connections[said.topic] = writer.add_connection(said.topic, said.type, typestore=drive.store)
            data = drive.store.serialize_cdr(said.content, said.type)
            writer.write(connections[said.topic], EPOCH_NS + round(said.stamp * 1e9), data)
    return folder


def renamed(messages: Iterable[Said], names: dict[str, str]) -> Iterator[Said]:
    """The same messages on other topics; those not named are left out."""
    return (replace(said, topic=names[said.topic]) for said in messages if said.topic in names)
