"""What is wrong with a learner's command, found before PyTorch is loaded: files, folders, and whose they are."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path

from occ_core.command_line import UsageError
from occ_core.output_folders import FolderKind, check_addable

WORK_DIR = FolderKind("a training's work folder", ("*.pth", "train_*.log", "metrics.json"))
EXPORTED = FolderKind("an exported model", ("model.safetensors",))
# PyTorch writes zip archives, and wrote pickles before; in safetensors, a JSON object comes after its length.
_CHECKPOINT_STARTS = (b"PK\x03\x04", b"\x80")
_RESUMABLE = ("epoch_*.pth", "tokenizer_*.pth", "latest.pth")


def check_checkpoint(path: Path) -> None:
    """FileNotFoundError where there is none; UsageError for a file that can't be one."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no checkpoint {path}")
    if path.is_dir():
        raise UsageError(f"{path} is a folder, a checkpoint is a file, such as {path / 'best.pth'}")
    with open(path, "rb") as file:
        start = file.read(9)
    if not (start.startswith(_CHECKPOINT_STARTS) or (path.suffix == ".safetensors" and start[8:] == b"{")):
        raise UsageError(f"{path}: not a whole checkpoint, it does not begin like one")


def check_sessions(root: Path | None) -> None:
    """FileNotFoundError for a folder of sessions that is named and is not there."""
    if root is not None and not root.is_dir():
        raise FileNotFoundError(f"no folder of sessions {root}")


def newest(work_dir: Path) -> Path:
    """The checkpoint that was written last. FileNotFoundError where there is none to go on from."""
    found = [path for pattern in _RESUMABLE for path in Path(work_dir).glob(pattern)]
    if not found:
        raise FileNotFoundError(f"nothing to resume in {work_dir}: it holds no checkpoint to go on from")
    return max(found, key=lambda path: path.stat().st_mtime_ns)


def run_in(work_dir: Path) -> tuple[Path, ...]:
    """The files of a run in a work folder, which another would mix with its own or write over."""
    patterns = (*_RESUMABLE, "best.pth", "train_*.log", "curves.csv", "logs/events.out.*")
    return tuple(sorted(path for pattern in patterns for path in Path(work_dir).glob(pattern)))


def cache_folder() -> Path:
    """Where what can be made again is kept, by the XDG base directory specification."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tokyo_occworld"


def is_first_process() -> bool:
    """Of those that torchrun, Slurm or Fabric has started: the one that writes. The only one, of one."""
    if "RANK" in os.environ:
        return os.environ["RANK"] == "0"
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("NODE_RANK", "0") == "0"


def check_training(args: argparse.Namespace) -> None:
    """Of train.py. Of several processes, the first looks at the folder that it alone writes."""
    if not args.config.is_file():
        raise FileNotFoundError(f"no config file {args.config}")
    if args.max_minutes is not None and not (math.isfinite(args.max_minutes) and args.max_minutes > 0):
        raise UsageError(f"--max-minutes {args.max_minutes:g}: more than 0 is wanted")
    check_cores(args.cpu_cores, args.gpu_ids)
    if args.bag and args.data_root:
        raise UsageError("--bag and --data-root: which of them is to be trained on?")
    if args.bag_config is not None and not args.bag_config.is_file():
        raise FileNotFoundError(f"no bag config {args.bag_config}")
    for bag in args.bag:
        if not bag.exists():
            raise FileNotFoundError(f"no bag {bag}")
    if not args.check:
        check_sessions(args.data_root)
    if args.resume_from is not None:
        check_checkpoint(args.resume_from)
    if args.resume:
        newest(args.work_dir)
    if args.eval_only and not (args.resume or args.resume_from):
        check_checkpoint(args.work_dir / "best.pth")
    if not is_first_process():
        return
    # A config in its run's folder is no stranger there.
    besides = {args.config.name} if args.config.resolve().parent == args.work_dir.resolve() else set()
    check_addable(args.work_dir, WORK_DIR, besides)
    goes_on = args.resume or args.resume_from or args.eval_only or args.overwrite
    if not goes_on and (there := [path for path in run_in(args.work_dir) if path.suffix == ".pth"]):
        raise UsageError(
            f"{args.work_dir} holds a run already ({there[0].name}): --resume goes on with it, --overwrite begins anew"
            " and deletes it, or give another --work-dir"
        )


def check_cores(cpu_cores: int, gpu_ids: list[int] | None) -> None:
    """Of --cpu-cores. Fewer cores than asked for are none of its business: so a machine's training is another's."""
    if cpu_cores < 0:
        raise UsageError(f"--cpu-cores {cpu_cores}: 1 or more is wanted")
    if cpu_cores and gpu_ids:
        raise UsageError("--cpu-cores and --gpu-ids: on which of them?")
    if cpu_cores and "LOCAL_WORLD_SIZE" in os.environ:
        raise UsageError("--cpu-cores under torchrun, which starts the processes: it is for a run without")


def check_evaluation(args: argparse.Namespace, kind: FolderKind) -> None:
    """Of eval.py and export.py. kind: of the folder that is written."""
    check_checkpoint(args.checkpoint)
    check_sessions(args.data_root)
    if args.max_windows is not None and args.max_windows < 1:
        raise UsageError(f"--max-windows {args.max_windows}: at least 1 is wanted")
    check_addable(args.out, kind)
