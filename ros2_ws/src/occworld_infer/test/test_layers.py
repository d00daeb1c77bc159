"""What the overlay shows: the city once, what moves at every horizon, and where an earlier forecast was wrong."""

from __future__ import annotations

import numpy as np
import pytest

from occ_core.classes import Semantic
from occ_core.grid import NUSCENES_GRID, TOKYO_GRID
from occ_core.poses import Pose
from occworld_infer.forecast_message import HeardForecast, Latency
from occworld_infer.grids import grid_points
from occworld_infer.lattice import CELL
from occworld_infer.layers import FALSE, MISSED, NOW, Layer, RobotLayers
from occworld_infer.markers import cube_lists
from occworld_infer.viewer.snapshot import PlacedVoxels

HORIZONS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
HERE = Pose.identity()


def street(car_x: float, *more: tuple[float, float, Semantic]) -> np.ndarray:
    """A grid with a wall on the left, a car of 2 x 2 voxels at car_x ahead, and single voxels at places x, y."""
    classes = np.zeros(TOKYO_GRID.shape, np.uint8)
    cells, _ = TOKYO_GRID.index(np.array([(x, 8.0, z) for x in np.arange(-19.8, 20, 0.4) for z in (0.0, 1.5)]))
    classes[tuple(cells.T)] = Semantic.BUILDING
    (car,), _ = TOKYO_GRID.index(np.array([[car_x, 0.0, 0.0]]))
    classes[car[0] : car[0] + 2, car[1] : car[1] + 2, car[2]] = Semantic.CAR
    for x, y, semantic in more:
        ((i, j, k),), _ = TOKYO_GRID.index(np.array([[x, y, 0.0]]))
        classes[i, j, k] = semantic
    return classes


def seen(stamp: float, classes: np.ndarray, frame: Pose = HERE) -> tuple[float, np.ndarray, Pose]:
    return stamp, grid_points(TOKYO_GRID, classes, 0.0), frame


def forecast(stamp: float, *steps: np.ndarray) -> tuple[float, np.ndarray, Pose]:
    clouds = [grid_points(TOKYO_GRID, classes, horizon) for classes, horizon in zip(steps, HORIZONS, strict=False)]
    return stamp, np.concatenate(clouds), HERE


def named(layers: list[Layer]) -> dict[str, Layer]:
    return {layer.name: layer for layer in layers}


def middle(layer: Layer) -> np.ndarray:
    """Of its voxels, metres in map."""
    return ((layer.voxels.cells + 0.5) * CELL).mean(axis=0) + [0.0, 0.0, layer.base]


def test_the_city_is_drawn_once_and_what_moves_at_every_horizon() -> None:
    robot = RobotLayers(by_class=True, check=1.0)
    robot.observe(*seen(0.0, street(0.0)))
    robot.expect(*forecast(0.0, *(street(2.0 * (step + 1)) for step in range(6))))
    layers = named(robot.layers())
    assert (layers[NOW].voxels.labels == Semantic.BUILDING).sum() == 200
    for step, horizon in enumerate(HORIZONS):
        ahead = layers[f"+{horizon:.1f} s"]
        assert set(ahead.voxels.labels) == {Semantic.CAR}
        assert middle(ahead)[0] - middle(layers["+0.5 s"])[0] == pytest.approx(2.0 * step, abs=0.4)


def test_a_typed_forecast_is_drawn_where_its_own_poses_say_in_cells_of_its_own_grid() -> None:
    classes = np.zeros(NUSCENES_GRID.shape, np.uint8)
    ((i, j, k),), _ = NUSCENES_GRID.index(np.array([[3.0, -2.0, 1.2]]))
    classes[i - 1 : i + 2, j - 1 : j + 2, k] = Semantic.CAR
    turned = Pose.from_xyz_rpy(np.array([5.0, 1.0, 0.0]), np.array([0.0, 0.0, np.pi / 2]))
    voxels = PlacedVoxels.of_classes(NUSCENES_GRID, classes, turned)
    robot = RobotLayers(by_class=True, check=1.0, grid=TOKYO_GRID)
    robot.foresee(0.0, HeardForecast({2.0: voxels}, {2.0: np.ones(9, np.float32)}, Latency(), ()), HERE)
    _, ahead = robot.layers()
    assert ahead.name == "+2.0 s" and ahead.cell.tolist() == list(NUSCENES_GRID.voxel)
    # The block is turned by a quarter about the footprint that is forecast: 3 ahead, 2 right become 3 left, 2 ahead.
    place = ((ahead.voxels.cells + 0.5) * ahead.cell).mean(axis=0) + [0.0, 0.0, ahead.base]
    assert place == pytest.approx([5.0 + 2.0, 1.0 + 3.0, 1.2], abs=0.45)


def test_voxels_of_another_grid_are_drawn_as_large_as_they_are() -> None:
    classes = np.zeros(NUSCENES_GRID.shape, np.uint8)
    ((i, j, k),), _ = NUSCENES_GRID.index(np.array([[3.0, -2.0, 1.2]]))
    classes[i, j, k] = Semantic.CAR
    robot = RobotLayers(by_class=True, check=1.0, grid=NUSCENES_GRID)
    robot.observe(0.0, grid_points(NUSCENES_GRID, classes, 0.0), HERE)
    (now,) = robot.layers()
    (cubes,) = cube_lists("rover_0", now)
    assert cubes.scale == pytest.approx(np.array([0.35, 0.35, 0.35]))
    assert cubes.centres[0] == pytest.approx(NUSCENES_GRID.centers(np.array([i, j, k])))


