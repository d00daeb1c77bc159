"""Checkpoints: plain tensors and JSON-able values, read without running anything that a file may hold."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path

import torch

from occ_core.classes import NAMES
from occworld.config import Config
from occworld.model.occworld import OccWorld

FORMAT = 1


class CheckpointError(Exception):
    """A checkpoint that can't be used: which file, and why."""


@dataclass(frozen=True)
class Progress:
    """Where a run stands. stage1, stage2: epochs that are done. best: score of the best epoch. step: of the log."""

    stage1: int = 0
    stage2: int = 0
    best: float = -1.0
    step: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """config and weights, and what a run needs to go on: optimizer state, random state (None in a bare checkpoint)."""

    config: Config
    weights: dict[str, torch.Tensor]
    progress: Progress
    optimizer: dict | None = None
    random: torch.Tensor | None = None

    def save(self, path: Path) -> None:
        """Write beside and rename, so that a checkpoint is whole or not there."""
        body = {
            "format": FORMAT,
            "classes": list(NAMES),
            "grid": self.config.data.grid.to_dict(),
            "config": _plain(self.config.to_json()),
            "weights": self.weights,
            "progress": vars(self.progress),
            "optimizer": self.optimizer,
            "random": self.random,
        }
        beside = path.with_name(f".{path.name}.part")
        torch.save(body, beside)
        os.replace(beside, path)

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """CheckpointError for a file that is missing, broken, unsafe or of another class table."""
        path = Path(path)
        if not path.is_file():
            raise CheckpointError(f"no checkpoint {path}")
        try:
            body = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise CheckpointError(f"{path}: refused, it holds more than tensors and plain values") from error
        except (RuntimeError, EOFError, OSError, ValueError) as error:
            raise CheckpointError(f"{path}: not a whole checkpoint ({str(error).splitlines()[0]})") from error
        if not isinstance(body, dict) or body.get("format") != FORMAT:
            raise CheckpointError(f"{path}: not a checkpoint of this learner")
        if tuple(body["classes"]) != NAMES:
            raise CheckpointError(f"{path}: made for another class table: {', '.join(body['classes'])}")
        config = Config.from_json(body["config"], str(path))
        if body["grid"] != config.data.grid.to_dict():
            raise CheckpointError(f"{path}: its grid and its config disagree")
        return cls(config, body["weights"], Progress(**body["progress"]), body["optimizer"], body["random"])

    def model(self, where: Path) -> OccWorld:
        """The model with its weights; CheckpointError where a tensor is missing or of another shape."""
        model = build_model(self.config)
        try:
            model.load_state_dict(self.weights)
        except RuntimeError as error:
            raise CheckpointError(f"{where}: {' '.join(str(error).split())}") from error
        return model


def build_model(config: Config) -> OccWorld:
    """A fresh model for a config."""
    data = config.data
    return OccWorld(data.grid, config.model, data.history_frames, data.future_frames, data.frame_period)


def _plain(values: dict) -> dict:
    return {k: _plain(v) if isinstance(v, dict) else list(v) if isinstance(v, tuple) else v for k, v in values.items()}
