"""Forecasts from a checkpoint: what a live node or a notebook calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from ctypes import CDLL
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from occ_core.frame import VehicleState
from occ_core.grid import VoxelGrid
from occ_core.poses import Pose
from occ_core.sparse_grid import SparseGrid
from occworld import motion as motions
from occworld.checkpoint_file import CheckpointError, config_of, later, read_safetensors, renamed
from occworld.fast.numpy_layers import WeightsError
from occworld.fast.numpy_model import NumpyOccWorld
from occworld.model_config import FastConfig
from occworld.scene import ForecastFrame, Scene

if TYPE_CHECKING:
    from occworld.forecast_model import ForecastModel

_AMD = Path("/dev/kfd")


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
    """A model ready to be called. precision: of its matrix products; on CUDA also bfloat16 or float16."""

    model: ForecastModel | NumpyOccWorld
    precision: str = "float32"

    @classmethod
    def load(
        cls, checkpoint: Path, device: str = "cpu", grid: VoxelGrid | None = None, precision: str = "float32"
    ) -> Forecaster:
        """CheckpointError with a sentence for a file that can't be used or was made for another grid or class table.

        grid: that it has to be made for; None: its own will do.

        device: as torch names it, or `auto`: CUDA where there is one. precision: float32, bfloat16, float16, or `auto`:
        bfloat16 on CUDA, float32 elsewhere. ValueError for a device that is not there and for a precision that it is
        not made for.

        An exported model of the fast architecture needs no PyTorch on a processor, and does not load it.
        """
        if device == "auto":
            device = "cuda" if _finds_cuda() else "cpu"
        elif device.startswith("cuda") and not _finds_cuda():
            raise ValueError(f"device '{device}': PyTorch finds no CUDA device here, 'auto' or 'cpu' is wanted")
        if precision == "auto":
            precision = "bfloat16" if device.startswith("cuda") else "float32"
        if precision != "float32" and device == "cpu":
            raise ValueError(f"precision '{precision}' is for CUDA, on a CPU 'auto' or 'float32' is wanted")
        checkpoint = Path(checkpoint)
        exported = device == "cpu" and checkpoint.suffix == ".safetensors"
        model = (_without_torch(checkpoint) if exported else None) or _by_torch(checkpoint, device)
        if grid is not None and model.grid != grid:
            made = model.grid.to_dict()
            raise CheckpointError(f"{checkpoint}: made for another grid ({made}), this one is {grid.to_dict()}")
        return cls(model, precision)

    @property
    def device(self) -> str:
        """Where the model is."""
        return str(self.model.device)

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
        with self._in_precision():
            results = self.model.forecasts(scenes)
        for _ in scenes:
            with self._in_precision():
                result = next(results)
            yield Forecast(
                horizons_s=self.horizons_s,
                frames=result.frames,
                path=result.motion[:, [0, 1, 3]],
                path_z=result.motion[:, 2],
            )

    def _in_precision(self) -> AbstractContextManager[object]:
        if self.precision == "float32":
            return nullcontext()
        import torch

        return torch.autocast(self.device.partition(":")[0], getattr(torch, self.precision))

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


def _finds_cuda() -> bool:
    """Does PyTorch find a device of NVIDIA's, or of AMD's by the same name? It is not loaded, which takes long, where
    neither driver is."""
    if not _AMD.exists():
        try:
            CDLL("libcuda.so.1")
        except OSError:
            return False
    import torch

    return torch.cuda.is_available()


def _without_torch(checkpoint: Path) -> NumpyOccWorld | None:
    """Of an exported model; None for the faithful architecture, which has no other layers than PyTorch's."""
    body = read_safetensors(checkpoint, "numpy")
    config = config_of(body, checkpoint)
    if body is None or not isinstance(config.model, FastConfig):
        return None
    weights, data = renamed(body["weights"]), config.data
    try:
        return NumpyOccWorld(
            data.grid, config.model, data.history_frames, data.future_frames, data.frame_period,
            weights | later(weights, config),
        )  # fmt: skip
    except WeightsError as error:
        raise CheckpointError(f"{checkpoint}: {error}") from error


def _by_torch(checkpoint: Path, device: str) -> ForecastModel | NumpyOccWorld:
    """Read by PyTorch; what needs it no longer goes on without."""
    from occworld.checkpoint import Checkpoint

    model = Checkpoint.load(checkpoint).model(checkpoint).to(device).eval()
    return model.without_torch() or model if device == "cpu" else model
