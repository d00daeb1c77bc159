"""Sweeps become labelled grids: what stands still adds up, what moves is where it is now."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from occ_core.actors import BOX_FACES, Actor, owners
from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.grid import VoxelGrid
from occ_core.keyframes import KeyframeBuilder, OccupancySource
from occ_core.point_filters import MapThinning, PointFilter, VehicleBox, downsampled, in_map
from occ_core.poses import Pose

GRID = VoxelGrid((-20, -20, -2), (20, 20, 8), (0.4, 0.4, 1.25))
SIZE = np.array([4.0, 1.8, 1.5])


def pose(x: float, y: float = 0.0, z: float = 0.0, yaw: float = 0.0) -> Pose:
    return Pose.from_xyz_rpy([x, y, z], [0, 0, yaw])


def car(x: float, y: float = 5.0, yaw: float = 0.0) -> Actor:
    return Actor(7, Semantic.CAR, pose(x, y, 0.75, yaw), SIZE, np.zeros(3))


def surface(actor: Actor, seed: int = 0) -> np.ndarray:
    """(n, 3) points on the actor's box, metres, map."""
    rng = np.random.default_rng(seed)
    triangles = actor.corners()[BOX_FACES]
    weights = rng.dirichlet((1, 1, 1), (len(triangles), 60))
    return np.einsum("tpc,tcx->tpx", weights, triangles).reshape(-1, 3)


def sweep(builder: KeyframeBuilder, stamp: float, world: np.ndarray, actors: list[Actor], x: float = 0.0) -> None:
    sensor = pose(x + 0.13, 0.07, 1.0, yaw=0.3)
    builder.add(stamp, sensor.inverse().apply(world), sensor, actors)


def box_voxels(actor: Actor, margin: float) -> np.ndarray:
    """Voxels whose centre is within a margin of the actor's box."""
    centers = GRID.centers(np.argwhere(np.ones(GRID.shape, bool)))
    local = np.abs(actor.pose.inverse().apply(centers))
    return (local <= actor.size / 2 + margin).all(axis=1).reshape(GRID.shape)


def test_a_moving_car_is_not_smeared():
    builder = KeyframeBuilder(GRID)
    for step in range(10):
        now = car(-9 + 2.0 * step, yaw=0.1 * step)
        sweep(builder, 0.1 * step, surface(now, step), [now])
    built = builder.build(Pose.identity(), [now])
    assert (built.classes == Semantic.CAR).sum() > 50
    assert not (built.classes[~box_voxels(now, margin=0.9)]).any()
    assert ((built.instance == 7) == (built.classes == Semantic.CAR)).all()


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_things_that_turn_and_tilt_as_they_move_are_not_smeared_and_each_keeps_its_instance(seed):
    rng = np.random.default_rng(seed)
    builder = KeyframeBuilder(GRID)
    path = [
        (rng.uniform(-12, 12, 2), rng.uniform(-2, 2, 2), rng.uniform(-3, 3), rng.uniform(-0.2, 0.2, 2))
        for _ in range(3)
    ]
    semantics = (Semantic.CAR, Semantic.TRUCK_BUS, Semantic.ROVER)
    for step in range(8):
        now = [
            Actor(
                40 - number,
                semantic,
                Pose.from_xyz_rpy(
                    [*(begin + 0.7 * step * pace), 0.75 + 2.4 * number], [*(step * tilt), 0.4 * step * turn]
                ),
                SIZE,
                np.zeros(3),
            )
            for number, (semantic, (begin, pace, turn, tilt)) in enumerate(zip(semantics, path, strict=True))
        ]
        sweep(builder, 0.1 * step, np.concatenate([surface(actor, step) for actor in now]), now, x=0.5 * step)
    built = builder.build(Pose.identity(), now)
    explained = np.zeros(GRID.shape, bool)
    for actor in now:
        near = box_voxels(actor, margin=0.9)
        mine = built.instance == actor.instance
        assert near[mine].all() and (built.classes[mine] == actor.semantic).all()
        explained |= near
    assert not built.classes[~explained].any()


def test_an_actor_that_has_gone_leaves_nothing_behind():
    builder = KeyframeBuilder(GRID)
    sweep(builder, 0.0, surface(car(0)), [car(0)])
    sweep(builder, 0.1, wall(8.1), [])
    built = builder.build(Pose.identity(), [])
    assert not built.instance.any() and not built.classes[box_voxels(car(0), margin=0.3)].any()


