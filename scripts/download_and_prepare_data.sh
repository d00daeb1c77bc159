#!/usr/bin/env bash
# From the public catalogue to sessions that can be trained on. Thin: `tokyo download`, `tokyo city` and
# plateau_to_occworld.py do everything.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: scripts/download_and_prepare_data.sh [what] [options]

What (--all without any of them):
  --all               city models, sessions, and OccWorld's published weights
  --plateau           download city models of Project PLATEAU, and import them as a city
  --models            download the published weights
  --generate-data     record sessions in the city; what is in DIR/plateau is imported first
  --skip-plateau      no download: take what is in DIR/plateau already
  --skip-convert      no import: leave the city in DIR/city as it is

Which city:
  --area WARD ...     wards of Tokyo: chiyoda, 千代田区, 13101, or all for the 23 (chiyoda: about 2 GB; all: 5 GB)
  --mesh CODE ...     only these squares of the standard grid, such as 53394611 around Tokyo station (tens of MB)
  --catalogue URL     another CKAN site than that of the G-Spatial Information Center

Sessions:
  --frames N          in each session, 2 a second (500)
  --sessions N        drones and rovers in turn (10)
  --engine NAME       local, ray or dask: where tiles are read and sessions recorded (local)

Other:
  --models-url URL    of the weights
  --output DIR        everything is written below it (data)
  --help              this text

DIR/plateau: archives or tiles; DIR/city: the imported city; DIR/tokyo_gazebo: sessions;
DIR/pretrained/occworld/latest.pth: weights. An interrupted download or import goes on where it was; sessions are
added to those that are there.
HELP
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
plateau=0 models=0 generate=0 download=1 convert=1 engine=local frames=500 sessions=10 output=data
areas=() meshes=() catalogue=() models_url=()

die() {
  echo "download_and_prepare_data.sh: $*" >&2
  exit 2
}

while (($#)); do
  option=$1
  shift
  case $option in
    --all) plateau=1 models=1 generate=1 ;;
    --plateau) plateau=1 ;;
    --models) models=1 ;;
    --generate-data) generate=1 ;;
    --skip-plateau) download=0 ;;
    --skip-convert) convert=0 ;;
    --help | -h)
      usage
      exit 0
      ;;
    --area | --mesh | --catalogue | --frames | --sessions | --engine | --models-url | --output)
      [[ $# -gt 0 && $1 != --* ]] || die "$option needs a value"
      case $option in
        --area) while [[ $# -gt 1 && $2 != --* ]]; do areas+=("$1") && shift; done && areas+=("$1") ;;
        --mesh) while [[ $# -gt 1 && $2 != --* ]]; do meshes+=("$1") && shift; done && meshes+=("$1") ;;
        --catalogue) catalogue=(--catalogue "$1") ;;
        --frames) frames=$1 ;;
        --sessions) sessions=$1 ;;
        --engine) engine=$1 ;;
        --models-url) models_url=(--models-url "$1") ;;
        --output) output=$1 ;;
      esac
      shift
      ;;
    *) die "unknown option $option; --help lists them" ;;
  esac
done
if ((!plateau && !models && !generate)); then
  plateau=1 models=1 generate=1
fi
if ((${#areas[@]} + ${#meshes[@]} == 0)); then
  areas=(chiyoda)
fi
[[ $frames =~ ^[1-9][0-9]*$ ]] || die "--frames is a whole number, got $frames"
[[ $sessions =~ ^[1-9][0-9]*$ ]] || die "--sessions is a whole number, got $sessions"
[[ $engine =~ ^(local|ray|dask)$ ]] || die "--engine is local, ray or dask, got $engine"

tokyo=$(command -v tokyo || echo "$root/.venv/bin/tokyo")
[[ -x $tokyo ]] || die "there is no tokyo on the PATH and none in $root/.venv/bin: run \`make setup\`, or source the workspace"
python=${PYTHON:-$(dirname "$tokyo")/python}
[[ -x $python ]] || python=python3

wanted=()
if ((${#areas[@]})); then wanted+=(--area "${areas[@]}"); fi
if ((${#meshes[@]})); then wanted+=(--mesh "${meshes[@]}"); fi
region=()
if ((${#meshes[@]})); then region+=(--mesh "${meshes[@]}"); fi

if ((plateau && download)); then
  "$tokyo" download plateau "${wanted[@]}" "${catalogue[@]}" --output "$output/plateau"
fi
if ((convert)) && { ((plateau)) || { ((generate)) && [[ -d $output/plateau ]]; }; }; then
  "$tokyo" city "$output/plateau" "${region[@]}" --engine "$engine" --out "$output/city"
fi
if ((generate)); then
  "$python" "$root/scripts/plateau_to_occworld.py" --city "$output/city" --output "$output/tokyo_gazebo" \
    --frames "$frames" --sessions "$sessions" --engine "$engine"
fi
if ((models)); then # Last: if the authors' server does not answer, the rest is there.
  "$tokyo" download models "${models_url[@]}" --output "$output/pretrained/occworld"
fi
