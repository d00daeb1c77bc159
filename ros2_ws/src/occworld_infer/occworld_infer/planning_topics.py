"""What a planner reads of one robot's forecast: costmaps out; paths in, and where each meets something."""

from __future__ import annotations

from array import array
from collections import deque
from threading import Lock

import numpy as np
from nav_msgs.msg import OccupancyGrid, Path
from sensor_msgs.msg import PointCloud2

from occ_core.frame import Frame
from occ_core.grid import VoxelGrid
from occ_core.poses import Pose
from occ_core.stamps import from_stamp
from occ_core.topics import CHECK_PATH, CONTACT, COSTMAP, HORIZON_COSTMAPS, absolute
from occ_ros.convert import from_pose, to_cloud, to_pose
from occ_ros.diagnostics import to_stamp
from occ_ros.guard import Guarded
from occ_ros.parameters import Parameter
from occ_ros.qos import create_publisher, create_subscription
from occworld_infer.costmap import Body, ForecastMaps, Sight, percent, project
from occworld_infer.forecasts import LiveForecast
from occworld_infer.path_check import PathCheck, TimedPath, check_path

PLANNING_PARAMETERS = (
    Parameter(
        "min_height", 0.5, "lowest height that the robot takes up, metres above the ground; the ground is in the level"
        " of the grid that ends at 0.5 m", -10.0, 150.0,
    ),
    Parameter("max_height", 1.75, "highest height; a robot whose base_link is above it flies", -10.0, 150.0),
    Parameter("robot_radius", 0.7, "metres about base_link that a path is checked for", 0.0, 20.0),
    Parameter("passable", ["road", "sidewalk", "terrain"], "names of classes that a robot drives over"),
    Parameter("contact_probability", 0.4, "of being occupied, from which on a path has a contact", 0.01, 1.0),
    Parameter("path_speed", 1.0, "m/s along paths whose poses have no times of their own", 0.01, 100.0),
    Parameter("costmap_frame", "map", "frame that the odometry is given in, which costmaps and paths are in"),
)  # fmt: skip
CONTACT_POINT = np.dtype(
    [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("contact", "u1"), ("probability", "<f4"), ("unknown", "<f4"),
     ("time", "<f8")]
)  # fmt: skip
"""The one point of a contact cloud, see `PathCheck`."""
_SIGHTS = 40  # kept until their forecast is there: 4 s of sweeps


