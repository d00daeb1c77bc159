"""The city with its robots: `ros2 launch tokyo_sim city.launch.py drones:=1 rovers:=1`.

Arguments and nodes come from `tokyo_sim.bringup`, the same description that `tokyo up` runs.
"""

import os
import shutil
import tempfile
from dataclasses import fields
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.event_handlers import OnShutdown
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node

from occ_ros.domain import current_domain, reserve
from tokyo_sim.bringup import Arguments, NodeSpec, environment, nearest, nodes, world_file
from tokyo_sim.preflight import check_bringup


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
    given = context.launch_configurations
    _refuse_misspelt(given)
    args = Arguments(**{spec.name: _convert(spec.name, given[spec.name], spec.default) for spec in fields(Arguments)})
    check_bringup(args)
    reserve(current_domain(), args.robots)  # until this process ends
    actions: list[LaunchDescriptionEntity] = [SetEnvironmentVariable(*setting) for setting in _unset().items()]
    if args.simulator == "gazebo":
        actions += _gazebo(args)
    return [*actions, *(_action(spec) for spec in nodes(args))]


def _refuse_misspelt(given: dict[str, str]) -> None:
    """launch takes any name in silence, and an including file has names of its own: refuse what is nearly ours."""
    ours = [spec.name for spec in fields(Arguments)]
    for name in sorted(set(given) - set(ours)):
        if near := nearest(name, ours):
            raise ValueError(f"there is no launch argument '{name}', '{near}' is the nearest; see --show-args")


def _convert(name: str, text: str, default: object) -> object:
    """A launch argument is text; its type is that of the default."""
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError(f"launch argument '{name}' is '{text}', true or false is wanted")
        return text.lower() == "true"
    try:
        return type(default)(text)
    except ValueError as error:
        raise ValueError(f"launch argument '{name}' is '{text}', a number is wanted") from error


def _unset(bulky: bool = False) -> dict[str, str]:
    """What nodes need and the user has not set."""
    return {name: value for name, value in environment(bulky).items() if name not in os.environ}


def _action(spec: NodeSpec) -> Node:
    return Node(
        package=spec.package,
        executable=spec.executable,
        name=spec.name,
        namespace=spec.namespace,
        parameters=[spec.parameters],
        remappings=list(spec.remappings.items()),
        arguments=list(spec.arguments),
        additional_env=_unset(spec.bulky),
        output="screen",
        on_exit=lambda event, context: _after(spec, event),
    )


def _after(spec: NodeSpec, event: ProcessExited) -> list[LaunchDescriptionEntity]:
    """A node that ends takes the others with it, unless it had one thing to do and did it."""
    if spec.ends_all and event.returncode == 0:
        return [Shutdown(reason=f"{spec.label} has done its work")]
    if spec.once and event.returncode == 0:
        return []
    return [Shutdown(reason=f"{spec.label} has stopped with exit code {event.returncode}")]


def _gazebo(args: Arguments) -> list[LaunchDescriptionEntity]:
    """Gazebo with the city's world, the bridge, and each robot spawned."""
    from tokyo_sim.gazebo.installation import require_gazebo
    from tokyo_sim.gazebo.names import SIM_LAUNCH_FILE, SIM_PACKAGE, server_arguments
    from tokyo_sim.gazebo.system import gazebo_nodes

    require_gazebo()
    folder = tempfile.mkdtemp(prefix="tokyo_gazebo_")
    gz_sim = str(Path(get_package_share_directory(SIM_PACKAGE), "launch", SIM_LAUNCH_FILE))
    gz_args = " ".join(server_arguments(world_file(args.city), args.gui))
    return [
        RegisterEventHandler(OnShutdown(on_shutdown=lambda *_: shutil.rmtree(folder, ignore_errors=True))),
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(gz_sim),
            launch_arguments={"gz_args": gz_args, "on_exit_shutdown": "true"}.items(),
        ),
        *(_action(spec) for spec in gazebo_nodes(args, Path(folder))),
    ]
