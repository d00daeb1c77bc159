"""City, robots, forecast and RViz: `ros2 launch launch/live.launch.py drones:=1 rovers:=1 checkpoint:=best.pth`.

Every argument of `city.launch.py` is one here too; `checkpoint` is its `predict`, and left out it is the shipped one.
"""

import tempfile
from pathlib import Path

import yaml
from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction, RegisterEventHandler
from launch.conditions import IfCondition
from launch.event_handlers import OnShutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from occworld_infer.rviz_config import DEFAULT_ROBOTS, overlay
from tokyo_sim.bringup import SHIPPED, Arguments


def generate_launch_description() -> LaunchDescription:
    """`city.launch.py` with a checkpoint, and RViz with a group of displays for each robot."""
    city = get_package_share_directory("tokyo_sim") + "/launch/city.launch.py"
    checkpoint = LaunchConfiguration("checkpoint")
    return LaunchDescription(
        [
            DeclareLaunchArgument("checkpoint", default_value=SHIPPED, description="checkpoint to forecast with"),
            DeclareLaunchArgument("rviz", default_value="true", description="open RViz", choices=["true", "false"]),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(city), launch_arguments={"predict": checkpoint}.items()
            ),
            OpaqueFunction(function=_rviz, condition=IfCondition(LaunchConfiguration("rviz"))),
        ]
    )


def _rviz(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """RViz with the installed file; for other robots than that shows, with one made for them."""
    given = context.launch_configurations
    robots = Arguments(drones=int(given["drones"]), rovers=int(given["rovers"])).robots
    file = get_package_share_directory("occworld_infer") + "/rviz/overlay.rviz"
    actions: list[LaunchDescriptionEntity] = []
    if tuple(robots) != DEFAULT_ROBOTS:
        number, file = tempfile.mkstemp(suffix=".rviz")
        with open(number, "w") as stream:
            yaml.safe_dump(overlay(robots), stream, sort_keys=False)
        actions.append(RegisterEventHandler(OnShutdown(on_shutdown=lambda *_: Path(file).unlink(missing_ok=True))))
    clock = {"use_sim_time": True}
    return [*actions, Node(package="rviz2", executable="rviz2", arguments=["-d", file], parameters=[clock])]
