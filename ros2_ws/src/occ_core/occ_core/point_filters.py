"""A sweep's returns: which of them are any, put where they were measured, in `map`, and thinned to carry along."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occ_core.loops import compiled
from occ_core.pose_buffer import PoseBuffer
from occ_core.poses import Pose

MIN_RANGE_M = 0.1
"""Nearer than any LiDAR measures: drivers write what did not come back as zeros, some moved by a calibration."""
MAX_RANGE_M = 10_000.0
"""Further than any LiDAR measures, but for numbers such as FLT_MAX, which stand for nothing."""
_MARGIN_M = 1e-3
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

    def at(self, mount: Pose | None) -> ReturnTest:
        """The test of points in the frame of a sensor at `mount` in base_link; None: of points in base_link."""
        to_boxes = [box.pose.inverse() if mount is None else box.pose.inverse() @ mount for box in self.body]
        ends = [np.linalg.norm(pose.inverse().position) for pose in to_boxes]
        reach = [end + np.linalg.norm(box.size) / 2 for end, box in zip(ends, self.body, strict=True)]
        return ReturnTest(
            max(self.min_range, float(np.finfo(np.float32).tiny)),
            float(max(reach, default=-1.0)) + _MARGIN_M,
            np.array([pose.rotation for pose in to_boxes]).reshape(-1, 3, 3),
            np.array([pose.position for pose in to_boxes]).reshape(-1, 3),
            np.array([np.asarray(box.size) / 2 for box in self.body], dtype=np.float64).reshape(-1, 3),
        )

    def usable(self, points: np.ndarray, at_base: np.ndarray | None, mount: Pose) -> np.ndarray:
        """(n,) bool: finite, neither a zero nor out of any range, and not on the vehicle.

        points: (n, 3) in the sensor's frame. at_base: the same in base_link, where the sensor moved; else by `mount`.
        """
        return self.at(mount).usable(points) if at_base is None else self.at(None).usable(points, at_base)


@dataclass(frozen=True)
class ReturnTest:
    """A filter as compiled code takes it. nearest: metres. reach: from the origin, beyond which there is no box of the
    vehicle, metres. rotations (b, 3, 3), translations (b, 3): into its boxes. halves: (b, 3) of their lengths."""

    nearest: float
    reach: float
    rotations: np.ndarray
    translations: np.ndarray
    halves: np.ndarray

    def usable(self, points: np.ndarray, placed: np.ndarray | None = None) -> np.ndarray:
        """(n,) bool of points (n, 3) in the sensor's frame. placed: the same in the frame of the boxes, if another."""
        kept = np.empty(len(points), dtype=np.bool_)
        body = self.reach, self.rotations, self.translations, self.halves
        _usable(points, points if placed is None else placed, self.nearest, MAX_RANGE_M, *body, kept)
        return kept

    def rows(self, rows: np.ndarray) -> np.ndarray:
        """The usable ones of rows (n, 4) float32 x y z intensity."""
        kept = self.usable(rows[:, :3])
        out = np.empty((len(rows), rows.shape[1]), rows.dtype)
        return out[: _gather(rows, kept, out)]


_ALL = PointFilter(0.0).at(None)


class MapThinning:
    """Returns of a sweep in `map`, the first in each cube of a lattice, in one go.

    Keeps its memory from sweep to sweep: to get megabytes from the system each time takes as long as to fill them.
    """

    def __init__(self) -> None:
        self._table = np.zeros(0, np.int32)  # of cubes by open addressing, at most half full: -1 where none is
        self._cubes, self._placed = np.zeros((0, 4), np.int32), np.zeros((0, 3))

    def thinned(self, points: np.ndarray, sensor: Pose, returns: ReturnTest | None = None) -> np.ndarray:
        """As `in_map` of what is usable, and of that what `downsampled` leaves. Returns (m, 3) float64.

        points: (n, 3 or more) metres in the frame of `sensor`. returns: which are any; all finite ones by default.
        """
        if 2 * len(points) >= len(self._table):
            self._table = np.full(1 << int(2 * len(points) + 1).bit_length(), -1, dtype=np.int32)
            most = len(self._table) // 2  # that later sweeps may have before the table is made anew
            self._cubes, self._placed = np.empty((most, 4), np.int32), np.empty((most, 3))
        test = _ALL if returns is None else returns
        furthest = np.inf if returns is None else MAX_RANGE_M
        count = _place_thinned(
            points, sensor.rotation, sensor.position, 0.0 if returns is None else test.nearest, furthest,
            test.reach, test.rotations, test.translations, test.halves, self._table, self._cubes, self._placed,
        )  # fmt: skip
        return self._placed[:count].copy()


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


