"""One robot's messages into a synchronizer: what the live nodes and the bag reader do with each. No ROS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from occ_core.actors import Actor
from occ_core.messages import (
    cloud_points,
    from_actors,
    from_compressed_image,
    from_image,
    from_odometry,
    from_stamp,
    vector,
)  # fmt: skip
from occ_core.sync import SweepSynchronizer, SyncedSweep


class MessageIntake:
    """Whole sweeps go to `deliver`. A message that can't be read is complained of and left out.

    complain: takes what the message was, and what is wrong with it. settled: takes the stamp of the newest sweep that
    is delivered, or given up. heard: messages so far.
    """

    def __init__(
        self,
        synchronizer: SweepSynchronizer,
        deliver: Callable[[SyncedSweep], None],
        complain: Callable[[str, Exception], None],
        settled: Callable[[float], None] = lambda stamp: None,
    ) -> None:
        self.synchronizer, self._deliver, self._complain = synchronizer, deliver, complain
        self._settled = settled
        self.heard = 0

    def odometry(self, message: Any) -> None:
        """Take a nav_msgs/Odometry."""
        self._take("odometry", lambda: self.synchronizer.add_odometry(from_odometry(message)))

    def sweep(self, message: Any) -> None:
        """Take a sensor_msgs/PointCloud2."""
        header = message.header
        self._take(
            "LiDAR",
            lambda: self.synchronizer.add_sweep(
                from_stamp(header.stamp), cloud_points(message), header.frame_id.lstrip("/")
            ),
        )

    def imu(self, message: Any) -> None:
        """Take a sensor_msgs/Imu."""
        stamp, angular = from_stamp(message.header.stamp), vector(message.angular_velocity)
        self._take("IMU", lambda: self.synchronizer.add_imu(stamp, angular, vector(message.linear_acceleration)))

    def actors(self, message: Any) -> None:
        """Take a visualization_msgs/MarkerArray of /city/actors."""
        self._take("actors", lambda: self.synchronizer.add_actors(*from_actors(message)))

    def actors_at(self, stamp: float, actors: list[Actor]) -> None:
        """Take actors that have been read from such a message already."""
        self._take("actors", lambda: self.synchronizer.add_actors(stamp, actors))

    def image(self, camera: str, message: Any) -> None:
        """Take a sensor_msgs/Image, or a sensor_msgs/CompressedImage, of a camera."""
        read = from_image if hasattr(message, "encoding") else from_compressed_image
        self._take(
            f"camera {camera}",
            lambda: self.synchronizer.add_image(from_stamp(message.header.stamp), camera, read(message)),
        )

    def _take(self, what: str, add: Callable[[], None]) -> None:
        self.heard += 1
        try:
            add()
        except (ValueError, TypeError) as error:
            return self._complain(what, error)
        self.flush()

    def flush(self) -> None:
        """Deliver every sweep that is whole by now."""
        before = self.synchronizer.settled
        for sweep in self.synchronizer.take():
            self._deliver(sweep)
        if self.synchronizer.settled != before:
            self._settled(self.synchronizer.settled)
