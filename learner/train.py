"""Train OccWorld on recorded sessions: tokenizer first, then forecasts, in one run."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from occ_core.command_line import exit_code, run_command
from occ_core.output_folders import locked
from occworld.bags import add_bag_options, sessions_of_bags
from occworld.preflight import check_training, is_first_process, newest, run_in

if TYPE_CHECKING:
    from occworld.config import Config

_STARTED = time.monotonic()  # --max-minutes counts from here: PyTorch, which takes seconds, is not loaded yet


def gpu_ids(text: str) -> list[int]:
    """'0,1' as [0, 1]."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"GPU ids are numbers with commas between, such as 0,1; got '{text}'"
        ) from None


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="On many GPUs or nodes: torchrun --nproc-per-node 8 train.py ..."
    )
    parser.add_argument(
        "--config", "--py-config", type=Path, required=True, help="config file, such as config/demo_tokyo.py"
    )
    parser.add_argument(
        "--work-dir", type=Path, default=Path("checkpoints"),
        help="folder for checkpoints, logs and metrics (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--data-root", type=Path, help="folder of sessions, instead of the config's")
    add_bag_options(parser)
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in the work folder")
    start.add_argument("--resume-from", type=Path, metavar="FILE", help="go on from this checkpoint")
    start.add_argument("--overwrite", action="store_true", help="begin anew where the work folder holds a run already")
    parser.add_argument("--from-scratch", action="store_true", help="random weights, whatever the config's load_from")
    parser.add_argument("--gpu-ids", type=gpu_ids, metavar="0,1", help="GPUs to train on; the first one without")
    parser.add_argument(
        "--cpu-cores", type=int, default=0, metavar="N",
        help="train on N cores of the CPU, a process on each with a batch of its own; without, one process",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, help="of weights, order and samples")
    parser.add_argument("--batch-size", type=int, help="windows per step and device")
    parser.add_argument("--lr", type=float, help="largest learning rate")
    parser.add_argument("--epochs", type=int, dest="max_epochs", help="epochs of the forecast stage")
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="FIELD=VALUE", dest="settings",
        help="any field of the config, such as optimizer.lr=3e-4 model.code_dim=128; options above come after them",
    )  # fmt: skip
    parser.add_argument("--eval-only", action="store_true", help="evaluate the checkpoint instead of training")
    parser.add_argument("--check", action="store_true", help="look at the options, not at the sessions, and stop")
    parser.add_argument(
        "--max-minutes", type=float, help="end within this wall-clock time, calibration and evaluation included"
    )
    parser.add_argument(
        "--max-steps", type=int, help="stop after so many steps of both stages together, half of them of the tokenizer"
    )
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> int:
    """Train or evaluate; the exit code."""
    check_training(args)
    if args.check:
        if args.settings:
            _config(args)
        return 0
    # Of several processes the first holds the folder for all.
    lock = args.work_dir / ".train.lock"
    args.work_dir.mkdir(parents=True, exist_ok=True)
    with locked(lock, f"another training is writing into {args.work_dir}") if is_first_process() else nullcontext():
        return _run(args)


def _config(args: argparse.Namespace) -> Config:
    """The file's config, then --set, then the options that have names of their own."""
    from occworld.config import read_config, with_overrides, with_settings

    config = with_overrides(
        with_settings(read_config(args.config), args.settings), seed=args.seed, batch_size=args.batch_size, lr=args.lr,
        max_epochs=args.max_epochs, data_root=args.data_root,
    )  # fmt: skip
    return replace(config, load_from="") if args.from_scratch else config


def _run(args: argparse.Namespace) -> int:
    from occworld.checkpoint import Checkpoint
    from occworld.checkpoint_file import CheckpointError
    from occworld.dataset import GazeboOccWorldDataset
    from occworld.evaluator import evaluate
    from occworld.report import markdown, write_report
    from occworld.trainer import Trainer, TrainingError

    config = _config(args)
    if (converted := sessions_of_bags(args)) is not None:
        config = replace(config, data_root=str(converted))
    path = args.resume_from or (newest(args.work_dir) if args.resume else None)
    if args.eval_only:
        path = path or args.work_dir / "best.pth"
        model = Checkpoint.load(path).model(path)
        data = GazeboOccWorldDataset(config.data_root, replace(config.data, split="val"), config.truth_root)
        evaluation = evaluate(model, data)
        write_report(evaluation, args.work_dir)
    else:
        resume = Checkpoint.load(path) if path else None
        if resume is not None and resume.config.model != config.model:
            raise CheckpointError(f"{path}: made with another model than {args.config} describes")
        former = run_in(args.work_dir) if args.overwrite and is_first_process() else ()
        try:
            trainer = Trainer(config, args.work_dir, resume, args.gpu_ids, former, args.cpu_cores)
            evaluation = trainer.fit(args.max_minutes, _STARTED, args.max_steps)
        except TrainingError as error:
            print(f"train.py: {error}", file=sys.stderr)
            return 1
    if evaluation is not None:
        print(markdown(evaluation))
    return 0


def expected() -> tuple[type[Exception], ...]:
    """What the user can put right."""
    from occ_core.session import SessionError
    from occworld.checkpoint_file import CheckpointError
    from occworld.config import ConfigError

    return ConfigError, CheckpointError, SessionError


def main(argv: list[str] | None = None) -> int | str:
    """Exit code 2 and one sentence where the user can put it right, 1 where training failed."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args = arguments(argv)
    return exit_code("train.py", lambda: run(args), expected)


def command() -> None:
    """Entry point of `occworld-train`."""
    run_command("train.py", main)


if __name__ == "__main__":
    command()
