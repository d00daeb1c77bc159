"""Where there is no ground no robot starts and none is led; kerbs are the same for both simulators."""

from __future__ import annotations

import numpy as np
import pytest

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.poses import Pose
from tokyo_sim.engine.physics import Physics
from tokyo_sim.engine.robot import RobotKind, load_robot
from tokyo_sim.engine.spawn import spawn_poses
from tokyo_sim.missions.obstacles import ObstacleMap
from tokyo_sim.traffic.junctions import Section
from tokyo_sim.traffic.lane_graph import LaneGraph
from tokyo_sim.traffic.lanes import street_network
from tokyo_sim.traffic.traffic import Traffic


@pytest.fixture(scope="module")
def plate(city, sheet, box) -> CityMap:
    """A plate of 100 m with a building, and another one 300 m beside it: the city reaches beyond its ground."""
    built = np.concatenate([box((10, 0, 0), (20, 9, 9)), box((300, 0, 0), (310, 9, 9))])
    return city((Semantic.TERRAIN, sheet(-50, 50, -50, 50)), (Semantic.BUILDING, built))


@pytest.mark.parametrize(("kind", "name"), [(RobotKind.ROVER, "rover_0"), (RobotKind.DRONE, "drone_0")])
def test_no_robot_starts_where_there_is_no_ground(plate, kind, name):
    robot = load_robot(kind, name, (64, 48))
    with pytest.raises(ValueError, match=rf"{name} can't start at \(200, 5\): there is no ground there"):
        spawn_poses([robot], plate, [], ObstacleMap(plate), 20.0, np.random.default_rng(0), {name: (200.0, 5.0, 0.0)})
    for seed in range(5):
        (pose,) = spawn_poses([robot], plate, [], ObstacleMap(plate), 20.0, np.random.default_rng(seed))
        assert np.isfinite(plate.ground_height(*pose.position[:2]))


def test_a_rover_needs_ground_all_around_it(plate):
    robot = load_robot(RobotKind.ROVER, "rover_0", (64, 48))
    with pytest.raises(ValueError, match="no ground"):
        spawn_poses(
            [robot], plate, [], ObstacleMap(plate), 20.0, np.random.default_rng(0), {"rover_0": (49.0, 0.0, 0.0)}
        )


def test_ways_on_wheels_stay_on_the_ground_and_off_its_steps(city, sheet):
    terrace = city(
        (Semantic.TERRAIN, sheet(-50, 0, -50, 50)), (Semantic.TERRAIN, sheet(0, 50, -50, 50, 2.0)),
        (Semantic.TERRAIN, sheet(-50, 50, 50, 90, 0.0)),
    )  # fmt: skip
    driving, flying = ObstacleMap(terrace, wheels=True), ObstacleMap(terrace)
    step, outside = np.array([[0.0, 0.0]]), np.array([[0.0, 120.0]])
    assert not driving.free(step, -1e6)[0] and not driving.free(outside, -1e6)[0]
    assert flying.free(outside, 10.0)[0]
    way = driving.way(np.array([-30.0, 60]), np.array([-30.0, -30]), -1e6)
    assert np.isfinite([terrace.ground_height(x, y) for x, y in way.tolist()]).all()


def test_what_drives_off_the_ground_falls(plate):
    robot = load_robot(RobotKind.ROVER, "rover_0", (64, 48))
    start = Pose(np.array([45.0, 0.0, 0.5]), np.array([1.0, 0, 0, 0]))
    physics = Physics(plate, [], [robot], [start])
    for _ in range(50):
        physics.command(0, np.array([3.0, 0, 0]), np.zeros(3))
        physics.step(0.1)
    assert physics.motion(0).pose.position[2] < -3


@pytest.mark.parametrize(("height", "crossed"), [(0.05, True), (0.15, True), (1.5, False)])
def test_a_rover_gets_over_a_kerb_and_not_over_a_wall(city, sheet, height, crossed):
    kerb = city((Semantic.ROAD, sheet(-20, 0.25, -20, 20)), (Semantic.SIDEWALK, sheet(0.25, 30, -20, 20, height)))
    robot = load_robot(RobotKind.ROVER, "rover_0", (64, 48))
    physics = Physics(kerb, [], [robot], [Pose(np.array([-6.0, 0.0, 0.4]), np.array([1.0, 0, 0, 0]))])
    for _ in range(80):
        physics.command(0, np.array([1.5, 0, 0]), np.zeros(3))
        physics.step(0.1)
    pose = physics.motion(0).pose
    assert (pose.position[0] > 3) == crossed
    assert pose.rotation[2, 2] > 0.7, "upright"


def test_a_junction_that_nobody_gets_through_leaves_the_rest_of_the_graph(plateau_data, tmp_path):
    from tokyo_city.world.city import Options, import_city

    source = plateau_data.parents[1] / "cases/plateau/05_dead_end_without_movement/udx"
    mesh = CityMap.load(import_city(source, tmp_path / "city", Options(workers=1)).folder)
    graph = LaneGraph.of(mesh, street_network(mesh))
    assert all(isinstance(section, Section) for section in graph.sections)
    traffic = Traffic(mesh, graph, 5, np.random.default_rng(1))
    for _ in range(30):
        traffic.step(0.1, np.zeros((0, 3)))
    assert len(traffic.actors()) == 5
