"""The forecast as a node: LiDAR and odometry in; occupancy, predicted grids, path, markers and latency out."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from geometry_msgs.msg import Point, PoseStamped
from nav_msgs.msg import Path as PathMsg
from rclpy.node import Node
from std_msgs.msg import ColorRGBA, Float32MultiArray, MultiArrayDimension, String
from visualization_msgs.msg import Marker, MarkerArray

from occ_core.citymap import CityMap
from occ_core.classes import DYNAMIC_IDS
from occ_core.frame import Frame
from occ_core.grid import FRAME_PERIOD_S, TOKYO_GRID
from occ_core.keyframes import DEFAULT_WINDOW_S, KeyframeBuilder, OccupancySource
from occ_core.poses import Pose
from occ_core.sync import SweepSynchronizer
from occ_core.topics import DIAGNOSTICS, LATENCY, MARKERS, OCCUPANCY, PATH, PREDICTION, ROBOT_DESCRIPTION
from occ_core.tracker import FrameTracker
from occ_core.urdf import link_poses
from occ_ros.convert import to_cloud, to_diagnostics, to_pose, to_stamp
from occ_ros.intake import RobotIntake
from occ_ros.parameters import Parameter, ParameterError, read
from occ_ros.qos import publish, subscribe
from occ_ros.run import run
from occworld.checkpoint import CheckpointError
from occworld.forecaster import Forecaster
from occworld_infer.grids import colours, grid_points, moved
from occworld_infer.live import LiveForecast, LiveForecaster

PARAMETERS = (
    Parameter("checkpoint", "", "checkpoint that `train.py` wrote"),
    Parameter("robots", ["rover_0"], "namespaces of the robots to forecast for"),
    Parameter("city", "", "folder of the imported city, for labels and ground; empty: all is `other`"),
    Parameter("device", "auto", "where the model runs", choices=("auto", "cpu", "cuda")),
    Parameter(
        "window", DEFAULT_WINDOW_S, "seconds of sweeps in a grid; as in the recordings it learnt from", 0.1, 10.0
    ),
    Parameter("ground_height", 0.0, "height of the ground in map, metres, where no city is given", -1e4, 1e4),
)
LATENCY_STAGES = ("voxelize_s", "model_s", "total_s")


class InferenceNode(Node):
    """One live forecaster per robot, all with the same model."""

    def __init__(self) -> None:
        super().__init__("inference")
        self._values = read(self, PARAMETERS)
        try:
            self._forecaster = Forecaster.load(Path(self._values["checkpoint"]), self._values["device"])
        except CheckpointError as error:
            raise ParameterError(f"parameter 'checkpoint': {error}") from error
        city = self._values["city"]
        self._city = CityMap.load(Path(city)) if city else None
        self._robots: dict[str, RobotForecast] = {}
        self._diagnostics = publish(self, DIAGNOSTICS)
        for robot in self._values["robots"]:
            subscribe(self, ROBOT_DESCRIPTION, lambda m, robot=robot: self._begin(robot, m), robot, depth=1)
        self.create_timer(1.0, self._report)
        self.get_logger().info(f"forecasting on {self._forecaster.device} for {', '.join(self._values['robots'])}")

    def _begin(self, robot: str, description: String) -> None:
        if robot in self._robots:
            return
        builder = KeyframeBuilder(TOKYO_GRID, OccupancySource.ACCUMULATED, self._values["window"], self._city)
        ground = self._city.ground_height if self._city else lambda x, y: self._values["ground_height"]
        tracker = FrameTracker(robot, builder, link_poses(description.data), ground)
        self._robots[robot] = RobotForecast(self, robot, tracker, self._forecaster, needs_actors=self._city is not None)

    def _report(self) -> None:
        stamp = self.get_clock().now().nanoseconds * 1e-9
        for robot, forecast in self._robots.items():
            values = {"forecasts": forecast.count, "skipped": forecast.live.skipped}
            self._diagnostics.publish(to_diagnostics(f"forecast {robot}", forecast.live.problem, values, stamp))

    def destroy_node(self) -> None:
        """Stop the threads before the node goes."""
        for forecast in self._robots.values():
            forecast.live.close()
        super().destroy_node()


class RobotForecast:
    """Topics of one robot's forecast."""

    def __init__(
        self, node: Node, robot: str, tracker: FrameTracker, forecaster: Forecaster, needs_actors: bool
    ) -> None:
        self._frame_id = f"{robot}/base_footprint"
        self._occupancy = publish(node, OCCUPANCY, robot)
        self._prediction = publish(node, PREDICTION, robot)
        self._markers = publish(node, MARKERS, robot)
        self._path = publish(node, PATH, robot)
        self._latency = publish(node, LATENCY, robot)
        self.count = 0
        self.live = LiveForecaster(tracker, forecaster, FRAME_PERIOD_S, self._publish, self._publish_occupancy)
        RobotIntake(node, robot, SweepSynchronizer(FRAME_PERIOD_S, needs_actors=needs_actors), self.live.add)

    def _publish_occupancy(self, frame: Frame) -> None:
        points = grid_points(TOKYO_GRID, frame.occupancy.classes, 0.0)
        self._occupancy.publish(to_cloud(points, self._frame_id, frame.state.stamp))

    def _publish(self, result: LiveForecast) -> None:
        """All horizons in one cloud, each carried from its own footprint into the current one."""
        forecast, stamp = result.forecast, result.frame.state.stamp
        clouds = []
        for step, horizon in enumerate(forecast.horizons_s):
            local = grid_points(TOKYO_GRID, forecast.classes[step], horizon, forecast.probability[step])
            x, y, yaw = forecast.path[step]
            clouds.append(moved(local, x, y, forecast.path_z[step], yaw))
        self._prediction.publish(to_cloud(np.concatenate(clouds), self._frame_id, stamp))
        self._path.publish(self._path_message(result, stamp))
        self._markers.publish(self._marker_message(clouds, forecast.horizons_s, stamp))
        values = (result.voxelize_s, result.model_s, result.total_s)
        message = Float32MultiArray(data=[float(value) for value in values])
        message.layout.dim = [MultiArrayDimension(label=",".join(LATENCY_STAGES), size=len(values), stride=len(values))]
        self._latency.publish(message)
        self.count += 1

    def _path_message(self, result: LiveForecast, stamp: float) -> PathMsg:
        message = PathMsg()
        message.header.frame_id = self._frame_id
        message.header.stamp = to_stamp(stamp)
        for step, horizon in enumerate(result.forecast.horizons_s):
            x, y, yaw = result.forecast.path[step]
            pose = PoseStamped()
            pose.header.frame_id = self._frame_id
            pose.header.stamp = to_stamp(stamp + horizon)
            pose.pose = to_pose(Pose.from_xyz_rpy([x, y, result.forecast.path_z[step]], [0, 0, yaw]))
            message.poses.append(pose)
        return message

    def _marker_message(self, clouds: list[np.ndarray], horizons: tuple[float, ...], stamp: float) -> MarkerArray:
        """Moving things at every horizon, as cubes; the static city stays in the cloud: as markers it is megabytes."""
        markers = []
        for number, (cloud, horizon) in enumerate(zip(clouds, horizons, strict=True)):
            chosen = cloud[np.isin(cloud["label"], DYNAMIC_IDS)]
            marker = Marker(ns="forecast", id=number, type=Marker.CUBE_LIST)
            marker.header.frame_id = self._frame_id
            marker.header.stamp = to_stamp(stamp)
            marker.pose.orientation.w = 1.0
            marker.scale.x, marker.scale.y, marker.scale.z = TOKYO_GRID.voxel
            marker.points = [Point(x=float(p["x"]), y=float(p["y"]), z=float(p["z"])) for p in chosen]
            rgba = colours(chosen["label"], horizon, horizons[-1])
            marker.colors = [ColorRGBA(r=float(r), g=float(g), b=float(b), a=float(a)) for r, g, b, a in rgba]
            markers.append(marker)
        return MarkerArray(markers=markers)


def main() -> None:
    """Entry point."""
    sys.exit(run(InferenceNode))


if __name__ == "__main__":
    main()
