"""Polylines in the plane: arc length, offsets, smooth connections."""

from __future__ import annotations

import numpy as np

from tokyo_sim.traffic.shapes import length_along


def arc(line: np.ndarray) -> np.ndarray:
    """(n,) metres along a line (n, 2) at its points."""
    return length_along(line)


def points_at(line: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(m, 2) points of a line (n, 2) at distances (m,) along it."""
    length = arc(line)
    return np.column_stack([np.interp(at, length, line[:, axis]) for axis in (0, 1)])


def resample(line: np.ndarray, step: float) -> np.ndarray:
    """The line with points at equal distances of about `step`; its ends stay."""
    total = arc(line)[-1]
    return points_at(line, np.linspace(0, total, max(int(np.ceil(total / step)), 1) + 1))


def piece(line: np.ndarray, start: float, end: float, step: float) -> np.ndarray:
    """The line between two distances along it, resampled."""
    return points_at(line, np.linspace(start, end, max(int(np.ceil((end - start) / step)), 1) + 1))


def tangents(line: np.ndarray) -> np.ndarray:
    """(n, 2) unit directions at the points of a line."""
    along = np.gradient(line, axis=0)
    return along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)


def start_direction(line: np.ndarray) -> np.ndarray:
    """(2,) unit direction in which a line begins."""
    along = line[1] - line[0]
    return along / max(float(np.hypot(*along)), 1e-9)


def end_direction(line: np.ndarray) -> np.ndarray:
    """(2,) unit direction in which a line ends."""
    return -start_direction(line[:-3:-1])


def to_the_left(line: np.ndarray, distance: float) -> np.ndarray:
    """The line moved to its left by a distance, to its right by a negative one."""
    along = tangents(line)
    return line + distance * np.column_stack([-along[:, 1], along[:, 0]])


def sharpest(line: np.ndarray) -> float:
    """Largest curvature of a line of equally spaced points, 1/m."""
    if len(line) < 3:
        return 0.0
    heading = np.unwrap(np.arctan2(*np.diff(line, axis=0).T[::-1]))
    return float(np.abs(np.diff(heading)).max() / max(np.linalg.norm(line[1] - line[0]), 1e-6))


def sharpest_of_each(lines: list[np.ndarray]) -> np.ndarray:
    """`sharpest` of many lines, (l,) 1/m, in a tenth of the time."""
    out = np.zeros(len(lines))
    long = [number for number, line in enumerate(lines) if len(line) > 2]
    if not long:
        return out
    counts = np.array([len(lines[number]) for number in long])
    first = np.cumsum(counts) - counts
    along = np.diff(np.concatenate([lines[number] for number in long]), axis=0)
    bend = np.abs(np.diff(np.arctan2(along[:, 1], along[:, 0])))
    # What lies between two lines bends nowhere: the last two points of each line but the last.
    between = (first[1:, None] - (2, 1)).ravel()
    bend[between] = 0.0
    most = np.maximum.reduceat(bend, first)
    for number, bent in zip(long, most.tolist(), strict=True):
        line = lines[number]
        # A heading that passes the half turn has to be unwrapped.
        out[number] = sharpest(line) if bent >= np.pi else bent / max(np.linalg.norm(line[1] - line[0]), 1e-6)
    return out
