"""A planned path against the forecast: where and when it first meets something, and how probably. No ROS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occworld_infer.costmap import ForecastMaps

_STEP_S = 0.1  # of a path between two looks: a car at 50 km/h goes 1.4 m
_LONGEST_M = 1000.0  # in the time of a forecast


@dataclass(frozen=True)
class TimedPath:
    """points: (n, 2) metres in map. times: (n,) seconds, ascending."""

    points: np.ndarray
    times: np.ndarray

    def __post_init__(self) -> None:
        if len(self.points) == 0:
            raise ValueError("a path without poses can't be checked")
        if not (np.isfinite(self.points).all() and np.isfinite(self.times).all()):
            raise ValueError("a path with numbers that are not finite can't be checked")

    @classmethod
    def of(cls, points: np.ndarray, stamps: np.ndarray, start: float, speed: float) -> TimedPath:
        """A path as planners give it. points: (n, 2) metres. stamps: (n,) seconds of its poses.

        Stamps that ascend are taken as they are; planners that give every pose the same one, or none, leave the time to
        who follows the path: then it begins at `start` and goes on at `speed`, metres per second.
        """
        if len(points) > 1 and (np.diff(stamps) > 0).all():
            return cls(points, stamps)
        lengths = np.hypot(*np.diff(points, axis=0).T)
        return cls(points, start + np.concatenate([[0.0], np.cumsum(lengths)])[: len(points)] / speed)

    def between(self, start: float, stop: float, spacing: float) -> TimedPath:
        """The part within two times, in steps of at most `spacing` metres and a tenth of a second. ValueError where
        none of it is within them."""
        begin, end = max(start, self.times[0]), min(stop, self.times[-1])
        if begin > end:
            raise ValueError(
                f"the path is from {self.times[0]:.2f} s to {self.times[-1]:.2f} s, the forecast from {start:.2f} s to"
                f" {stop:.2f} s: no part of it can be checked"
            )
        knots = self.times[(self.times > begin) & (self.times < end)]
        knots = np.unique(np.concatenate([[begin], knots, [end]]))
        places = self.at(knots)
        steps = np.hypot(*np.diff(places, axis=0).T) / spacing
        if (length := steps.sum() * spacing) > _LONGEST_M:
            raise ValueError(f"a path of {length:.0f} m in {end - begin:.1f} s can't be checked")
        counts = np.maximum(1, np.ceil(np.maximum(steps, np.diff(knots) / _STEP_S))).astype(int)
        pieces = [np.linspace(knots[i], knots[i + 1], n, endpoint=False) for i, n in enumerate(counts)]
        times = np.concatenate([*pieces, knots[-1:]])
        return TimedPath(self.at(times), times)

    def at(self, times: np.ndarray) -> np.ndarray:
        """(m, 2) places at times (m,)."""
        return np.stack([np.interp(times, self.times, self.points[:, axis]) for axis in range(2)], axis=1)


@dataclass(frozen=True)
class PathCheck:
    """contact: whether the path meets something. place: (2,) metres in map, and time, seconds, of the first contact;
    without one, the end of the part that was checked. probability: of the contact; without one, the greatest on the
    way. unknown: share of the part in which the robot would touch cells that nobody has seen, 0-1."""

    contact: bool
    place: np.ndarray
    time: float
    probability: float
    unknown: float


def check_path(maps: ForecastMaps, path: TimedPath, radius: float, least: float) -> PathCheck:
    """Follow a path through the forecast. radius: of the robot, metres. least: probability that is a contact.

    Between two horizons what is there at either counts. ValueError for a path that has no part in the forecast's time.
    """
    spacing = maps.lattice.cell / 2
    part = path.between(maps.stamp, maps.stamp + maps.horizons_s[-1], spacing)
    moments = maps.stamp + np.array([0.0, *maps.horizons_s])
    before = np.clip(np.searchsorted(moments, part.times + 1e-9, side="right") - 1, 0, len(moments) - 1)
    after = np.minimum(before + (part.times > moments[before] + 1e-9), len(moments) - 1)
    volume = np.concatenate([maps.now[None], maps.ahead])
    odds, unknown = np.zeros(len(part.times), np.float32), np.zeros(len(part.times), bool)
    for offset in _disc(radius, spacing):
        row, column, inside = maps.lattice.cells(part.points + offset)
        touched = np.maximum(volume[before, row, column], volume[after, row, column])
        touched = np.where(inside, touched, -1)
        unknown |= touched < 0
        np.maximum(odds, touched, out=odds)
    hits = np.flatnonzero(odds >= least)
    if len(hits):
        n = hits[0]
        return PathCheck(True, part.points[n], float(part.times[n]), float(odds[n]), float(unknown[: n + 1].mean()))
    return PathCheck(False, part.points[-1], float(part.times[-1]), float(odds.max()), float(unknown.mean()))


def _disc(radius: float, spacing: float) -> np.ndarray:
    """(n, 2) offsets that fill a disc, its rim among them."""
    reach = np.arange(-np.ceil(radius / spacing), np.ceil(radius / spacing) + 1) * spacing
    inner = np.stack(np.meshgrid(reach, reach), axis=-1).reshape(-1, 2)
    angles = np.linspace(0, 2 * np.pi, max(8, int(np.ceil(2 * np.pi * radius / spacing))), endpoint=False)
    rim = radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.concatenate([inner[np.hypot(*inner.T) <= radius], rim])
