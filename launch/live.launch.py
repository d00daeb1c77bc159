"""City, robots, forecast and RViz: `ros2 launch launch/live.launch.py checkpoint:=out/demo/training/best.pth`.

Every argument of `city.launch.py` is one here too.
"""

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node


def generate_launch_description() -> LaunchDescription:
    """`city.launch.py` with a checkpoint, and RViz with the overlay."""
    city = get_package_share_directory("tokyo_sim") + "/launch/city.launch.py"
    overlay = get_package_share_directory("occworld_infer") + "/rviz/overlay.rviz"
    return LaunchDescription(
        [
            DeclareLaunchArgument("checkpoint", description="checkpoint to forecast with"),
            DeclareLaunchArgument("rviz", default_value="true", description="open RViz", choices=["true", "false"]),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(city),
                launch_arguments={"predict": LaunchConfiguration("checkpoint")}.items(),
            ),
            Node(
                package="rviz2",
                executable="rviz2",
                arguments=["-d", overlay],
                parameters=[{"use_sim_time": True}],
                condition=IfCondition(LaunchConfiguration("rviz")),
            ),
        ]
    )
