"""Traffic in Gazebo as a node: the embedded engine's traffic on Gazebo's clock, its models moved ten times a second."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from nav_msgs.msg import Odometry
from rclpy.client import Client
from rclpy.task import Future
from rosgraph_msgs.msg import Clock

from occ_core.citymap import CityMap
from occ_core.stamps import from_stamp
from occ_core.topics import ACTORS, CLOCK, ODOM
from occ_ros.convert import from_pose, to_actors, to_pose
from occ_ros.guard import GuardedNode
from occ_ros.parameters import Parameter, ParameterError, read
from occ_ros.qos import create_publisher, create_subscription, message_class, profile
from occ_ros.run import run
from tokyo_city.world import WORLD_NAME
from tokyo_sim.gazebo.names import TRAFFIC_SERVICES
from tokyo_sim.traffic.gazebo_models import fill_create, fill_pose, model_name
from tokyo_sim.traffic.stored import lane_graph, walkways
from tokyo_sim.traffic.traffic import Traffic

PARAMETERS = (
    Parameter("city", "", "folder of an imported city"),
    Parameter("actors", 30, "number of cars, bicycles and walkers", 0, 2000),
    Parameter("seed", 1, "seed of traffic", 0, 2**31 - 1),
    Parameter("world", WORLD_NAME, "name of Gazebo's world"),
)
_PERIOD_S = 1 / ACTORS.rate_hz
_LOOK_FOR_ROBOTS_S = 1.0
_LONGEST_GAP_S = 1.0


class GazeboTrafficNode(GuardedNode):
    """Creates the models when Gazebo's services are there; steps traffic, moves the models and publishes them."""

    def __init__(self) -> None:
        super().__init__("gazebo_traffic")
        values = read(self, PARAMETERS)
        folder = Path(values["city"])
        city = CityMap.load(folder)
        # The embedded engine draws traffic from the second of three streams of its seed.
        rng = np.random.default_rng(np.random.SeedSequence(values["seed"]).spawn(3)[1])
        graph, actors = lane_graph(folder, city), values["actors"]
        self._traffic = Traffic(city, graph, actors, rng, ways=walkways(folder, city, graph) if actors else None)
        self._create = self._service(values["world"], "create")
        self._set_pose = self._service(values["world"], "set_pose")
        self._created: set[str] = set()
        self._asked: dict[str, Future] = {}
        self._robots: dict[str, np.ndarray] = {}
        self._next = self._looked = -np.inf
        self._publisher = create_publisher(self, ACTORS)
        create_subscription(self, CLOCK, self._on_clock, depth=1)
        self.diagnose_each_second()

    def _service(self, world: str, name: str) -> Client:
        kind = TRAFFIC_SERVICES[name]
        try:
            return self.create_client(message_class(kind), f"/world/{world}/{name}")
        except ImportError as error:
            raise ParameterError(f"traffic in Gazebo needs the ROS package {kind.split('/')[0]}: {error}") from error

    def _on_clock(self, message: Clock) -> None:
        now = from_stamp(message.clock)
        if abs(now - self._next) > _LONGEST_GAP_S:
            self._next = -np.inf  # The world was reset, or stood still: nobody wants to see what happened meanwhile.
        if now < self._next - 1e-6:
            return
        steps = 1 if self._next == -np.inf else int((now - self._next) / _PERIOD_S + 1e-6) + 1
        self._next = (np.floor(now / _PERIOD_S + 1e-6) + 1) * _PERIOD_S
        if now - self._looked > _LOOK_FOR_ROBOTS_S or now < self._looked:
            self._looked = now
            self._look_for_robots()
        self._traffic.step(steps * _PERIOD_S, np.array(list(self._robots.values())).reshape(-1, 3))
        # Stamped with the tenth of a second that it stands for, as sweeps are, not with the tick that came next.
        stamp = np.floor(now / _PERIOD_S + 1e-6) * _PERIOD_S
        self._publisher.publish(to_actors(self._traffic.actors(), stamp))
        self._move()

    def _look_for_robots(self) -> None:
        for name, _ in self.get_topic_names_and_types():
            robot = name[1 : -len(ODOM.name) - 1]
            # Gazebo's own, /<robot>/gazebo/odom, is the same robot's.
            if name.endswith(f"/{ODOM.name}") and "/" not in robot and robot not in self._robots:
                self._robots[robot] = np.full(3, 1e9)
                self.create_subscription(
                    Odometry, name, lambda m, robot=robot: self._on_odometry(robot, m), profile(ODOM)
                )

    def _on_odometry(self, robot: str, message: Odometry) -> None:
        self._robots[robot] = from_pose(message.pose.pose).position

    def _move(self) -> None:
        """Ask Gazebo for every actor that has no answer outstanding: it is created first, moved from then on."""
        for actor in self._traffic.actors():
            name = model_name(actor)
            asked = self._asked.get(name)
            if asked is not None and not asked.done():
                continue
            if asked is not None and name not in self._created and asked.result().success:
                self._created.add(name)
            client, fill = (self._set_pose, fill_pose) if name in self._created else (self._create, fill_create)
            if not client.service_is_ready():
                self.get_logger().warning(
                    f"traffic stands still: nobody offers {client.srv_name}", throttle_duration_sec=10.0
                )
                return
            self._asked[name] = client.call_async(fill(client.srv_type.Request(), actor, to_pose(actor.pose)))


def main() -> None:
    """Entry point."""
    sys.exit(run(GazeboTrafficNode))


if __name__ == "__main__":
    main()
