"""Forecasts as maps for planners, against a projection by other means, and paths through what moves."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st

from occ_core.classes import Semantic
from occ_core.frame import Frame, Occupancy, VehicleState
from occ_core.grid import VoxelGrid
from occ_core.poses import Pose
from occworld.forecaster import Forecast
from occworld.scene import ForecastFrame
from occworld_infer.costmap import Body, ForecastMaps, Sight, percent, project
from occworld_infer.path_check import TimedPath, check_path

GRID = VoxelGrid((-8.0, -8.0, -2.0), (8.0, 8.0, 40.0), (0.4, 0.4, 1.25))
ROVER = Body(0.5, 1.75, 0.7, ("road", "sidewalk", "terrain"))
HORIZONS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
IN_BAND, GROUND = 2, 1  # levels: 0.5 to 1.75 m, -0.75 to 0.5 m
STILL = np.zeros((len(HORIZONS), 4))


def empty(kind: type = np.uint8) -> np.ndarray:
    return np.zeros(GRID.shape, kind)


def frame(
    here: Pose, altitude: float = 0.4, observed: np.ndarray | None = None, now: np.ndarray | None = None
) -> Frame:
    """At 10 s; all of it is seen where `observed` does not say otherwise."""
    above = Pose(here.position + [0, 0, altitude], here.orientation)
    state = VehicleState(10.0, above, np.zeros(3), np.zeros(3), here)
    seen = np.ones(GRID.shape, bool) if observed is None else observed
    occupancy = Occupancy(empty() if now is None else now, seen, empty(np.uint16))
    return Frame(state, np.zeros((0, 4), np.float32), occupancy)


def forecast(classes: list[np.ndarray], odds: list[np.ndarray], path: np.ndarray = STILL) -> Forecast:
    """path: (steps, 4) x y z yaw."""
    horizons = HORIZONS[: len(classes)]
    frames = []
    for labels, likely in zip(classes, odds, strict=True):
        voxels = np.flatnonzero(likely).astype(np.int32)
        values = likely.reshape(-1)[voxels].astype(np.float16)
        frames.append(ForecastFrame(GRID.shape, voxels, labels.reshape(-1)[voxels], values))
    return Forecast(horizons, tuple(frames), path[: len(classes), [0, 1, 3]], path[: len(classes), 2])


def maps_of(here: Pose, made: Forecast, body: Body = ROVER, altitude: float = 0.4, **seen: np.ndarray) -> ForecastMaps:
    return project(GRID, Sight.of(GRID, frame(here, altitude, **seen), body), made)


def level(x: float, y: float, z: float, yaw: float) -> Pose:
    return Pose.from_xyz_rpy(np.array([x, y, z]), np.array([0, 0, yaw]))


def squares(columns: list[tuple[int, int]], pose: Pose) -> list[shapely.Polygon]:
    """Columns of the grid in map, as polygons."""
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    out = []
    for column in columns:
        xy = (np.array(column) + corners) * GRID.voxel[:2] + GRID.lower[:2]
        out.append(shapely.Polygon(pose.apply(np.column_stack([xy, np.zeros(4)]))[:, :2]))
    return out


@settings(max_examples=25, deadline=None)
@given(
    x=st.floats(-300, 300), y=st.floats(-300, 300), yaw=st.floats(-3.1, 3.1), ahead=st.floats(-6, 6),
    aside=st.floats(-6, 6), turn=st.floats(-1, 1), seed=st.integers(0, 1000),
)  # fmt: skip
@example(x=0.0, y=0.0, yaw=0.0, ahead=-5.0, aside=0.0, turn=0.5, seed=14)  # the most probable lies beyond the lattice
def test_cells_agree_with_polygons_laid_over_each_other(x, y, yaw, ahead, aside, turn, seed) -> None:
    """Independent: voxels as polygons in map by 4 x 4 matrices, and how much of each cell they cover by shapely."""
    rng = np.random.default_rng(seed)
    classes, odds = empty(), empty(np.float32)
    columns = sorted({(int(i), int(j)) for i, j in rng.integers(1, 39, (6, 2))})
    for i, j in columns:
        classes[i, j, IN_BAND], odds[i, j, IN_BAND] = Semantic.CAR, rng.uniform(0.3, 1.0)
    here, step = level(x, y, 3.0, yaw), level(ahead, aside, 0.2, turn)
    made = forecast([classes], [odds], np.array([[ahead, aside, 0.2, turn]]))
    maps = maps_of(here, made)
    expected = Pose.from_matrix(here.matrix @ step.matrix)
    polygons = squares(columns, expected)
    reached = np.argwhere(maps.ahead[0] > 0)
    cell, lower = maps.lattice.cell, maps.lattice.lower
    for row, column in reached:
        box = shapely.box(*(lower + np.array([column, row]) * cell), *(lower + np.array([column + 1, row + 1]) * cell))
        over = [odds[i, j, IN_BAND] for (i, j), p in zip(columns, polygons, strict=True) if p.intersects(box)]
        assert any(abs(maps.ahead[0][row, column] - value) < 1e-3 for value in over), "nothing is there"
        most = [
            odds[i, j, IN_BAND]
            for (i, j), polygon in zip(columns, polygons, strict=True)
            if polygon.intersection(box).area > 0.5 * cell**2
        ]
        assert maps.ahead[0][row, column] >= max(most, default=0) - 1e-3
    # No voxel is lost, whatever its angle.
    highest = 0.0
    for (i, j), polygon in zip(columns, polygons, strict=True):
        place = np.array([polygon.centroid.coords[0]])
        (row,), (column,), (inside,) = maps.lattice.cells(place)
        if not inside or min(row, column) < 1:
            continue  # of a footprint to come, the far end is beyond the lattice
        around = maps.ahead[0][row - 1 : row + 2, column - 1 : column + 2]
        assert around.max() >= odds[i, j, IN_BAND] - 1e-3
        highest = max(highest, odds[i, j, IN_BAND])
    wanted = {round(100 * float(np.float16(value))) for value in [highest, *odds[odds > highest]]}
    assert percent(maps.ahead[0]).max() in wanted, "the most probable in the lattice, or one across its edge"


def test_where_grid_and_lattice_are_parallel_cells_are_the_columns_themselves() -> None:
    classes, odds = empty(), empty(np.float32)
    rng = np.random.default_rng(3)
    odds[:, :, IN_BAND] = rng.uniform(0, 1, GRID.shape[:2]).astype(np.float16)
    classes[:, :, IN_BAND] = np.where(odds[:, :, IN_BAND] > 0.5, Semantic.BUILDING, 0)
    maps = maps_of(level(4.0, -8.0, 3.0, 0.0), forecast([classes], [odds]))
    row, column, inside = maps.lattice.cells(np.array([[4.0 - 7.8, -8.0 - 7.8]]))
    assert inside.all()
    there = maps.ahead[0][row[0] : row[0] + 40, column[0] : column[0] + 40]
    assert np.array_equal(there.T, odds[:, :, IN_BAND]), "rows are along y"
    outside = maps.ahead[0].copy()
    outside[row[0] : row[0] + 40, column[0] : column[0] + 40] = -1
    assert (outside == -1).all(), "nobody knows what is beyond the grid"


def test_cells_stay_where_they_are_while_the_robot_moves_and_turns() -> None:
    lattices = [maps_of(level(x, 7.77 * x, 0.0, x), forecast([empty()], [empty()])).lattice for x in (0.0, 1.3, -55.5)]
    assert len({lattice.size for lattice in lattices}) == 1, "a costmap that changes its size is made anew by Nav2"
    for lattice in lattices:
        assert np.allclose(np.remainder(lattice.lower / lattice.cell + 0.5, 1.0), 0.5, atol=1e-6)


@pytest.mark.parametrize(
    ("altitude", "at", "semantic", "there"),
    [
        (0.4, IN_BAND, Semantic.CAR, True),
        (0.4, IN_BAND, Semantic.TERRAIN, False),  # a road that rises
        (0.4, GROUND, Semantic.CAR, False),
        (0.4, 3, Semantic.CAR, False),  # the crown of a tree, a bridge
        (30.0, IN_BAND, Semantic.CAR, False),
        (30.0, 25, Semantic.BUILDING, True),  # 29.25 to 30.5 m
        (30.0, 25, Semantic.TERRAIN, True),  # a hillside
        (30.0, 27, Semantic.BUILDING, False),
    ],
)
def test_only_what_is_at_the_robots_heights_and_in_its_way_counts(
    altitude: float, at: int, semantic: Semantic, there: bool
) -> None:
    classes, odds = empty(), empty(np.float32)
    classes[20, 20, at], odds[20, 20, at] = semantic, 0.75
    maps = maps_of(level(0, 0, 0, 0), forecast([classes], [odds]), altitude=altitude)
    assert maps.ahead.max() == (0.75 if there else 0)
    assert maps.height == (altitude if altitude > 2 else 0)
    sight = Sight.of(GRID, frame(level(0, 0, 0, 0), altitude, now=classes), ROVER)
    assert sight.blocked.any() == there


def test_a_drone_stays_at_its_height_where_the_ground_rises_and_a_rover_goes_up_with_it() -> None:
    classes, odds = empty(), empty(np.float32)
    classes[20, 20, IN_BAND], odds[20, 20, IN_BAND] = Semantic.BUILDING, 0.75
    up = np.array([[0.0, 0.0, 5.0, 0.0]])
    assert maps_of(level(0, 0, 0, 0), forecast([classes], [odds], up)).ahead.max() == 0.75
    # Five metres above a ground that has risen by five metres: it touches what is at the ground there.
    assert maps_of(level(0, 0, 0, 0), forecast([classes], [odds], up), altitude=6.0).ahead.max() == 0.75
    assert maps_of(level(0, 0, 0, 0), forecast([classes], [odds]), altitude=6.0).ahead.max() == 0


def test_unknown_is_what_nobody_has_seen_unless_something_is_forecast_there() -> None:
    observed, classes, odds = empty(bool), empty(), empty(np.float32)
    observed[10:30, :, IN_BAND] = True
    observed[:, :, GROUND] = True  # the ground alone says nothing of what stands on it
    classes[5, 5, IN_BAND], odds[5, 5, IN_BAND] = Semantic.CAR, 0.75
    odds[5, 9, IN_BAND] = 0.25  # a guess that is no class
    maps = maps_of(level(0, 0, 0, 0), forecast([classes], [odds]), observed=observed)
    row, column, _ = maps.lattice.cells(np.array([[-7.8, -7.8]]))
    there = maps.ahead[0][row[0] : row[0] + 40, column[0] : column[0] + 40].T
    assert (there[10:30] == 0).all() and there[5, 5] == 0.75 and there[5, 9] == -1
    assert (np.delete(there, [5, *range(10, 30)], axis=0) == -1).all()
    assert set(np.unique(percent(maps.ahead[0])).tolist()) == {-1, 0, 75}
    assert percent(maps.ahead[0]).dtype == np.int8


def test_the_most_probable_is_the_greatest_over_the_horizons() -> None:
    frames = [empty() for _ in HORIZONS]
    odds = [empty(np.float32) for _ in HORIZONS]
    for step in range(len(HORIZONS)):
        frames[step][20 + step, 20, IN_BAND], odds[step][20 + step, 20, IN_BAND] = Semantic.CAR, 0.9 - 0.1 * step
    maps = maps_of(level(0, 0, 0, 0), forecast(frames, odds))
    assert np.array_equal(maps.most_probable, np.maximum.reduce(list(maps.ahead)))
    assert np.count_nonzero(maps.most_probable > 0.3) == len(HORIZONS)


def crossing() -> ForecastMaps:
    """A car of 2 x 4 m that crosses from right to left 5 m ahead at 4 m/s; it is 6 m to the right at 10 s.

    The robot is at (100, 50) in map and looks north.
    """

    def at(time: float) -> np.ndarray:
        classes = empty()
        centres = GRID.centers(np.argwhere(classes == 0)).reshape(*GRID.shape, 3)
        inside = (np.abs(centres[..., 0] - 5) < 1.0) & (np.abs(centres[..., 1] - (-6 + 4 * time)) < 2.0)
        classes[inside & (centres[..., 2] > 0) & (centres[..., 2] < 1.5)] = Semantic.CAR
        return classes

    frames = [at(h) for h in HORIZONS]
    made = forecast(frames, [0.8 * (f > 0) for f in frames])
    return maps_of(level(100, 50, 0, np.pi / 2), made, now=at(0.0))


def straight(start: float, speed: float) -> TimedPath:
    """North from (100, 50), 10 m, on its way from a time on."""
    points = np.array([(100.0, 50.0), (100.0, 55.0), (100.0, 60.0)])
    return TimedPath.of(points, np.zeros(3), start, speed)


def test_a_path_through_a_crossing_car_meets_it_when_and_where_it_crosses() -> None:
    # The car is in the way of a robot of 0.7 m radius while its centre is within 2.7 m of the path: 0.8 to 2.2 s, and
    # half a second more to either side, between horizons. The robot gets within 0.7 m of its flank, at y 54, at 1.65 s.
    result = check_path(crossing(), straight(10.0, 2.0), 0.7, 0.5)
    assert result.contact and result.probability == pytest.approx(0.8, abs=1e-3)
    assert result.time == pytest.approx(11.65, abs=0.3)
    assert result.place == pytest.approx([100.0, 53.3], abs=0.6)


def test_a_path_behind_a_crossing_car_meets_nothing() -> None:
    # It crosses 2.5 m to 5 m behind the car's tail: the car has passed x 100 by 2.7 s at the latest, between horizons.
    later = check_path(crossing(), straight(11.8, 2.0), 0.7, 0.5)
    assert not later.contact and later.time == pytest.approx(13.0) and later.probability < 0.5
    assert later.place == pytest.approx([100.0, 52.4], abs=1e-6)
    # In the car's own lane, to its right and the other way: it has been there.
    lane = TimedPath(np.array([(104.0, 55.0), (110.0, 55.0)]), np.array([11.6, 13.0]))
    assert not check_path(crossing(), lane, 0.7, 0.5).contact
    earlier = TimedPath(lane.points, lane.times - 1.6)
    assert check_path(crossing(), earlier, 0.7, 0.5).contact, "now the car is there"


def test_waiting_on_the_path_of_a_car_is_a_contact_too() -> None:
    waits = TimedPath(np.array([(100.0, 55.0), (100.0, 55.0)]), np.array([10.0, 13.0]))
    result = check_path(crossing(), waits, 0.7, 0.5)
    assert result.contact and 10.3 <= result.time <= 10.9
    assert not check_path(crossing(), waits, 0.7, 0.9).contact, "0.8 is not probable enough"


def test_only_the_time_of_the_forecast_is_checked_and_it_says_up_to_when() -> None:
    slow = check_path(crossing(), straight(10.0, 0.5), 0.7, 0.5)
    assert not slow.contact and slow.time == pytest.approx(13.0) and slow.place == pytest.approx([100.0, 51.5])
    assert slow.unknown == 0.0
    beyond = TimedPath(np.array([(100.0, 30.0), (100.0, 20.0)]), np.array([10.0, 13.0]))
    assert check_path(crossing(), beyond, 0.7, 0.5).unknown == 1.0
    with pytest.raises(ValueError, match=r"from 14.00 s to 19.00 s, the forecast from 10.00 s to 13.00 s"):
        check_path(crossing(), straight(14.0, 2.0), 0.7, 0.5)


def test_times_of_poses_are_taken_where_they_ascend_and_made_from_a_speed_where_not() -> None:
    points = np.array([(0.0, 0.0), (3.0, 0.0), (3.0, 4.0)])
    assert np.array_equal(TimedPath.of(points, np.array([1.0, 2.0, 9.0]), 5.0, 2.0).times, [1, 2, 9])
    assert np.allclose(TimedPath.of(points, np.full(3, 7.0), 5.0, 2.0).times, [5.0, 6.5, 8.5])
    assert np.allclose(TimedPath.of(points[:1], np.array([7.0]), 5.0, 2.0).times, [5.0])


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (np.zeros((0, 2)), "without poses"),
        (np.array([(0.0, np.nan), (1.0, 0.0)]), "not finite"),
        (np.array([(100.0, 50.0), (1e7, 50.0)]), "can't be checked"),
    ],
)
def test_a_path_that_is_none_is_refused_in_a_sentence(points: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_path(crossing(), TimedPath.of(points, np.arange(len(points)) + 10.0, 10.0, 1.0), 0.7, 0.5)


def test_a_body_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="min_height 2 m is not below max_height 1 m"):
        Body(2.0, 1.0, 0.5, ())
    with pytest.raises(ValueError, match="'passable': no class lava"):
        Body(0.0, 1.0, 0.5, ("lava",))
