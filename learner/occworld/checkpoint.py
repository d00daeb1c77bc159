"""Checkpoints: plain tensors and JSON-able values, read without running anything that a file may hold."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from occ_core.classes import NAMES
from occworld.checkpoint_file import FORMAT, CheckpointError, config_of, later, read_safetensors, renamed
from occworld.config import Config, ConfigError
from occworld.faithful.model import FaithfulOccWorld
from occworld.faithful.published import looks_published, read_published
from occworld.fast.model import FastOccWorld
from occworld.forecast_model import ForecastModel, Intake
from occworld.model_config import FaithfulConfig


@dataclass(frozen=True)
class TrainingState:
    """Where a run stands. stage1, stage2: epochs that are done. batches: of the epoch after those. best: score of the
    best epoch. step: optimizer steps, for the log. processes: that share the batches."""

    stage1: int = 0
    stage2: int = 0
    batches: int = 0
    best: float = -1.0
    step: int = 0
    processes: int = 1


@dataclass(frozen=True)
class Checkpoint:
    """config and weights, and what a run needs to go on: states of optimizer and loss scaler (None in a bare one).

    No random state: a run seeds its generator anew at every batch.
    """

    config: Config
    weights: dict[str, torch.Tensor]
    progress: TrainingState
    optimizer: dict | None = None
    scaler: dict | None = None

    def header(self) -> dict:
        """What is no tensor, JSON-able."""
        return {
            "format": FORMAT,
            "classes": list(NAMES),
            "grid": self.config.data.grid.to_dict(),
            "config": _plain(self.config.to_json()),
            "progress": vars(self.progress),
        }

    def save(self, path: Path) -> None:
        """Write beside and rename, so that a checkpoint is whole or not there."""
        body = {**self.header(), "weights": self.weights, "optimizer": self.optimizer, "scaler": self.scaler}
        beside = path.with_name(f".{path.name}.part")
        torch.save(body, beside)
        os.replace(beside, path)

    def export(self, path: Path) -> None:
        """Config and weights alone, as safetensors: to forecast with, on a processor without PyTorch."""
        weights = {name: tensor.contiguous() for name, tensor in self.weights.items()}
        save_file(weights, path, metadata={"format": "pt", "occworld": json.dumps(self.header())})

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """CheckpointError for a file that is missing, broken, unsafe or of another class table."""
        path = Path(path)
        body: Any = read_safetensors(path, "pt") if path.suffix == ".safetensors" else _read(path)
        config = config_of(body, path)
        try:
            weights = renamed(body["weights"])
            weights |= {name: torch.from_numpy(values) for name, values in later(weights, config).items()}
            progress = TrainingState(**body["progress"])
            return cls(config, weights, progress, body.get("optimizer"), body.get("scaler"))
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"{path}: not a whole checkpoint ({error})") from error

    def model(self, where: Path) -> ForecastModel:
        """The model with its weights; CheckpointError as of `fill`."""
        model = build_model(self.config)
        self.fill(model, str(where))
        return model

    def fill(self, model: ForecastModel, where: str) -> None:
        """Weights into a model; CheckpointError where a tensor is missing or of another shape."""
        try:
            model.load_state_dict(self.weights)
        except RuntimeError as error:
            raise CheckpointError(f"{where}: {' '.join(str(error).split())}") from error


def build_model(config: Config) -> ForecastModel:
    """A fresh model for a config."""
    data = config.data
    rest = data.history_frames, data.future_frames, data.frame_period
    if isinstance(config.model, FaithfulConfig):  # the one place that chooses an architecture
        return FaithfulOccWorld(data.grid, config.model, *rest)
    return FastOccWorld(data.grid, config.model, *rest)


def load_weights(model: ForecastModel, path: Path) -> Intake:
    """Fill a model with what fits of a file: a checkpoint of ours, or the published OccWorld's for a faithful one."""
    if Path(path).suffix != ".safetensors" and looks_published(body := _read(Path(path))):
        try:
            return model.load_published(body)
        except ConfigError as error:
            raise CheckpointError(f"{path}: {error}") from None
    weights, own = Checkpoint.load(path).weights, model.state_dict()
    fits = {k: v for k, v in weights.items() if k in own and own[k].shape == v.shape}
    refused = [(k, "another shape" if k in own else "this model has no such part") for k in weights if k not in fits]
    if not fits:
        raise CheckpointError(f"{path}: none of its tensors fits this model")
    model.load_state_dict(fits, strict=False)
    return Intake(tuple(fits), tuple(refused), tuple(k for k in own if k not in fits))


def _read(path: Path) -> object:
    if not path.is_file():
        raise CheckpointError(f"no checkpoint {path}")
    try:
        return read_published(path)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path}: refused, it holds more than tensors and plain values") from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not a whole checkpoint ({str(error).splitlines()[0]})") from error


def _plain(values: dict) -> dict:
    return {k: _plain(v) if isinstance(v, dict) else list(v) if isinstance(v, tuple) else v for k, v in values.items()}
