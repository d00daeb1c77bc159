"""The embedded simulator as a node: simulated time on /clock, and every robot's topics.

In lock step it waits, before each step, for those who have asked for its data; else it goes on, and says so where the
machine can't keep the pace that was asked for.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from threading import Event, Thread

import numpy as np
from rclpy.executors import SingleThreadedExecutor
from rosgraph_msgs.msg import Clock

from occ_core.topics import ACTORS, CLOCK
from occ_ros.convert import to_actors
from occ_ros.diagnostics import to_stamp
from occ_ros.guard import GuardedNode
from occ_ros.lockstep import Conductor, depth
from occ_ros.parameters import Parameter, read
from occ_ros.qos import create_publisher
from occ_ros.run import run, spin_once
from tokyo_sim.engine.daylight import DEFAULT_HOUR
from tokyo_sim.engine.drifting_odometry import DriftingOdometry
from tokyo_sim.engine.simulator import Fleet, Simulator
from tokyo_sim.engine.start_poses import parse_start_poses
from tokyo_sim.engine.workload import Part, Workload
from tokyo_sim.nodes.robot_publishers import RobotPublishers
from tokyo_sim.nodes.tf import TransformPublisher

TICK_S = 0.01  # IMU and clock rate; everything slower is a whole number of ticks
_ODOMETRY_TICKS, _SWEEP_TICKS, _DIAGNOSTIC_TICKS = 2, 10, 100
_SAY_EVERY_S = 10.0

PARAMETERS = (
    Parameter("city", "", "folder of an imported city (`tokyo city`)"),
    Parameter("drones", 1, "number of drones", 0, 100),
    Parameter("rovers", 1, "number of rovers", 0, 100),
    Parameter("actors", 30, "number of cars, bicycles and walkers", 0, 2000),
    Parameter("drone_altitude", 30.0, "metres above the ground at which drones start", 2.0, 150.0),
    Parameter("places", "", "where robots start, 'NAME:X,Y,YAW ...', metres and radians in map; others: free places"),
    Parameter("seed", 1, "seed of spawn places, traffic and noise", 0, 2**31 - 1),
    Parameter("real_time_factor", 1.0, "simulated seconds per second at most; 0 runs as fast as it can", 0.0, 1000.0),
    Parameter("image_width", 1600, "pixels", 16, 8192),
    Parameter("image_height", 900, "pixels", 16, 8192),
    Parameter("lidar_motion_distortion", False, "cast a sweep's columns one after the other, as a turning LiDAR does"),
    Parameter("odometry_drift", 0.0, "also publish odometry that drifts so many metres per root metre", 0.0, 1.0),
    Parameter("camera_rate", 10.0, "images per simulated second from each camera; 0 switches cameras off", 0.0, 10.0),
    Parameter("hour", DEFAULT_HOUR, "solar time at which the sun stands, for cameras", 0.0, 24.0),
    Parameter("images_on_demand", True, "draw only the images that somebody wants"),
    Parameter("duration", 0.0, "end after so many simulated seconds; 0: never", 0.0, 1e9),
    Parameter("lockstep", False, "wait for the nodes that take the data; real_time_factor is then an upper bound"),
    Parameter("lockstep_nodes", [""], "full names of nodes without which a simulation in lock step does not begin"),
)


class SimulatorNode(GuardedNode):
    """Steps the simulator and publishes; commands arrive on a thread of their own."""

    def __init__(self) -> None:
        super().__init__("simulator")
        values = read(self, PARAMETERS)
        rate = values["camera_rate"]
        fleet = Fleet(
            drones=values["drones"],
            rovers=values["rovers"],
            actors=values["actors"],
            drone_altitude=values["drone_altitude"],
            image_size=(values["image_width"], values["image_height"]),
            cameras=rate > 0,
            motion_distortion=values["lidar_motion_distortion"],
            places=parse_start_poses(values["places"]),
            hour=values["hour"],
        )
        self._camera_ticks = round(1 / (rate * TICK_S)) if rate > 0 else 0
        if rate > 0 and self._camera_ticks % _SWEEP_TICKS:
            raise ValueError(
                f"parameter 'camera_rate' is {rate:g} Hz: images come with sweeps, at 10 Hz over a whole number"
            )
        self._on_demand = values["images_on_demand"]
        self._factor, self._end = values["real_time_factor"], values["duration"] or np.inf
        lockstep = values["lockstep"]
        self._load = Workload(self._factor)
        self._simulator = Simulator(Path(values["city"]), fleet, values["seed"])
        if self._simulator.cameras_off and rate > 0:
            self.get_logger().warning(self._simulator.cameras_off)
        self._clock, self._actors = (
            create_publisher(self, topic, depth=depth(topic) if lockstep else 10, lockstep=lockstep)
            for topic in (CLOCK, ACTORS)
        )
        self._tf = TransformPublisher(self)
        self._conductor = Conductor(self, filter(None, values["lockstep_nodes"])) if lockstep else None
        drift, seed = values["odometry_drift"], values["seed"]
        self._robots = [
            RobotPublishers(
                self,
                robot,
                not self._simulator.cameras_off,
                DriftingOdometry(drift, np.random.default_rng([seed, number])) if drift else None,
                self._conductor.granted if self._conductor else None,
            )
            for number, robot in enumerate(self._simulator.robots)
        ]
        static = [transform for robot in self._robots for transform in robot.static_transforms()]
        self._tf.send(static, 0.0, static=True)
        if self._conductor:
            self._conductor.reached(0.0)

    def loop(self, stop: Event) -> None:
        """Run until told to stop, or the duration is over."""
        executor = SingleThreadedExecutor()
        executor.add_node(self)
        listener = Thread(target=_listen, args=(self, executor, stop))
        listener.start()
        started, tick, reported = time.monotonic(), 0, (time.monotonic(), 0.0)
        while not stop.is_set():
            if self._conductor:
                with self._load.part(Part.WAITING):
                    self._conductor.wait((tick + 1) * TICK_S, stop)
            # Not before the wait: in lock step, everything that is published has been taken then.
            if stop.is_set() or tick * TICK_S >= self._end - TICK_S / 2:
                break
            for number, robot in enumerate(self._robots):
                if robot.command is not None:
                    self._simulator.command(number, *robot.command)
            with self._load.part(Part.ROBOTS):
                self._simulator.step(TICK_S)
            tick += 1
            self._publish(tick)
            if self._conductor and tick % _SWEEP_TICKS == 0:
                self._conductor.reached(tick * TICK_S)
            if tick % _DIAGNOSTIC_TICKS == 0:
                now = time.monotonic(), self._simulator.time
                self._report((now[1] - reported[1]) / (now[0] - reported[0]))
                reported = now
            if self._factor > 0:
                ahead = self._simulator.time / self._factor - (time.monotonic() - started)
                if ahead > 0:
                    time.sleep(ahead)
                else:
                    started -= ahead  # Never race to catch up after a slow stretch.
        stop.set()
        listener.join()

    def _publish(self, tick: int) -> None:
        stamp = tick * TICK_S
        self._clock.publish(Clock(clock=to_stamp(stamp)))
        sweeps = tick % _SWEEP_TICKS == 0
        if sweeps:
            with self._load.part(Part.ACTORS):
                self._simulator.step_traffic(TICK_S * _SWEEP_TICKS)
                self._actors.publish(to_actors(self._simulator.actors(), stamp))
        for number, robot in enumerate(self._robots):
            with self._load.part(Part.ROBOTS):
                robot.publish_imu(self._simulator.imu(number), stamp)
                if tick % _ODOMETRY_TICKS == 0:
                    motion = self._simulator.motion(number)
                    robot.publish_odometry(motion, stamp)
                    self._tf.send(robot.transforms(motion, self._simulator.ground_under(number)), stamp)
                if sweeps:
                    robot.publish_sweep(self._simulator.sweep(number), stamp)
            if self._camera_ticks and tick % self._camera_ticks == 0:
                with self._load.part(Part.CAMERAS):
                    wanted = robot.wanted(stamp) if self._on_demand else None
                    robot.publish_images(self._simulator.images(number, wanted), stamp)

    def _report(self, factor: float) -> None:
        slow = "" if self._conductor else self._load.problem(factor)
        if slow:
            self.get_logger().warning(slow, throttle_duration_sec=_SAY_EVERY_S)
        problem = "; ".join(filter(None, (slow, self._simulator.cameras_off or self._tf.problem)))
        values = {"real_time_factor": f"{factor:.2f}", "robots": len(self._robots)}
        self.diagnose("simulator", problem, values, self._simulator.time)


def _listen(node: SimulatorNode, executor: SingleThreadedExecutor, stop: Event) -> None:
    while not stop.is_set():
        spin_once(node, executor, 0.1)


def main() -> None:
    """Entry point."""
    sys.exit(run(SimulatorNode, SimulatorNode.loop))


if __name__ == "__main__":
    main()
