"""What clouds say about the vehicle under them: how high its base is, and what of itself its LiDAR sees."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
from scipy.ndimage import label
from scipy.spatial import cKDTree

from occ_core.messages import cloud_points
from occ_core.point_filters import PointFilter, VehicleBox
from occ_core.poses import Pose
from occ_recorder.bags.reading import Bag

_SWEEPS, _FEWEST_SWEEPS = 24, 8  # that are looked at, spread over the bag
_NEAR_M, _FAR_M = 6.0, 40.0
_LONGEST_M = 5.0  # from the LiDAR to an end of the vehicle; what reaches further is a wall that is driven along
_ABOVE_GROUND_M = 0.3  # lower than that, rings on a level street stay where they are too
_STAYS_M, _STAYS_FAR_M = 0.08, 0.3
_STAYS_IN, _PASSES_IN = 0.95, 0.8  # of the sweeps
_MOST_FAR, _FEWEST_FAR, _FAR_THAT_STAYS = 2000, 50, 0.1
_THINNED_M = 0.05
_TOGETHER_M = 0.4
_FEWEST = 3
_MARGIN_M = 0.1


def height_above_ground(points: np.ndarray, sensor: np.ndarray) -> float | None:
    """How far the base is above the layer with the most returns below the LiDAR; None where there is none.

    points: (n, 3) of a sweep in the base, metres. sensor: (3,), where the LiDAR is in it.
    """
    distance = np.linalg.norm(points[:, :2], axis=1)
    below = points[(distance > 2.0) & (distance < 15.0) & (points[:, 2] < sensor[2] - 0.1), 2]
    if len(below) < 50:
        return None
    layers = np.floor(below / 0.05).astype(int)
    values, counts = np.unique(layers, return_counts=True)
    together = counts + np.interp(values - 1, values, counts, left=0) + np.interp(values + 1, values, counts, right=0)
    best = values[np.argmax(together)]
    return -float(np.median(below[np.abs(layers - best) <= 1]))


def seen_of_itself(
    bag: Bag, topic: str, mount: Pose, returns: PointFilter, unit: float = 1.0
) -> tuple[VehicleBox, ...]:
    """Boxes about returns that stay where they are in the base while all else goes by: the vehicle itself.

    () where none do, and where nothing tells them from the world: a robot that stands, or passes nothing. topic: of its
    clouds. mount: of the LiDAR in the base. returns: which are any. unit: metres of 1 in x, y and z.
    """
    sweeps = list(_spread(bag, topic, mount, returns, unit))
    if len(sweeps) < _FEWEST_SWEEPS:
        return ()
    sensor = mount.position
    height = height_above_ground(sweeps[0], sensor)
    middle = sweeps[len(sweeps) // 2]
    away = np.linalg.norm(middle[:, :2] - sensor[:2], axis=1)
    far = middle[(away > _NEAR_M) & (away < _FAR_M) & (middle[:, 2] > (-np.inf if height is None else 0.5 - height))]
    far = far[:: max(len(far) // _MOST_FAR, 1)]
    trees = [cKDTree(sweep) for sweep in sweeps]
    if (
        height is None
        or len(far) < _FEWEST_FAR
        or np.mean(_stays(far, trees, _STAYS_FAR_M, _PASSES_IN)) > _FAR_THAT_STAYS
    ):
        return ()
    near = middle[(away < _NEAR_M) & (middle[:, 2] > _ABOVE_GROUND_M - height)]
    _, first = np.unique(np.floor(near / _THINNED_M).astype(int), axis=0, return_index=True)
    near = near[np.sort(first)]
    return tuple(_boxes(near[_stays(near, trees, _STAYS_M, _STAYS_IN)], sensor))


def _spread(bag: Bag, topic: str, mount: Pose, returns: PointFilter, unit: float) -> Iterator[np.ndarray]:
    """(n, 3) returns in the base of sweeps here and there in the bag."""
    first, last = bag.lasted or (0, 0)
    seen = -1
    for since in np.linspace(first, last, _SWEEPS, endpoint=False).astype(np.int64).tolist():
        for message in islice(bag.messages({topic}, since), 1):
            if message.logged == seen:
                continue
            seen = message.logged
            try:
                points = cloud_points(message.content, unit)[:, :3]
            except ValueError:
                continue  # The conversion reads it again, and complains.
            points = points[returns.usable(points, None, mount)]
            if len(points):
                yield mount.apply(points)


def _stays(points: np.ndarray, trees: list[cKDTree], within: float, share: float) -> np.ndarray:
    """(n,) bool: near each of these points (n, 3) is a return in a share of the sweeps."""
    if not len(points):
        return np.zeros(0, dtype=bool)
    near = [np.isfinite(tree.query(points, distance_upper_bound=within)[0]) for tree in trees]
    return np.mean(near, axis=0) >= share


def _boxes(points: np.ndarray, sensor: np.ndarray) -> Iterator[VehicleBox]:
    """Boxes about points (n, 3) that are near each other."""
    if not len(points):
        return
    cells = np.floor((points - points.min(axis=0)) / _TOGETHER_M).astype(int)
    grid = np.zeros(cells.max(axis=0) + 1, dtype=bool)
    grid[tuple(cells.T)] = True
    parts, count = label(grid, structure=np.ones((3, 3, 3)))
    for number in range(1, count + 1):
        part = points[parts[tuple(cells.T)] == number]
        if len(part) < _FEWEST or np.linalg.norm(part[:, :2] - sensor[:2], axis=1).max() > _LONGEST_M:
            continue
        low, high = part.min(axis=0) - _MARGIN_M, part.max(axis=0) + _MARGIN_M
        yield VehicleBox(Pose((low + high) / 2, np.array([1.0, 0.0, 0.0, 0.0])), high - low)


def as_yaml(boxes: tuple[VehicleBox, ...]) -> str:
    """What `self_filter` of a config says about boxes that are not turned."""
    parts = (f"{{size: {_numbers(box.size)}, xyz: {_numbers(box.pose.position)}}}" for box in boxes)
    return f"[{', '.join(parts)}]"


def _numbers(values: np.ndarray) -> str:
    return f"[{', '.join(f'{value:.2f}' for value in values)}]"
