#!/usr/bin/env bash
# Sources ROS 2 with the workspace on top, then becomes the command.
set -eo pipefail # not -u: ROS's setup files read variables that may be unset
# shellcheck source=/dev/null
source /opt/tokyo/setup.bash
exec "$@"
