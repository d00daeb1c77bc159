#!/usr/bin/env bash
# Tokyo in a simulator, with drones and rovers; one `tokyo up`.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: scripts/launch_occworld_simulation.sh [--drones N] [--rovers N] [--record] [OPTION ...]

Starts the simulator, a mission for each robot and, with --record, the recorder; Ctrl-C stops everything.
Every option of `tokyo up` is one here (`tokyo up --help` lists them); these matter most:

  --drones N, --rovers N   how many robots (1 of each)
  --record                 record sessions into --output (data/tokyo_gazebo)
  --city FOLDER            an imported city (out/city; made of the generated sample city where it is not there)
  --sim NAME               gazebo, embedded, or auto: gazebo where `gz` is on the PATH
  --duration SECONDS       stop after so much simulated time (0: never)

It runs `tokyo up`, with a ROS 2 installation or without: the same nodes that `ros2 launch tokyo_sim city.launch.py`
starts. `tokyo` is taken from the PATH, else from .venv/bin (`make setup`).
HELP
}

for argument in "$@"; do
  if [ "$argument" = --help ] || [ "$argument" = -h ]; then
    usage
    exit 0
  fi
done

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tokyo=$(command -v tokyo || echo "$root/.venv/bin/tokyo")
if [ ! -x "$tokyo" ]; then
  echo "$0: there is no tokyo on the PATH and none in $root/.venv/bin: run \`make setup\`, or source the workspace" >&2
  exit 2
fi

named=no
for argument in "$@"; do
  case $argument in --city | --city=*) named=yes ;; esac
done
if [ "$named" = no ] && [ ! -f out/city/city.sdf ]; then
  "$tokyo" up "$@" --check # what is wrong is said before a city is made
  "$tokyo" city --out out/city
fi
exec "$tokyo" up "$@"
