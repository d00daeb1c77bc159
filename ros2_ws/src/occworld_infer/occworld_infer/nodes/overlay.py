"""The overlay as a node: what is now, what is forecast and what came of it, as markers for RViz."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nav_msgs.msg import Odometry
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Float32MultiArray

from occ_core.citymap import CityMap
from occ_core.grid import GRID_HELP
from occ_core.pose_buffer import PoseBuffer
from occ_core.poses import Pose, footprint
from occ_core.stamps import from_stamp
from occ_core.topics import CITY_MARKERS, LATENCY, MARKERS, OCCUPANCY, ODOM, PREDICTION, SCORE
from occ_ros.convert import from_cloud, from_pose
from occ_ros.guard import GuardedNode
from occ_ros.parameters import Parameter, grid_of, read
from occ_ros.qos import create_publisher, create_subscription
from occ_ros.run import run
from occworld_infer.city_mesh import class_meshes
from occworld_infer.figures import from_latency, from_score, grades_of
from occworld_infer.forecast_message import HeardForecast, from_forecast_message
from occworld_infer.forecast_topics import ForecastTopics
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
    Parameter("grid", "tokyo", f"{GRID_HELP}; typed forecasts say theirs"),
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


@dataclass(frozen=True)
class Predicted:
    """A forecast that waits to be shown. place: puts it into the layers, given its stamp and its footprint in map."""

    stamp: float
    place: Callable[..., None]


class RobotOverlay:
    """One robot's topics: an update for each observation, when its forecast is there or the next observation is."""

    def __init__(
        self, node: GuardedNode, robot: str, layers: RobotLayers, ground: Callable[[float, float], float]
    ) -> None:
        self._node, self._robot, self._layers, self._ground = node, robot, layers, ground
        self._poses = PoseBuffer(_KEPT_S, _LONGEST_GAP_S)
        self._observed: PointCloud2 | None = None
        self._predicted: Predicted | None = None
        self._status_text, self._sent, self._listeners = StatusText(), SentMarkers(), 0
        self._markers = create_publisher(node, MARKERS, robot)
        create_subscription(node, ODOM, self._on_odometry, robot, depth=50)
        create_subscription(node, OCCUPANCY, self._on_occupancy, robot, depth=2)
        plain = {PREDICTION: self._on_prediction, LATENCY: self._on_latency, SCORE: self._on_score}
        self._forecasts = ForecastTopics(node, robot, from_forecast_message, self._on_forecast, plain)

    def _on_odometry(self, message: Odometry) -> None:
        stamp = from_stamp(message.header.stamp)
        if stamp < self._poses.last - _CLOCK_RESET_S:
            self._poses.clear()
        self._poses.add(stamp, from_pose(message.pose.pose))

    def _on_latency(self, message: Float32MultiArray) -> None:
        self._status_text.latency(from_latency(message))

    def _on_score(self, message: Float32MultiArray) -> None:
        self._status_text.score(grades_of(from_score(message)))

    def _on_forecast(self, stamp: float, heard: HeardForecast) -> None:
        self._status_text.latency(heard.latency)
        self._status_text.score(heard.grades)
        self._take(Predicted(stamp, partial(self._layers.foresee, heard=heard)))

    def _on_occupancy(self, message: PointCloud2) -> None:
        if self._observed is not None:
            self._show()
        self._observed = message
        self._show_if_complete()

    def _on_prediction(self, message: PointCloud2) -> None:
        points = from_cloud(message)
        self._take(Predicted(from_stamp(message.header.stamp), partial(self._layers.expect, points=points)))

    def _take(self, predicted: Predicted) -> None:
        self._status_text.forecast(predicted.stamp)
        self._predicted = predicted
        self._show_if_complete()

    def _show_if_complete(self) -> None:
        if self._observed is not None and self._predicted is not None:
            if self._predicted.stamp >= from_stamp(self._observed.header.stamp):
                self._show()

    def _show(self) -> None:
        """Publish what has changed with the newest observation and forecast; each is taken once."""
        observed, predicted = self._observed, self._predicted
        self._observed = self._predicted = None
        listeners = self._markers.get_subscription_count()
        if listeners > self._listeners:
            self._sent.start_anew()
        self._listeners = listeners
        if not listeners:
            return
        if observed is not None:
            stamp = from_stamp(observed.header.stamp)
            if (frame := self._footprint(stamp)) is None:
                return
            self._layers.observe(stamp, from_cloud(observed), frame)
        if predicted is not None:
            if (frame := self._footprint(predicted.stamp)) is None:
                return
            predicted.place(predicted.stamp, frame=frame)
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
