"""What ros_gz_bridge hands on from Gazebo, with the embedded engine for the world behind it.

Started in place of `parameter_bridge`, with its arguments. Clouds have no `time` and padding between fields, rays that
met nothing are infinite, the clock ticks at 200 Hz, IMU readings have an orientation and no covariances, calibrations
have their principal point at half the width, odometry starts between two sweeps: all as gz-sensors 8 has them. Now and
then odometry has Gazebo's impossible turning rate. A drone is there once it is commanded: uncommanded it would fall.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from functools import partial
from pathlib import Path
from threading import Event, Thread

import numpy as np
import rclpy
import yaml
from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from rclpy.executors import ExternalShutdownException
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, Imu, PointCloud2

from occ_core.poses import footprint
from occ_ros.convert import to_cloud, to_image, to_pose, vector
from occ_ros.diagnostics import to_stamp
from occ_ros.qos import message_class
from tokyo_sim.engine.robot import RobotKind
from tokyo_sim.engine.simulator import Fleet, Simulator

STEP_S = 0.005
POINT = np.dtype(
    {
        "names": ["x", "y", "z", "intensity", "ring"],
        "formats": ["<f4", "<f4", "<f4", "<f4", "<u2"],
        "offsets": [0, 4, 8, 16, 24],
        "itemsize": 32,
    }
)


class StandIn:
    def __init__(self, config: Path) -> None:
        entries = yaml.safe_load(config.read_text())
        rclpy.init()
        self.node = rclpy.create_node("bridge")
        self.out, self.commands = {}, {}
        for entry in entries:
            kind, name = message_class(entry["ros_type_name"]), entry["ros_topic_name"]
            if entry["direction"] == "GZ_TO_ROS":
                self.out[entry["gz_topic_name"]] = self.node.create_publisher(kind, name, 10)
            else:
                robot = name.split("/")[1]
                hear = partial(self.commands.__setitem__, robot)
                self.node.create_subscription(kind, name, hear, 10)
        robots = sorted({name.split("/")[1] for name in self.out if name != "/clock"})
        size = tuple(int(v) for v in os.environ["STAND_IN_IMAGE"].split("x"))
        cameras = any("/camera/" in name for name in self.out)
        kinds = [sum(kind in robot for robot in robots) for kind in ("drone", "rover")]
        fleet = Fleet(*kinds, 0, image_size=size, cameras=cameras)
        self.simulator = Simulator(Path(os.environ["STAND_IN_CITY"]), fleet, seed=1)
        self.robots = self.simulator.robots

    def run(self, stop: Event) -> None:
        tick, began = 0, time.monotonic()
        while not stop.is_set():
            for number, robot in enumerate(self.robots):
                command = self.commands.get(robot.name, Twist())
                linear = vector(command.linear)
                if robot.kind is RobotKind.DRONE:
                    pose = self.simulator.motion(number).pose
                    level = footprint(pose, 0.0).rotation
                    linear = level.T @ pose.rotation @ linear
                self.simulator.command(number, linear, vector(command.angular))
            self.simulator.step(STEP_S)
            tick += 1
            self.publish(tick)
            time.sleep(max(0.0, began + tick * STEP_S / 0.3 - time.monotonic()))

    def publish(self, tick: int) -> None:
        stamp = tick * STEP_S
        for number, robot in enumerate(self.robots):
            if robot.kind is RobotKind.DRONE and robot.name not in self.commands:
                continue
            if tick % 2 == 0:
                self.out[f"/{robot.name}/imu"].publish(self.imu(number, stamp))
            if tick % 4 == 3:
                self.out[f"/{robot.name}/odom"].publish(self.odometry(number, stamp))
            if tick % 20 == 0:
                self.out[f"/{robot.name}/lidar/points"].publish(self.cloud(number, stamp))
                for name, pixels in self.simulator.images(number).items():
                    space = f"/{robot.name}/camera/{name}"
                    image: Image = to_image(pixels, f"{robot.name}/camera_{name}_optical", stamp)
                    self.out[f"{space}/image_raw"].publish(image)
                    self.out[f"{space}/camera_info"].publish(self.calibration(image))
        self.out["/clock"].publish(Clock(clock=to_stamp(stamp)))

    def imu(self, number: int, stamp: float) -> Imu:
        reading, message = self.simulator.imu(number), Imu()
        message.header.frame_id, message.header.stamp = f"{self.robots[number].name}/imu_link", to_stamp(stamp)
        message.orientation.x, message.orientation.w = 0.6, 0.8
        for out, values in (
            (message.angular_velocity, reading.angular_velocity),
            (message.linear_acceleration, reading.acceleration),
        ):
            out.x, out.y, out.z = map(float, values)
        return message

    def odometry(self, number: int, stamp: float) -> Odometry:
        motion = self.simulator.motion(number)
        message = Odometry(child_frame_id=f"{self.robots[number].name}/base_link")
        message.header.frame_id, message.header.stamp = "map", to_stamp(stamp)
        message.pose.pose = to_pose(motion.pose)
        twist = message.twist.twist
        twist.linear.x, twist.linear.y, twist.linear.z = map(float, motion.linear)
        twist.angular.x, twist.angular.y, twist.angular.z = map(float, motion.angular)
        if round(stamp / STEP_S) % 5 == 0:
            twist.angular.z = -124.8
        return message

    def cloud(self, number: int, stamp: float) -> PointCloud2:
        sweep = self.simulator.sweep(number)
        beams = sweep.ranges.shape[0]
        points = np.zeros(sweep.ranges.size, POINT)
        for axis, name in enumerate("xyz"):
            points[name] = np.nan_to_num(sweep.points[..., axis].ravel(), nan=np.inf)
        points["ring"] = np.repeat(np.arange(beams), sweep.ranges.shape[1])
        return to_cloud(points, f"{self.robots[number].name}/lidar_link", stamp, height=beams)

    @staticmethod
    def calibration(image: Image) -> CameraInfo:
        focal = image.width / 2 / np.tan(np.radians(35))
        k = [focal, 0.0, image.width / 2, 0.0, focal, image.height / 2, 0.0, 0.0, 1.0]
        return CameraInfo(header=image.header, width=image.width, height=image.height, k=k)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--params-file", type=Path, required=True)
    known, _ = parser.parse_known_args()
    (parameters,) = yaml.safe_load(known.params_file.read_text()).values()
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stand_in = StandIn(Path(parameters["ros__parameters"]["config_file"]))
    listener = Thread(target=listen, args=(stand_in.node,), daemon=True)
    listener.start()
    stand_in.run(stop)
    rclpy.try_shutdown()
    listener.join(5)


def listen(node: rclpy.node.Node) -> None:
    try:
        rclpy.spin(node)
    except ExternalShutdownException:
        pass


if __name__ == "__main__":
    main()
