"""Typed configuration, read from a plain Python file; a name that nothing reads is an error."""

from __future__ import annotations

import difflib
import runpy
import typing
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from occworld.dataset import DatasetConfig


class ConfigError(Exception):
    """A configuration that can't be used: which key, in which file, and what to write instead."""


@dataclass(frozen=True)
class ModelConfig:
    """Widths and switches of OccWorld.

    patch: columns per side that the BEV fold joins. base_channel: channels of encoder and decoder. code_dim: width
    of a code. num_layers blocks of temporal_attn_layers temporal and one spatial attention of embed_dim and num_heads.
    column_dim: features per column after the decoder. voxel_hidden: width of the voxel head. motion_compensation:
    align history by ego motion and start from the warp baseline. condition: 'none' forecasts its own ego motion,
    'poses' is given the planned one.
    """

    class_dim: int = 8
    patch: int = 4
    base_channel: int = 64
    num_codes: int = 512
    code_dim: int = 64
    commitment: float = 0.25
    embed_dim: int = 64
    num_layers: int = 2
    temporal_attn_layers: int = 6
    num_heads: int = 8
    dropout: float = 0.1
    pose_hidden: int = 256
    pose_layers: int = 2
    column_dim: int = 32
    voxel_hidden: int = 32
    flow_channel: int = 16
    motion_compensation: bool = False
    condition: str = "none"

    def __post_init__(self) -> None:
        if self.condition not in ("none", "poses"):
            raise ConfigError(f"model.condition is 'none' or 'poses', got '{self.condition}'")
        if self.embed_dim % self.num_heads:
            raise ConfigError(f"model.embed_dim {self.embed_dim} is not a multiple of num_heads {self.num_heads}")


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW. grad_clip: largest gradient norm."""

    lr: float = 1e-4
    weight_decay: float = 0.01
    grad_clip: float = 5.0


@dataclass(frozen=True)
class ScheduleConfig:
    """Cosine annealing to min_lr after warmup_iters steps of linear warm-up."""

    min_lr: float = 1e-6
    warmup_iters: int = 100


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how.

    tokenizer_epochs: epochs of stage 1, which come before max_epochs of stage 2. tokenizer_share: part of a
    wall-clock budget that stage 1 may use. horizons_per_step, voxel_samples, column_samples: what a step looks at.
    evaluation_interval: epochs. evaluation_windows: windows of val that an evaluation inside training looks at.
    fp16: mixed precision where there is a GPU.
    """

    max_epochs: int = 50
    tokenizer_epochs: int = 10
    tokenizer_share: float = 0.25
    batch_size: int = 1
    horizons_per_step: int = 2
    voxel_samples: int = 16384
    column_samples: int = 2048
    evaluation_interval: int = 5
    evaluation_windows: int = 16
    num_workers: int = 0
    fp16: bool = False
    seed: int = 42
    freeze_vae: bool = True
    freeze_transformer: bool = False
    freeze_pose: bool = False


@dataclass(frozen=True)
class Config:
    """Everything that a run depends on."""

    data_root: str = "data/tokyo_gazebo"
    data: DatasetConfig = field(default_factory=DatasetConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    lr_config: ScheduleConfig = field(default_factory=ScheduleConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def to_json(self) -> dict:
        """Plain values for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict, where: str) -> Config:
        """The inverse of `to_json`; ConfigError names an unknown or mistyped key and the nearest valid one."""
        return _build(cls, values, "", where)


_PLAIN = (bool, int, float, str, list, tuple, dict, type(None))
# Names that the training guide puts at the top level of a config file, and the section that they belong to.
_TOP_LEVEL = {
    "point_cloud_range": "data",
    "voxel_size": "data",
    "history_frames": "data",
    "future_frames": "data",
    "max_epochs": "training",
    "fp16": "training",
}


def read_config(path: Path) -> Config:
    """Run a config file and read its names; ConfigError where the file is missing or a name is wrong."""
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"no config file {path}")
    try:
        names = runpy.run_path(str(path))
    except Exception as error:
        raise ConfigError(f"{path}: {type(error).__name__}: {error}") from error
    known = {f.name for f in fields(Config)} | set(_TOP_LEVEL)
    # What a config file imports is no setting; plain values are, and so is whatever bears a setting's name.
    values = {k: v for k, v in names.items() if k in known or (not k.startswith("_") and isinstance(v, _PLAIN))}
    for name, section in _TOP_LEVEL.items():
        if name in values:
            values[section] = {**values.get(section, {}), name: values.pop(name)}
    return Config.from_json(values, str(path))


def with_overrides(config: Config, **overrides: object) -> Config:
    """Command-line values over a config: seed, batch_size, lr, max_epochs, data_root; None changes nothing."""
    given = {key: value for key, value in overrides.items() if value is not None}
    training = {k: v for k, v in given.items() if k in ("seed", "batch_size", "max_epochs")}
    config = replace(config, training=replace(config.training, **training))
    if "lr" in given:
        config = replace(config, optimizer=replace(config.optimizer, lr=given["lr"]))
    return replace(config, data_root=str(given["data_root"])) if "data_root" in given else config


def _build(cls: type, values: dict, prefix: str, where: str):
    hints = typing.get_type_hints(cls)
    known = [f.name for f in fields(cls)]
    arguments = {}
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
            raise ConfigError(f"{where}: unknown key '{prefix}{key}', the nearest is '{prefix}{near}'")
        hint = hints[key]
        if hasattr(hint, "__dataclass_fields__"):
            if not isinstance(value, dict):
                raise ConfigError(f"{where}: '{prefix}{key}' is a dict of settings, got {value!r}")
            arguments[key] = _build(hint, value, f"{prefix}{key}.", where)
        else:
            arguments[key] = _checked(hint, value, f"{prefix}{key}", where)
    try:
        return cls(**arguments)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


def _checked(hint: type, value: object, name: str, where: str) -> object:
    origin = typing.get_origin(hint) or hint
    if origin is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(float(v) for v in value)
    if not isinstance(value, origin) or (origin is int and isinstance(value, bool)):
        raise ConfigError(f"{where}: '{name}' is of type {origin.__name__}, got {value!r}")
    return value
