"""A sweep's returns: which of them are any, put where they were measured, in `map`, and thinned to carry along."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from occ_core.pose_buffer import PoseBuffer
from occ_core.poses import Pose

MIN_RANGE_M = 0.1
"""Nearer than any LiDAR measures: drivers write what did not come back as zeros, some moved by a calibration."""
MAX_RANGE_M = 10_000.0
"""Further than any LiDAR measures, but for numbers such as FLT_MAX, which stand for nothing."""
# Poses of a turn are taken so close to each other that none is off by more than a millimetre at 100 m/s.
_TURN_STEP_S = 2e-5

# One return in each cube of 0.2 m is enough to fill voxels twice as large, and four times fewer to carry along.
_CUBES_PER_M = 5.0


@dataclass(frozen=True)
class VehicleBox:
    """A part of a vehicle. pose: of the box's centre in base_link. size: (3,) full lengths along its axes, metres."""

    pose: Pose
    size: np.ndarray


@dataclass(frozen=True)
class PointFilter:
    """Which returns are of the world. min_range: metres from the sensor. body: boxes that the vehicle itself fills."""

    min_range: float = MIN_RANGE_M
    body: tuple[VehicleBox, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.min_range < MAX_RANGE_M:
            raise ValueError(f"min_range is in [0, {MAX_RANGE_M:.0f}) metres, got {self.min_range}")

    def usable(self, points: np.ndarray, at_base: np.ndarray | None, mount: Pose) -> np.ndarray:
        """(n,) bool: finite, neither a zero nor out of any range, and not on the vehicle.

        points: (n, 3) in the sensor's frame. at_base: the same in base_link, where the sensor moved; else by `mount`.
        """
        nearest = max(self.min_range, float(np.finfo(np.float32).tiny))
        kept = np.empty(len(points), dtype=np.bool_)
        to_boxes = [box.pose.inverse() @ mount if at_base is None else box.pose.inverse() for box in self.body]
        _usable(
            points,
            points if at_base is None else at_base,
            nearest,
            MAX_RANGE_M,
            np.array([pose.rotation for pose in to_boxes]).reshape(-1, 3, 3),
            np.array([pose.position for pose in to_boxes]).reshape(-1, 3),
            np.array([np.asarray(box.size) / 2 for box in self.body], dtype=np.float64).reshape(-1, 3),
            kept,
        )
        return kept


def undistorted(points: np.ndarray, times: np.ndarray, path: PoseBuffer) -> tuple[np.ndarray, np.ndarray]:
    """Points that a moving frame measured one after the other, in its parent frame.

    points: (n, 3) metres, each in the frame at its time. times: (n,) seconds, stamps of `path`. Returns (n, 3) float64
    and (n,) bool: whether the path was known at a point's time; where it was not, the point is NaN.
    """
    known = (times >= path.first) & (times <= path.last)
    placed = np.full((len(points), 3), np.nan)
    if known.any():
        begin, end = float(times[known].min()), float(times[known].max())
        steps = int(np.ceil((end - begin) / _TURN_STEP_S)) + 1
        grid = np.linspace(begin, end, steps)
        positions, rotations = path.batch(grid)
        spacing = (end - begin) / (steps - 1) if steps > 1 else 1.0
        _carry(np.asarray(points), times, known, begin, spacing, positions, rotations, placed)
    return placed, known


def in_map(points: np.ndarray, sensor: Pose) -> np.ndarray:
    """The finite ones of points in `map`. points: (n, 3) metres in the frame of `sensor`. Returns (m, 3) float64."""
    placed = np.empty((len(points), 3))
    count = _place(points, sensor.rotation, sensor.position, placed)
    return placed[:count]


def downsampled(points: np.ndarray) -> np.ndarray:
    """Indices, rising, of the first point in each cube of a lattice. points: (n, 3) float64, finite, metres, map."""
    # Open addressing, at most half full.
    table = np.full(1 << int(2 * len(points) + 1).bit_length(), -1, dtype=np.int64)
    kept = np.empty(len(points), dtype=np.int64)
    return kept[: _thin(points, table, kept)]


@numba.njit(cache=True, nogil=True)
def _usable(points, placed, nearest, furthest, rotations, translations, halves, kept):
    for n in range(len(points)):
        x, y, z = np.float64(points[n, 0]), np.float64(points[n, 1]), np.float64(points[n, 2])
        squared = x * x + y * y + z * z  # NaN and infinity compare as false
        kept[n] = squared >= nearest * nearest and squared <= furthest * furthest
        if not kept[n]:
            continue
        x, y, z = np.float64(placed[n, 0]), np.float64(placed[n, 1]), np.float64(placed[n, 2])
        for b in range(len(halves)):
            inside = True
            for axis in range(3):
                along = rotations[b, axis, 0] * x + rotations[b, axis, 1] * y + rotations[b, axis, 2] * z
                inside = inside and abs(along + translations[b, axis]) <= halves[b, axis]
            if inside:
                kept[n] = False
                break


@numba.njit(cache=True, nogil=True)
def _carry(points, times, known, begin, spacing, positions, rotations, placed):
    for n in range(len(points)):
        if not known[n]:
            continue
        k = int(np.rint((times[n] - begin) / spacing))
        x, y, z = np.float64(points[n, 0]), np.float64(points[n, 1]), np.float64(points[n, 2])
        for axis in range(3):
            turned = rotations[k, axis, 0] * x + rotations[k, axis, 1] * y + rotations[k, axis, 2] * z
            placed[n, axis] = turned + positions[k, axis]


@numba.njit(cache=True, nogil=True)
def _place(points, rotation, translation, placed):
    count = 0
    for n in range(len(points)):
        x, y, z = points[n, 0], points[n, 1], points[n, 2]
        if np.isfinite(x) and np.isfinite(y) and np.isfinite(z):
            for axis in range(3):
                turned = rotation[axis, 0] * x + rotation[axis, 1] * y + rotation[axis, 2] * z
                placed[count, axis] = turned + translation[axis]
            count += 1
    return count


@numba.njit(cache=True, nogil=True)
def _thin(points, table, kept):
    count = 0
    last = len(table) - 1
    for n in range(len(points)):
        i, j, k = (
            np.floor(points[n, 0] * _CUBES_PER_M),
            np.floor(points[n, 1] * _CUBES_PER_M),
            np.floor(points[n, 2] * _CUBES_PER_M),
        )
        # Primes of Teschner et al., "Optimized Spatial Hashing", 2003.
        slot = (np.int64(i) * 73856093 ^ np.int64(j) * 19349663 ^ np.int64(k) * 83492791) & last
        while table[slot] >= 0:
            m = table[slot]
            if (
                np.floor(points[m, 0] * _CUBES_PER_M) == i
                and np.floor(points[m, 1] * _CUBES_PER_M) == j
                and np.floor(points[m, 2] * _CUBES_PER_M) == k
            ):
                break
            slot = (slot + 1) & last
        if table[slot] < 0:
            table[slot] = n
            kept[count] = n
            count += 1
    return count
