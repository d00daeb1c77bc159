"""The processes of Gazebo's own packages: bridge and spawning; and whether all of it is installed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from shutil import which

from tokyo_sim.bringup import Arguments, NodeSpec, world_file
from tokyo_sim.engine.simulator import Fleet
from tokyo_sim.gazebo.bridge import bridge_entries, write_bridge_config
from tokyo_sim.gazebo.names import BRIDGE_EXECUTABLE, BRIDGE_PACKAGE, SIM_PACKAGE, SPAWN_EXECUTABLE, server_arguments
from tokyo_sim.gazebo.spawn import Spawn, spawns
from tokyo_sim.world.names import WORLD_NAME

_INSTALL = "apt install ros-$ROS_DISTRO-ros-gz, source ROS's setup.bash, or choose sim embedded"


class GazeboMissing(ValueError):
    """Gazebo, or what joins it to ROS, is not installed: what, and what to do."""


def installed_executable(package: str, executable: str) -> Path:
    """An executable of an installed ROS package. GazeboMissing where it is not there."""
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix

    try:
        path = Path(get_package_prefix(package), "lib", package, executable)
    except PackageNotFoundError as error:
        raise GazeboMissing(f"the ROS package {package} is not installed: {_INSTALL}") from error
    if not path.is_file():
        raise GazeboMissing(f"the ROS package {package} has no {executable}: {_INSTALL}")
    return path


def require_gazebo() -> None:
    """GazeboMissing with one sentence where `sim` gazebo can't run here."""
    if which("gz") is None:
        raise GazeboMissing(f"there is no `gz` on the PATH: {_INSTALL}")
    installed_executable(BRIDGE_PACKAGE, BRIDGE_EXECUTABLE)
    installed_executable(SIM_PACKAGE, SPAWN_EXECUTABLE)


@dataclass(frozen=True)
class Server:
    """Gazebo itself, which is no node. command: as a shell would split it."""

    command: tuple[str, ...]
    label: str = "gazebo"
    once: bool = False


def server(args: Arguments) -> Server:
    """Gazebo with the city's world."""
    return Server(("gz", "sim", *server_arguments(world_file(args.city), args.gui)))


def gazebo_nodes(args: Arguments, folder: Path) -> list[NodeSpec]:
    """Bridge and spawns, which read their input from a folder that the caller keeps while they run."""
    config = folder / "bridge.yaml"
    write_bridge_config(config, bridge_entries(args.robots, args.camera_rate > 0))
    size = args.image_width, args.image_height
    fleet = Fleet(args.drones, args.rovers, 0, args.drone_altitude, size, cameras=args.camera_rate > 0)
    bridge = NodeSpec(BRIDGE_PACKAGE, BRIDGE_EXECUTABLE, "", "bridge", "", {"config_file": str(config)})
    robots = spawns(world_file(args.city).parent, fleet, args.seed, args.camera_rate)
    return [bridge, *(_spawn_node(spawn) for spawn in robots)]


def _spawn_node(spawn: Spawn) -> NodeSpec:
    x, y, z = spawn.xyz
    values = {"world": WORLD_NAME, "name": spawn.name, "string": spawn.xml, "x": x, "y": y, "z": z, "Y": spawn.yaw}
    return NodeSpec(SIM_PACKAGE, SPAWN_EXECUTABLE, "", "spawn", spawn.name, values, once=True)
