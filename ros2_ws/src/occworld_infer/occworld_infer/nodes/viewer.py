"""The browser view as a node: whatever runs, on a page of this machine."""

from __future__ import annotations

import sys
from pathlib import Path

from nav_msgs.msg import Odometry
from rclpy.node import Node
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Float32MultiArray, String

from occ_core.citymap import CityMap
from occ_core.grid import FRAME_PERIOD_S, FUTURE_FRAMES
from occ_core.poses import Pose, footprint
from occ_core.topics import (
    ACTORS,
    LATENCY,
    LIDAR,
    OCCUPANCY,
    ODOM,
    PREDICTION,
    ROBOT_DESCRIPTION,
    image_topic,
)
from occ_core.urdf import link_poses
from occ_ros.convert import cloud_xyz, from_actors, from_cloud, from_image, from_pose, from_stamp
from occ_ros.parameters import Parameter, read
from occ_ros.qos import subscribe
from occ_ros.run import run
from occworld_infer.viewer import BrowserView

PARAMETERS = (
    Parameter("robots", ["rover_0"], "namespaces of the robots to show"),
    Parameter("city", "", "folder of the imported city; empty: no city is shown"),
    Parameter("port", 8080, "of the page on 127.0.0.1", 1024, 65535),
    Parameter("ground_height", 0.0, "height of the ground in map, metres, where no city is given", -1e4, 1e4),
)
_KEPT_POSES = 200


class ViewerNode(Node):
    """One page for all robots."""

    def __init__(self) -> None:
        super().__init__("viewer")
        values = read(self, PARAMETERS)
        city = CityMap.load(Path(values["city"])) if values["city"] else None
        horizons = tuple(FRAME_PERIOD_S * (step + 1) for step in range(FUTURE_FRAMES))
        self._view = BrowserView(values["port"], city, values["robots"], horizons)
        ground = city.ground_height if city else lambda x, y: values["ground_height"]
        self._shown = [RobotOnPage(self, robot, self._view, ground) for robot in values["robots"]]
        subscribe(self, ACTORS, lambda message: self._view.show_actors(from_actors(message)[1]), depth=1)
        self.get_logger().info(f"look at {self._view.url}")

    def destroy_node(self) -> None:
        """Stop the page with the node."""
        self._view.close()
        super().destroy_node()


class RobotOnPage:
    """Feeds one robot's topics to the page; clouds are placed by the odometry of their own instant."""

    def __init__(self, node: Node, robot: str, view: BrowserView, ground) -> None:
        self._robot, self._view, self._ground = robot, view, ground
        self._poses: dict[float, Pose] = {}
        self._links: dict[str, Pose] = {}
        subscribe(node, ROBOT_DESCRIPTION, self._on_description, robot, depth=1)
        subscribe(node, ODOM, self._on_odometry, robot, depth=10)
        subscribe(node, LIDAR, self._on_lidar, robot, depth=1)
        subscribe(node, OCCUPANCY, self._on_grid, robot, depth=1)
        subscribe(node, PREDICTION, self._on_grid, robot, depth=1)
        subscribe(node, LATENCY, self._on_latency, robot, depth=1)
        subscribe(node, image_topic("front"), self._on_image, robot, depth=1)

    def _on_description(self, message: String) -> None:
        self._links = link_poses(message.data)

    def _on_odometry(self, message: Odometry) -> None:
        stamp = round(from_stamp(message.header.stamp), 3)
        self._poses[stamp] = from_pose(message.pose.pose)
        while len(self._poses) > _KEPT_POSES:
            del self._poses[min(self._poses)]
        if round(stamp * 10, 6) % 1 == 0:
            self._view.show_robot(self._robot, self._poses[stamp])

    def _pose_at(self, stamp: float) -> Pose | None:
        if not self._poses:
            return None
        return self._poses[min(self._poses, key=lambda at: abs(at - stamp))]

    def _on_lidar(self, message: PointCloud2) -> None:
        pose, link = self._pose_at(from_stamp(message.header.stamp)), message.header.frame_id.split("/")[-1]
        if pose is not None and link in self._links and self._view.shown == self._robot:
            self._view.show_lidar(self._robot, (pose @ self._links[link]).apply(cloud_xyz(from_cloud(message))))

    def _on_grid(self, message: PointCloud2) -> None:
        pose = self._pose_at(from_stamp(message.header.stamp))
        if pose is not None:
            level = footprint(pose, self._ground(*pose.position[:2]))
            self._view.show_grid(self._robot, from_cloud(message), level)

    def _on_latency(self, message: Float32MultiArray) -> None:
        voxelize, model, total = (f"{1000 * value:.0f} ms" for value in message.data)
        self._view.show_text(self._robot, f"**forecast** voxelize {voxelize}, model {model}, sweep to forecast {total}")

    def _on_image(self, message: Image) -> None:
        self._view.show_picture(self._robot, from_image(message))


def main() -> None:
    """Entry point."""
    sys.exit(run(ViewerNode))


if __name__ == "__main__":
    main()
