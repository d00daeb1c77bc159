"""The simulator: the same seed gives the same run, robots start apart, sensors see the city."""

from __future__ import annotations

import numpy as np
import pytest

from occ_core.actors import BOX_FACES
from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from tokyo_sim.engine.robot import Kind, load_robot
from tokyo_sim.engine.simulator import Fleet, Simulator
from tokyo_sim.engine.spawn import spawn_poses
from tokyo_sim.missions.obstacles import ObstacleMap
from tokyo_sim.plateau.model import TriangleMesh
from tokyo_sim.traffic.lanes import street_network
from tokyo_sim.world.names import WORLD_FILE
from tokyo_sim.world.obj import write_obj
from tokyo_sim.world.sdf import Anchor, WorldModel, write_world

FLEET = Fleet(drones=1, rovers=2, actors=8, image_size=(64, 36), cameras=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, city, box, sheet):
    """An imported city: a crossing of two streets and a house at each corner."""
    out = tmp_path_factory.mktemp("city")
    (out / "meshes").mkdir()
    houses = np.concatenate([box((x, y, 0), (x + 20, y + 20, 15)) for x in (-32, 12) for y in (-32, 12)])
    roads = np.concatenate([sheet(-140, 140, -4, 4), sheet(-4, 4, -140, -4), sheet(-4, 4, 4, 140)])
    parts = {Semantic.BUILDING: houses, Semantic.ROAD: roads, Semantic.TERRAIN: sheet(-200, 200, -200, 200, -0.05)}
    city(*parts.items()).save(out)
    models = []
    for semantic, triangles in parts.items():
        visual = collision = f"meshes/{semantic.name.lower()}.obj"
        write_obj(out / visual, TriangleMesh.from_triangles(triangles))
        if semantic is Semantic.BUILDING:
            collision = "meshes/building_collision.obj"
            write_obj(out / collision, TriangleMesh.from_triangles(triangles))
        models.append(WorldModel(semantic.name.lower(), semantic, visual, collision))
    write_world(out / WORLD_FILE, Anchor(35.68, 139.76, 3.0, 6677, 0.0, 0.0), models)
    return out


def run(folder, seed: int) -> dict[str, np.ndarray]:
    simulator = Simulator(folder, FLEET, seed)
    out = {}
    for tick in range(20):
        for robot in range(3):
            simulator.command(robot, np.array([2.0, 0, 0.5 if robot == 0 else 0]), np.array([0, 0, 0.2]))
        for _ in range(10):
            simulator.step(0.01)
            out[f"imu_{tick}"] = simulator.imu(1).acceleration
        simulator.step_traffic(0.1)
    out["poses"] = np.array([simulator.motion(r).pose.matrix for r in range(3)])
    out["actors"] = np.array([a.pose.matrix for a in simulator.actors()])
    out["ranges"] = simulator.sweep(1).ranges
    out["classes"] = simulator.sweep(1).classes
    return out


def test_the_same_seed_gives_the_same_run_and_another_seed_another(folder):
    first, again, other = run(folder, 4), run(folder, 4), run(folder, 5)
    for name, value in first.items():
        assert np.array_equal(value, again[name], equal_nan=value.dtype.kind == "f"), name
    for name in ("poses", "actors", "ranges", "imu_3"):
        assert not np.array_equal(first[name], other[name], equal_nan=True), name
    assert {Semantic.ROAD, Semantic.BUILDING} <= set(np.unique(first["classes"]))


@pytest.mark.parametrize("seed", range(3))
def test_robots_start_on_the_road_apart_and_still(folder, seed):
    simulator = Simulator(folder, FLEET, seed)
    poses = [simulator.motion(r).pose for r in range(3)]
    for i, pose in enumerate(poses):
        assert np.abs(pose.position[:2]).min() < 4
        for other in poses[:i]:
            assert np.linalg.norm(pose.position - other.position) > 6
    assert poses[0].position[2] == pytest.approx(30, abs=1)
    for _ in range(100):
        simulator.step(0.01)
    for robot, before in enumerate(poses):
        after = simulator.motion(robot)
        assert np.linalg.norm(after.pose.position - before.position) < 0.15
        assert np.linalg.norm(after.linear) < 0.1


def test_robots_are_actors_too_and_do_not_see_themselves(folder):
    simulator = Simulator(folder, FLEET, 1)
    actors = simulator.actors()
    assert [(a.instance, a.name) for a in actors if a.name] == [(1, "drone_0"), (2, "rover_0"), (3, "rover_1")]
    assert len({a.instance for a in actors}) == len(actors) == 11
    assert Semantic.ROVER not in np.unique(simulator.sweep(0).classes[simulator.sweep(0).ranges < 5])


def test_houses_are_the_only_collision_shapes(folder):
    simulator = Simulator(folder, FLEET, 1)
    model = simulator._physics.model
    prisms = [model.geom(g) for g in range(model.ngeom) if model.geom(g).type[0] == 7]  # meshes
    assert len(prisms) == 4
    assert sorted(tuple(p.pos.round()[:2]) for p in prisms) == [(-22, -22), (-22, 22), (22, -22), (22, 22)]


def test_cameras_that_are_off_say_so_and_give_no_images(folder):
    simulator = Simulator(folder, FLEET, 1)
    assert simulator.images(0) == {} and "off" in simulator.cameras_off


def test_each_camera_gives_a_picture(folder):
    simulator = Simulator(folder, Fleet(1, 1, 4, image_size=(64, 36)), 1)
    if simulator.cameras_off:
        pytest.skip(simulator.cameras_off)
    images = simulator.images(1)
    assert len(images) == 6 and all(image.shape == (36, 64, 3) for image in images.values())
    assert len({image.tobytes() for image in images.values()}) == 6


@pytest.mark.parametrize("wrong", [{"drones": -1}, {"rovers": -1}, {"actors": -1}, {"image_size": (8, 900)}])
def test_a_fleet_that_can_not_be_is_refused(wrong):
    with pytest.raises(ValueError, match="negative|pixels"):
        Fleet(**wrong)


def test_a_folder_without_a_city_says_what_to_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="tokyo city"):
        Simulator(tmp_path, FLEET, 1)


def test_more_robots_than_places_is_said(folder):
    city, rovers = CityMap.load(folder), [load_robot(Kind.ROVER, "rover_0")] * 300
    with pytest.raises(ValueError, match="no free place"):
        spawn_poses(rovers, city, street_network(city), ObstacleMap(city), 30.0, np.random.default_rng(0))


def test_box_faces_look_outwards(box):
    triangles = box((0, 0, 0), (2, 3, 4))
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    assert (np.einsum("ij,ij->i", normals, triangles.mean(axis=1) - [1, 1.5, 2]) > 0).all() and len(BOX_FACES) == 12