@compiled(inline="always")
def _in_range(x, y, z, nearest, furthest):
    squared = x * x + y * y + z * z  # NaN and infinity compare as false
    return squared >= nearest * nearest and squared <= furthest * furthest


@compiled(inline="always")
def _on_vehicle(x, y, z, reach, rotations, translations, halves):
    if x * x + y * y + z * z > reach * reach:
        return False
    for b in range(len(halves)):
        inside = True
        for axis in range(3):
            along = rotations[b, axis, 0] * x + rotations[b, axis, 1] * y + rotations[b, axis, 2] * z
            inside = inside and abs(along + translations[b, axis]) <= halves[b, axis]
        if inside:
            return True
    return False


@compiled
def _usable(points, placed, nearest, furthest, reach, rotations, translations, halves, kept):
    for n in range(len(points)):
        x, y, z = np.float64(points[n, 0]), np.float64(points[n, 1]), np.float64(points[n, 2])
        kept[n] = _in_range(x, y, z, nearest, furthest)
        if kept[n]:
            x, y, z = np.float64(placed[n, 0]), np.float64(placed[n, 1]), np.float64(placed[n, 2])
            kept[n] = not _on_vehicle(x, y, z, reach, rotations, translations, halves)


@compiled
def _carry(points, times, known, begin, spacing, positions, rotations, placed):
    for n in range(len(points)):
        if not known[n]:
            continue
        k = int(np.rint((times[n] - begin) / spacing))
        x, y, z = np.float64(points[n, 0]), np.float64(points[n, 1]), np.float64(points[n, 2])
        for axis in range(3):
            turned = rotations[k, axis, 0] * x + rotations[k, axis, 1] * y + rotations[k, axis, 2] * z
            placed[n, axis] = turned + positions[k, axis]


@compiled
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


@compiled
def _gather(rows, kept, out):
    count = 0
    for n in range(len(rows)):
        if kept[n]:
            for column in range(rows.shape[1]):
                out[count, column] = rows[n, column]
            count += 1
    return count


@compiled
def _place_thinned(
    points, rotation, translation, nearest, furthest, reach, rotations, translations, halves, table, cubes, placed
):
    """table: int32, all -1, and so again at the end. cubes: int32 (n, 4), where each is, and in which slot."""
    count = 0
    last = len(table) - 1
    before_i = before_j = before_k = np.int64(0)
    for n in range(len(points)):
        px, py, pz = np.float64(points[n, 0]), np.float64(points[n, 1]), np.float64(points[n, 2])
        if not (np.isfinite(px) and np.isfinite(py) and np.isfinite(pz)):
            continue
        if not _in_range(px, py, pz, nearest, furthest):
            continue
        if _on_vehicle(px, py, pz, reach, rotations, translations, halves):
            continue
        x = rotation[0, 0] * px + rotation[0, 1] * py + rotation[0, 2] * pz + translation[0]
        y = rotation[1, 0] * px + rotation[1, 1] * py + rotation[1, 2] * pz + translation[1]
        z = rotation[2, 0] * px + rotation[2, 1] * py + rotation[2, 2] * pz + translation[2]
        i = np.int64(np.floor(x * _CUBES_PER_M))
        j = np.int64(np.floor(y * _CUBES_PER_M))
        k = np.int64(np.floor(z * _CUBES_PER_M))
        if count and i == before_i and j == before_j and k == before_k:
            continue  # as most of a ring's are
        before_i, before_j, before_k = i, j, k
        # Primes of Teschner et al., "Optimized Spatial Hashing", 2003.
        slot = (i * 73856093 ^ j * 19349663 ^ k * 83492791) & last
        while table[slot] >= 0:
            m = table[slot]
            if cubes[m, 0] == i and cubes[m, 1] == j and cubes[m, 2] == k:
                break
            slot = (slot + 1) & last
        if table[slot] < 0:
            table[slot] = count
            cubes[count, 0], cubes[count, 1], cubes[count, 2], cubes[count, 3] = i, j, k, slot
            placed[count, 0], placed[count, 1], placed[count, 2] = x, y, z
            count += 1
    for m in range(count):
        table[cubes[m, 3]] = -1
    return count


@compiled
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
