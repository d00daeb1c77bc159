"""Make a checkpoint fit to ship: model.safetensors, read without pickle, and a model card with its metrics."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from occ_core.session import SessionError
from occworld.card import export
from occworld.checkpoint import Checkpoint, CheckpointError
from occworld.config import ConfigError
from occworld.dataset import GazeboOccWorldDataset
from occworld.evaluator import evaluate


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="such as work_dir/best.pth")
    parser.add_argument("--data-root", type=Path, required=True, help="the sessions that it was trained on")
    parser.add_argument("--out", type=Path, required=True, help="folder for model.safetensors and README.md")
    parser.add_argument("--command", required=True, help="what trained it, for the card")
    parser.add_argument("--max-windows", type=int, help="evaluate on at most this many held-out windows")
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> None:
    """Evaluate on held-out sessions and write both files."""
    checkpoint = Checkpoint.load(args.checkpoint)
    config = replace(checkpoint.config, data_root=str(args.data_root))
    data = GazeboOccWorldDataset(args.data_root, replace(config.data, split="val"))
    evaluation = evaluate(checkpoint.model(args.checkpoint), data, args.max_windows)
    path = export(replace(checkpoint, config=config), args.out, evaluation, args.command)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def main(argv: list[str] | None = None) -> int:
    """Exit code 2 and one sentence where the user can put it right."""
    try:
        run(arguments(argv))
    except (ConfigError, CheckpointError, SessionError) as error:
        print(f"export.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
