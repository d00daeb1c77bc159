#!/usr/bin/env bash
# Copies the project to a cloud machine and trains there; --help says how.
# shellcheck disable=SC2016  # what is in single quotes is for the other side
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: scripts/deploy_to_lambda.sh IP [OPTION ...] [-- OPTION OF run_training.sh ...]

Copies this project to a Lambda Cloud instance, or to another machine that ssh leads to. Run again, it copies what
has changed; an upload that broke off goes on where it stopped.

  --key PATH         private key for ssh (without: the keys that ssh knows)
  --upload-data      copy data/ too: recorded sessions (not data/plateau, the archives that cities are made of)
  --upload-models    copy pretrained/ (or data/pretrained/) and work_dirs/ too: weights to begin with, checkpoints
  --start-train      set the machine up (scripts/lambda_setup.sh --minimal), then train in tmux with
                     scripts/run_training.sh, which gets what follows --
  --user NAME        who to be over there (ubuntu)
  --dir FOLDER       where to copy to over there (tokyo-occworld in the home folder)
  --ssh-config FILE  configuration for ssh instead of ~/.ssh/config
  --help             this text

Fetch the checkpoints before you terminate the instance: its disk goes with it. The command is printed at the end.
HELP
}

die() {
  echo "deploy_to_lambda.sh: $*" >&2
  exit 2
}

host="" key="" user=ubuntu folder=tokyo-occworld config="" data=0 models=0 train=0
while (($#)); do
  case $1 in
    --key | --user | --dir | --ssh-config)
      [[ -n ${2:-} ]] || die "$1 needs a value"
      case $1 in
        --key) key=$2 ;;
        --user) user=$2 ;;
        --dir) folder=${2%/} ;;
        --ssh-config) config=$2 ;;
      esac
      shift
      ;;
    --upload-data) data=1 ;;
    --upload-models) models=1 ;;
    --start-train) train=1 ;;
    --help | -h)
      usage
      exit 0
      ;;
    --)
      shift
      break
      ;;
    -*) die "unknown option $1; --help lists them" ;;
    *)
      [[ -z $host ]] || die "one IP is wanted, got $host and $1"
      host=$1
      ;;
  esac
  shift
