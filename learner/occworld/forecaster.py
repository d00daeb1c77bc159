"""Forecasts from a checkpoint: what a live node or a notebook calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from occ_core.frame import VehicleState
from occ_core.grid import VoxelGrid
from occ_core.poses import Pose
from occ_core.sparse_grid import SparseGrid
from occworld import motion as motions
from occworld.checkpoint import Checkpoint, CheckpointError
from occworld.forecast_model import ForecastModel
from occworld.scene import ForecastFrame, Scene


@dataclass(frozen=True)
class Forecast:
    """horizons_s: seconds ahead. frames: one per horizon, each in the footprint forecast for it. path: (steps, 3) x y
    yaw of those in the current `base_footprint`. path_z: (steps,) metres, their heights."""

    horizons_s: tuple[float, ...]
    frames: tuple[ForecastFrame, ...]
    path: np.ndarray
    path_z: np.ndarray

    @property
    def classes(self) -> tuple[np.ndarray, ...]:
        """uint8 (X, Y, Z) of each horizon."""
        return tuple(frame.classes for frame in self.frames)

    @property
    def probability(self) -> tuple[np.ndarray, ...]:
        """float16 (X, Y, Z) of each horizon, of being occupied."""
        return tuple(frame.probability for frame in self.frames)


@dataclass(frozen=True)
class ObservedPast:
    """What a forecast starts from, oldest first. frames: voxels, each in its own footprint. states: at the same times.

    planned: footprints to come in map, for a forecast that is given the plan; as many as there are steps.
    """

    frames: tuple[SparseGrid, ...]
    states: tuple[VehicleState, ...]
    planned: tuple[Pose, ...] | None = None


@dataclass(frozen=True)
class Forecaster:
    """A model ready to be called. precision: of its matrix products; other than float32 on CUDA only."""

    model: ForecastModel
    precision: torch.dtype = torch.float32

    @classmethod
    def load(
        cls, checkpoint: Path, device: str = "cpu", grid: VoxelGrid | None = None, precision: str = "float32"
    ) -> Forecaster:
        """CheckpointError with a sentence for a file that can't be used or was made for another grid or class table.

        grid: that it has to be made for; None: its own will do.

        device: as torch names it, or `auto`: CUDA where there is one. precision: float32, bfloat16, float16, or `auto`:
        bfloat16 on CUDA, float32 elsewhere. ValueError for a device that is not there and for a precision that it is
        not made for.
        """
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise ValueError(f"device '{device}': PyTorch finds no CUDA device here, 'auto' or 'cpu' is wanted")
        if precision == "auto":
            precision = "bfloat16" if device.startswith("cuda") else "float32"
        if precision != "float32" and device == "cpu":
            raise ValueError(f"precision '{precision}' is for CUDA, on a CPU 'auto' or 'float32' is wanted")
        loaded = Checkpoint.load(checkpoint)
        if grid is not None and loaded.config.data.grid != grid:
            made = loaded.config.data.grid.to_dict()
            raise CheckpointError(f"{checkpoint}: made for another grid ({made}), this one is {grid.to_dict()}")
        return cls(loaded.model(checkpoint).to(device).eval(), getattr(torch, precision))

    @property
    def device(self) -> str:
        """Where the model is."""
        return str(next(self.model.parameters()).device)

    @property
    def history(self) -> int:
        """Frames that a call needs."""
        return self.model.history

    @property
    def horizons_s(self) -> tuple[float, ...]:
        """Seconds ahead of the grids that a call returns."""
        return tuple(self.model.frame_period * (i + 1) for i in range(self.model.steps))

    def __call__(
        self, history: list[np.ndarray], states: list[VehicleState], planned: list[Pose] | None = None
    ) -> Forecast:
        """history: uint8 (X, Y, Z) per frame, each in its own footprint, oldest first. states: of the same instants.

        planned: footprints to come in map, for a forecast that is given the plan; as many as there are steps.
        """
        for grid in history:
            if grid.shape != self.model.grid.shape or grid.dtype != np.uint8:
                raise ValueError(f"a grid is uint8 {self.model.grid.shape}, got {grid.dtype} {grid.shape}")
        frames = tuple(SparseGrid.from_dense(grid) for grid in history)
        (only,) = self.batch([ObservedPast(frames, tuple(states), None if planned is None else tuple(planned))])
        return only

    def batch(self, pasts: list[ObservedPast]) -> Iterator[Forecast]:
        """One forecast for each, in their order, as soon as it is made: a grid of six steps is 87 MB.

        What can be done for all together is. ValueError for a past of another length.
        """
        return self._forecasts([self._scene(past) for past in pasts])

    def _forecasts(self, scenes: list[Scene]) -> Iterator[Forecast]:
        results = iter(self.model.forecasts(scenes))
        device = next(self.model.parameters()).device.type
        for _ in scenes:
            with torch.autocast(device, self.precision, enabled=self.precision != torch.float32):
                result = next(results)
            yield Forecast(
                horizons_s=self.horizons_s,
                frames=result.frames,
                path=result.motion[:, [0, 1, 3]],
                path_z=result.motion[:, 2],
            )

    def warm_up(self, robots: int = 1) -> None:
        """Forecast from next to nothing: kernels are compiled and memory is taken before anyone waits."""
        here = VehicleState(0.0, Pose.identity(), np.zeros(3), np.zeros(3), Pose.identity())
        voxels = np.arange(0, self.model.grid.size, 997, dtype=np.int32)
        frame = SparseGrid(voxels, np.ones(len(voxels), np.uint8), np.zeros(len(voxels), np.uint16))
        for _ in self.batch([ObservedPast((frame,) * self.history, (here,) * self.history)] * robots):
            pass

    def _scene(self, past: ObservedPast) -> Scene:
        if len(past.frames) != self.history or len(past.states) != self.history:
            got = f"{len(past.frames)} and {len(past.states)}"
            raise ValueError(f"a forecast needs {self.history} grids and states, got {got}")
        if past.planned is not None and len(past.planned) != self.model.steps:
            raise ValueError(f"a plan has {self.model.steps} poses, got {len(past.planned)}")
        footprint = np.array([motions.from_pose(state.footprint) for state in past.states])
        plan = None
        if past.planned is not None:
            plan = motions.between(footprint[-1], np.array([motions.from_pose(pose) for pose in past.planned]))
        return Scene(
            grid=self.model.grid,
            frames=past.frames,
            footprint=footprint,
            pose_13d=np.array([state.pose_13d for state in past.states]),
            planned=plan,
        )
