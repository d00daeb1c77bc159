"""Make a checkpoint fit to ship: model.safetensors, read without pickle, and a model card with its metrics."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from occ_core.command_line import exit_code, run_command
from occworld.preflight import EXPORTED, check_evaluation, check_sessions


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="such as work_dir/best.pth")
    parser.add_argument("--data-root", type=Path, required=True, help="the sessions that it was trained on")
    parser.add_argument("--out", type=Path, required=True, help="folder for model.safetensors and README.md")
    parser.add_argument("--command", required=True, help="what trained it, for the card")
    parser.add_argument(
        "--format", choices=("safetensors", "onnx"), default="safetensors",
        help="onnx: also the fast model's networks as ONNX graphs, checked against PyTorch, in OUT/onnx",
    )  # fmt: skip
    parser.add_argument("--unseen", type=Path, help="evaluate on all sessions of this folder, not on held-out ones")
    parser.add_argument("--max-windows", type=int, help="evaluate on at most this many windows")
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> None:
    """Evaluate without and with the planned poses, and write both files."""
    check_evaluation(args, EXPORTED)
    check_sessions(args.unseen)
    from occworld.card import export
    from occworld.checkpoint import Checkpoint
    from occworld.dataset import GazeboOccWorldDataset
    from occworld.evaluator import evaluate
    from occworld.onnx_parts import export_onnx

    checkpoint = Checkpoint.load(args.checkpoint)
    config = replace(checkpoint.config, data_root=str(args.data_root))
    data = GazeboOccWorldDataset(
        args.unseen or args.data_root, replace(config.data, split="all" if args.unseen else "val")
    )
    model = checkpoint.model(args.checkpoint)
    if args.format == "onnx":
        for graph in export_onnx(model, data[len(data) // 2], args.out / "onnx"):
            print(graph)
    evaluations = []
    for condition in model.conditions:
        model.config = replace(model.config, condition=condition)
        evaluations.append(evaluate(model, data, args.max_windows))
    path = export(replace(checkpoint, config=config), args.out, evaluations, args.command, str(args.unseen or ""))
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def expected() -> tuple[type[Exception], ...]:
    """What the user can put right."""
    from occ_core.session import SessionError
    from occworld.checkpoint_file import CheckpointError
    from occworld.config import ConfigError
    from occworld.onnx_parts import OnnxError

    return ConfigError, CheckpointError, SessionError, OnnxError


def main(argv: list[str] | None = None) -> int | str:
    """Exit code 2 and one sentence where the user can put it right."""
    args = arguments(argv)
    return exit_code("export.py", lambda: run(args), expected)


def command() -> None:
    """Entry point of `occworld-export`."""
    run_command("export.py", main)


if __name__ == "__main__":
    command()
