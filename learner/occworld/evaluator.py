"""The forecast beside copy, warp and warp-oracle on held-out windows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from occ_core.progress import Steps
from occ_core.sparse_grid import SparseGrid
from occworld import baselines
from occworld import motion as motions
from occworld.collisions import CollisionScores
from occworld.dataset import GazeboOccWorldDataset, Window
from occworld.instances import PanopticScores, followed_segments, true_segments
from occworld.metrics import HorizonScore, OccupancyScores, PathScores
from occworld.scene import Scene

if TYPE_CHECKING:
    from occworld.forecast_model import ForecastModel

METHODS = ("forecast", "copy", "warp", "warp_oracle")
PATHS = ("forecast", "constant_velocity", "true_path")
AVERAGED_S = (1.0, 2.0, 3.0)


@dataclass(frozen=True)
class Evaluation:
    """scores, observed: per method one HorizonScore a step, over all voxels and over those that LiDAR has seen.
    average: per method iou and miou, the mean of those at 1, 2 and 3 s. vpq: of moving things, None where none moved.
    paths: errors in metres and collision rates. latency_s: median of a forecast."""

    windows: int
    condition: str
    scores: dict[str, list[HorizonScore]]
    observed: dict[str, list[HorizonScore]]
    average: dict[str, dict[str, float]]
    vpq: dict[str, float | None]
    paths: dict[str, dict[str, float]]
    latency_s: float

    @property
    def quality(self) -> float:
        """Mean of IoU and mIoU over horizons: what `best.pth` is best in."""
        rows = self.scores["forecast"]
        return float(np.mean([row.iou + row.miou for row in rows]) / 2)

    def beats(self, baseline: str) -> bool:
        """Is the forecast's IoU above a baseline's at every horizon?"""
        pairs = zip(self.scores["forecast"], self.scores[baseline], strict=True)
        return all(ours.iou > theirs.iou for ours, theirs in pairs)


def evenly(count: int, limit: int | None) -> list[int]:
    """At most `limit` of `count` indices, evenly spread."""
    if limit is None or limit >= count:
        return list(range(count))
    return [int(i) for i in np.linspace(0, count - 1, limit).round()]


class Tally:
    """Sums of every measure over windows."""

    def __init__(self, period: float, steps: int) -> None:
        self._steps = steps
        self.everywhere, self.observed = ({m: OccupancyScores(period, steps) for m in METHODS} for _ in range(2))
        self.panoptic = {method: PanopticScores() for method in METHODS}
        self.paths = {name: PathScores(period) for name in PATHS}
        self.collisions = {name: CollisionScores(period) for name in PATHS}

    def add(self, model: ForecastModel, window: Window, forecast: list[np.ndarray], path: np.ndarray) -> None:
        """forecast: uint8 (X, Y, Z) per step. path: (steps, 4), its footprints in the current one."""
        grid, t = model.grid, window.history
        current, future = window.frames[t - 1].dense(grid.shape), window.motion[t:]
        constant = motions.extrapolate(window.footprint[:t], self._steps)
        grids = {
            "forecast": forecast,
            "copy": baselines.copy(current, self._steps),
            "warp": baselines.warp(grid, current, window.footprint[:t], self._steps),
            "warp_oracle": baselines.warp_oracle(grid, current, future),
        }
        truths = [frame.dense(grid.shape) for frame in window.future]
        for method in METHODS:
            for step, truth in enumerate(truths):
                self.everywhere[method].add(step, grids[method][step], truth)
                self.observed[method].add(step, grids[method][step], truth, window.observed[t + step])
        places = {"forecast": path, "copy": np.zeros_like(constant), "warp": constant, "warp_oracle": future}
        instances = [true_segments(frame) for frame in window.future]
        for method, scores in self.panoptic.items():
            scores.begin_window()
            frames = [SparseGrid.from_dense(classes) for classes in grids[method]]
            said = followed_segments(grid, frames, places[method])
            for ours, theirs in zip(said, instances, strict=True):
                scores.add(ours, theirs)
        heights = window.pose_13d[t:, 2] - window.footprint[t:, 2]
        for name, track in zip(PATHS, (path, constant, future), strict=True):
            self.paths[name].add(track, future)
            self.collisions[name].add(grid, truths, track, future, heights)


def evaluate(model: ForecastModel, data: GazeboOccWorldDataset, limit: int | None = None) -> Evaluation:
    """Leaves the model in eval mode."""
    model.eval()
    tally = Tally(model.frame_period, model.steps)
    latencies = []
    for index in Steps(evenly(len(data), limit), desc="evaluating", unit="window", leave=False):
        window = data[index]
        scene = Scene.of(model.grid, window, model.config.condition == "poses")
        start = time.perf_counter()
        result = model.forecast(scene)
        latencies.append(time.perf_counter() - start)
        tally.add(model, window, [frame.classes for frame in result.frames], result.motion)
    scores = {name: sums.scores() for name, sums in tally.everywhere.items()}
    return Evaluation(
        windows=len(latencies),
        condition=model.config.condition,
        scores=scores,
        observed={name: sums.scores() for name, sums in tally.observed.items()},
        average={name: _average(rows) for name, rows in scores.items()},
        vpq={name: sums.quality() for name, sums in tally.panoptic.items()},
        paths={name: {**tally.paths[name].report(), **tally.collisions[name].report()} for name in PATHS},
        latency_s=float(np.median(latencies)),
    )


def _average(rows: list[HorizonScore]) -> dict[str, float]:
    chosen = [row for row in rows if any(abs(row.horizon_s - s) < 1e-6 for s in AVERAGED_S)] or rows

    def mean(of: Callable[[HorizonScore], float]) -> float:
        return float(np.mean([of(row) for row in chosen]))

    return {"iou": mean(lambda row: row.iou), "miou": mean(lambda row: row.miou)}
