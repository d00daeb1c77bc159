"""Subscriptions of one robot's sensors, fed to a synchronizer; whole sweeps go to a callback."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from nav_msgs.msg import Odometry as OdometryMsg
from rclpy.node import Node
from sensor_msgs.msg import Image, Imu, PointCloud2
from visualization_msgs.msg import MarkerArray

from occ_core.sync import Odometry, SweepSynchronizer, SyncedSweep
from occ_core.topics import ACTORS, IMU, LIDAR, ODOM, image_topic
from occ_ros.convert import cloud_xyz, from_actors, from_cloud, from_image, from_pose, from_stamp, vector
from occ_ros.qos import subscribe


class RobotIntake:
    """Keeps its node's subscriptions alive. A message that can't be read is warned of and left out."""

    def __init__(
        self,
        node: Node,
        robot: str,
        synchronizer: SweepSynchronizer,
        deliver: Callable[[SyncedSweep], None],
        cameras: Iterable[str] = (),
        imu: bool = False,
    ) -> None:
        self._node, self._robot, self._synchronizer, self._deliver = node, robot, synchronizer, deliver
        subscribe(node, ODOM, self._on_odometry, robot, depth=50)
        subscribe(node, LIDAR, self._on_sweep, robot, depth=10)
        subscribe(node, ACTORS, self._on_actors, depth=20)
        if imu:
            subscribe(node, IMU, self._on_imu, robot, depth=100)
        for camera in cameras:
            subscribe(node, image_topic(camera), lambda m, camera=camera: self._on_image(camera, m), robot, depth=10)

    def _on_odometry(self, message: OdometryMsg) -> None:
        twist = message.twist.twist
        try:
            pose = from_pose(message.pose.pose)
        except ValueError as error:
            return self._complain("odometry", error)
        stamp = from_stamp(message.header.stamp)
        self._synchronizer.add_odometry(Odometry(stamp, pose, vector(twist.linear), vector(twist.angular)))
        self._flush()

    def _on_sweep(self, message: PointCloud2) -> None:
        try:
            cloud = from_cloud(message)
            intensity = cloud["intensity"] if "intensity" in cloud.dtype.names else np.zeros(len(cloud))
            points = np.column_stack([cloud_xyz(cloud), intensity]).astype(np.float32, copy=False)
        except (ValueError, KeyError) as error:
            return self._complain("LiDAR", error)
        self._synchronizer.add_sweep(from_stamp(message.header.stamp), points, message.header.frame_id)
        self._flush()

    def _on_imu(self, message: Imu) -> None:
        stamp = from_stamp(message.header.stamp)
        self._synchronizer.add_imu(stamp, vector(message.angular_velocity), vector(message.linear_acceleration))
        self._flush()

    def _on_actors(self, message: MarkerArray) -> None:
        try:
            stamp, actors = from_actors(message)
        except ValueError as error:
            return self._complain("actors", error)
        self._synchronizer.add_actors(stamp, actors)
        self._flush()

    def _on_image(self, camera: str, message: Image) -> None:
        try:
            self._synchronizer.add_image(from_stamp(message.header.stamp), camera, from_image(message))
        except ValueError as error:
            return self._complain(f"camera {camera}", error)
        self._flush()

    def _flush(self) -> None:
        for sweep in self._synchronizer.take():
            self._deliver(sweep)

    def _complain(self, what: str, error: Exception) -> None:
        self._node.get_logger().warning(f"{self._robot}, {what}: {error}", throttle_duration_sec=5.0)
