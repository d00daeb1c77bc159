"""A mission as a node, in a robot's namespace: odometry and actors in, cmd_vel out."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from rclpy.node import Node
from visualization_msgs.msg import MarkerArray

from occ_core.actors import Actor
from occ_core.topics import ACTORS, CMD_VEL, ODOM
from occ_ros.convert import from_actors, from_pose, from_stamp
from occ_ros.parameters import Parameter, read
from occ_ros.qos import publish, subscribe
from occ_ros.run import NodeFailed, run
from tokyo_sim.engine.robot import Kind
from tokyo_sim.missions.mission import Mission, MissionPlan, numbers
from tokyo_sim.missions.plans import Pattern

PARAMETERS = (
    Parameter("city", "", "folder of an imported city"),
    Parameter("robot", "", "namespace of the robot"),
    Parameter("vehicle", "rover", "what it is", choices=tuple(kind.value for kind in Kind)),
    Parameter("pattern", "street", "what it does", choices=tuple(pattern.value for pattern in Pattern)),
    Parameter("speed", 3.0, "metres per second", 0.1, 15.0),
    Parameter("altitude", 30.0, "metres above the ground where it starts; drones only", 2.0, 150.0),
    Parameter("radius", 40.0, "metres, of an orbit", 5.0, 1000.0),
    Parameter("centre", "", "x,y in map of an orbit's point of interest; empty: the tallest building"),
    Parameter("area", "", "x0,y0,x1,y1 in map of a survey; empty: the whole city"),
    Parameter("waypoints", "", "YAML, JSON or CSV file of x, y in map, for pattern 'waypoints'"),
    Parameter("loop", True, "begin again at the end"),
    Parameter("seed", 1, "seed of a street drive's turns and of roaming", 0, 2**31 - 1),
)
_COMMAND_PERIOD_S = 0.05


class MissionNode(Node):
    """Plans at the first odometry message, then follows at 20 Hz of simulated time."""

    def __init__(self) -> None:
        super().__init__("mission")
        values = read(self, PARAMETERS)
        self._robot = values["robot"]
        plan = MissionPlan(
            kind=Kind(values["vehicle"]),
            pattern=Pattern(values["pattern"]),
            speed=values["speed"],
            altitude=values["altitude"],
            radius=values["radius"],
            centre=numbers("centre", values["centre"]),
            area=numbers("area", values["area"]),
            loop=values["loop"],
            waypoints=Path(values["waypoints"]) if values["waypoints"] else None,
            seed=values["seed"],
        )
        self._mission = Mission(Path(values["city"]), plan)
        self._actors: list[Actor] = []
        self._last = -np.inf
        self._command = publish(self, CMD_VEL, self._robot)
        subscribe(self, ACTORS, self._on_actors, depth=1)
        subscribe(self, ODOM, self._on_odometry, self._robot, depth=1)

    def _on_actors(self, message: MarkerArray) -> None:
        self._actors = [actor for actor in from_actors(message)[1] if actor.name != self._robot]

    def _on_odometry(self, message: Odometry) -> None:
        stamp = from_stamp(message.header.stamp)
        if 0 <= stamp - self._last < _COMMAND_PERIOD_S - 1e-6:
            return
        self._last = stamp
        try:
            command = self._mission.command(from_pose(message.pose.pose), self._actors)
        except ValueError as error:
            raise NodeFailed(f"{self._robot}: {error}") from error
        if self._mission.problem:
            self.get_logger().warning(f"{self._robot}: {self._mission.problem}", throttle_duration_sec=30.0)
        twist = Twist()
        twist.linear.x, twist.linear.y, twist.linear.z = map(float, command.linear)
        twist.angular.z = command.yaw_rate
        self._command.publish(twist)


def main() -> None:
    """Entry point."""
    sys.exit(run(MissionNode))


if __name__ == "__main__":
    main()