def test_a_standing_thing_that_only_the_forecast_has_is_in_the_first_layer_that_has_it() -> None:
    robot = RobotLayers(by_class=True, check=1.0)
    robot.observe(*seen(0.0, street(0.0)))
    tree = (10.0, -5.0, Semantic.VEGETATION)
    robot.expect(*forecast(0.0, street(2.0), street(4.0, tree), street(6.0, tree)))
    counts = [(layer.name, (layer.voxels.labels == Semantic.VEGETATION).sum()) for layer in robot.layers()]
    assert counts == [(NOW, 0), ("+0.5 s", 0), ("+1.0 s", 1), ("+1.5 s", 0)]


@pytest.mark.parametrize("by_class", [True, False])
def test_what_is_further_ahead_is_more_transparent(by_class: bool) -> None:
    robot = RobotLayers(by_class, check=1.0)
    robot.observe(*seen(0.0, street(0.0)))
    robot.expect(*forecast(0.0, *(street(2.0 * (step + 1)) for step in range(6))))
    alphas = [layer.palette[layer.voxels.labels, 3].max() for layer in robot.layers()]
    assert alphas == sorted(alphas, reverse=True) and len(set(alphas)) == 7 and min(alphas) > 0


def test_colours_tell_horizons_or_classes() -> None:
    by_class, by_horizon = (RobotLayers(flag, check=1.0) for flag in (True, False))
    for robot in (by_class, by_horizon):
        robot.observe(*seen(0.0, street(0.0)))
        robot.expect(*forecast(0.0, *(street(2.0 * (step + 1)) for step in range(6))))
    ahead = [[layer.palette[layer.voxels.labels[0], :3] for layer in r.layers()[1:]] for r in (by_class, by_horizon)]
    assert len(np.unique(ahead[0], axis=0)) == 1 and len(np.unique(ahead[1], axis=0)) == 6


def test_an_earlier_forecast_is_laid_over_what_then_happened() -> None:
    """Forecast at 0 s for 1 s later: a car at 4 m. It has stopped at 0 m; somebody has come at 10, -5."""
    robot = RobotLayers(by_class=True, check=1.0)
    robot.expect(*forecast(0.0, street(2.0), street(4.0), street(6.0)))
    robot.observe(*seen(1.0, street(0.0, (10.0, -5.0, Semantic.PEDESTRIAN))))
    layers = named(robot.layers())
    assert len(layers[FALSE].voxels) == 4 and middle(layers[FALSE])[0] == pytest.approx(4.4, abs=0.4)
    assert len(layers[MISSED].voxels) == 5, "the car where it is, and the pedestrian; not the wall"


def test_there_is_nothing_to_check_without_a_forecast_of_that_moment() -> None:
    robot = RobotLayers(by_class=True, check=1.0)
    robot.expect(*forecast(0.5, street(2.0), street(4.0)))
    robot.observe(*seen(1.0, street(0.0)))
    assert not {MISSED, FALSE} & set(named(robot.layers()))


def test_a_clock_that_goes_back_forgets_earlier_forecasts() -> None:
    robot = RobotLayers(by_class=True, check=1.0)
    robot.observe(*seen(50.0, street(0.0)))
    robot.expect(*forecast(50.0, street(2.0), street(4.0)))
    robot.observe(*seen(1.0, street(0.0)))
    assert [layer.name for layer in robot.layers()] == [NOW]


def robot_seen_at(pose: list[float], yaw: float, robot: RobotLayers) -> Layer:
    """What is shown of a plate of 2 m about a point 10 m ahead of a robot, 0.5 m above the ground."""
    frame = Pose.from_xyz_rpy(np.array(pose), np.array([0.0, 0.0, yaw]))
    classes = np.zeros(TOKYO_GRID.shape, np.uint8)
    (cell,), _ = TOKYO_GRID.index(np.array([[10.0, 0.0, 0.4]]))
    classes[cell[0] - 2 : cell[0] + 3, cell[1] - 2 : cell[1] + 3, cell[2]] = Semantic.CAR
    robot.observe(*seen(0.0, classes, frame))
    return robot.layers()[0]


def test_a_turned_frame_puts_voxels_where_they_are_in_map() -> None:
    shown = robot_seen_at([100.0, 50.0, 5.3], np.pi / 2, RobotLayers(by_class=True, check=1.0))
    # The voxel that holds 0.4 m reaches from 0.75 m below the ground to 0.5 m above it.
    assert middle(shown) == pytest.approx([100.0, 60.0, 5.3 - 0.125], abs=0.25)
    assert middle(shown)[2] == pytest.approx(5.3 - 0.125, abs=1e-6)


def test_on_a_slope_heights_follow_in_steps_and_stay_within_one() -> None:
    robot, shown = RobotLayers(by_class=True, check=1.0), []
    for height in np.arange(0.0, 3.0, 0.05):
        shown.append(middle(robot_seen_at([0.0, 0.0, height], 0.0, robot))[2])
        assert shown[-1] == pytest.approx(height - 0.125, abs=0.2 + 1e-6)
    assert len(set(shown)) < 20
