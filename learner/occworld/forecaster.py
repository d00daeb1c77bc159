"""Forecasts from a checkpoint: what a live node or a notebook calls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from occ_core.frame import VehicleState
from occ_core.grid import TOKYO_GRID, VoxelGrid
from occ_core.poses import Pose
from occworld import motion as motions
from occworld.checkpoint import Checkpoint, CheckpointError, Model
from occworld.model.scene import Scene
from occworld.packed import SparseFrame


@dataclass(frozen=True)
class Forecast:
    """horizons_s: seconds ahead. classes: uint8 (X, Y, Z) and probability: float16 (X, Y, Z) of being occupied, one per
    horizon, each in the footprint forecast for it. path: (steps, 3) x y yaw of those in the current `base_footprint`.
    path_z: (steps,) metres, their heights."""

    horizons_s: tuple[float, ...]
    classes: tuple[np.ndarray, ...]
    probability: tuple[np.ndarray, ...]
    path: np.ndarray
    path_z: np.ndarray


@dataclass(frozen=True)
class Forecaster:
    """A model ready to be called."""

    model: Model

    @classmethod
    def load(cls, checkpoint: Path, device: str = "cpu", grid: VoxelGrid = TOKYO_GRID) -> Forecaster:
        """CheckpointError with a sentence for a file that can't be used or was made for another grid or class table.

        device: as torch names it, or `auto`: CUDA where there is one.
        """
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        loaded = Checkpoint.load(checkpoint)
        if loaded.config.data.grid != grid:
            made = loaded.config.data.grid.to_dict()
            raise CheckpointError(f"{checkpoint}: made for another grid ({made}), this one is {grid.to_dict()}")
        return cls(loaded.model(checkpoint).to(device).eval())

    @property
    def device(self) -> str:
        """Where the model is."""
        return str(next(self.model.parameters()).device)

    @property
    def history(self) -> int:
        """Frames that a call needs."""
        return self.model.history

    def __call__(
        self, history: list[np.ndarray], states: list[VehicleState], planned: list[Pose] | None = None
    ) -> Forecast:
        """history: uint8 (X, Y, Z) per frame, each in its own footprint, oldest first. states: of the same instants.

        planned: footprints to come in map, for a forecast that is given the plan; as many as there are steps.
        """
        self._check(history, states, planned)
        footprint = np.array([motions.from_pose(state.footprint) for state in states])
        plan = None
        if planned is not None:
            plan = motions.between(footprint[-1], np.array([motions.from_pose(pose) for pose in planned]))
        scene = Scene(
            grid=self.model.grid,
            frames=tuple(SparseFrame.from_dense(grid) for grid in history),
            footprint=footprint,
            pose_13d=np.array([state.pose_13d for state in states]),
            planned=plan,
        )
        result = self.model.forecast(scene)
        return Forecast(
            horizons_s=tuple(self.model.frame_period * (i + 1) for i in range(self.model.steps)),
            classes=tuple(frame.classes for frame in result.frames),
            probability=tuple(frame.probability for frame in result.frames),
            path=result.motion[:, [0, 1, 3]],
            path_z=result.motion[:, 2],
        )

    def _check(self, history: list[np.ndarray], states: list[VehicleState], planned: list[Pose] | None) -> None:
        if len(history) != self.history or len(states) != self.history:
            raise ValueError(f"a forecast needs {self.history} grids and states, got {len(history)} and {len(states)}")
        for grid in history:
            if grid.shape != self.model.grid.shape or grid.dtype != np.uint8:
                raise ValueError(f"a grid is uint8 {self.model.grid.shape}, got {grid.dtype} {grid.shape}")
        if planned is not None and len(planned) != self.model.steps:
            raise ValueError(f"a plan has {self.model.steps} poses, got {len(planned)}")
