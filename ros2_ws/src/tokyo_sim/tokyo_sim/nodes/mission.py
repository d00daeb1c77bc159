"""The missions of all robots in one node: odometry and actors in, a cmd_vel of each robot out."""

from __future__ import annotations

import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from visualization_msgs.msg import MarkerArray

from occ_core.actors import Actor
from occ_core.topics import ACTORS, CMD_VEL, ODOM
from occ_ros.convert import from_actors, from_pose, from_stamp
from occ_ros.guard import GuardedNode, NodeFailed
from occ_ros.parameters import Parameter, read
from occ_ros.qos import publish, subscribe
from occ_ros.run import run
from tokyo_sim.engine.robot import Kind
from tokyo_sim.missions.mission import Mission, MissionPlan, Surroundings, numbers
from tokyo_sim.missions.plans import Pattern

PARAMETERS = (
    Parameter("city", "", "folder of an imported city"),
    Parameter("robots", ["rover_0"], "namespaces of the robots; each has the parameters below as NAME.vehicle, ..."),
)
ROBOT_PARAMETERS = (
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


class MissionNode(GuardedNode):
    """Every robot is planned for at its first odometry message, then led at 20 Hz of simulated time."""

    def __init__(self) -> None:
        super().__init__("missions")
        values = read(self, PARAMETERS)
        city = Path(values["city"])
        self.surroundings = Surroundings(city)
        # On a thread of its own, one robot after the other: those that are on their way are led meanwhile.
        self._planner = ThreadPoolExecutor(1, "plan")
        self._actors: list[Actor] = []
        self._robots = [
            RobotMission(
                self, robot, Mission(city, _plan(read(self, ROBOT_PARAMETERS, f"{robot}.")), self.surroundings)
            )
            for robot in values["robots"]
        ]
        subscribe(self, ACTORS, self._on_actors, depth=1)
        self.diagnose_each_second()

    def _on_actors(self, message: MarkerArray) -> None:
        self._actors = from_actors(message)[1]

    def others(self, robot: str) -> list[Actor]:
        """All that moves but a robot itself."""
        return [actor for actor in self._actors if actor.name != robot]

    def plan(self, mission: Mission, position: np.ndarray) -> Future[None]:
        """Have a mission planned from a position (3,), metres in map."""
        return self._planner.submit(mission.plan, position)

    def destroy_node(self) -> None:
        """Plan no more."""
        self._planner.shutdown(cancel_futures=True)
        super().destroy_node()


class RobotMission:
    """One robot's topics."""

    def __init__(self, node: MissionNode, robot: str, mission: Mission) -> None:
        self._node, self._robot, self._mission = node, robot, mission
        self._planned: Future[None] | None = None
        self._last = -np.inf
        self._command = publish(node, CMD_VEL, robot)
        subscribe(node, ODOM, self._on_odometry, robot, depth=1)

    def _on_odometry(self, message: Odometry) -> None:
        stamp, pose = from_stamp(message.header.stamp), from_pose(message.pose.pose)
        if 0 <= stamp - self._last < _COMMAND_PERIOD_S - 1e-6:
            return
        if not self._node.surroundings.hold(pose.position):
            raise ValueError(f"it is at {pose.position} m, far from the city")
        self._last = stamp
        if self._planned is None:
            self._planned = self._node.plan(self._mission, pose.position)
        if not self._planned.done():
            return
        try:
            self._planned.result()
            command = self._mission.command(pose, self._node.others(self._robot))
        except ValueError as error:
            raise NodeFailed(f"{self._robot}: {error}") from error
        twist = Twist()
        twist.linear.x, twist.linear.y, twist.linear.z = map(float, command.linear)
        twist.angular.z = command.yaw_rate
        self._command.publish(twist)


def _plan(values: dict) -> MissionPlan:
    return MissionPlan(
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


def main() -> None:
    """Entry point."""
    sys.exit(run(MissionNode))


if __name__ == "__main__":
    main()
