"""Which voxels are drawn and in what colour: by class, by horizon, by side, or by what a forecast got right."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from occ_core.classes import COLOURS
from occ_core.poses import Pose
from occworld_infer.viewer.snapshot import PlacedVoxels, PredictedFrame

Rgb = tuple[int, int, int]
NOW_COLOUR: Rgb = (150, 156, 166)


class Verdict(Enum):
    """What became of a voxel. The value is its colour; blue and red differ for colour-blind eyes too."""

    HIT = (126, 208, 150)
    MISSED = (56, 116, 246)
    FALSE = (238, 84, 48)


@dataclass(frozen=True)
class Cubes:
    """centres: (n, 3) float32 metres in `frame`. colours: (n, 3) uint8 sRGB. frame: pose in map."""

    centres: np.ndarray
    colours: np.ndarray
    frame: Pose


def by_class(voxels: PlacedVoxels) -> Cubes:
    """Every voxel in the colour of its class."""
    return Cubes(voxels.centres, COLOURS[voxels.labels], voxels.frame)


def verdicts(forecast: PlacedVoxels, truth: PlacedVoxels) -> dict[Verdict, np.ndarray]:
    """Voxel numbers by verdict. As IoU counts them: voxel by voxel, each grid in its own frame."""
    return {
        Verdict.HIT: np.intersect1d(forecast.numbers, truth.numbers, assume_unique=True),
        Verdict.MISSED: np.setdiff1d(truth.numbers, forecast.numbers, assume_unique=True),
        Verdict.FALSE: np.setdiff1d(forecast.numbers, truth.numbers, assume_unique=True),
    }


def by_verdict(forecast: PlacedVoxels, truth: PlacedVoxels) -> Cubes:
    """A forecast against what then really was, drawn in the frame of the truth."""
    found = verdicts(forecast, truth)
    numbers = np.concatenate(list(found.values()))
    colours = np.repeat(np.array([v.value for v in found], np.uint8), [len(n) for n in found.values()], axis=0)
    both = PlacedVoxels(truth.grid, truth.frame, numbers, np.zeros(len(numbers), np.uint8))
    return Cubes(both.centres, colours, truth.frame)


def by_side(forecast: PlacedVoxels, truth: PlacedVoxels, split: float) -> Cubes:
    """What came on the left of a plane along the robot's way, what had been forecast on the right, in the colours of
    the classes and in the frame of the truth. split: the plane's metres to the left of the footprint."""
    came, foreseen = truth.centres, forecast.centres
    left, right = came[:, 1] > split, foreseen[:, 1] <= split
    labels = np.concatenate([truth.labels[left], forecast.labels[right]])
    return Cubes(np.concatenate([came[left], foreseen[right]]), COLOURS[labels], truth.frame)


def by_horizon(now: PlacedVoxels, forecast: PredictedFrame, last: float) -> Cubes:
    """What is there now in grey, and what each horizon up to `last` adds to it, from yellow to violet.

    A voxel counts as added where map has none of an earlier horizon: within a voxel of its centre.
    """
    to_now = now.frame.inverse()
    there = set(now.numbers.tolist())
    centres, colours = [now.centres], [np.tile(np.array(NOW_COLOUR, np.uint8), (len(now), 1))]
    for horizon, voxels in zip(forecast.horizons_s, forecast.voxels, strict=True):
        if horizon > last + 1e-3:
            break
        points = (to_now @ voxels.frame).apply(voxels.centres)
        numbers = now.grid.numbers(points)
        new = np.array([number >= 0 and number not in there for number in numbers.tolist()], dtype=bool)
        there.update(numbers[new].tolist())
        centres.append(points[new].astype(np.float32))
        colours.append(np.tile(np.array(horizon_colour(horizon, forecast.horizons_s[-1]), np.uint8), (new.sum(), 1)))
    return Cubes(np.concatenate(centres), np.concatenate(colours), now.frame)


def horizon_colour(horizon: float, last: float) -> Rgb:
    """From yellow for soon to violet for the last horizon."""
    stops = np.array([(252, 200, 40), (240, 110, 60), (190, 50, 120), (96, 40, 170)], float)
    at = np.clip(horizon / last, 0, 1) * (len(stops) - 1)
    red, green, blue = (np.interp(at, np.arange(len(stops)), stops[:, channel]) for channel in range(3))
    return round(red), round(green), round(blue)
