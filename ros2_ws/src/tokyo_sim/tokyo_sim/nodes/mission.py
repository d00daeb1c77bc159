"""The missions of all robots in one node: odometry and actors in, a cmd_vel of each robot out."""

from __future__ import annotations

import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Odometry
from visualization_msgs.msg import MarkerArray

from occ_core.actors import Actor
from occ_core.poses import Pose
from occ_core.stamps import from_stamp
from occ_core.topics import ACTORS, CMD_VEL, LOCKSTEP_COMMAND, ODOM, Topic
from occ_ros.convert import from_actors, from_pose
from occ_ros.guard import GuardedNode, NodeFailed
from occ_ros.lockstep import Participant
from occ_ros.parameters import Parameter, read
from occ_ros.qos import create_publisher, create_subscription
from occ_ros.run import run
from tokyo_sim.engine.robot import RobotKind
from tokyo_sim.missions.mission import Mission, MissionPlan, Surroundings, numbers
from tokyo_sim.missions.plans import Pattern

PARAMETERS = (
    Parameter("city", "", "folder of an imported city"),
    Parameter("robots", ["rover_0"], "namespaces of the robots; each has the parameters below as NAME.vehicle, ..."),
    Parameter("lockstep", False, "the simulator waits for each command: the same one at the same time on any machine"),
)
ROBOT_PARAMETERS = (
    Parameter("vehicle", "rover", "what it is", choices=tuple(kind.value for kind in RobotKind)),
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
    """Every robot is planned for at its first odometry message, then led at 20 Hz of simulated time.

    In lock step a command is made of the actors of the same instants on any machine, and is with the simulator before
    the simulator may go on.
    """

    def __init__(self) -> None:
        super().__init__("missions")
        values = read(self, PARAMETERS)
        city = Path(values["city"])
        self.surroundings = Surroundings(city)
        # On a thread of its own, one robot after the other: those that are on their way are led meanwhile.
        self._planner = ThreadPoolExecutor(1, "plan")
        self._actors: list[Actor] = []
        self.actors_at = -np.inf
        lockstep = values["lockstep"]
        self._robots = [
            RobotMission(
                self, robot, Mission(city, _plan(read(self, ROBOT_PARAMETERS, f"{robot}.")), self.surroundings),
                lockstep,
            )
            for robot in values["robots"]
        ]  # fmt: skip
        create_subscription(self, ACTORS, self._on_actors, depth=10 if lockstep else 1, lockstep=lockstep)
        self.diagnose_each_second()

    def _on_actors(self, message: MarkerArray) -> None:
        self.actors_at, self._actors = from_actors(message)
        for robot in self._robots:
            robot.command_if_due()

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
    """One robot's topics. lockstep: the simulation waits for its commands, and for its plan."""

    def __init__(self, node: MissionNode, robot: str, mission: Mission, lockstep: bool) -> None:
        self._node, self._robot, self._mission = node, robot, mission
        self._planned: Future[None] | None = None
        self._last = -np.inf
        self._due: Odometry | None = None
        self._command = create_publisher(node, CMD_VEL, robot)
        create_subscription(node, ODOM, self._on_odometry, robot, depth=10 if lockstep else 1, lockstep=lockstep)
        self._participant = Participant(node, robot=robot) if lockstep else None
        if self._participant:
            self._in_step = create_publisher(node, LOCKSTEP_COMMAND, robot)
            self._participant.grant(1 / ODOM.rate_hz)

    def _on_odometry(self, message: Odometry) -> None:
        stamp = from_stamp(message.header.stamp)
        if not 0 <= stamp - self._last < _COMMAND_PERIOD_S - 1e-6:
            self._due = message
            self.command_if_due()
        elif self._participant:
            self._participant.grant(stamp + 1 / ODOM.rate_hz)

    def command_if_due(self) -> None:
        """Command what is to be done where the robot was last heard of; in lock step, when the actors are there."""
        if self._due is None:
            return
        stamp = from_stamp(self._due.header.stamp)
        if self._participant and self._node.actors_at < newest_before(stamp, ACTORS) - 1e-6:
            return  # they are on their way
        message, self._due = self._due, None
        # The next odometry message that a command is due at.
        until = stamp + np.ceil(_COMMAND_PERIOD_S * ODOM.rate_hz - 1e-6) / ODOM.rate_hz
        twist: Twist | None = None
        try:
            twist = self._twist(from_pose(message.pose.pose), stamp)
        finally:
            if self._participant and twist is None:  # whatever was wrong, nobody waits for it
                self._participant.grant(until)
        if twist is None:
            return
        self._command.publish(twist)
        if self._participant:
            self._in_step.publish(TwistStamped(header=self._participant.header(until), twist=twist))

    def _twist(self, pose: Pose, stamp: float) -> Twist | None:
        """What to do at a pose of base_link in map; None while the mission is being planned."""
        if not self._node.surroundings.hold(pose.position):
            raise ValueError(f"it is at {pose.position} m, far from the city")
        self._last = stamp
        if self._planned is None:
            self._planned = self._node.plan(self._mission, pose.position)
        if not self._participant and not self._planned.done():
            return None
        try:
            self._planned.result()
            command = self._mission.command(pose, self._node.others(self._robot))
        except ValueError as error:
            raise NodeFailed(f"{self._robot}: {error}") from error
        if self._mission.problem:
            self._node.get_logger().warning(f"{self._robot}: {self._mission.problem}", throttle_duration_sec=30.0)
        twist = Twist()
        twist.linear.x, twist.linear.y, twist.linear.z = map(float, command.linear)
        twist.angular.z = command.yaw_rate
        return twist


def newest_before(stamp: float, topic: Topic) -> float:
    """Stamp of the newest message of a topic at a time, that time included; -inf before the first, one period in."""
    number = np.floor(stamp * topic.rate_hz + 1e-6)
    return number / topic.rate_hz if number > 0 else -np.inf


def _plan(values: dict) -> MissionPlan:
    return MissionPlan(
        kind=RobotKind(values["vehicle"]),
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
