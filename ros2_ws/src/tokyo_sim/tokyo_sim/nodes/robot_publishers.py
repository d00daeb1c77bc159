"""The topics of one simulated robot: publishers, and the messages that a simulator's data become."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo, Imu
from std_msgs.msg import Float32, Header, String

from occ_core.poses import Pose
from occ_core.topics import (
    CMD_VEL,
    DRIFTING_ODOM,
    IMAGE_PERIOD,
    IMU,
    LIDAR,
    LOCKSTEP_COMMAND,
    ODOM,
    ROBOT_DESCRIPTION,
    Topic,
    absolute,
    camera_info_topic,
    image_topic,
)
from occ_ros.convert import from_twist, to_cloud, to_image, to_pose
from occ_ros.diagnostics import to_stamp
from occ_ros.lockstep import depth
from occ_ros.qos import create_publisher, create_subscription
from tokyo_sim.engine.drifting_odometry import DriftingOdometry
from tokyo_sim.engine.imu import ImuReading
from tokyo_sim.engine.lidar import Sweep
from tokyo_sim.engine.physics import Motion
from tokyo_sim.engine.robot import CameraSpec, Robot
from tokyo_sim.nodes.frames import frame, static_transforms, transforms

POINT = np.dtype(
    [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4"), ("ring", "<u2"), ("time", "<f4")], align=False
)


class RobotPublishers:
    """Publishes what a robot senses; keeps the newest command that it was sent.

    cameras: there will be images. drifting: odometry that goes wrong, where it is asked for. granted: in lock step,
    takes what comes with a command, see occ_ros.lockstep; nothing that is sensed may be lost then. The description
    comes last, so that who hears it has heard of all other topics.
    """

    def __init__(
        self,
        node: Node,
        robot: Robot,
        cameras: bool,
        drifting: DriftingOdometry | None = None,
        granted: Callable[[Header], None] | None = None,
    ) -> None:
        self.robot = robot
        self._drifting, self._granted = drifting, granted
        lockstep = granted is not None
        self.command: tuple[np.ndarray, np.ndarray] | None = None

        def sensed(topic: Topic, keep: int) -> Publisher:
            return create_publisher(node, topic, robot.name, depth(topic) if lockstep else keep, lockstep)

        self._lidar = sensed(LIDAR, 5)
        self._imu = sensed(IMU, 50)
        self._odom = sensed(ODOM, 10)
        self._drifting_odom = create_publisher(node, DRIFTING_ODOM, robot.name) if drifting else None
        shown = robot.cameras if cameras else ()
        self._node, self._lockstep = node, lockstep
        self._periods: list[float] = []
        if shown:
            create_subscription(node, IMAGE_PERIOD, self._on_period, robot.name)
        self._images = {c.name: sensed(image_topic(c.name), 5) for c in shown}
        self._infos = {c.name: sensed(camera_info_topic(c.name), 5) for c in shown}
        self._description = create_publisher(node, ROBOT_DESCRIPTION, robot.name, depth=1)
        self._description.publish(String(data=robot.xml))
        create_subscription(node, CMD_VEL, self._on_command, robot.name)
        self._in_step = False
        if lockstep:
            create_subscription(node, LOCKSTEP_COMMAND, self._on_command_in_step, robot.name)
        self._cloud = np.zeros(len(robot.lidar.elevations) * len(robot.lidar.azimuths), POINT)
        # ROS numbers rings from the lowest beam up, as the spec's elevations run.
        self._cloud["ring"] = np.repeat(np.arange(len(robot.lidar.elevations)), len(robot.lidar.azimuths))

    def _on_period(self, message: Float32) -> None:
        self._periods.append(max(float(message.data), 0.0))

    def wanted(self, stamp: float) -> list[str]:
        """Cameras whose images somebody wants at a stamp: drawing is dear, most of all in software.

        Who says how often it needs images gets those, and all others get each. In lock step nobody may miss one: all
        are drawn until somebody is known to listen.
        """
        there = self._node.count_publishers(absolute(IMAGE_PERIOD, self.robot.name)) if self._periods else 0
        modest = min(there, len(self._periods))
        due = any(period == 0 or abs(stamp / period - round(stamp / period)) < 1e-6 for period in self._periods)

        def wants(listeners: int) -> bool:
            return listeners > modest or (due if modest else self._lockstep)

        return [name for name, images in self._images.items() if wants(images.get_subscription_count())]

    def _on_command(self, message: Twist) -> None:
        if not self._in_step:  # where it is, the same command comes twice, and here it may come late
            self.command = from_twist(message)

    def _on_command_in_step(self, message: TwistStamped) -> None:
        self._in_step = True
        try:
            self.command = from_twist(message.twist)
        finally:
            if self._granted:
                self._granted(message.header)

    def frame(self, link: str) -> str:
        """A link's frame id: prefixed with the robot's name."""
        return frame(self.robot, link)

    def static_transforms(self) -> list[tuple[str, str, Pose]]:
        """base_link to every link, and map to odom where odometry does not drift."""
        map_to_odom, *links = static_transforms(self.robot)
        return links if self._drifting else [map_to_odom, *links]

    def transforms(self, motion: Motion, ground: float) -> list[tuple[str, str, Pose]]:
        """odom to base_link, and base_link to the base_footprint below it; and map to odom where odometry drifts.

        REP 105: what odometry has got wrong is in map to odom, so that odom to base_link never jumps.
        """
        exact, below = transforms(self.robot, motion.pose, ground)
        if self._drifting is None:
            return [exact, below]
        odom, base, _ = exact
        return [("map", odom, self._drifting.correction), (odom, base, self._drifting.estimate), below]

    def publish_odometry(self, motion: Motion, stamp: float) -> None:
        """Ground truth, pose in map and velocities in base_link; and what drifts, in odom with its covariance."""
        self._odom.publish(self._odometry("map", motion.pose, motion, stamp))
        if self._drifting and self._drifting_odom:
            message = self._odometry(self.frame("odom"), self._drifting.update(motion.pose), motion, stamp)
            message.pose.covariance = self._drifting.covariance.ravel()
            self._drifting_odom.publish(message)

    def _odometry(self, frame: str, pose: Pose, motion: Motion, stamp: float) -> Odometry:
        message = Odometry(child_frame_id=self.frame("base_link"))
        message.header.frame_id = frame
        message.header.stamp = to_stamp(stamp)
        message.pose.pose = to_pose(pose)
        _fill(message.twist.twist.linear, motion.linear)
        _fill(message.twist.twist.angular, motion.angular)
        return message

    def publish_imu(self, reading: ImuReading, stamp: float) -> None:
        """Six axes; the first orientation covariance of -1 says that there is no orientation (REP 145)."""
        message = Imu()
        message.header.frame_id = self.frame(self.robot.imu.frame)
        message.header.stamp = to_stamp(stamp)
        _fill(message.angular_velocity, reading.angular_velocity)
        _fill(message.linear_acceleration, reading.acceleration)
        message.orientation_covariance[0] = -1.0
        # The axes' errors are independent: the diagonals of 3 x 3 matrices.
        message.angular_velocity_covariance[::4] = [reading.angular_velocity_variance] * 3
        message.linear_acceleration_covariance[::4] = [reading.acceleration_variance] * 3
        self._imu.publish(message)

    def publish_sweep(self, sweep: Sweep, stamp: float) -> None:
        """An organised cloud, beams x columns. `time`: seconds after the stamp, zero where all rays are cast at it."""
        for axis, name in enumerate("xyz"):
            self._cloud[name] = sweep.points[:, :, axis].ravel()
        self._cloud["intensity"] = sweep.intensity.ravel()
        self._cloud["time"] = np.tile(sweep.times, len(sweep.ranges))
        beams = len(self.robot.lidar.elevations)
        self._lidar.publish(to_cloud(self._cloud, self.frame(self.robot.lidar.frame), stamp, height=beams))

    def publish_images(self, images: dict[str, np.ndarray], stamp: float) -> None:
        """The calibrations of all cameras, and images of those that have been drawn."""
        for camera in self.robot.cameras if self._infos else ():
            frame = self.frame(camera.frame)
            if camera.name in images:
                self._images[camera.name].publish(to_image(images[camera.name], frame, stamp))
            self._infos[camera.name].publish(camera_info(camera, frame, stamp))


def camera_info(spec: CameraSpec, frame: str, stamp: float) -> CameraInfo:
    """A pinhole without distortion: pixel centres at whole numbers (REP 104)."""
    cx, cy = (spec.width - 1) / 2, (spec.height - 1) / 2
    message = CameraInfo(width=spec.width, height=spec.height, distortion_model="plumb_bob", d=[0.0] * 5)
    message.header.frame_id = frame
    message.header.stamp = to_stamp(stamp)
    message.k = [spec.focal, 0.0, cx, 0.0, spec.focal, cy, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [spec.focal, 0.0, cx, 0.0, 0.0, spec.focal, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def _fill(message, values: np.ndarray) -> None:
    message.x, message.y, message.z = map(float, values)
