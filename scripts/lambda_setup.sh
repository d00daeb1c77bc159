#!/usr/bin/env bash
# Makes a cloud machine ready for training, or for everything; --help says how.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: scripts/lambda_setup.sh [--full | --minimal] [--skip-pytorch]

Sets up a Lambda Cloud instance, or another Ubuntu machine with an NVIDIA GPU, in .venv of this repository.
It can be run again: what is there already stays.

  --full          simulator, recorder and learner: to make data and to train (this is what happens without options)
  --minimal       the learner only: to train
  --skip-pytorch  take the PyTorch of the system's Python, such as Lambda Stack's, instead of the lock's
  --help          this text

Python is `python3`, or what the variable PYTHON names. System packages that are missing are installed with apt-get.
HELP
}

die() {
  echo "lambda_setup.sh: $*" >&2
  exit 2
}

mode="" skip_pytorch=0
for argument in "$@"; do
  case $argument in
    --full | --minimal)
      [[ -z $mode || $mode == "$argument" ]] || die "$mode and $argument exclude each other"
      mode=$argument
      ;;
    --skip-pytorch) skip_pytorch=1 ;;
    --help | -h)
      usage
      exit 0
      ;;
    *) die "unknown option $argument; --help lists them" ;;
  esac
done
full=$([[ $mode == --minimal ]] && echo 0 || echo 1)

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
python=${PYTHON:-python3}

# What is needed is looked at before anything is changed.
[[ $(uname -s)-$(uname -m) == Linux-x86_64 ]] || die "x86-64 Linux is needed, this is $(uname -s) on $(uname -m)"
command -v "$python" > /dev/null || die "there is no $python here: apt install python3, or PYTHON=..."
"$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' ||
  die "CPython 3.10 to 3.13 is needed, $python is $("$python" --version): PYTHON=python3.12 $0"
if ((skip_pytorch)); then
  "$python" -c 'import sys, torch; sys.exit(tuple(map(int, torch.__version__.split(".")[:2])) < (2, 4))' 2> /dev/null ||
    die "$python has no PyTorch 2.4 or newer to take: leave out --skip-pytorch"
fi
needed_gb=$((full * 3 + (skip_pytorch ? 2 : 9)))
free_gb=$(df -Pk "$root" | awk 'NR == 2 { print int($4 / 1048576) }')
[[ -e $venv ]] || ((free_gb >= needed_gb)) || die "$root has $free_gb GB free, $needed_gb GB are needed"

packages=(python3-venv rsync tmux)
((full == 0)) || packages+=(cmake g++ make libegl1 libgl1 libgl1-mesa-dri)
missing=()
for package in "${packages[@]}"; do
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null) == installed ]] || missing+=("$package")
done
if ((${#missing[@]})); then
  as_root=()
  if [[ $(id -u) != 0 ]]; then
    sudo -n true 2> /dev/null || die "an administrator has to run: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  echo "installing ${missing[*]}"
  # An instance that has just started may still hold apt's lock.
  apt=("${as_root[@]}" apt-get -q -o DPkg::Lock::Timeout=300)
  if ! { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; } > /dev/null; then
    die "apt-get could not install ${missing[*]}"
  fi
fi

wanted=$( ((skip_pytorch)) && echo true || echo false)
if ! grep -qsi "^include-system-site-packages = $wanted" "$venv/pyvenv.cfg"; then
  site=()
  ((skip_pytorch == 0)) || site=(--system-site-packages)
  "$python" -m venv --clear "${site[@]}" "$venv"
fi
lock=$root/requirements.lock
if ((skip_pytorch)); then
  lock=$venv/requirements.lock
  grep -v '^torch==' "$root/requirements.lock" > "$lock"
fi
pip=("$venv/bin/pip" install -q --disable-pip-version-check)
if ((full)); then
  "${pip[@]}" -r "$lock"
  "$root/scripts/build_messages.sh" "$venv"
  editable=()
  for package in "$root"/ros2_ws/src/*/setup.py; do editable+=(-e "${package%/setup.py}"); done
  "${pip[@]}" --no-deps --no-build-isolation "${editable[@]}" -e "$root/learner"
  touch "$venv/.done" # make's mark: `make demo` and the others take it as it is
else
  "${pip[@]}" -c "$lock" -e "$root/learner"                # with occ_core as it is now,
  "${pip[@]}" --no-deps -e "$root/ros2_ws/src/occ_core" # which what is uploaded later changes, too
fi

if ! command -v nvidia-smi > /dev/null; then
  echo "lambda_setup.sh: warning: there is no NVIDIA driver here, training will take the CPU" >&2
elif ! "$venv/bin/python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
  die "PyTorch does not see the GPU: its CUDA is newer than the driver; take the system's with --skip-pytorch"
fi
echo "ready: scripts/run_training.sh --help"
