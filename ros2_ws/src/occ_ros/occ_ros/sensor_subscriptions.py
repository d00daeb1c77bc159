"""Subscriptions of one robot's sensors, fed to a synchronizer; whole sweeps go to a callback."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from visualization_msgs.msg import MarkerArray

from occ_core.messages import from_actors
from occ_core.mounts import MountedSweeps
from occ_core.sensor_handlers import SensorHandlers
from occ_core.sync import SweepSynchronizer, SyncedSweep
from occ_core.topics import ACTORS, IMU, LIDAR, ODOM, TF, TF_STATIC, image_topic
from occ_ros.guard import Guarded
from occ_ros.qos import NO_TF, create_subscription


class ActorSubscription:
    """What moves in the city, heard and read once for all robots of a node: reading markers is slow."""

    def __init__(self, node: Guarded, lockstep: bool = False) -> None:
        self._robots: list[SensorHandlers] = []
        create_subscription(node, ACTORS, self.hear, depth=20, lockstep=lockstep)

    def add(self, robot: SensorHandlers) -> None:
        """Tell one more robot."""
        self._robots.append(robot)

    def hear(self, message: MarkerArray) -> None:
        """Tell every robot. ValueError for a message that can't be read."""
        stamp, actors = from_actors(message)
        for robot in self._robots:
            robot.actors_at(stamp, actors)


class SensorSubscriptions:
    """Keeps its node's subscriptions alive. A message that can't be read is counted by the node and left out.

    description: the robot's URDF; where the LiDAR moves in it, or is not in it, /tf is listened to.
    settled: called with the stamp of each sweep that is delivered or given up; what asks for it is in lock step with
    the simulator, and loses no message.
    """

    def __init__(
        self,
        node: Guarded,
        robot: str,
        synchronizer: SweepSynchronizer,
        deliver: Callable[[SyncedSweep], None],
        actors: ActorSubscription,
        cameras: Iterable[str] = (),
        imu: bool = False,
        undistort: bool = True,
        settled: Callable[[float], None] | None = None,
        description: str = "",
    ) -> None:
        self._node, self._robot = node, robot
        lockstep = settled is not None
        self._mounted = MountedSweeps(robot, description, deliver, self._listen_to_transforms, lose=synchronizer.drop)
        self.messages = SensorHandlers(
            synchronizer, self._mounted.add, self._complain, undistort, settled or (lambda stamp: None)
        )  # fmt: skip
        actors.add(self.messages)
        create_subscription(node, ODOM, self.messages.odometry, robot, depth=50, lockstep=lockstep)
        create_subscription(node, LIDAR, self.messages.sweep, robot, depth=10, lockstep=lockstep)
        if imu:
            create_subscription(node, IMU, self.messages.imu, robot, depth=100, lockstep=lockstep)
        for camera in cameras:
            take = partial(self.messages.image, camera)
            create_subscription(node, image_topic(camera), take, robot, depth=10, lockstep=lockstep)

    def _listen_to_transforms(self) -> None:
        try:
            for topic in (TF_STATIC, TF):
                take = partial(self._on_transforms, fixed=topic is TF_STATIC)
                create_subscription(self._node, topic, take, depth=100)
        except ImportError:
            self._node.get_logger().warning(f"{self._robot}: {NO_TF}; the description alone says where its LiDAR is")

    def _on_transforms(self, message: Any, fixed: bool) -> None:
        try:
            self._mounted.transforms(message, fixed)
        except ValueError as error:
            self._complain("transforms", error)

    def _complain(self, what: str, error: Exception) -> None:
        self._node.faults.unusable(f"{self._robot}, {what}", error)