done
training=("$@")
[[ -n $host ]] || die "the IP of the machine is missing; --help shows how"
((train)) || ((${#training[@]} == 0)) || die "options after -- are for --start-train"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
for program in ssh rsync; do
  command -v "$program" > /dev/null || die "there is no $program here: apt install openssh-client rsync"
done
for file in "$key" "$config"; do
  [[ -z $file || -r $file ]] || die "$file can't be read"
done
[[ -z $key ]] || key=$(realpath -- "$key")
[[ -z $config ]] || config=$(realpath -- "$config")
uploads=()
if ((data)); then
  [[ -d $root/data ]] || die "there is no $root/data to upload: record sessions first"
  uploads+=(data)
fi
if ((models)); then
  known=${#uploads[@]}
  for models_in in pretrained data/pretrained work_dirs; do
    [[ ! -d $root/$models_in ]] || uploads+=("$models_in")
  done
  ((${#uploads[@]} > known)) || die "there are no models to upload, neither $root/pretrained nor $root/work_dirs"
fi

ssh=(ssh -o BatchMode=yes -o ConnectTimeout=10 -o StrictHostKeyChecking=accept-new -o ServerAliveInterval=15)
[[ -z $config ]] || ssh+=(-F "$config")
[[ -z $key ]] || ssh+=(-i "$key" -o IdentitiesOnly=yes)
ssh+=(-l "$user")

# Runs a command over there: its words arrive as they are, whatever characters are in them.
remote() { "${ssh[@]}" "$host" "$(printf '%q ' "$@")"; }

problems=$(mktemp)
trap 'rm -f "$problems"' EXIT
last_problem() { grep -v '^[[:space:]]*$' "$problems" | tail -1 | tr -d '\r'; }

if ! remote true > /dev/null 2> "$problems"; then
  case $(< "$problems") in
    *"HOST IDENTIFICATION HAS CHANGED"*)
      die "$host has another host key than last time; where it is a new instance: ssh-keygen -R $host"
      ;;
    *"Permission denied"*)
      with=${key:-the keys that ssh knows}
      die "$host does not let $user in with $with; a key with a passphrase goes into ssh-agent first"
      ;;
    *) die "$host can't be reached by ssh: $(last_problem)" ;;
  esac
fi
there=$(remote bash -c 'mkdir -p -- "$1" && cd -- "$1" && test -w . && pwd' _ "$folder" 2> "$problems") ||
  die "$user can't write to $folder on $host: $(last_problem)"
if ((train)); then
  if remote tmux has-session -t =tokyo-train 2> /dev/null; then
    die "a training runs on $host already; watch it: $(printf '%q ' "${ssh[@]}" -t "$host")tmux attach -t tokyo-train"
  fi
fi

# rsync takes its shell apart at spaces and knows single quotes, doubled within them.
shell=""
for word in "${ssh[@]}"; do shell+="'${word//\'/\'\'}' "; done
address=$host
[[ $host != *:* ]] || address="[$host]" # IPv6
copy() {
  local show=(--info=stats1)
  [[ ! -t 1 ]] || show+=(--info=progress2)
  if ! rsync -as -e "$shell" --partial-dir=.rsync-partial "${show[@]}" "$@" 2> "$problems"; then
    case $(< "$problems") in
      *"No space left"*) die "the disk of $host is full; make room and run this again, it goes on where it stopped" ;;
      *"Permission denied"* | *"not permitted"*) die "$user can't write to $there on $host: $(last_problem)" ;;
      *"command not found"*) die "there is no rsync on $host: apt install rsync" ;;
      *) die "the upload to $host broke off, run this again and it goes on where it stopped: $(head -1 "$problems")" ;;
    esac
  fi
}
echo "copying the project to $host:$there"
copy -z --exclude=/.git --exclude=/pretrained --filter=':- .gitignore' "$root/" "$address:$there/"
for upload in "${uploads[@]}"; do
  echo "copying $upload"
  copy -R --exclude=/data/plateau "$root/./$upload/" "$address:$there/"
done

if ((train)); then
  setup=--minimal needs="occworld, torch" has_data=0
  for argument in "${training[@]}"; do
    case $argument in
      --generate-data) setup=--full needs="occworld, torch, tokyo_sim" has_data=1 ;;
      --data-root) has_data=1 ;;
    esac
  done
  ((has_data)) || remote test -d "$there/data/tokyo_gazebo" ||
    die "there are no sessions on $host to train on: --upload-data, or -- --generate-data"
  remote "$there/.venv/bin/python" -c "import $needs" > /dev/null 2>&1 ||
    remote bash "$there/scripts/lambda_setup.sh" "$setup" || die "$host could not be set up"
  run='set -o pipefail
    scripts/run_training.sh "$@" 2>&1 | tee -a work_dirs/train.log
    echo "training ended with exit code $?" | tee -a work_dirs/train.log'
  # tmux takes a name once: of two that start at the same moment one is refused. What is wrong shows in a few seconds.
  start='cd -- "$1" && mkdir -p work_dirs && run=$2 && shift 2 || exit
    tmux new-session -d -s tokyo-train bash -c "$run" _ "$@" || exit
    for _ in {1..50}; do
      tmux has-session -t =tokyo-train 2> /dev/null || { tail -2 work_dirs/train.log | tr "\n" " "; exit 1; }
      sleep 0.1
    done'
  remote bash -c "$start" _ "$there" "$run" "${training[@]}" > "$problems" 2>&1 ||
    die "training on $host did not start, or ended at once; $there/work_dirs/train.log: $(last_problem)"
  echo "training runs on $host. Watch it, and leave it with Ctrl-B D:"
  echo "  $(printf '%q ' "${ssh[@]}" -t "$host")tmux attach -t tokyo-train"
else
  echo "log in and set it up with scripts/lambda_setup.sh, or train with --start-train:"
  echo "  $(printf '%q ' "${ssh[@]}" -t "$host")"
fi
echo "Before you terminate the instance, fetch the checkpoints, its disk goes with it:"
echo "  $(printf '%q ' rsync -as --partial -e "$shell" "$address:$there/work_dirs/" "$root/work_dirs/")"
