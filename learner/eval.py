"""Evaluate a checkpoint beside the baselines copy, warp and warp-oracle."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from occ_core.command_line import exit_code, run_command
from occworld.preflight import WORK_DIR, check_evaluation, check_sessions

if TYPE_CHECKING:
    from occworld.config import Config
    from occworld.dataset import GazeboOccWorldDataset
    from occworld.forecast_model import ForecastModel


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="such as work_dir/best.pth")
    parser.add_argument("--config", type=Path, help="for weights without one, such as config/occworld_nuscenes.py")
    parser.add_argument(
        "--data-root", type=Path, required=True, help="folder of sessions, or of Occ3D-nuScenes (which has `gts`)"
    )
    parser.add_argument("--truth-root", type=Path, help="the same drives as `ground_truth`: judge by what there was")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for metrics.json, metrics.md, metrics.png and samples.npz"
    )
    parser.add_argument("--split", choices=("val", "test", "train", "all"), default="val", help="sessions to look at")
    parser.add_argument("--condition", choices=("none", "poses"), help="give the model the true future poses or not")
    parser.add_argument("--max-windows", type=int, help="at most this many windows, evenly spread")
    return parser.parse_args(argv)


def write_sample(model: ForecastModel, data: GazeboOccWorldDataset, path: Path) -> None:
    """The middle window: current uint8 (X, Y, Z); truth, forecast uint8, probability float16 (steps, X, Y, Z)."""
    window = data[len(data) // 2]
    import numpy as np

    from occworld.scene import Scene

    result = model.forecast(Scene.of(model.grid, window, model.config.condition == "poses"))
    np.savez_compressed(
        path,
        session=window.session,
        start=window.start,
        current=window.frames[window.history - 1].dense(model.grid.shape),
        truth=np.stack([f.dense(model.grid.shape) for f in window.future]),
        forecast=np.stack([f.classes for f in result.frames]),
        probability=np.stack([f.probability for f in result.frames]),
        path=result.motion,
        true_path=window.motion[window.history :],
    )


def run(args: argparse.Namespace) -> None:
    """Evaluate and write."""
    check_evaluation(args, WORK_DIR)
    check_sessions(args.truth_root)
    from occworld.config import ConfigError
    from occworld.dataset import GazeboOccWorldDataset
    from occworld.evaluator import evaluate
    from occworld.occ3d import is_occ3d
    from occworld.report import markdown, write_report

    config, model = _published(args) if args.config else _trained(args.checkpoint)
    if args.condition and args.condition != model.config.condition:
        if args.condition not in model.conditions:
            raise ConfigError(
                f"{args.checkpoint}: a faithful model forecasts as it was trained, with condition"
                f" '{model.config.condition}'"
            )
        model.config = replace(model.config, condition=args.condition)
    if is_occ3d(args.data_root):
        if args.truth_root:
            raise ConfigError("--truth-root is for sessions: labels of Occ3D-nuScenes are the truth already")
        return _on_occ3d(args, config, model)
    data = GazeboOccWorldDataset(args.data_root, replace(config.data, split=args.split), args.truth_root)
    evaluation = evaluate(model, data, args.max_windows)
    write_report(evaluation, args.out)
    write_sample(model, data, args.out / "samples.npz")
    print(markdown(evaluation))


def _trained(path: Path) -> tuple[Config, ForecastModel]:
    from occworld.checkpoint import Checkpoint

    checkpoint = Checkpoint.load(path)
    return checkpoint.config, checkpoint.model(path)


def _published(args: argparse.Namespace) -> tuple[Config, ForecastModel]:
    """A config's model with a file's weights, all of them: half a model has no scores worth reading."""
    from occworld.checkpoint import build_model, load_weights
    from occworld.checkpoint_file import CheckpointError
    from occworld.config import read_config

    config = read_config(args.config)
    model = build_model(config)
    if missing := load_weights(model, args.checkpoint).missing:
        raise CheckpointError(
            f"{args.checkpoint}: has no {missing[0]} ({len(missing)} tensors) that {args.config} wants"
        )
    return config, model


def _on_occ3d(args: argparse.Namespace, config: Config, model: ForecastModel) -> None:
    """The benchmark that the original was published on, in its own classes."""
    from occworld import occ3d
    from occworld.config import ConfigError
    from occworld.faithful.model import FaithfulOccWorld
    from occworld.occ3d_scores import evaluate_occ3d, occ3d_markdown, write_occ3d_report

    if not isinstance(model, FaithfulOccWorld) or model.grid != occ3d.GRID:
        raise ConfigError(
            f"{args.data_root} holds Occ3D-nuScenes: that is for a faithful model on its grid, as"
            " config/occworld_nuscenes.py describes"
        )
    data = occ3d.Occ3dDataset(args.data_root, args.split, model.history, model.steps)
    evaluation = evaluate_occ3d(model, data, args.max_windows)
    write_occ3d_report(evaluation, args.out)
    print(occ3d_markdown(evaluation))


def expected() -> tuple[type[Exception], ...]:
    """What the user can put right."""
    from occ_core.session import SessionError
    from occworld.checkpoint_file import CheckpointError
    from occworld.config import ConfigError

    return ConfigError, CheckpointError, SessionError


def main(argv: list[str] | None = None) -> int | str:
    """Exit code 2 and one sentence where the user can put it right."""
    args = arguments(argv)
    return exit_code("eval.py", lambda: run(args), expected)


def command() -> None:
    """Entry point of `occworld-eval`."""
    run_command("eval.py", main)


if __name__ == "__main__":
    command()
