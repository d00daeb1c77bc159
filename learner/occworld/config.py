"""Typed configuration, read from a plain Python file; a name that nothing reads is an error."""

from __future__ import annotations

import ast
import runpy
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from occ_core.grid import FRAME_PERIOD_S, FUTURE_FRAMES, HISTORY_FRAMES, TOKYO_GRID, VoxelGrid
from occworld.model_config import ConfigError, FaithfulConfig, FastConfig, ModelConfig
from occworld.typed import build

__all__ = ["Config", "ConfigError", "FaithfulConfig", "FastConfig", "ModelConfig", "TrainingConfig", "read_config"]


@dataclass(frozen=True)
class DatasetConfig:
    """Which windows of which sessions. agent_type: 'both', 'drone' or 'rover'. split: 'train', 'val', 'test' (as
    `split.json` says) or 'all'. suspect: also sessions whose `session.json` says why they are not to be trusted.
    unwell: also windows in which the robot was upside down, tilted, falling or stuck, or saw nothing."""

    history_frames: int = HISTORY_FRAMES
    future_frames: int = FUTURE_FRAMES
    agent_type: str = "both"
    point_cloud_range: tuple[float, ...] = (*TOKYO_GRID.lower, *TOKYO_GRID.upper)
    voxel_size: tuple[float, ...] = TOKYO_GRID.voxel
    frame_period: float = FRAME_PERIOD_S
    split: str = "all"
    val_fraction: float = 0.2
    split_seed: int = 42
    suspect: bool = False
    unwell: bool = False

    def __post_init__(self) -> None:
        if self.agent_type not in ("both", "drone", "rover"):
            raise ValueError(f"agent_type is 'both', 'drone' or 'rover', got '{self.agent_type}'")
        if self.split not in ("train", "val", "test", "all"):
            raise ValueError(f"split is 'train', 'val', 'test' or 'all', got '{self.split}'")
        if self.history_frames < 2 or self.future_frames < 1:
            raise ValueError("a window needs at least two history frames and one future frame")
        if len(self.point_cloud_range) != 6 or len(self.voxel_size) != 3:
            raise ValueError("point_cloud_range has six numbers and voxel_size three")

    @cached_property
    def grid(self) -> VoxelGrid:
        """The voxel grid that the sessions must have."""
        x0, y0, z0, x1, y1, z1 = self.point_cloud_range
        dx, dy, dz = self.voxel_size
        return VoxelGrid((x0, y0, z0), (x1, y1, z1), (dx, dy, dz))


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW. grad_clip: largest gradient norm."""

    type: str = "AdamW"
    lr: float = 1e-4
    weight_decay: float = 0.01
    grad_clip: float = 5.0

    def __post_init__(self) -> None:
        if self.type != "AdamW":
            raise ConfigError(f"optimizer.type is 'AdamW', got '{self.type}'")


@dataclass(frozen=True)
class ScheduleConfig:
    """Cosine annealing to min_lr after warmup_iters steps of linear warm-up."""

    policy: str = "CosineAnnealing"
    min_lr: float = 1e-6
    warmup: str = "linear"
    warmup_iters: int = 100

    def __post_init__(self) -> None:
        if (self.policy, self.warmup) != ("CosineAnnealing", "linear"):
            raise ConfigError("lr_config is policy 'CosineAnnealing' with warmup 'linear'")


@dataclass(frozen=True)
class EvaluationConfig:
    """interval: epochs. windows: of val, at most, that an evaluation inside training looks at."""

    interval: int = 5
    windows: int = 16


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how.

    tokenizer_epochs: epochs of stage 1, which come before max_epochs of stage 2. tokenizer_share: part of a
    wall-clock budget that stage 1 may use. accumulate: batches per step of the optimizer. horizons_per_step,
    voxel_samples, column_samples: what a step looks at. precision: 'fp32', 'bf16', or 'fp16', which on a CPU is fp32.
    recompute: the faithful model computes activations again in the backward pass instead of keeping them (less memory,
    more time).
    plan_share: part of the windows for which the fast model is given the poses to come, so that it can do either way.
    checkpoint_minutes: a resumable checkpoint is written at least this often. freeze_vae, freeze_transformer,
    freeze_pose: parts that stage 2 leaves as they are. observed_only: the fast model's forecasts are judged only in
    voxels that LiDAR has seen in the frame to come.
    """

    max_epochs: int = 50
    tokenizer_epochs: int = 10
    tokenizer_share: float = 0.25
    batch_size: int = 1
    accumulate: int = 1
    horizons_per_step: int = 2
    voxel_samples: int = 16384
    column_samples: int = 2048
    plan_share: float = 0.5
    num_workers: int = 0
    precision: str = "fp32"
    recompute: bool = False
    checkpoint_minutes: float = 10.0
    seed: int = 42
    freeze_vae: bool = True
    freeze_transformer: bool = False
    freeze_pose: bool = False
    observed_only: bool = False

    def __post_init__(self) -> None:
        if self.precision not in ("fp32", "fp16", "bf16"):
            raise ConfigError(f"training.precision is 'fp32', 'fp16' or 'bf16', got '{self.precision}'")
        for name in ("batch_size", "accumulate"):
            if getattr(self, name) < 1:
                raise ConfigError(f"training.{name} is at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class Config:
    """Everything that a run depends on. load_from: weights to begin with, ours or the published OccWorld's. truth_root:
    sessions of the same drives as `ground_truth`, if those are what is to be forecast."""

    data_root: str = "data/tokyo_gazebo"
    truth_root: str = ""
    load_from: str = ""
    data: DatasetConfig = field(default_factory=DatasetConfig)
    model: ModelConfig = field(default_factory=FaithfulConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    lr_config: ScheduleConfig = field(default_factory=ScheduleConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def to_json(self) -> dict:
        """Plain values for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict, where: str) -> Config:
        """The inverse of `to_json`; ConfigError names an unknown or mistyped key and the nearest valid one."""
        return build(cls, values, where)


_PLAIN = (bool, int, float, str, list, tuple, dict, type(None))
# Names that the training guide puts at the top level of a config file, and the section that they belong to.
TOP_LEVEL = {
    "point_cloud_range": "data",
    "voxel_size": "data",
    "history_frames": "data",
    "future_frames": "data",
    "max_epochs": "training",
}


def read_config(path: Path) -> Config:
    """Run a config file; its `config`, else its plain names. ConfigError where it is missing or a name is wrong."""
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"no config file {path}")
    try:
        names = runpy.run_path(str(path))
    except Exception as error:
        raise ConfigError(f"{path}: {type(error).__name__}: {error}") from error
    if isinstance(names.get("config"), Config):  # a file that derives its configuration from another's
        return names["config"]
    known = {f.name for f in fields(Config)} | {*TOP_LEVEL, "fp16"}
    # What a config file imports is no setting; plain values are, and so is whatever bears a setting's name.
    values = {k: v for k, v in names.items() if k in known or (not k.startswith("_") and isinstance(v, _PLAIN))}
    if "fp16" in values:
        if not isinstance(values["fp16"], bool):
            raise ConfigError(f"{path}: 'fp16' is True or False, got {values['fp16']!r}")
        values["training"] = {**values.get("training", {}), "precision": "fp16" if values.pop("fp16") else "fp32"}
    for name, section in TOP_LEVEL.items():
        if name in values:
            values[section] = {**values.get(section, {}), name: values.pop(name)}
    return Config.from_json(values, str(path))


def with_overrides(config: Config, **overrides: Any) -> Config:
    """Command-line values over a config: seed, batch_size, lr, max_epochs, data_root; None changes nothing."""
    given = {key: value for key, value in overrides.items() if value is not None}
    training = {k: v for k, v in given.items() if k in ("seed", "batch_size", "max_epochs")}
    config = replace(config, training=replace(config.training, **training))
    if "lr" in given:
        config = replace(config, optimizer=replace(config.optimizer, lr=given["lr"]))
    return replace(config, data_root=str(given["data_root"])) if "data_root" in given else config


def with_settings(config: Config, settings: list[str]) -> Config:
    """A config with some fields set as on a command line: `optimizer.lr=3e-4`, `data_root=DIR`, `max_epochs=3`.

    A value is read as Python's, and as text where it is none. Another `model.architecture` begins with the defaults of
    that one. ConfigError for what is no setting, and for a value of the wrong type.
    """
    values: dict[str, Any] = config.to_json()
    for setting in settings:
        name, equals, text = setting.partition("=")
        section, _, key = name.strip().rpartition(".")
        if not equals or not key:
            raise ConfigError(f"--set {setting}: SECTION.FIELD=VALUE is wanted, such as optimizer.lr=3e-4")
        section = section or TOP_LEVEL.get(key, "")
        value = _value(text.strip())
        if not section:
            values[key] = value
        elif name == "model.architecture" and value != values["model"]["architecture"]:
            values["model"] = {"architecture": value}
        else:
            values[section] = {**_section(values, section, setting), key: value}
    return Config.from_json(values, "--set")


def _section(values: dict[str, Any], section: str, setting: str) -> dict[str, Any]:
    sections = [name for name, value in values.items() if isinstance(value, dict)]
    if section not in sections:
        raise ConfigError(f"--set {setting}: there is no section '{section}', only {', '.join(sections)}")
    return values[section]


def _value(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