def test_what_the_lidar_sees_of_its_own_vehicle_is_left_out():
    itself = Actor(2, Semantic.ROVER, pose(0, 0, 0.6, yaw=0.3), np.array([1.2, 0.9, 1.2]), np.zeros(3), "rover_0")
    own, seen = surface(itself), wall(4.1)
    built = {}
    for name, world, body in (
        ("with", np.concatenate([own, seen]), itself),
        ("clean", seen, None),
        ("kept", np.concatenate([own, seen]), None),
    ):
        builder = KeyframeBuilder(GRID)
        sensor = pose(0.1, 0.05, 1.4)
        builder.add(0.0, sensor.inverse().apply(world), sensor, [], body)
        built[name] = builder.build(Pose.identity(), [])
    assert (built["with"].classes == built["clean"].classes).all()
    assert (built["with"].observed == built["clean"].observed).all()
    assert (built["kept"].classes != built["clean"].classes).any()


def test_the_same_sweeps_give_the_same_bytes_in_any_builder():
    rng = np.random.default_rng(5)
    sweeps = [(0.1 * n, rng.normal(size=(3000, 3)).astype(np.float32) * 8, car(n, yaw=0.1 * n)) for n in range(6)]
    frames = []
    for used in (False, True):
        builder = KeyframeBuilder(GRID, city=city(4.2))
        if used:
            sweep(builder, 3.0, wall(2.1), [])
            builder.build(pose(1), [])
            builder.clear()
        for stamp, points, actor in sweeps:
            builder.add(stamp, points, pose(stamp), [actor])
        frames.append(builder.build(pose(0.5), [actor]))
    for name in ("classes", "observed", "instance"):
        assert getattr(frames[0], name).tobytes() == getattr(frames[1], name).tobytes()


@given(st.integers(0, 2**32 - 1))
def test_thinning_keeps_the_first_return_of_each_cube(seed):
    points = np.random.default_rng(seed).normal(size=(300, 3)) * [1, 1, 0.3] - [1e4, -2e5, 0]
    _, first = np.unique(np.floor(points * 5), axis=0, return_index=True)
    assert downsampled(points).tolist() == sorted(first)


@given(st.integers(0, 2**32 - 1))
def test_one_pass_over_a_sweep_gives_what_its_steps_give(seed):
    """Filtered, put into map and thinned, by memory that the sweep before has used, which may have been larger."""
    rng = np.random.default_rng(seed)
    boxes = (VehicleBox(pose(0.4, 0.1, 0.3, 0.5), np.array([3.0, 1.5, 1.0])), VehicleBox(pose(1, 0), np.ones(3)))
    mount, thinning = pose(0.3, 0, 1.2, 0.7), MapThinning()
    test = PointFilter(0.4, boxes).at(mount)
    for count in (300, 500, 40, 900):
        points = (rng.normal(size=(count, 4)) * 3).astype(np.float32)
        points[rng.random(count) < 0.1] = 0
        points[rng.random(count) < 0.1, rng.integers(3)] = rng.choice([np.nan, np.inf, 3e38])
        points = points.repeat(rng.integers(1, 4, count), axis=0)
        sensor = pose(*rng.normal(size=3) * 100, rng.normal())
        thinning.thinned(points[:1], sensor)
        assert 2 * len(thinning._cubes) >= len(thinning._table)  # compiled code does not look where it writes
        wanted = in_map(points[test.usable(points)], sensor)
        got = thinning.thinned(points, sensor, test)
        assert (got == wanted[downsampled(wanted)]).all() and len(got) > 5
        points = points[~(np.abs(points) > 1e9).any(axis=1)]
        wanted = in_map(points, sensor)
        assert (thinning.thinned(points, sensor) == wanted[downsampled(wanted)]).all()


def test_a_moving_car_is_filled_from_all_its_sweeps():
    lone, many = (KeyframeBuilder(GRID, source) for source in (OccupancySource.LIDAR, OccupancySource.ACCUMULATED))
    for step in range(10):
        now = car(-9 + 2.0 * step)
        seen = surface(now, step)[step::10]
        for builder in (lone, many):
            sweep(builder, 0.1 * step, seen, [now])
    alone, together = (np.count_nonzero(b.build(Pose.identity(), [now]).instance == 7) for b in (lone, many))
    assert together > 1.5 * alone > 0


def wall(x: float) -> np.ndarray:
    """(n, 3) points, none on a face of a voxel."""
    return np.array([(x, y, z) for y in np.arange(-2.97, 3, 0.1) for z in np.arange(0.32, 3, 0.3)])


def test_accumulated_covers_more_than_one_sweep_and_lidar_only_the_last():
    built = {}
    for source in (OccupancySource.LIDAR, OccupancySource.ACCUMULATED):
        builder = KeyframeBuilder(GRID, source, window=1.0)
        for step, x in enumerate((4.1, 8.1, 12.1)):
            sweep(builder, 0.1 * step, wall(x), [])
        built[source] = builder.build(Pose.identity(), [])
    lidar, accumulated = built[OccupancySource.LIDAR], built[OccupancySource.ACCUMULATED]
    columns = [GRID.index(np.array([[x + 0.1, 0, 0]]))[0][0, 0] for x in (4, 8, 12)]
    assert [bool(accumulated.classes[c - 1 : c + 1].any()) for c in columns] == [True, True, True]
    assert [bool(lidar.classes[c - 1 : c + 1].any()) for c in columns] == [False, False, True]
    assert accumulated.observed.sum() > lidar.observed.sum()


