"""The three ways to make a frame's grid, recorded of the same drive: one sweep, sweeps put together, the known city."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from occ_core.actors import BOX_FACES, Actor
from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.frame import Occupancy
from occ_core.grid import VoxelGrid
from occ_core.keyframes import KeyframeBuilder, OccupancySource
from occ_core.poses import Pose
from occ_core.session import SessionInfo, find_sessions
from occ_core.sync import Odometry, SyncedSweep
from occ_core.tracker import FrameTracker
from occ_recorder.recording import RobotRecording
from occ_recorder.sessions.check import check_session

GRID = VoxelGrid((-8, -8, -2), (8, 8, 5.5), (0.4, 0.4, 1.25))
LEVEL = np.array([1.0, 0, 0, 0])
HOUSE = Actor(9, Semantic.BUILDING, Pose([6.0, 0.0, 1.5], LEVEL), np.array([2.0, 8.0, 3.0]), np.zeros(3))


def car(stamp: float) -> Actor:
    """It drives to the left at 2 m/s, 3 m ahead."""
    pose = Pose(np.array([3.0, -1.0 + 2 * stamp, 0.75]), LEVEL)
    return Actor(7, Semantic.CAR, pose, np.array([1.6, 1.6, 1.5]), np.zeros(3))


def sweep(stamp: float) -> SyncedSweep:
    """A vehicle at rest at the origin sees the near face of the car, and one row of the house, higher each time."""
    across = np.arange(-0.75, 0.76, 0.1)
    centre = car(stamp).pose.position
    on_car = [(2.2, centre[1] + y, z) for y in across for z in (0.3, 1.0)]
    on_house = [(5.0, y, 0.3 + 2.5 * stamp) for y in np.arange(-3.9, 4, 0.1)]
    points = np.array([*on_car, *on_house]) - [0, 0, 1.0]
    odometry = Odometry(stamp, Pose(np.zeros(3), LEVEL), np.zeros(3), np.zeros(3))
    rows = np.column_stack([points, np.full(len(points), 0.5)]).astype(np.float32)
    return SyncedSweep(stamp, rows, "rover_0/lidar_link", odometry, [car(stamp)], stamp == 1.0)


def recorded(root: Path, source: OccupancySource) -> Occupancy:
    """The grid of the only keyframe, at 1 s."""
    city = CityMap(HOUSE.corners().astype(np.float32), BOX_FACES, np.full(len(BOX_FACES), Semantic.BUILDING, np.uint8))
    tracker = FrameTracker(
        "rover_0", KeyframeBuilder(GRID, source, 3.0, city), {"lidar_link": Pose([0, 0, 1.0], LEVEL)}, lambda x, y: 0.0
    )
    recording = RobotRecording(tracker, SessionInfo("rover_0", GRID, 0.5, source.value), root, 0.0, 90)
    for tick in range(11):
        recording.add(sweep(tick / 10))
    recording.close()
    (session,) = find_sessions(root)
    assert session.info.occupancy == source.value and check_session(session.folder).damage == ()
    return session.occupancy(1)


@pytest.fixture(scope="module")
def grids(tmp_path_factory) -> dict[str, Occupancy]:
    return {source.value: recorded(tmp_path_factory.mktemp(source.value), source) for source in OccupancySource}


def cells(grid: Occupancy, semantic: Semantic) -> set[tuple[int, ...]]:
    return set(map(tuple, np.argwhere(grid.classes == semantic).tolist()))


def heights(grid: Occupancy) -> set[int]:
    return {k for _, _, k in cells(grid, Semantic.BUILDING)}


def depths(grid: Occupancy) -> set[int]:
    return {i for i, _, _ in cells(grid, Semantic.BUILDING)}


def test_one_sweep_sees_one_row_of_the_house_many_see_its_face_and_the_city_knows_its_back(grids):
    lidar, accumulated, truth = (heights(grids[name]) for name in ("lidar", "accumulated", "ground_truth"))
    assert len(lidar) == 1 and lidar < accumulated <= truth
    faces = [
        {i for i, _, _ in cells(grids[name], Semantic.BUILDING)} for name in ("lidar", "accumulated", "ground_truth")
    ]
    assert faces[0] == faces[1] and max(faces[2]) > max(faces[1]) + 2


def test_the_car_is_where_it_is_now_in_all_three_and_leaves_no_trace(grids):
    left, right = 1.0 + 0.8 + 0.4, 1.0 - 0.8 - 0.4  # its sides at 1 s, and a voxel
    for name, grid in grids.items():
        sides = GRID.centers(np.argwhere(grid.classes == Semantic.CAR))[:, 1]
        assert len(sides) and right <= sides.min() and sides.max() <= left, name
        assert set(np.unique(grid.instance[grid.classes == Semantic.CAR])) == {7}, name


def test_free_space_is_what_lidar_has_seen_in_all_three(grids):
    for name, grid in grids.items():
        # On a ray from the sensor at 1 m to the house's last row at 2.8 m, and inside the house.
        between, behind = GRID.index(np.array([[2.0, -1.5, 1.7], [6.5, -1.5, 1.7]]))[0]
        assert grid.observed[tuple(between)] and grid.classes[tuple(between)] == 0, name
        assert not grid.observed[tuple(behind)], name
