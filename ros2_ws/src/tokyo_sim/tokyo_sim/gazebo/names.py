"""Every name that Gazebo or ros_gz gave, stated once: plugins, message types, services, executables.

Checked against gz-sim 8 and 9, gz-sensors 8 and 9, sdformat 14 and 15 (Harmonic, Ionic) and ros_gz of Jazzy and Kilted;
docs/gazebo.md says which source says what. The xacro files repeat the plugins of the robots, a test compares.
"""

from __future__ import annotations

from pathlib import Path

from occ_core.topics import ACTORS, Topic

ROBOT_SYSTEMS: dict[str, tuple[tuple[str, str], ...]] = {
    "drone": (
        ("gz-sim-multicopter-motor-model-system", "gz::sim::systems::MulticopterMotorModel"),
        ("gz-sim-multicopter-control-system", "gz::sim::systems::MulticopterVelocityControl"),
        ("gz-sim-odometry-publisher-system", "gz::sim::systems::OdometryPublisher"),
    ),
    "rover": (
        ("gz-sim-ackermann-steering-system", "gz::sim::systems::AckermannSteering"),
        ("gz-sim-odometry-publisher-system", "gz::sim::systems::OdometryPublisher"),
    ),
}
"""(file name, class) of the systems in each vehicle's description."""

GZ_TYPES: dict[str, str] = {
    "rosgraph_msgs/msg/Clock": "gz.msgs.Clock",
    "sensor_msgs/msg/PointCloud2": "gz.msgs.PointCloudPacked",
    "sensor_msgs/msg/Imu": "gz.msgs.IMU",
    "sensor_msgs/msg/Image": "gz.msgs.Image",
    "sensor_msgs/msg/CameraInfo": "gz.msgs.CameraInfo",
    "nav_msgs/msg/Odometry": "gz.msgs.Odometry",
    "geometry_msgs/msg/Twist": "gz.msgs.Twist",
}
"""ROS type to Gazebo type, as in ros_gz_bridge's table."""

GZ_TO_ROS, ROS_TO_GZ = "GZ_TO_ROS", "ROS_TO_GZ"

TRAFFIC = Topic("/gazebo/actors", ACTORS.type, ACTORS.rate_hz)
"""Where `gazebo_traffic` publishes in place of /city/actors, which has robots among the actors."""

TRAFFIC_SERVICES: dict[str, str] = {
    "create": "ros_gz_interfaces/srv/SpawnEntity",
    "set_pose": "ros_gz_interfaces/srv/SetEntityPose",
}
"""Services below /world/<name> that create and move the models of actors: the ROS type that the bridge gives each.

Bridged by ros_gz of Jazzy since 1.0.11 and of Kilted; an older bridge says so and traffic stands still.
"""

SIM_PACKAGE, SIM_LAUNCH_FILE, SPAWN_EXECUTABLE = "ros_gz_sim", "gz_sim.launch.py", "create"
BRIDGE_PACKAGE, BRIDGE_EXECUTABLE = "ros_gz_bridge", "parameter_bridge"


def server_arguments(world: Path, gui: bool) -> list[str]:
    """What follows `gz sim`: run at once; without a window, draw camera images through EGL."""
    return ["-r", *([] if gui else ["-s", "--headless-rendering"]), str(world)]
