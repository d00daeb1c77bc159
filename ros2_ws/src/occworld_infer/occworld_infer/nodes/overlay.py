"""The overlay as a node: what is now, what is forecast and what came of it, as markers for RViz."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from nav_msgs.msg import Odometry
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Float32MultiArray

from occ_core.citymap import CityMap
from occ_core.grid import GRID_HELP
from occ_core.pose_buffer import PoseBuffer
from occ_core.poses import Pose, footprint
from occ_core.topics import CITY_MARKERS, LATENCY, MARKERS, OCCUPANCY, ODOM, PREDICTION, SCORE
from occ_ros.convert import from_cloud, from_pose, from_stamp
from occ_ros.guard import GuardedNode
from occ_ros.parameters import Parameter, grid_of, read
from occ_ros.qos import create_publisher, create_subscription
from occ_ros.run import run
from occworld_infer.city_mesh import class_meshes
from occworld_infer.figures import SCORE_COLUMNS, from_latency, from_score
from occworld_infer.layers import RobotLayers
from occworld_infer.marker_messages import to_city, to_text, to_update
from occworld_infer.markers import SentMarkers, cube_lists
from occworld_infer.status_text import StatusText

PARAMETERS = (
    Parameter("robots", ["rover_0"], "namespaces of the robots to show"),
    Parameter("city", "", "folder of the imported city; empty: no city is shown"),
    Parameter("city_triangles", 100_000, "of the city that is shown; a larger one is made coarser", 100, 2_000_000),
    Parameter("ground_height", 0.0, "height of the ground in map, metres, where no city is given", -1e4, 1e4),
    Parameter("colour_by", "horizon", "what the forecast's colours say", choices=("horizon", "class")),
    Parameter("grid", "tokyo", GRID_HELP),
    Parameter("check", 1.0, "seconds ahead at which an earlier forecast is laid over what is now", 0.5, 3.0),
)
_KEPT_S = 8.0
_CLOCK_RESET_S = 1.0
_LONGEST_GAP_S = 0.1


class OverlayNode(GuardedNode):
    """Markers for all robots, and for the city once."""

    def __init__(self) -> None:
        super().__init__("overlay")
        values = read(self, PARAMETERS)
        city = CityMap.load(Path(values["city"])) if values["city"] else None
        ground = city.nearest_ground if city else lambda x, y: values["ground_height"]
        grid = grid_of(values)
        by_class = values["colour_by"] == "class"
        self._robots = [
            RobotOverlay(self, robot, RobotLayers(by_class, values["check"], grid), ground)
            for robot in values["robots"]
        ]
        if city:
            self._city = create_publisher(self, CITY_MARKERS, depth=1)
            self._city.publish(to_city(class_meshes(city, values["city_triangles"])))
        self.diagnose_each_second()
        self.get_logger().info(f"markers of {', '.join(values['robots'])}")


class RobotOverlay:
    """One robot's topics: an update for each observation, when its forecast is there or the next observation is."""

    def __init__(
        self, node: GuardedNode, robot: str, layers: RobotLayers, ground: Callable[[float, float], float]
    ) -> None:
        self._node, self._robot, self._layers, self._ground = node, robot, layers, ground
        self._poses = PoseBuffer(_KEPT_S, _LONGEST_GAP_S)
        self._observed: PointCloud2 | None = None
        self._predicted: PointCloud2 | None = None
        self._status_text, self._sent, self._listeners = StatusText(), SentMarkers(), 0
        self._markers = create_publisher(node, MARKERS, robot)
        create_subscription(node, ODOM, self._on_odometry, robot, depth=50)
        create_subscription(node, OCCUPANCY, self._on_occupancy, robot, depth=2)
        create_subscription(node, PREDICTION, self._on_prediction, robot, depth=1)
        create_subscription(node, LATENCY, self._on_latency, robot, depth=1)
        create_subscription(node, SCORE, self._on_score, robot, depth=1)

    def _on_odometry(self, message: Odometry) -> None:
        stamp = from_stamp(message.header.stamp)
        if stamp < self._poses.last - _CLOCK_RESET_S:
            self._poses.clear()
        self._poses.add(stamp, from_pose(message.pose.pose))

    def _on_latency(self, message: Float32MultiArray) -> None:
        seconds = from_latency(message)
        self._status_text.latency(list(seconds), list(seconds.values()))

    def _on_score(self, message: Float32MultiArray) -> None:
        self._status_text.score(list(SCORE_COLUMNS), from_score(message))

    def _on_occupancy(self, message: PointCloud2) -> None:
        if self._observed is not None:
            self._show()
        self._observed = message
        self._show_if_complete()

    def _on_prediction(self, message: PointCloud2) -> None:
        self._status_text.forecast(from_stamp(message.header.stamp))
        self._predicted = message
        self._show_if_complete()

    def _show_if_complete(self) -> None:
        if self._observed is not None and self._predicted is not None:
            if from_stamp(self._predicted.header.stamp) >= from_stamp(self._observed.header.stamp):
                self._show()

    def _show(self) -> None:
        """Publish what has changed with the newest clouds; each cloud is taken once."""
        clouds = (self._observed, self._layers.observe), (self._predicted, self._layers.expect)
        self._observed = self._predicted = None
        listeners = self._markers.get_subscription_count()
        if listeners > self._listeners:
            self._sent.start_anew()
        self._listeners = listeners
        if not listeners:
            return
        for cloud, take in clouds:
            if cloud is not None:
                stamp = from_stamp(cloud.header.stamp)
                frame = self._footprint(stamp)
                if frame is None:
                    return
                take(stamp, from_cloud(cloud), frame)
        lists = [cubes for layer in self._layers.layers() for cubes in cube_lists(self._robot, layer)]
        self._markers.publish(to_update(self._sent.update(lists), to_text(self._robot, self._status_text.text)))

    def _footprint(self, stamp: float) -> Pose | None:
        """The robot's `base_footprint` in map; None, and a warning, without odometry of that time."""
        pose = self._poses.nearest(stamp, _LONGEST_GAP_S)
        if pose is None:
            self._node.get_logger().warning(
                f"{self._robot}: no odometry within {_LONGEST_GAP_S} s of a grid, it is not shown",
                throttle_duration_sec=5.0,
            )
            return None
        return footprint(pose, self._ground(*pose.position[:2]))


def main() -> None:
    """Entry point."""
    sys.exit(run(OverlayNode))


if __name__ == "__main__":
    main()
