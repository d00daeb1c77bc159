"""The topic table: every topic's name below its robot, message type, rate and quality of service, stated once."""

from __future__ import annotations

from dataclasses import dataclass

from occ_core.grid import FRAME_PERIOD_S, FUTURE_FRAMES

CAMERAS: dict[str, str] = {
    "front": "CAM_FRONT",
    "front_left": "CAM_FRONT_LEFT",
    "front_right": "CAM_FRONT_RIGHT",
    "back": "CAM_BACK",
    "back_left": "CAM_BACK_LEFT",
    "back_right": "CAM_BACK_RIGHT",
}
"""Topic part -> nuScenes channel name, as in file names and optical frames."""


def _as_mounted(cameras: dict[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    front = [name for name in cameras if name.startswith("front")]
    rest = [name for name in cameras if name not in front]
    # Left of, in the middle, right of: sorted() keeps the table's order otherwise.
    ordered = (sorted(row, key=lambda name: ("right" in name) - ("left" in name)) for row in (front, rest))
    return tuple(next(ordered)), tuple(next(ordered))


CAMERA_ROWS = _as_mounted(CAMERAS)
"""Cameras that look ahead, and the others, each from left to right: how pictures of the rig are laid out."""


@dataclass(frozen=True)
class Topic:
    """name: relative to the robot's namespace, absolute where it starts with '/'. rate_hz: 0 where on change."""

    name: str
    type: str
    rate_hz: float
    reliable: bool = True
    latched: bool = False


CLOCK = Topic("/clock", "rosgraph_msgs/msg/Clock", 100, reliable=False)
ROBOT_DESCRIPTION = Topic("robot_description", "std_msgs/msg/String", 0, latched=True)
ACTORS = Topic("/city/actors", "visualization_msgs/msg/MarkerArray", 10)
CITY_MARKERS = Topic("/city/markers", "visualization_msgs/msg/MarkerArray", 0, latched=True)
DIAGNOSTICS = Topic("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray", 1)
TF = Topic("/tf", "tf2_msgs/msg/TFMessage", 50)
TF_STATIC = Topic("/tf_static", "tf2_msgs/msg/TFMessage", 0, latched=True)
LIDAR = Topic("lidar/points", "sensor_msgs/msg/PointCloud2", 10, reliable=False)
IMU = Topic("imu", "sensor_msgs/msg/Imu", 100, reliable=False)
ODOM = Topic("odom", "nav_msgs/msg/Odometry", 50)
DRIFTING_ODOM = Topic("odom/drifting", "nav_msgs/msg/Odometry", 50)
CMD_VEL = Topic("cmd_vel", "geometry_msgs/msg/Twist", 20)
IMAGE_PERIOD = Topic("camera/wanted_period", "std_msgs/msg/Float32", 0, latched=True)
"""Who listens to cameras says here, once, that images at whole multiples of so many seconds are all that it needs."""
OCCUPANCY = Topic("occupancy", "sensor_msgs/msg/PointCloud2", 2)
PREDICTION = Topic("occworld/prediction", "sensor_msgs/msg/PointCloud2", 2)
MARKERS = Topic("occworld/markers", "visualization_msgs/msg/MarkerArray", 2)
PATH = Topic("occworld/path", "nav_msgs/msg/Path", 2)
LATENCY = Topic("occworld/latency", "std_msgs/msg/Float32MultiArray", 2)
SCORE = Topic("occworld/score", "std_msgs/msg/Float32MultiArray", 2)
FORECAST = Topic("occworld/forecast", "occ_msgs/msg/OccupancyForecast", 2)
"""Where occ_msgs is built; PREDICTION has the same voxels for everybody."""
COSTMAP = Topic("occworld/costmap", "nav_msgs/msg/OccupancyGrid", 2, latched=True)
CHECK_PATH = Topic("occworld/check_path", "nav_msgs/msg/Path", 0)
CONTACT = Topic("occworld/contact", "sensor_msgs/msg/PointCloud2", 0)
LOCKSTEP_COMMAND = Topic("lockstep/cmd_vel", "geometry_msgs/msg/TwistStamped", 20, latched=True)
LOCKSTEP_REACHED = Topic("/lockstep/reached", "std_msgs/msg/Header", 0, latched=True)
LOCKSTEP_GRANTED = Topic("/lockstep/granted", "std_msgs/msg/Header", 0, latched=True)


def image_topic(camera: str) -> Topic:
    """The image of a camera named as in CAMERAS."""
    return Topic(f"camera/{camera}/image_raw", "sensor_msgs/msg/Image", 10, reliable=False)


def camera_info_topic(camera: str) -> Topic:
    """The calibration of a camera named as in CAMERAS."""
    return Topic(f"camera/{camera}/camera_info", "sensor_msgs/msg/CameraInfo", 10, reliable=False)


HORIZON_COSTMAPS: dict[float, Topic] = {
    seconds: Topic(f"{COSTMAP.name}/t{seconds:.1f}".replace(".", "_"), COSTMAP.type, 2, latched=True)
    for seconds in (FRAME_PERIOD_S * (step + 1) for step in range(FUTURE_FRAMES))
}
"""By seconds ahead: `costmap/t0_5` to `costmap/t3_0`."""

SENSOR_TOPICS: tuple[Topic, ...] = (
    LIDAR,
    IMU,
    ODOM,
    *(image_topic(camera) for camera in CAMERAS),
    *(camera_info_topic(camera) for camera in CAMERAS),
)
WORLD_TOPICS: tuple[Topic, ...] = (CLOCK, ACTORS, DIAGNOSTICS, TF, TF_STATIC)


def absolute(topic: Topic, robot: str) -> str:
    """Full topic name below a robot's namespace."""
    return topic.name if topic.name.startswith("/") else f"/{robot}/{topic.name}"


def participant_name(node: str, robot: str = "") -> str:
    """What a node, by its full name, is called in the grants of a simulation in lock step. robot: where it
    has a voice for each."""
    return f"{node}:{robot}" if robot else node
