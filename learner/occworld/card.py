"""A checkpoint to ship: safetensors with its config inside, and a model card beside it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from occ_core.session import find_sessions
from occworld.checkpoint import Checkpoint
from occworld.evaluator import Evaluation
from occworld.report import markdown


def export(checkpoint: Checkpoint, folder: Path, evaluations: list[Evaluation], command: str, unseen: str = "") -> Path:
    """model.safetensors and README.md into a folder; returns the former. command: that reproduces the training.

    evaluations: for the card, one per condition. unseen: folder of the sessions that they are of, where these are not
    the held-out part of the training data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint.export(path := folder / "model.safetensors")
    (folder / "README.md").write_text(card(checkpoint, evaluations, command, unseen, path.stat().st_size))
    return path


def card(checkpoint: Checkpoint, evaluations: list[Evaluation], command: str, unseen: str, size: int) -> str:
    """Markdown: what the model is, what it was trained on, and how good it is."""
    config, grid = checkpoint.config, checkpoint.config.data.grid
    parameters = sum(tensor.numel() for tensor in checkpoint.weights.values())
    progress = checkpoint.progress
    nx, ny, nz = grid.shape
    held_out = f"{config.data.val_fraction:.0%} of the sessions held out"
    return "\n".join(
        [
            f"# {config.model.architecture} occupancy forecast",
            "",
            f"From {config.data.history_frames} occupancy frames, {config.data.frame_period:g} s apart, to the"
            f" {config.data.future_frames} frames after them.",
            "",
            "| | |",
            "|---|---|",
            f"| grid | {nx} x {ny} x {nz} voxels of {' x '.join(f'{v:g}' for v in grid.voxel)} m, from"
            f" {grid.lower} to {grid.upper} m |",
            f"| parameters | {parameters:,}, {size / 1e6:.1f} MB |",
            f"| architecture | `{json.dumps(asdict(config.model))}` |",
            f"| trained on | {_data(Path(config.data_root))}; {held_out} |",
            f"| epochs | {progress.stage1} of the tokenizer, {progress.stage2} of the forecast (the last may be"
            f" cut short by the clock); {progress.step} steps in all |",
            f"| seed | {config.training.seed} |",
            f"| command | `{command}` |",
            "",
            "Frames are accumulated LiDAR from a simulator: a forecast is no basis for the safety of a real vehicle.",
            "",
            f"## On {f'a city that it has not seen: {_data(Path(unseen))}' if unseen else 'drives that were held out'}",
            "",
            *(markdown(evaluation) for evaluation in evaluations),
        ]
    )


def _data(root: Path) -> str:
    sessions = find_sessions(root)
    frames = sum(len(session) for session in sessions)
    cities = sorted({Path(session.info.city).name or "no city" for session in sessions})
    seeds = sorted({str(session.info.seed) for session in sessions})
    return f"{len(sessions)} sessions, {frames} frames ({', '.join(cities)}; seeds {', '.join(seeds)})"
