"""One robot's messages into a synchronizer: what the live nodes and the bag reader do with each. No ROS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from occ_core.actors import Actor
from occ_core.messages import (
    from_actors,
    from_cloud,
    from_compressed_image,
    from_image,
    from_odometry,
    off_unit,
    returns_of,
    vector,
)
from occ_core.point_times import PointClock
from occ_core.stamps import from_stamp
from occ_core.sync import SweepSynchronizer, SyncedSweep

_OFF_UNIT = "an orientation that is not of unit length, which it was brought to"
_FOREIGN = (
    "the times of a sweep's points are of another clock than its stamp, its first point is taken to be at the stamp"
)


class SensorHandlers:
    """Whole sweeps go to `deliver`. A message that can't be read is complained of and left out.

    complain: takes what the message was, and what is wrong with it. undistort: heed the times of a cloud's points,
    which a driver that has moved them to one instant already may have left in. settled: takes the stamp of the newest
    sweep that is delivered, or given up. unit: metres of 1 in the x, y and z of clouds. heard: messages so far.
    """

    def __init__(
        self,
        synchronizer: SweepSynchronizer,
        deliver: Callable[[SyncedSweep], None],
        complain: Callable[[str, Exception], None],
        undistort: bool = True,
        settled: Callable[[float], None] = lambda stamp: None,
        unit: float = 1.0,
    ) -> None:
        self.synchronizer, self._deliver, self._complain = synchronizer, deliver, complain
        self._clock = PointClock() if undistort else None
        self._settled, self._unit = settled, unit
        self.heard = 0

    def odometry(self, message: Any) -> None:
        """Take a nav_msgs/Odometry."""
        self._take("odometry", lambda: self.synchronizer.add_odometry(from_odometry(message)))
        self.count_off_unit(message.pose.pose.orientation)

    def count_off_unit(self, quaternion: Any) -> None:
        """Note a quaternion that had to be brought to unit length; one that could not is complained of elsewhere."""
        if off_unit(quaternion):
            mended = self.synchronizer.mended
            mended[_OFF_UNIT] = mended.get(_OFF_UNIT, 0) + 1

    def sweep(self, message: Any) -> None:
        """Take a sensor_msgs/PointCloud2."""
        self._take("LiDAR", lambda: self._add_sweep(message))

    def _add_sweep(self, message: Any) -> None:
        stamp, frame_id = from_stamp(message.header.stamp), message.header.frame_id.lstrip("/")
        if message.width * message.height == 0:
            return self.synchronizer.add_sweep(stamp, np.zeros((0, 4), np.float32), frame_id)
        cloud = from_cloud(message)
        points = returns_of(cloud, self._unit)
        times = self._clock.offsets(cloud, stamp, points) if self._clock is not None else None
        if times is not None and self._clock is not None and self._clock.foreign:
            self.synchronizer.mended[_FOREIGN] = self.synchronizer.mended.get(_FOREIGN, 0) + 1
        if times is not None and not np.isfinite(times).all():
            points, times = points[np.isfinite(times)], times[np.isfinite(times)]
        self.synchronizer.add_sweep(stamp, points, frame_id, times)

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
