"""Checkpoints: plain tensors and JSON-able values, read without running anything that a file may hold."""

from __future__ import annotations

import json
import os
import pickle
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from occ_core.classes import NAMES
from occworld.config import Config, ConfigError
from occworld.faithful.model import FaithfulOccWorld
from occworld.faithful.published import looks_published, read_published
from occworld.fast.model import FastOccWorld
from occworld.fast.voxel_head import GATE
from occworld.forecast_model import ForecastModel, Intake
from occworld.hindcast import HINDCASTS, KINDS, SIGNS, STRATA
from occworld.model_config import FaithfulConfig, FastConfig

FORMAT = 2
# Names of tensors that older checkpoints have otherwise: (pattern, name now).
_RENAMED = (
    (r"(\.(?:temporal\.\d+|spatial))\.qkv\.", r"\1.attention.inward."),
    (r"(\.(?:temporal\.\d+|spatial))\.out\.", r"\1.attention.out."),
    (r"(\.(?:temporal_ffn\.\d+|spatial_ffn))\.net\.0\.", r"\1.norm."),
    (r"(\.(?:temporal_ffn\.\d+|spatial_ffn))\.net\.1\.", r"\1.ffn.inward."),
    (r"(\.(?:temporal_ffn\.\d+|spatial_ffn))\.net\.3\.", r"\1.ffn.out."),
)


class CheckpointError(Exception):
    """A checkpoint that can't be used: which file, and why."""


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

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """CheckpointError for a file that is missing, broken, unsafe or of another class table."""
        path = Path(path)
        body = _read_safetensors(path) if path.suffix == ".safetensors" else _read(path)
        if not isinstance(body, dict) or body.get("format") != FORMAT:
            raise CheckpointError(f"{path}: not a checkpoint of this learner, or of another version of it")
        try:
            if tuple(body["classes"]) != NAMES:
                raise CheckpointError(f"{path}: made for another class table: {', '.join(body['classes'])}")
            config = Config.from_json(body["config"], str(path))
            if body["grid"] != config.data.grid.to_dict():
                raise CheckpointError(f"{path}: its grid and its config disagree")
            progress = TrainingState(**body["progress"])
            weights = _completed(_renamed(body["weights"]), config)
            return cls(config, weights, progress, body.get("optimizer"), body.get("scaler"))
        except (KeyError, TypeError, ConfigError) as error:
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


def _read_safetensors(path: Path) -> object:
    if not path.is_file():
        raise CheckpointError(f"no checkpoint {path}")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("occworld", "null"))
            weights = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not a whole checkpoint ({error})") from error
    return {**header, "weights": weights} if isinstance(header, dict) else None


def _renamed(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights by the names that tensors have now."""
    named = {}
    for name, tensor in weights.items():
        for pattern, now in _RENAMED:
            name = re.sub(pattern, now, name)
        named[name] = tensor
    return named


def _completed(weights: dict[str, torch.Tensor], config: Config) -> dict[str, torch.Tensor]:
    """A fast model of before hindcasts gives them no weight; it forecasts what it did."""
    if not isinstance(config.model, FastConfig) or "head.threshold" not in weights:
        return weights
    later = {
        "head.gate": torch.tensor(GATE).repeat(len(weights["head.threshold"]), STRATA, 1),
        "head.prior_gate": torch.tensor(GATE).repeat(len(weights["head.threshold"]), 2, 1),
        "head.named_right": torch.zeros_like(weights["head.threshold"]),
        "head.missed": torch.ones_like(weights["head.threshold"]),
        "head.naming": torch.ones(len(weights["head.threshold"])),
        "decoder.foretold": torch.zeros(config.model.base_channel, HINDCASTS, 1, 1),
    }
    completed = {**later, **weights}
    if completed["head.gate"].shape[2] == 3:
        completed["head.gate"] = _gate_by_signs(completed["head.gate"])
    return completed


def _gate_by_signs(gate: torch.Tensor) -> torch.Tensor:
    """(rows, STRATA, SIGNS + 1) of a gate that has, of four kinds, a bias, a scale and how much the past is trusted."""
    of_kind = torch.tensor([0, 1, 1, 2, 3, 3])  # whether a voxel was there before as well was not asked
    bias, scale, trust = gate.reshape(len(gate), -1, 4, 3)[:, :, of_kind].reshape(len(gate), STRATA, 3).unbind(2)
    out = torch.zeros(len(gate), STRATA, SIGNS + 1)
    out[:, :, 0], out[:, :, 1], out[:, :, SIGNS] = bias, trust, scale
    out[:, ::KINDS, 1] = 0  # of what nothing foretold there was no record
    return out


def _plain(values: dict) -> dict:
    return {k: _plain(v) if isinstance(v, dict) else list(v) if isinstance(v, tuple) else v for k, v in values.items()}
