"""What the embedded simulator publishes and Gazebo's bridge does not, so that every topic of the table is there.

From the bridge come IMU readings without our covariances, calibrations half a pixel off (REP 104 puts pixel centres at
whole numbers) and odometry whose turning rates can be whole turns off; out go the completed messages, transforms,
descriptions, robots among the actors, and /diagnostics. Clouds, images and the clock pass through the bridge alone.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Imu
from std_msgs.msg import String
from visualization_msgs.msg import MarkerArray

from occ_core.actors import Actor
from occ_core.citymap import CityMap
from occ_core.poses import Pose
from occ_core.stamps import from_stamp
from occ_core.topics import (
    ACTORS,
    CLOCK,
    CMD_VEL,
    IMU,
    ODOM,
    ROBOT_DESCRIPTION,
    camera_info_topic,
)
from occ_ros.convert import from_pose, from_twist, to_actors, vector
from occ_ros.guard import GuardedNode
from occ_ros.parameters import Parameter, read
from occ_ros.qos import create_publisher, create_subscription
from occ_ros.run import run
from tokyo_sim.engine.robot import CameraSpec, Robot, RobotKind
from tokyo_sim.engine.simulator import Fleet
from tokyo_sim.gazebo.bridge import raw
from tokyo_sim.gazebo.flight import FlightLaw, PoseRates
from tokyo_sim.gazebo.names import TRAFFIC
from tokyo_sim.nodes.frames import frame, static_transforms, transforms
from tokyo_sim.nodes.robot_publishers import camera_info
from tokyo_sim.nodes.tf import TransformPublisher

PARAMETERS = (
    Parameter("city", "", "folder of an imported city (`tokyo city`)"),
    Parameter("drones", 1, "number of drones", 0, 100),
    Parameter("rovers", 1, "number of rovers", 0, 100),
    Parameter("traffic", True, "there is traffic, from gazebo_traffic; robots join its actors"),
    Parameter("cameras", True, "the robots have cameras"),
    Parameter("image_width", 1600, "pixels", 16, 8192),
    Parameter("image_height", 900, "pixels", 16, 8192),
)
_LOST_S = 3.0  # of wall-clock time


class RobotAdapter:
    """One robot: completes its messages, and knows where it is."""

    def __init__(self, node: GuardedNode, robot: Robot, cameras: bool) -> None:
        self.robot = robot
        self.pose: Pose | None = None
        self.velocity = np.zeros(3)
        self._rates = PoseRates()
        self._odometry = create_publisher(node, ODOM, robot.name, depth=50)
        self.heard = time.monotonic()
        self._described = False
        self._imu = create_publisher(node, IMU, robot.name, depth=50)
        shown = robot.cameras if cameras else ()
        self._info = {c.name: create_publisher(node, camera_info_topic(c.name), robot.name, depth=5) for c in shown}
        self._unheard = set(self._info)
        self._description = create_publisher(node, ROBOT_DESCRIPTION, robot.name, depth=1)
        if robot.kind is RobotKind.DRONE:
            self._wanted, self._law, self._flown = Twist(), FlightLaw(), -np.inf
            self._command = create_publisher(node, raw(CMD_VEL), robot.name)
            create_subscription(node, CMD_VEL, self._on_command, robot.name)
        create_subscription(node, raw(IMU), self._on_imu, robot.name, depth=50)
        for spec in shown:
            topic = raw(camera_info_topic(spec.name))
            create_subscription(node, topic, lambda m, spec=spec: self._on_camera_info(m, spec), robot.name)

    def on_odometry(self, message: Odometry) -> None:
        """Publish poses with the velocities between them. A drone is commanded anew at each."""
        stamp = from_stamp(message.header.stamp)
        self.pose = from_pose(message.pose.pose)
        self.heard = time.monotonic()
        rates = self._rates.add(stamp, self.pose)
        if rates is not None:
            twist = message.twist.twist
            for out, values in zip((twist.linear, twist.angular), rates, strict=True):
                out.x, out.y, out.z = values.tolist()
            self.velocity = self.pose.rotation @ rates[0]
            self._odometry.publish(message)
        if self.robot.kind is RobotKind.DRONE:
            self._fly(self.pose, stamp)
        self._describe()

    def before_odometry(self) -> None:
        """Command a drone to hover before anything is heard of it: its rotors rest until the first command."""
        if self.robot.kind is RobotKind.DRONE and self.pose is None:
            self._command.publish(Twist())

    def _fly(self, pose: Pose, stamp: float) -> None:
        seconds = min(max(stamp - self._flown, 0.0), 1 / ODOM.rate_hz)
        self._flown = stamp
        body = Twist(angular=self._wanted.angular)
        level = vector(self._wanted.linear)
        body.linear.x, body.linear.y, body.linear.z = self._law.set_point(level, pose, self.velocity, seconds).tolist()
        self._command.publish(body)

    def _on_command(self, message: Twist) -> None:
        from_twist(message)  # ValueError for one that Gazebo should not get
        self._wanted = message

    def _describe(self) -> None:
        """The description comes last, so that who hears it has heard of all other topics."""
        if not self._described and not self._unheard:
            self._description.publish(String(data=self.robot.xml))
            self._described = True

    def _on_imu(self, message: Imu) -> None:
        gyro, accel = self.robot.imu.gyro, self.robot.imu.accel
        message.orientation_covariance[0] = -1.0
        message.angular_velocity_covariance[::4] = [gyro.stddev**2 + gyro.bias**2] * 3
        message.linear_acceleration_covariance[::4] = [accel.stddev**2 + accel.bias**2] * 3
        message.orientation.x = message.orientation.y = message.orientation.z = 0.0
        message.orientation.w = 1.0
        self._imu.publish(message)

    def _on_camera_info(self, message: CameraInfo, spec: CameraSpec) -> None:
        self._unheard.discard(spec.name)
        self._info[spec.name].publish(
            camera_info(spec, frame(self.robot, spec.frame), from_stamp(message.header.stamp))
        )


class GazeboAdapter(GuardedNode):
    """Every robot's adapter, transforms, actors and diagnostics."""

    def __init__(self) -> None:
        super().__init__("gazebo_adapter")
        values = read(self, PARAMETERS)
        self._city = CityMap.load(Path(values["city"]))
        size = values["image_width"], values["image_height"]
        fleet = Fleet(values["drones"], values["rovers"], 0, image_size=size, cameras=values["cameras"])
        self._traffic = values["traffic"]
        self._stamp, self._actor_tick, self._second = 0.0, 0, 0
        self._reported = time.monotonic(), 0.0
        self._actors = create_publisher(self, ACTORS)
        self._tf = TransformPublisher(self)
        self._robots = [RobotAdapter(self, robot, values["cameras"]) for robot in fleet.load()]
        for adapter in self._robots:
            create_subscription(
                self, raw(ODOM), lambda m, a=adapter: self._on_odometry(m, a), adapter.robot.name, depth=50
            )
        static = [transform for adapter in self._robots for transform in static_transforms(adapter.robot)]
        self._tf.send(static, 0.0, static=True)
        if self._traffic:
            create_subscription(self, TRAFFIC, self._on_traffic)
        create_subscription(self, CLOCK, self._on_clock)

    def _on_odometry(self, message: Odometry, adapter: RobotAdapter) -> None:
        adapter.on_odometry(message)
        ground = self._city.nearest_ground(*adapter.pose.position[:2])
        self._tf.send(transforms(adapter.robot, adapter.pose, ground), from_stamp(message.header.stamp))

    def _on_traffic(self, message: MarkerArray) -> None:
        """Robots join the traffic at its stamp; nobody is in it twice."""
        if message.markers:
            named = {marker.text for marker in message.markers}
            stamp = from_stamp(message.markers[0].header.stamp)
            joined = to_actors([actor for actor in self._robot_actors() if actor.name not in named], stamp)
            message.markers.extend(joined.markers)
            self._actors.publish(message)

    def _on_clock(self, message: Clock) -> None:
        self._stamp = from_stamp(message.clock)
        for adapter in self._robots:
            adapter.before_odometry()
        tick = int(self._stamp * ACTORS.rate_hz + 1e-6)
        if tick != self._actor_tick:
            self._actor_tick = tick
            if not self._traffic:
                self._actors.publish(to_actors(self._robot_actors(), tick / ACTORS.rate_hz))
        if int(self._stamp) != self._second:
            self._second = int(self._stamp)
            self._report()

    def _robot_actors(self) -> list[Actor]:
        return [a.robot.actor(n + 1, a.pose, a.velocity) for n, a in enumerate(self._robots) if a.pose is not None]

    def _report(self) -> None:
        now = time.monotonic()
        factor = (self._stamp - self._reported[1]) / max(now - self._reported[0], 1e-6)
        self._reported = now, self._stamp
        lost = [a.robot.name for a in self._robots if now - a.heard > _LOST_S]
        problem = f"Gazebo sends no odometry of {', '.join(lost)}: were they spawned?" if lost else self._tf.problem
        values = {"real_time_factor": f"{factor:.2f}", "robots": len(self._robots)}
        self.diagnose("simulator", problem, values, self._stamp)


def main() -> None:
    """Entry point."""
    sys.exit(run(GazeboAdapter))


if __name__ == "__main__":
    main()
