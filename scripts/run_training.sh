#!/usr/bin/env bash
# Train or evaluate the learner from anywhere; --help says how. Thin: everything is done by learner/train.py, eval.py,
# `tokyo city` and tokyo_occworld.collecting.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/run_training.sh [options]

  --config FILE        config of the run (learner/config/finetune_tokyo.py)
  --work-dir DIR       checkpoints, logs and metrics (./checkpoints)
  --data-root DIR      sessions (data/tokyo_gazebo)
  --epochs N           epochs of the forecast stage (as the config says: 50)
  --batch-size N       windows per step and device (as the config says: 1)
  --lr X               largest learning rate (as the config says: 1e-4)
  --set FIELD=VALUE    any other field of the config, such as model.code_dim=128; may be given again
  --quick              two epochs of the small model of config/demo_tokyo.py, five minutes at most
  --resume             go on from the newest checkpoint in the work folder
  --overwrite          begin anew where the work folder holds a run already
  --eval               evaluate best.pth of the work folder instead of training
  --tensorboard        only serve the work folder's curves on http://localhost:6006, until Ctrl-C
  --generate-data      record sessions into the data folder first, in out/city (the sample city, if there is none yet)
  --data-frames N      frames of each of those sessions, two a second (200)
  --data-sessions N    how many, of drones and rovers in turn; training needs two of each (5)
  --help               this text

Several GPUs: torchrun --nproc-per-node N learner/train.py --help
TEXT
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
[[ -x $python ]] || python=python3
config=$root/learner/config/finetune_tokyo.py
work=checkpoints data=data/tokyo_gazebo quick=0 evaluate=0 board=0 generate=0 frames=200 sessions=5
train=()

die() {
  echo "run_training.sh: $*" >&2
  exit 2
}

while (($#)); do
  case $1 in
    --config | --work-dir | --data-root | --epochs | --batch-size | --lr | --set | --data-frames | --data-sessions)
      (($# > 1)) || die "$1 needs a value"
      case $1 in
        --config) config=$2 ;;
        --work-dir) work=$2 ;;
        --data-root) data=$2 ;;
        --data-frames) frames=$2 ;;
        --data-sessions) sessions=$2 ;;
        *) train+=("$1" "$2") ;;
      esac
      shift
      ;;
    --quick) quick=1 ;;
    --resume | --overwrite) train+=("$1") ;;
    --eval) evaluate=1 ;;
    --tensorboard) board=1 ;;
    --generate-data) generate=1 ;;
    --help | -h)
      usage
      exit 0
      ;;
    *) die "unknown option $1; --help lists them" ;;
  esac
  shift
done
[[ $frames =~ ^[1-9][0-9]*$ ]] || die "--data-frames is a whole number, got $frames"
[[ $sessions =~ ^[1-9][0-9]*$ ]] || die "--data-sessions is a whole number, got $sessions"

if ((quick)); then
  config=$root/learner/config/demo_tokyo.py
  train+=(--epochs 2 --max-minutes 5)
fi
[[ -f $config ]] || die "no config file $config"
if ((board)); then
  if (exec 3<>/dev/tcp/127.0.0.1/6006) 2>/dev/null; then
    die "port 6006, for TensorBoard, is in use: end what has it"
  fi
  [[ -d $work/logs ]] || die "no curves in $work/logs: --work-dir names a folder of a run"
  exec "$python" -m tensorboard.main --logdir "$work/logs" --port 6006
fi

if ((generate)); then
  if ((!evaluate)); then # what is wrong is said before anything is recorded
    "$python" "$root/learner/train.py" --config "$config" --work-dir "$work" "${train[@]}" --check
  fi
  city=out/city
  [[ -f $city/city.json ]] || "$(dirname "$python")/tokyo" city --out "$city"
  "$python" - "$city" "$data" "$sessions" "$frames" <<'PYTHON'
import sys
from pathlib import Path

from tokyo_occworld.collecting import Collection, collect

city, data, sessions, frames = sys.argv[1:]
for session in collect(Path(city), Path(data), Collection(int(sessions), int(frames))):
    print(session)
PYTHON
fi

if ((evaluate)); then
  "$python" "$root/learner/eval.py" --checkpoint "$work/best.pth" --data-root "$data" --out "$work"
else
  "$python" "$root/learner/train.py" --config "$config" --work-dir "$work" --data-root "$data" "${train[@]}"
fi
