"""The browser view as a node: whatever runs, on a page of this machine."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from nav_msgs.msg import Odometry
from nav_msgs.msg import Path as PathMsg
from rclpy.subscription import Subscription
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Float32MultiArray, String

from occ_core.citymap import CityMap
from occ_core.grid import GRID_HELP
from occ_core.stamps import from_stamp
from occ_core.topics import (
    ACTORS,
    CAMERAS,
    LATENCY,
    LIDAR,
    OCCUPANCY,
    ODOM,
    PATH,
    PREDICTION,
    ROBOT_DESCRIPTION,
    SCORE,
    absolute,
    image_topic,
)
from occ_core.urdf import link_poses
from occ_ros.convert import cloud_xyz, from_actors, from_cloud, from_image, from_pose
from occ_ros.guard import GuardedNode, NodeFailed
from occ_ros.parameters import Parameter, grid_of, read
from occ_ros.qos import create_subscription, from_raw, profile
from occ_ros.run import run
from occworld_infer.figures import from_latency, from_score, grades_of
from occworld_infer.forecast_message import from_forecast_message
from occworld_infer.forecast_topics import ForecastTopics
from occworld_infer.viewer.camera_strip import kept
from occworld_infer.viewer.live_snapshots import LiveRobot
from occworld_infer.viewer.page import Page
from occworld_infer.viewer.player import Player
from occworld_infer.viewer.timeline import Timeline

PARAMETERS = (
    Parameter("robots", ["rover_0"], "namespaces of the robots to show"),
    Parameter("city", "", "folder of the imported city; empty: no city is shown"),
    Parameter("port", 8080, "of the page on 127.0.0.1; 0: any that is free", 0, 65535),
    Parameter("ground_height", 0.0, "height of the ground in map, metres, where no city is given", -1e4, 1e4),
    Parameter("grid", "tokyo", f"{GRID_HELP}; typed forecasts say theirs"),
    Parameter("keep", 120, "keyframes of each robot that one can go back to", 2, 10_000),
    Parameter("cameras", True, "show the images of the robot that is looked at"),
)
_PICTURE_PERIOD_S = 0.5


class ViewerNode(GuardedNode):
    """One page for all robots. LiDAR and images are received of the robot that is looked at, and of no other."""

    def __init__(self) -> None:
        super().__init__("viewer")
        values = read(self, PARAMETERS)
        city = CityMap.load(Path(values["city"])) if values["city"] else None
        ground = city.nearest_ground if city else lambda x, y: values["ground_height"]
        names = tuple(values["robots"])
        timeline = Timeline(values["keep"])
        self._page = Page(values["port"], names, city, live=True)
        self._robots = {name: LiveRobot(name, timeline, ground, grid_of(values)) for name in names}
        self._topics = [RobotSubscriptions(self, name, robot) for name, robot in self._robots.items()]
        create_subscription(self, ACTORS, self._on_actors, depth=1)
        self._cameras = CAMERAS if values["cameras"] else {}
        self._sensors: tuple[str, list[Subscription]] = ("", [])
        self.create_timer(0.5, self._follow_choice)
        self.diagnose_each_second()
        self._player = Player(timeline, self._page, names, live=True)
        self._player.start()
        self.get_logger().info(f"look at {self._page.url}")

    def _on_actors(self, message) -> None:
        actors = from_actors(message)[1]
        for robot in self._robots.values():
            robot.actors(actors)

    def _follow_choice(self) -> None:
        if not self._player.alive:
            raise NodeFailed("the page can't be drawn any more, see above")
        chosen, (subscribed, subscriptions) = self._page.controls.choice.robot, self._sensors
        if chosen == subscribed:
            return
        for subscription in subscriptions:
            self.destroy_subscription(subscription)
        self._sensors = (chosen, sensors(self, chosen, self._robots[chosen], self._cameras))

    def destroy_node(self) -> None:
        """Stop the page with the node."""
        self._player.close()
        super().destroy_node()


class RobotSubscriptions:
    """The light topics of one robot."""

    def __init__(self, node: GuardedNode, name: str, robot: LiveRobot) -> None:
        self._node, self._robot = node, robot
        create_subscription(node, ROBOT_DESCRIPTION, self._on_description, name, depth=1)
        create_subscription(node, ODOM, self._on_odometry, name, depth=10)
        create_subscription(node, OCCUPANCY, self._on_occupancy, name, depth=2)
        plain = {
            PREDICTION: self._on_prediction, PATH: self._on_path, LATENCY: self._on_latency, SCORE: self._on_score,
        }  # fmt: skip
        self._forecasts = ForecastTopics(node, name, from_forecast_message, robot.forecast, plain)

    def _on_description(self, message: String) -> None:
        self._robot.links = link_poses(message.data)

    def _on_odometry(self, message: Odometry) -> None:
        self._robot.odometry(from_stamp(message.header.stamp), from_pose(message.pose.pose))

    def _on_occupancy(self, message: PointCloud2) -> None:
        points = from_cloud(message)
        self._robot.occupancy(from_stamp(message.header.stamp), cloud_xyz(points), points["label"])

    def _on_prediction(self, message: PointCloud2) -> None:
        self._robot.prediction(from_stamp(message.header.stamp), from_cloud(message))

    def _on_path(self, message: PathMsg) -> None:
        stamp = from_stamp(message.header.stamp)
        steps = [(round(from_stamp(p.header.stamp) - stamp, 3), from_pose(p.pose)) for p in message.poses]
        self._robot.path(stamp, steps)

    def _on_latency(self, message: Float32MultiArray) -> None:
        self._robot.model_seconds(from_latency(message).model_s)

    def _on_score(self, message: Float32MultiArray) -> None:
        self._robot.grades(grades_of(from_score(message)))


def sensors(node: GuardedNode, name: str, robot: LiveRobot, cameras: dict[str, str]) -> list[Subscription]:
    """Subscriptions to a robot's LiDAR and cameras."""

    def on_sweep(message: PointCloud2) -> None:
        link = message.header.frame_id.lstrip("/").removeprefix(f"{name}/")
        robot.sweep(from_stamp(message.header.stamp), cloud_xyz(from_cloud(message)), link)

    taken: dict[str, float] = {}

    def on_image(camera: str, raw: bytes) -> None:
        # Ten a second are 26 MB of each camera: only those that are shown are decoded.
        now = node.get_clock().now().nanoseconds * 1e-9
        if abs(now - taken.get(camera, -1.0)) >= _PICTURE_PERIOD_S:
            taken[camera] = now
            robot.picture(camera, kept(from_image(from_raw(raw, Image))))

    images = {camera: image_topic(camera) for camera in cameras}
    return [
        create_subscription(node, LIDAR, on_sweep, name, depth=1),
        *(
            node.create_subscription(
                Image, absolute(topic, name), partial(on_image, camera), profile(topic, depth=1), raw=True
            )
            for camera, topic in images.items()
        ),
    ]


def main() -> None:
    """Entry point."""
    sys.exit(run(ViewerNode))


if __name__ == "__main__":
    main()
