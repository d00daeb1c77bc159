"""What a checkpoint holds, whoever reads it: plain tensors and JSON-able values. Needs no PyTorch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from occ_core.classes import NAMES
from occworld.config import Config, ConfigError
from occworld.fast.candidates import GATE
from occworld.hindcast import HINDCASTS, KINDS, SIGNS, STRATA
from occworld.model_config import FastConfig

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


def config_of(body: object, path: Path) -> Config:
    """The configuration of what was read from a file. CheckpointError for what is none of ours, broken, or made for
    another class table."""
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not a checkpoint of this learner, or of another version of it")
    try:
        if tuple(body["classes"]) != NAMES:
            raise CheckpointError(f"{path}: made for another class table: {', '.join(body['classes'])}")
        config = Config.from_json(body["config"], str(path))
        if body["grid"] != config.data.grid.to_dict():
            raise CheckpointError(f"{path}: its grid and its config disagree")
    except (KeyError, TypeError, ConfigError) as error:
        raise CheckpointError(f"{path}: not a whole checkpoint ({error})") from error
    return config


def read_safetensors(path: Path, framework: str) -> dict[str, Any] | None:
    """The header of an exported model, and its tensors as `weights`; None for a file of somebody else's. framework:
    'pt' for tensors of PyTorch, 'numpy'. CheckpointError for a file that is missing or broken."""
    if not path.is_file():
        raise CheckpointError(f"no checkpoint {path}")
    try:
        with safe_open(path, framework=framework) as file:
            header = json.loads((file.metadata() or {}).get("occworld", "null"))
            weights = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: not a whole checkpoint ({error})") from error
    return {**header, "weights": weights} if isinstance(header, dict) else None


def renamed(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Weights by the names that tensors have now."""
    named = {}
    for name, tensor in weights.items():
        for pattern, now in _RENAMED:
            name = re.sub(pattern, now, name)
        named[name] = tensor
    return named


def later(weights: Mapping[str, Any], config: Config) -> dict[str, np.ndarray]:
    """What a fast model of before hindcasts lacks, giving them no weight, so that it forecasts what it did, and its
    gate as it would be now. weights: by the names of now, of any framework."""
    if not isinstance(config.model, FastConfig) or "head.threshold" not in weights:
        return {}
    rows, classes = weights["head.threshold"].shape
    gate = np.array(GATE, np.float32)
    fresh = {
        "head.gate": np.tile(gate, (rows, STRATA, 1)),
        "head.prior_gate": np.tile(gate, (rows, 2, 1)),
        "head.named_right": np.zeros((rows, classes), np.float32),
        "head.missed": np.ones((rows, classes), np.float32),
        "head.naming": np.ones(rows, np.float32),
        "decoder.foretold": np.zeros((config.model.base_channel, HINDCASTS, 1, 1), np.float32),
    }
    lacking = {name: values for name, values in fresh.items() if name not in weights}
    if "head.gate" in weights and weights["head.gate"].shape[2] == 3:
        lacking["head.gate"] = _gate_by_signs(np.asarray(weights["head.gate"]))
    return lacking


def _gate_by_signs(gate: np.ndarray) -> np.ndarray:
    """(rows, STRATA, SIGNS + 1) of a gate that has, of four kinds, a bias, a scale and how much the past is trusted."""
    of_kind = [0, 1, 1, 2, 3, 3]  # whether a voxel was there before as well was not asked
    kinds = gate.reshape(len(gate), -1, 4, 3)[:, :, of_kind].reshape(len(gate), STRATA, 3)
    out = np.zeros((len(gate), STRATA, SIGNS + 1), np.float32)
    out[:, :, 0], out[:, :, SIGNS], out[:, :, 1] = kinds[..., 0], kinds[..., 1], kinds[..., 2]
    out[:, ::KINDS, 1] = 0  # of what nothing foretold there was no record
    return out
