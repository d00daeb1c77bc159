"""`ros2 launch FILE name:=value ...`, which has no wheel on PyPI: what it does with a launch file, in a process."""

from __future__ import annotations

import sys

from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import AnyLaunchDescriptionSource


def main() -> int:
    file, *arguments = sys.argv[1:]
    pairs = [tuple(argument.split(":=", 1)) for argument in arguments]
    service = LaunchService(argv=arguments)
    source = AnyLaunchDescriptionSource(file)
    service.include_launch_description(LaunchDescription([IncludeLaunchDescription(source, launch_arguments=pairs)]))
    return service.run()


if __name__ == "__main__":
    sys.exit(main())