def test_sweeps_older_than_the_window_are_forgotten():
    builder = KeyframeBuilder(GRID, window=0.5)
    sweep(builder, 0.0, wall(4.1), [])
    sweep(builder, 0.6, wall(8.1), [])
    column = GRID.index(np.array([[4.05, 0, 0]]))[0][0, 0]
    assert not builder.build(Pose.identity(), []).classes[column - 1 : column + 1].any()


def test_a_wall_seen_from_a_moving_robot_stays_where_it_is():
    builder = KeyframeBuilder(GRID)
    for step in range(5):
        sweep(builder, 0.1 * step, wall(10.1), [], x=0.5 * step)
    built = builder.build(pose(2.0, yaw=np.pi / 2), [])
    middle = GRID.centers(np.argwhere(built.classes))
    assert np.abs(middle[:, 1] + 8.1).max() < 0.5


def test_points_that_no_city_and_no_actor_explain_are_other():
    builder = KeyframeBuilder(GRID)
    sweep(builder, 0.0, wall(4.1), [])
    assert set(np.unique(builder.build(Pose.identity(), []).classes)) == {0, Semantic.OTHER}


def city(x: float) -> CityMap:
    corners = np.array([(x, -3, 0), (x, 3, 0), (x, 3, 3), (x, -3, 3)], dtype=np.float32)
    return CityMap(corners, np.array([[0, 1, 2], [0, 2, 3]], np.int32), np.full(2, Semantic.BUILDING, np.uint8))


@pytest.mark.parametrize("noise", [-0.3, 0.0, 0.3])
def test_points_on_the_city_take_its_class_and_others_do_not(noise):
    builder = KeyframeBuilder(GRID, city=city(4.2))
    sweep(builder, 0.0, np.concatenate([wall(4.2 + noise), wall(12.1)]), [])
    classes = builder.build(Pose.identity(), []).classes
    far = GRID.index(np.array([[8.0, 0, 0]]))[0][0, 0]
    assert set(np.unique(classes[:far])) == {0, Semantic.BUILDING}
    assert set(np.unique(classes[far:])) == {0, Semantic.OTHER}


def test_ground_truth_is_the_city_whatever_was_seen():
    builder = KeyframeBuilder(GRID, OccupancySource.GROUND_TRUTH, city=city(4.2))
    sweep(builder, 0.0, wall(12.1), [])
    built = builder.build(Pose.identity(), [car(0)])
    assert set(np.unique(built.classes)) == {0, Semantic.BUILDING, Semantic.CAR}
    assert (built.instance == 7).sum() == (built.classes == Semantic.CAR).sum()
    with pytest.raises(ValueError, match="city"):
        KeyframeBuilder(GRID, OccupancySource.GROUND_TRUTH)


def test_points_without_a_return_and_grids_without_a_sweep():
    builder = KeyframeBuilder(GRID)
    with pytest.raises(ValueError, match="no sweep"):
        builder.build(Pose.identity(), [])
    builder.add(0.0, np.full((5, 3), np.nan), pose(0), [])
    built = builder.build(Pose.identity(), [])
    assert not built.classes.any() and not built.observed.any()


@pytest.mark.parametrize("stamp", [1.0, 0.5])
def test_stamps_do_not_go_back_until_the_builder_is_cleared(stamp):
    builder = KeyframeBuilder(GRID)
    sweep(builder, 1.0, wall(4.1), [])
    with pytest.raises(ValueError, match="not after"):
        sweep(builder, stamp, wall(4.1), [])
    builder.clear()
    sweep(builder, stamp, wall(4.1), [])


@pytest.mark.parametrize("far", [0.0, -1000.0, 12345.0])
def test_points_belong_to_the_box_that_they_lie_in(far):
    rng = np.random.default_rng(1)
    actors = [Actor(i + 1, Semantic.CAR, pose(far + 6 * i, i - far, 0, yaw=i), SIZE, np.zeros(3)) for i in range(4)]
    points = rng.uniform((-5, -5, -2), (25, 8, 2), (5000, 3)) + [far, -far, 0]
    expected = np.zeros(len(points), dtype=int)
    for actor in actors:
        inside = (np.abs(actor.pose.inverse().apply(points)) <= SIZE / 2 + 0.06).all(axis=1)
        expected[inside] = actor.instance
    assert (owners(points, actors) == expected).all() and expected.any()
    assert not owners(points, []).any()
