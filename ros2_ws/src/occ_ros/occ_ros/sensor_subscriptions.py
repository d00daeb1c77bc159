"""Subscriptions of one robot's sensors, fed to a synchronizer; whole sweeps go to a callback."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from visualization_msgs.msg import MarkerArray

from occ_core.messages import from_actors
from occ_core.sensor_handlers import SensorHandlers
from occ_core.sync import SweepSynchronizer, SyncedSweep
from occ_core.topics import ACTORS, IMU, LIDAR, ODOM, image_topic
from occ_ros.guard import Guarded
from occ_ros.qos import create_subscription


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
    ) -> None:
        self._node, self._robot = node, robot
        lockstep = settled is not None
        self.messages = SensorHandlers(
            synchronizer, deliver, self._complain, undistort, settled or (lambda stamp: None)
        )  # fmt: skip
        actors.add(self.messages)
        create_subscription(node, ODOM, self.messages.odometry, robot, depth=50, lockstep=lockstep)
        create_subscription(node, LIDAR, self.messages.sweep, robot, depth=10, lockstep=lockstep)
        if imu:
            create_subscription(node, IMU, self.messages.imu, robot, depth=100, lockstep=lockstep)
        for camera in cameras:
            take = partial(self.messages.image, camera)
            create_subscription(node, image_topic(camera), take, robot, depth=10, lockstep=lockstep)

    def _complain(self, what: str, error: Exception) -> None:
        self._node.faults.unusable(f"{self._robot}, {what}", error)
