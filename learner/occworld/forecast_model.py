"""What training, evaluation, export and the live node ask of a model, whatever its architecture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from occ_core.grid import VoxelGrid
from occworld.dataset import Batch
from occworld.losses import Losses
from occworld.scene import Scene, SceneForecast

if TYPE_CHECKING:
    from occworld.config import TrainingConfig
    from occworld.dataset import GazeboOccWorldDataset
    from occworld.fast.numpy_model import NumpyOccWorld


@dataclass(frozen=True)
class Intake:
    """taken: names of ours that were filled. refused: the file's names and why. missing: names of ours left fresh."""

    taken: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]

    def report(self) -> str:
        """A few lines for the log: how many tensors were taken, and each that was not with the reason."""
        lines = [f"{len(self.taken)} tensors taken, {len(self.refused)} not, {len(self.missing)} of ours stay fresh"]
        lines += [f"  not taken: {name}: {why}" for name, why in self.refused]
        lines += [f"  fresh: {name}: not in the file" for name in self.missing]
        return "\n".join(lines)


class Objective(Protocol):
    """A module that wraps a model, so that one forward call gives the losses of either stage."""

    def __call__(self, batch: Batch, stage: int) -> Losses:
        """stage: 1 reconstructs, 2 forecasts."""


class ForecastModel(Protocol):
    """A torch module that forecasts occupancy.

    config: its architecture and widths; `config.condition` says whether it is given the plan. history, steps: frames in
    and out, frame_period seconds apart. conditions: those that it may be asked for.
    """

    grid: VoxelGrid
    config: Any
    history: int
    steps: int
    frame_period: float

    @property
    def tokenizer(self) -> nn.Module:
        """Frames to codes: stage 1."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""

    @property
    def conditions(self) -> tuple[str, ...]:
        """'none' (the plan is not known), 'poses' (it is), or both."""

    def freeze(self, vae: bool, transformer: bool, pose: bool) -> None:
        """Which parts stay as they are in stage 2."""

    def recompute(self) -> None:
        """Activations are computed again in the backward pass from now on; ConfigError where that can't be."""

    def objective(self, training: TrainingConfig, class_weights: np.ndarray) -> nn.Module:
        """What the model is trained on, an `Objective`. class_weights: (classes,) float32."""

    def calibrate(self, data: GazeboOccWorldDataset, limit: int | None) -> None:
        """Fit what is set after training, such as thresholds, on at most `limit` windows. Leaves eval mode on."""

    def load_published(self, body: object) -> Intake:
        """Take what fits of the published OccWorld's `latest.pth`; ConfigError where the architecture is another."""

    def forecast(self, scene: Scene) -> SceneForecast:
        """All steps of one scene. Model in eval mode."""

    def forecasts(self, scenes: list[Scene]) -> Iterator[SceneForecast]:
        """All steps of each scene, as soon as they are made. Model in eval mode."""

    def without_torch(self) -> NumpyOccWorld | None:
        """The same model as it is now, to forecast on a processor without PyTorch; None where it can't."""

    # Of torch.nn.Module.
    def eval(self) -> Any:
        """Set evaluation mode."""

    def to(self, device: Any) -> Any:
        """Move the weights."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """All weights."""

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Whether weights learn."""

    def state_dict(self) -> dict[str, Tensor]:
        """Weights and buffers by name."""

    def load_state_dict(self, state_dict: Any, strict: bool = True) -> Any:
        """Fill weights and buffers."""
