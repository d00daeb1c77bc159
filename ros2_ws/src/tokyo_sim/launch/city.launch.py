"""The city with its robots: `ros2 launch tokyo_sim city.launch.py drones:=1 rovers:=1`.

Arguments and nodes come from `tokyo_sim.bringup`, the same description that `tokyo up` runs.
"""

import os
import tempfile
from dataclasses import fields
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    OpaqueFunction,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node

from tokyo_sim.bringup import Arguments, nodes
from tokyo_sim.resources import share
from tokyo_sim.world.names import WORLD_FILE


def generate_launch_description() -> LaunchDescription:
    """One launch argument per field of `Arguments`, then the nodes."""
    declared = []
    for spec in fields(Arguments):
        argument = spec.metadata["argument"]
        declared.append(
            DeclareLaunchArgument(
                spec.name,
                default_value=str(spec.default).lower() if isinstance(spec.default, bool) else str(spec.default),
                description=argument.help,
                choices=list(argument.choices) or None,
            )
        )
    return LaunchDescription([*declared, OpaqueFunction(function=_start)])


def _start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    args = Arguments(**{f.name: _convert(context.launch_configurations[f.name], f.default) for f in fields(Arguments)})
    actions: list[LaunchDescriptionEntity] = []
    if "FASTDDS_DEFAULT_PROFILES_FILE" not in os.environ:
        profiles = str(share("config", "fastdds.xml"))
        actions.append(SetEnvironmentVariable("FASTDDS_DEFAULT_PROFILES_FILE", profiles))
    if args.simulator == "gazebo":
        actions += _gazebo(args)
    for spec in nodes(args):
        actions.append(
            Node(
                package=spec.package,
                executable=spec.executable,
                name=spec.name,
                namespace=spec.namespace,
                parameters=[spec.parameters],
                output="screen",
                on_exit=Shutdown(reason=f"{spec.namespace}/{spec.name} has stopped"),
            )
        )
    return actions


def _convert(text: str, default: object) -> object:
    """A launch argument is text; its type is that of the default."""
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError(f"'{text}' is neither true nor false")
        return text.lower() == "true"
    return type(default)(text)


def _gazebo(args: Arguments) -> list[LaunchDescriptionEntity]:
    """Gazebo with the city's world, the bridge, and each robot spawned and described."""
    from tokyo_sim.engine.places import parse_places
    from tokyo_sim.engine.simulator import Fleet
    from tokyo_sim.gazebo import spawns, write_bridge_config

    city = Path(args.city).resolve()
    folder = Path(tempfile.mkdtemp(prefix="tokyo_gazebo_"))
    bridge = folder / "bridge.yaml"
    write_bridge_config(bridge, args.robots)
    gz_sim = str(Path(get_package_share_directory("ros_gz_sim"), "launch", "gz_sim.launch.py"))
    actions: list[LaunchDescriptionEntity] = [
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(gz_sim),
            launch_arguments={"gz_args": f"-r {city / WORLD_FILE}", "on_exit_shutdown": "true"}.items(),
        ),
        Node(package="ros_gz_bridge", executable="parameter_bridge", parameters=[{"config_file": str(bridge)}]),
    ]
    size = args.image_width, args.image_height
    places = parse_places(args.places)
    fleet = Fleet(args.drones, args.rovers, 0, args.drone_altitude, size, args.camera_rate > 0, places=places)
    for spawn in spawns(city, fleet, args.seed):
        x, y, z = (str(value) for value in spawn.xyz)
        place = ["-x", x, "-y", y, "-z", z, "-Y", str(spawn.yaw)]
        actions += [
            Node(
                package="robot_state_publisher",
                executable="robot_state_publisher",
                namespace=spawn.name,
                parameters=[{"robot_description": spawn.xml, "frame_prefix": f"{spawn.name}/", "use_sim_time": True}],
            ),
            Node(
                package="ros_gz_sim",
                executable="create",
                arguments=["-name", spawn.name, "-string", spawn.xml, *place],
            ),
        ]
    return actions
