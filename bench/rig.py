"""A drive of the full rig, made before anything is timed: what two robots sense, at the rates of the topic table.

As a process, `python -m bench.rig CITY SECONDS`, it publishes the drive over DDS at real time.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from occ_core.actors import Actor
from tokyo_sim.engine.imu import ImuReading
from tokyo_sim.engine.lidar import Sweep
from tokyo_sim.engine.physics import Motion
from tokyo_sim.engine.robot import Robot
from tokyo_sim.engine.simulator import Fleet, Simulator

IMAGE_EVERY = 50  # of the ticks of 10 ms: cameras at 2 Hz
_IMAGE_SETS = 3  # rendering takes long without a GPU; the drive goes round these


@dataclass(frozen=True)
class Tick:
    """What happens at a multiple of 10 ms, by robot: IMU at 100 Hz, motions at 50 Hz, sweeps and actors at 10 Hz."""

    stamp: float
    readings: list[ImuReading]
    motions: list[Motion]
    sweeps: list[Sweep]
    actors: list[Actor]


@dataclass(frozen=True)
class Drive:
    """images: by robot, sets of six (900, 1600, 3) uint8 by camera name."""

    robots: list[Robot]
    ticks: list[Tick]
    images: list[list[dict[str, np.ndarray]]]

    def images_at(self, tick: int) -> list[dict[str, np.ndarray]]:
        """By robot; empty between two keyframes."""
        number = tick // IMAGE_EVERY % _IMAGE_SETS
        return [sets[number] for sets in self.images] if tick % IMAGE_EVERY == 0 else []


def make_drive(city: Path, seconds: float, cameras: bool = True) -> Drive:
    """A drone and a rover among 30 actors, moving; images of 1600 x 900."""
    simulator = Simulator(city, Fleet(1, 1, 30, cameras=cameras), seed=1)
    images: list[list[dict[str, np.ndarray]]] = [[], []]
    ticks = []
    for number in range(round(seconds * 100) + 1):
        for robot in (0, 1):
            simulator.command(robot, np.array([3.0, 0, 0]), np.array([0, 0, 0.2]))
        sweeps = [simulator.sweep(robot) for robot in (0, 1)] if number % 10 == 0 else []
        motions = [simulator.motion(robot) for robot in (0, 1)] if number % 2 == 0 else []
        readings = [simulator.imu(robot) for robot in (0, 1)]
        ticks.append(Tick(0.01 * number, readings, motions, sweeps, simulator.actors() if sweeps else []))
        if number % IMAGE_EVERY == 0 and len(images[0]) < _IMAGE_SETS:
            for robot in (0, 1):
                images[robot].append(simulator.images(robot))
        simulator.step(0.01)
        if number % 10 == 0:
            simulator.step_traffic(0.1)
    return Drive(simulator.robots, ticks, images)


def at_real_time(drive: Drive):
    """(number, tick) when its time has come."""
    began = time.perf_counter()
    for number, tick in enumerate(drive.ticks):
        time.sleep(max(0.0, began + tick.stamp - time.perf_counter()))
        yield number, tick


def publish_drive(city: Path, seconds: float, subscribed: float = 8.0) -> None:
    """Publish at real time, `subscribed` seconds after the robots' descriptions. Prints when it begins and ends."""
    import rclpy

    from occ_core.topics import ACTORS
    from occ_ros.convert import to_actors
    from occ_ros.qos import create_publisher
    from tokyo_sim.nodes.robot_publishers import RobotPublishers

    drive = make_drive(city, seconds)
    rclpy.init()
    node = rclpy.create_node("rig")
    actors = create_publisher(node, ACTORS)
    robots = [RobotPublishers(node, robot, cameras=bool(drive.images[0][0])) for robot in drive.robots]
    print("ready", flush=True)
    time.sleep(subscribed)
    print("playing", flush=True)
    for number, tick in at_real_time(drive):
        for robot, reading in zip(robots, tick.readings, strict=True):
            robot.publish_imu(reading, tick.stamp)
        for robot, motion in zip(robots, tick.motions, strict=False):
            robot.publish_odometry(motion, tick.stamp)
        if tick.sweeps:
            actors.publish(to_actors(tick.actors, tick.stamp))
        for robot, sweep in zip(robots, tick.sweeps, strict=False):
            robot.publish_sweep(sweep, tick.stamp)
        for robot, images in zip(robots, drive.images_at(number), strict=False):
            robot.publish_images(images, tick.stamp)
    print("played", flush=True)
    time.sleep(3.0)
    node.destroy_node()
    rclpy.shutdown()


if __name__ == "__main__":
    publish_drive(Path(sys.argv[1]), float(sys.argv[2]))
