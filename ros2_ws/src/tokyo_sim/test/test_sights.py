"""Robots start, and roam, where there is something to see."""

from __future__ import annotations

import numpy as np
import pytest

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from tokyo_sim.engine.robot import RobotKind, load_robot
from tokyo_sim.engine.spawn import spawn_poses
from tokyo_sim.missions import plans
from tokyo_sim.missions.obstacles import ObstacleMap
from tokyo_sim.traffic.lane_graph import LaneGraph
from tokyo_sim.traffic.lanes import street_network

HOUSES = [(0.0, 0.0), (60.0, 20.0), (20.0, 90.0)]
GRID_M = 40.0


@pytest.fixture(scope="module")
def apart(city, sheet, box) -> CityMap:
    """Three houses on open ground of a square kilometre, and a street that is 700 m away from them."""
    built = np.concatenate([box((x, y, 0), (x + 10, y + 10, 7)) for x, y in HOUSES])
    return city(
        (Semantic.TERRAIN, sheet(-100, 900, -400, 600)), (Semantic.ROAD, sheet(796, 804, -200, 400, 0.02)),
        (Semantic.BUILDING, built),
    )  # fmt: skip


def away(places: np.ndarray) -> np.ndarray:
    """(n,) metres from places (n, 2) to the nearest wall."""
    low = np.array(HOUSES)
    outside = np.maximum(np.maximum(low - places[:, None], places[:, None] - low - 10), 0)
    return np.linalg.norm(outside, axis=2).min(axis=1)


@pytest.mark.parametrize("kind", [RobotKind.ROVER, RobotKind.DRONE])
def test_a_street_with_nothing_in_sight_is_no_place_to_start(apart, kind):
    graph = LaneGraph.of(apart, street_network(apart))
    obstacles = ObstacleMap(apart)
    assert graph.lanes and not plans.streets_in_sight(graph, obstacles)
    robot = load_robot(kind, f"{kind.value}_0", (64, 48))
    poses = [
        spawn_poses([robot], apart, graph.sections, obstacles, 15.0, np.random.default_rng(seed))[0]
        for seed in range(10)
    ]
    assert (away(np.array([pose.position[:2] for pose in poses])) < GRID_M).all()


def test_a_street_by_houses_is_one_and_so_is_any_where_nothing_stands(city, sheet, box):
    road, ground = (Semantic.ROAD, sheet(-4, 4, -200, 200, 0.02)), (Semantic.TERRAIN, sheet(-300, 300, -300, 300))
    houses = (Semantic.BUILDING, box((12, 100, 0), (20, 110, 7)))
    robot = load_robot(RobotKind.ROVER, "rover_0", (64, 48))
    for parts, standing in (((ground, road), False), ((ground, road, houses), True)):
        world = city(*parts)
        graph, obstacles = LaneGraph.of(world, street_network(world)), ObstacleMap(world)
        assert plans.streets_in_sight(graph, obstacles) and obstacles.anything == standing
        places = np.array(
            [
                spawn_poses([robot], world, graph.sections, obstacles, 15.0, np.random.default_rng(seed))[0].position
                for seed in range(8)
            ]
        )
        assert (np.abs(places[:, 0]) < 4).all(), "on the street"
        assert (np.abs(places[:, 1] - 105) < GRID_M).all() == standing
    assert not plans.streets_in_sight(LaneGraph(), obstacles)


@pytest.mark.parametrize(("wheels", "height"), [(True, -1e6), (False, 15.0)])
def test_who_roams_stays_by_what_stands_there(apart, wheels, height):
    obstacles = ObstacleMap(apart, wheels=wheels)
    for seed in range(5):
        path = plans.roam(apart, obstacles, np.array([30.0, -20.0, 0.0]), height, np.random.default_rng(seed))
        assert (away(path) < 60).mean() > 0.95 and np.ptp(path, axis=0).max() > 40


def test_nothing_to_see_anywhere_is_roamed_all_the_same(city, sheet):
    meadow = city((Semantic.TERRAIN, sheet(-100, 100, -100, 100)))
    obstacles = ObstacleMap(meadow)
    assert not obstacles.anything and not obstacles.in_sight(np.zeros((1, 2))).any()
    path = plans.roam(meadow, obstacles, np.zeros(3), 10.0, np.random.default_rng(1))
    assert np.ptp(path, axis=0).max() > 50
