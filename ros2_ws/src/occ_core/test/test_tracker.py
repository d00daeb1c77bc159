"""A tracker that has been warmed up knows no more than one that has not, and compiles nothing more."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from occ_core.actors import Actor
from occ_core.classes import Semantic
from occ_core.grid import TOKYO_GRID
from occ_core.keyframes import KeyframeBuilder, OccupancySource
from occ_core.odometry import Odometry
from occ_core.point_filters import PointFilter
from occ_core.poses import Pose
from occ_core.sync import SyncedSweep
from occ_core.tracker import FrameTracker

STILL = np.zeros(3)


def tracker(source: OccupancySource) -> FrameTracker:
    mount = Pose.from_xyz_rpy([0.2, 0, 1.8], [0, 0, 0.1])
    builder = KeyframeBuilder(TOKYO_GRID, source)
    return FrameTracker("rover_0", builder, {"lidar_link": mount}, lambda x, y: 0.0, PointFilter(0.5))


def sweep(stamp: float) -> SyncedSweep:
    """Points all about a robot that drives by a lorry."""
    generator = np.random.default_rng(round(10 * stamp))
    points = generator.uniform([-30, -30, -2, 0], [30, 30, 5, 1], (5000, 4)).astype(np.float32)
    points[::50] = np.nan
    pose = Pose.from_xyz_rpy([3 * stamp, 0, 0.3], [0, 0, 0.2 * stamp])
    lorry = Actor(7, Semantic.TRUCK_BUS, Pose.from_xyz_rpy([9, 4, 1.5], STILL), np.array([8, 2.5, 3.0]), STILL)
    return SyncedSweep(stamp, points, "lidar_link", Odometry(stamp, pose, STILL, STILL), [lorry], keyframe=True)


def compiled() -> dict[str, int]:
    """How many kinds of arguments each loop of this package is compiled for, by its name."""
    return {
        f"{module}.{name}": len(loop.overloads)
        for module, there in list(sys.modules.items())
        if module.startswith("occ_core.")
        for name, loop in vars(there).items()
        if hasattr(loop, "overloads")
    }


@pytest.mark.parametrize("source", [OccupancySource.ACCUMULATED, OccupancySource.LIDAR])
def test_warming_up_compiles_all_and_leaves_nothing(source: OccupancySource) -> None:
    warm, cold = tracker(source), tracker(source)
    warm.warm_up(actors=True)
    before = compiled()
    frames = [warm.add(sweep(stamp)) for stamp in (0.0, 0.1)]
    assert compiled() == before
    for frame, other in zip(frames, [cold.add(sweep(stamp)) for stamp in (0.0, 0.1)], strict=True):
        assert frame is not None and other is not None
        assert (frame.occupancy.classes == other.occupancy.classes).all() and frame.occupancy.classes.any()
        assert (frame.occupancy.observed == other.occupancy.observed).all()
        assert np.array_equal(frame.points, other.points)


def test_no_frame_follows_a_sweep_that_could_not_be_taken() -> None:
    """One between it and the next would be made of what was seen before it, however long ago."""
    follows = tracker(OccupancySource.ACCUMULATED)
    assert follows.add(sweep(0.0)) is not None
    with pytest.raises(ValueError, match="frame 'nowhere'"):
        follows.add(replace(sweep(6.0), frame_id="nowhere"))
    assert follows.add(replace(sweep(6.4), between=True)) is None
    assert follows.add(sweep(7.0)) is not None
    assert follows.add(replace(sweep(7.4), between=True)) is not None