class PlanningTopics:
    """Costs nothing while nobody listens to a costmap or publishes a path. values: of PLANNING_PARAMETERS."""

    def __init__(self, node: Guarded, robot: str, grid: VoxelGrid, values: dict) -> None:
        self._node, self._robot, self._grid, self._values = node, robot, grid, values
        self._body = body_of(values)
        self._out = {
            topic: create_publisher(node, topic, robot, depth=1) for topic in (COSTMAP, *HORIZON_COSTMAPS.values())
        }
        self._answers = create_publisher(node, CONTACT, robot)
        self._asked_on = absolute(CHECK_PATH, robot)
        self._sights: deque[Sight] = deque(maxlen=_SIGHTS)
        self._maps: ForecastMaps | None = None
        self._waiting: list[Path] = []
        self._lock = Lock()
        self._paths = create_subscription(node, CHECK_PATH, self._on_path, robot)

    def withdraw(self) -> None:
        """Take its publishers off the network."""
        for publisher in (*self._out.values(), self._answers):
            self._node.destroy_publisher(publisher)

    def observe(self, frame: Frame) -> None:
        """Keep what a frame, from which a forecast may be made, says of the robot's heights."""
        if self._wanted():
            sight = Sight.of(self._grid, frame, self._body)
            with self._lock:
                self._sights.append(sight)

    def forecast(self, result: LiveForecast) -> None:
        """Publish the maps of a forecast that somebody listens to, and answer the paths that wait for one."""
        with self._lock:
            sight = next((s for s in self._sights if s.stamp == result.ready.stamp), None)
            self._maps = None  # an older forecast is no answer to what is asked from now on
        if sight is None:
            return
        maps = project(self._grid, sight, result.forecast)
        with self._lock:
            self._maps, waiting, self._waiting = maps, self._waiting, []
        self._publish(COSTMAP, maps, maps.stamp, maps.most_probable)
        for horizon, ahead in zip(maps.horizons_s, maps.ahead, strict=True):
            if topic := HORIZON_COSTMAPS.get(round(horizon, 3)):
                self._publish(topic, maps, maps.stamp + horizon, ahead)
        for path in waiting:
            self._node.guarded(self._asked_on, self._answer)(path, maps)

    def _wanted(self) -> bool:
        heard = any(publisher.get_subscription_count() for publisher in self._out.values())
        return heard or bool(self._waiting) or self._node.count_publishers(self._asked_on) > 0

    def _publish(self, topic, maps: ForecastMaps, of: float, probability: np.ndarray) -> None:
        publisher = self._out[topic]
        if publisher.get_subscription_count():
            publisher.publish(grid_message(maps, of, probability, self._values["costmap_frame"]))

    def _on_path(self, path: Path) -> None:
        """Answer with the newest forecast; the first path waits for one that is made with maps."""
        with self._lock:
            maps = self._maps
            if maps is None:
                self._waiting = [*self._waiting[-9:], path]
                return
        self._answer(path, maps)

    def _answer(self, path: Path, maps: ForecastMaps) -> None:
        frame = self._values["costmap_frame"]
        timed = timed_path(path, frame, maps.stamp, self._values["path_speed"])
        result = check_path(maps, timed, self._body.radius, self._values["contact_probability"])
        self._answers.publish(contact_message(result, maps.height, frame, from_stamp(path.header.stamp)))


def body_of(values: dict) -> Body:
    """Of the parameters; ValueError for a band that is none and a class that is none."""
    return Body(values["min_height"], values["max_height"], values["robot_radius"], tuple(values["passable"]))


def grid_message(maps: ForecastMaps, of: float, probability: np.ndarray, frame_id: str) -> OccupancyGrid:
    """A map for planners, stamped with the moment of the forecast. of: seconds, for when it is: `map_load_time`."""
    lattice, message = maps.lattice, OccupancyGrid()
    message.header.frame_id, message.header.stamp = frame_id, to_stamp(maps.stamp)
    message.info.map_load_time, message.info.resolution = to_stamp(of), lattice.cell
    message.info.width = message.info.height = lattice.size
    message.info.origin = to_pose(Pose.from_xyz_rpy([*lattice.lower, maps.height], [0, 0, 0]))
    message.data = array("b", percent(probability).tobytes())
    return message


def timed_path(path: Path, frame_id: str, start: float, speed: float) -> TimedPath:
    """A path that is asked about. start: of the forecast, seconds, for a path without a stamp. ValueError for one in
    another frame."""
    frames = {path.header.frame_id, *(pose.header.frame_id for pose in path.poses)} - {""}
    if frames - {frame_id}:
        raise ValueError(f"the path is in {', '.join(sorted(frames))}, it is wanted in {frame_id}")
    points = np.array([from_pose(pose.pose).position[:2] for pose in path.poses]).reshape(-1, 2)
    stamps = np.array([from_stamp(pose.header.stamp) for pose in path.poses])
    return TimedPath.of(points, stamps, from_stamp(path.header.stamp) or start, speed)


def contact_message(result: PathCheck, height: float, frame_id: str, asked: float) -> PointCloud2:
    """One CONTACT_POINT. asked: stamp of the path, by which its sender knows the answer."""
    point = np.zeros(1, CONTACT_POINT)
    point["x"], point["y"] = result.place
    point["z"], point["contact"], point["probability"] = height, result.contact, result.probability
    point["unknown"], point["time"] = result.unknown, result.time
    return to_cloud(point, frame_id, asked)
