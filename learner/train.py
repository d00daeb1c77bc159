"""Train OccWorld on recorded sessions: tokenizer first, then forecasts, in one run."""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path

from occ_core.session import SessionError
from occworld.bags import add_bag_options, sessions_of_bags
from occworld.checkpoint import Checkpoint, CheckpointError
from occworld.config import ConfigError, read_config, with_overrides
from occworld.dataset import GazeboOccWorldDataset
from occworld.evaluator import evaluate
from occworld.report import markdown, write_report
from occworld.trainer import Trainer, TrainingError


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
    parser.add_argument("--work-dir", type=Path, required=True, help="folder for checkpoints, logs and metrics")
    parser.add_argument("--data-root", type=Path, help="folder of sessions, instead of the config's")
    add_bag_options(parser)
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in the work folder")
    start.add_argument("--resume-from", type=Path, metavar="FILE", help="go on from this checkpoint")
    start.add_argument("--from-scratch", action="store_true", help="random weights, whatever the config's load_from")
    parser.add_argument("--gpu-ids", type=gpu_ids, metavar="0,1", help="GPUs to train on; the first one without")
    parser.add_argument("--seed", type=int, help="of weights, order and samples")
    parser.add_argument("--batch-size", type=int, help="windows per step and device")
    parser.add_argument("--lr", type=float, help="largest learning rate")
    parser.add_argument("--epochs", type=int, dest="max_epochs", help="epochs of the forecast stage")
    parser.add_argument("--eval-only", action="store_true", help="evaluate the checkpoint instead of training")
    parser.add_argument("--max-minutes", type=float, help="stop both stages within this wall-clock time")
    parser.add_argument(
        "--max-steps", type=int, help="stop after so many steps of both stages together, half of them of the tokenizer"
    )
    return parser.parse_args(argv)


def newest(work_dir: Path) -> Path:
    """The checkpoint that was written last."""
    found = [p for pattern in ("epoch_*.pth", "tokenizer_*.pth", "latest.pth") for p in work_dir.glob(pattern)]
    if not found:
        raise CheckpointError(f"nothing to resume in {work_dir}: it holds no checkpoint")
    return max(found, key=lambda path: path.stat().st_mtime_ns)


def run(args: argparse.Namespace) -> None:
    """Train or evaluate."""
    config = with_overrides(
        read_config(args.config), seed=args.seed, batch_size=args.batch_size, lr=args.lr, max_epochs=args.max_epochs,
        data_root=sessions_of_bags(args) or args.data_root,
    )  # fmt: skip
    if args.from_scratch:
        config = replace(config, load_from="")
    path = args.resume_from or (newest(args.work_dir) if args.resume else None)
    if args.eval_only:
        path = path or args.work_dir / "best.pth"
        model = Checkpoint.load(path).model(path)
        data = GazeboOccWorldDataset(config.data_root, replace(config.data, split="val"))
        evaluation = evaluate(model, data)
        write_report(evaluation, args.work_dir)
    else:
        resume = Checkpoint.load(path) if path else None
        if resume is not None and resume.config.model != config.model:
            raise CheckpointError(f"{path}: made with another model than {args.config} describes")
        evaluation = Trainer(config, args.work_dir, resume, args.gpu_ids).fit(args.max_minutes, args.max_steps)
    if evaluation is not None:
        print(markdown(evaluation))


def main(argv: list[str] | None = None) -> int:
    """Exit code 2 and one sentence where the user can put it right, 1 where training failed."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        run(arguments(argv))
    except (ConfigError, CheckpointError, SessionError) as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 2
    except TrainingError as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
