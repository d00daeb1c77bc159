"""The forecast beside copy, warp and warp-oracle on held-out windows."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from occworld import baselines
from occworld import motion as motions
from occworld.dataset import GazeboOccWorldDataset
from occworld.metrics import HorizonScore, OccupancyScores, PathScores
from occworld.model.forecast import forecast
from occworld.model.occworld import OccWorld
from occworld.model.scene import Scene

METHODS = ("forecast", "copy", "warp", "warp_oracle")


@dataclass(frozen=True)
class Evaluation:
    """scores: one HorizonScore per step and method. paths: errors in metres. latency_s: median of a forecast."""

    windows: int
    condition: str
    scores: dict[str, list[HorizonScore]]
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


def evaluate(model: OccWorld, data: GazeboOccWorldDataset, limit: int | None = None) -> Evaluation:
    """Leaves the model in eval mode."""
    model.eval()
    period, steps = model.frame_period, model.steps
    occupancy = {name: OccupancyScores(period, steps) for name in METHODS}
    paths = {name: PathScores(period) for name in ("forecast", "constant_velocity")}
    planned = model.config.condition == "poses"
    latencies = []
    for index in tqdm(evenly(len(data), limit), desc="evaluating", unit="window", leave=False):
        window = data[index]
        t = window.history
        scene = Scene.of(model.grid, window, model.config.motion_compensation, planned)
        start = time.perf_counter()
        result = forecast(model, scene)
        latencies.append(time.perf_counter() - start)
        current, future = window.frames[t - 1].dense(model.grid.shape), window.motion[t:]
        grids = {
            "forecast": [frame.classes for frame in result.frames],
            "copy": baselines.copy(current, steps),
            "warp": baselines.warp(model.grid, current, window.footprint[:t], steps),
            "warp_oracle": baselines.warp_oracle(model.grid, current, future),
        }
        for step in range(steps):
            truth = window.frames[t + step].dense(model.grid.shape)
            for name in METHODS:
                occupancy[name].add(step, grids[name][step], truth)
        paths["forecast"].add(result.motion, future)
        paths["constant_velocity"].add(motions.extrapolate(window.footprint[:t], steps), future)
    return Evaluation(
        windows=len(latencies),
        condition=model.config.condition,
        scores={name: sums.scores() for name, sums in occupancy.items()},
        paths={name: errors.report() for name, errors in paths.items()},
        latency_s=float(np.median(latencies)),
    )
