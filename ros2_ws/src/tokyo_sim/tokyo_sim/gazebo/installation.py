"""Whether Gazebo and what joins it to ROS are installed, and where; the server as a process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from shutil import which

from tokyo_sim.bringup import Arguments, world_file
from tokyo_sim.gazebo.names import BRIDGE_EXECUTABLE, BRIDGE_PACKAGE, SIM_PACKAGE, SPAWN_EXECUTABLE, server_arguments

_INSTALL = "apt install ros-$ROS_DISTRO-ros-gz, source ROS's setup.bash, or choose sim embedded"


class GazeboMissing(ValueError):
    """Gazebo, or what joins it to ROS, is not installed: what, and what to do."""


@dataclass(frozen=True)
class Server:
    """Gazebo itself, which is no node. command: as a shell would split it."""

    command: tuple[str, ...]
    label: str = "gazebo"
    once: bool = False
    ends_all: bool = False


def server(args: Arguments) -> Server:
    """Gazebo with the city's world."""
    return Server(("gz", "sim", *server_arguments(world_file(args.city), args.gui)))


def require_gazebo() -> None:
    """GazeboMissing with one sentence where `sim` gazebo can't run here."""
    if which("gz") is None:
        raise GazeboMissing(f"there is no `gz` on the PATH: {_INSTALL}")
    installed_executable(BRIDGE_PACKAGE, BRIDGE_EXECUTABLE)
    installed_executable(SIM_PACKAGE, SPAWN_EXECUTABLE)


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
