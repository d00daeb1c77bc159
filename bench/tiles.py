"""A forecast beside copy, warp and warp-oracle on tiles, each a folder of sessions, with intervals by bootstrap.

`python -m bench.tiles CHECKPOINT TILE ... --windows 16`: per tile IoU and mIoU at each horizon, then how many times the
better of the baselines that is, and for each robot, and over all tiles, by resampling drives (of a drone and a rover)
within each tile. Two drives a tile leave intervals wide. With --truth-root FOLDER by what there was, not by what LiDAR
saw of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from occ_core.classes import NUM_CLASSES
from occ_core.session import find_sessions
from occworld import baselines
from occworld.checkpoint import Checkpoint
from occworld.dataset import GazeboOccWorldDataset, Window
from occworld.evaluator import evenly
from occworld.forecast_model import ForecastModel
from occworld.metrics import HorizonScore, confusion, score
from occworld.scene import Scene

METHODS = ("forecast", "copy", "warp", "forecast with the plan", "warp-oracle")
VOXELS = ("all voxels", "voxels that LiDAR has seen")
_RESAMPLES = 200
_AVERAGED = (1, 3, 5)  # 1, 2, 3 s


@dataclass(frozen=True)
class Drive:
    """A session's sums. seed: of the drive that it belongs to. matrices: (methods, steps, 2, classes, classes) int64,
    the third axis all voxels and those that LiDAR has seen."""

    tile: str
    robot: str
    seed: int
    matrices: np.ndarray


def judge(model: ForecastModel, data: GazeboOccWorldDataset, tile: Path, windows: int) -> list[Drive]:
    """Each session of a tile over its share of so many windows, evenly spread."""
    seeds = {session.name: session.info.seed for session in find_sessions(tile)}
    sums: dict[str, np.ndarray] = {}
    for index in tqdm(evenly(len(data), windows), desc=tile.name, unit="window", leave=False, disable=None):
        window = data[index]
        shape = (len(METHODS), model.steps, len(VOXELS), NUM_CLASSES, NUM_CLASSES)
        sums.setdefault(window.session, np.zeros(shape, np.int64))
        _add(sums[window.session], model, window)
    return [Drive(tile.name, name.split("_")[0], seeds[name], matrices) for name, matrices in sums.items()]


def _add(sums: np.ndarray, model: ForecastModel, window: Window) -> None:
    grid, t, steps = model.grid, window.history, model.steps
    now = window.frames[t - 1].dense(grid.shape)
    blind, planned = (model.forecast(Scene.of(grid, window, plan)).frames for plan in (False, True))
    said = (
        [frame.classes for frame in blind],
        baselines.copy(now, steps),
        baselines.warp(grid, now, window.footprint[:t], steps),
        [frame.classes for frame in planned],
        baselines.warp_oracle(grid, now, window.motion[t:]),
    )
    for step in range(steps):
        truth = window.future[step].dense(grid.shape)
        for method, frames in enumerate(said):
            sums[method, step, 0] += confusion(frames[step], truth)
            sums[method, step, 1] += confusion(frames[step], truth, window.observed[t + step])


def scores(drives: list[Drive], voxels: int) -> list[list[HorizonScore]]:
    """By method, then by step."""
    total = sum(drive.matrices[:, :, voxels] for drive in drives)
    return [[score(total[m, s], 0.5 * (s + 1)) for s in range(total.shape[1])] for m in range(len(METHODS))]


def ratios(drives: list[Drive], voxels: int, name: str) -> np.ndarray:
    """(4,): least over the horizons, and of the means over 1, 2, 3 s: times the better of copy and warp; and, with the
    plan, times warp-oracle."""
    blind, copy, warp, planned, oracle = (
        np.array([getattr(row, name) or 0.0 for row in rows]) for rows in scores(drives, voxels)
    )
    floor, chosen = np.maximum(copy, warp), list(_AVERAGED)
    better = max(copy[chosen].mean(), warp[chosen].mean())
    return np.array(
        [(blind / floor).min(), blind[chosen].mean() / better, (planned / oracle).min(),
         planned[chosen].mean() / oracle[chosen].mean()]
    )  # fmt: skip


def interval(drives: list[Drive], of: Callable[[list[Drive]], float]) -> tuple[float, float]:
    """95% of a number over drives drawn again within each tile, as many as there are."""
    generator = np.random.default_rng(0)
    tiles = {tile: sorted({d.seed for d in drives if d.tile == tile}) for tile in sorted({d.tile for d in drives})}
    found = []
    for _ in range(_RESAMPLES):
        drawn = [(tile, seed) for tile, seeds in tiles.items() for seed in generator.choice(seeds, len(seeds))]
        found.append(of([drive for key in drawn for drive in drives if (drive.tile, drive.seed) == key]))
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def tile_table(drives: list[Drive], voxels: int) -> str:
    """IoU and mIoU of each method at each horizon, in per cent."""
    rows = ["| | method | 0.5 s | 1 s | 1.5 s | 2 s | 2.5 s | 3 s |", "|---|---|---|---|---|---|---|---|"]
    found = scores(drives, voxels)
    for title, name in (("IoU", "iou"), ("mIoU", "miou"), ("moving things", "dynamic_iou")):
        for method, row in zip(METHODS, found, strict=True):
            cells = [getattr(each, name) for each in row]
            text = " | ".join("-" if cell is None else f"{100 * cell:.1f}" for cell in cells)
            rows.append(f"| {title} | {method} | {text} |")
    return "\n".join(rows)


def ratio_row(title: str, drives: list[Drive], voxels: int) -> str:
    """A line of the table of ratios."""
    cells = [f"{value:.2f}" for name in ("iou", "miou") for value in ratios(drives, voxels, name)]
    return f"| {title} | {' | '.join(cells)} |"


def _mean_over_tiles(voxels: int, name: str, which: int) -> Callable[[list[Drive]], float]:
    def of(drives: list[Drive]) -> float:
        tiles = {drive.tile for drive in drives}
        return float(np.mean([ratios([d for d in drives if d.tile == t], voxels, name)[which] for t in tiles]))

    return of


def report(drives: list[Drive]) -> str:
    """All tables."""
    tiles = list(dict.fromkeys(drive.tile for drive in drives))
    parts = []
    for tile in tiles:
        own = [drive for drive in drives if drive.tile == tile]
        parts += [f"**{tile}, {kind}, %**\n\n{tile_table(own, voxels)}" for voxels, kind in enumerate(VOXELS)]
    heads = ["IoU least", "IoU 1-3 s", "IoU least, plan", "IoU 1-3 s, plan"]
    heads += [head.replace("IoU", "mIoU") for head in heads]
    for voxels, kind in enumerate(VOXELS):
        rows = [f"| times the better baseline, {kind} | {' | '.join(heads)} |", "|---" * 9 + "|"]
        rows += [ratio_row(tile, [d for d in drives if d.tile == tile], voxels) for tile in tiles]
        rows += [
            ratio_row(f"{tile}, {robot}", own, voxels)
            for tile in tiles
            for robot in ("drone", "rover")
            if (own := [d for d in drives if d.tile == tile and d.robot == robot])
        ]
        for name, place in (("iou", 1), ("miou", 1), ("iou", 3), ("miou", 3)):
            of = _mean_over_tiles(voxels, name, place)
            low, high = interval(drives, of)
            plan = ", with the plan" if place == 3 else ""
            rows.append(f"\n{name} 1-3 s, mean of the tiles{plan}: {of(drives):.3f} ({low:.3f} to {high:.3f})")
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="bench.tiles", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("tiles", type=Path, nargs="+", help="folders of sessions, one a tile")
    parser.add_argument(
        "--truth-root", type=Path, help="holds a folder of each tile's name: the same drives as `ground_truth`"
    )
    parser.add_argument("--windows", type=int, default=16, help="of each tile, evenly spread (default: %(default)s)")
    args = parser.parse_args()
    checkpoint = Checkpoint.load(args.checkpoint)
    model = checkpoint.model(args.checkpoint)
    model.eval()
    drives: list[Drive] = []
    for tile in args.tiles:
        truth = args.truth_root / tile.name if args.truth_root else None
        data = GazeboOccWorldDataset(tile, replace(checkpoint.config.data, split="all"), truth)
        drives += judge(model, data, tile, args.windows)
    print(report(drives))


if __name__ == "__main__":
    main()
