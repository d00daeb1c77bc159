"""The simulator: the same seed gives the same run, robots start apart, sensors see the city."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_lidar import moeller_trumbore

from occ_core.actors import BOX_FACES
from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.meshes import TriangleMesh
from tokyo_city.world import WORLD_FILE
from tokyo_city.world.appearance import Appearance
from tokyo_city.world.collision import write_pieces
from tokyo_city.world.obj import write_obj
from tokyo_city.world.sdf import Anchor, WorldModel, write_world
from tokyo_sim.engine.robot import RobotKind, load_robot
from tokyo_sim.engine.simulator import Fleet, Simulator
from tokyo_sim.engine.spawn import spawn_poses
from tokyo_sim.engine.start_poses import building_within, parse_start_poses
from tokyo_sim.gazebo.robot_models import spawns
from tokyo_sim.missions.obstacles import ObstacleMap
from tokyo_sim.traffic.stored import lane_graph

FLEET = Fleet(drones=1, rovers=2, actors=8, image_size=(64, 36), cameras=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, city, box, sheet):
    """An imported city: a crossing of two streets and a house at each corner."""
    out = tmp_path_factory.mktemp("city")
    (out / "meshes").mkdir()
    houses = np.concatenate([box((x, y, 0), (x + 20, y + 20, 15)) for x in (-32, 12) for y in (-32, 12)])
    roads = np.concatenate([sheet(-140, 140, -4, 4), sheet(-4, 4, -140, -4), sheet(-4, 4, 4, 140)])
    parts = {Semantic.BUILDING: houses, Semantic.ROAD: roads, Semantic.TERRAIN: sheet(-200, 200, -200, 200, -0.05)}
    mesh = city(*parts.items())
    mesh.save(out)
    Appearance.plain(np.full((len(mesh.faces), 3), 128, np.uint8)).save(out)
    models = []
    for semantic, triangles in parts.items():
        visual = collision = f"meshes/{semantic.name.lower()}.obj"
        write_obj(out / visual, TriangleMesh.from_triangles(triangles))
        if semantic is Semantic.BUILDING:
            collision = "meshes/building_collision.obj"
            write_pieces(out, "building", TriangleMesh.from_triangles(triangles))
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
    simulator = Simulator(folder, replace(FLEET, places={"rover_0": (-2.0, 0.0, 0.0)}), 1)
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
    city = CityMap.load(folder)
    rover = load_robot(RobotKind.ROVER, "rover_0")
    rovers = [replace(rover, name=f"rover_{number}") for number in range(300)]
    with pytest.raises(ValueError, match="no free place"):
        spawn_poses(rovers, city, lane_graph(folder, city).sections, ObstacleMap(city), 30.0, np.random.default_rng(0))


def test_box_faces_look_outwards(box):
    triangles = box((0, 0, 0), (2, 3, 4))
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    assert (np.einsum("ij,ij->i", normals, triangles.mean(axis=1) - [1, 1.5, 2]) > 0).all() and len(BOX_FACES) == 12


def test_robots_start_where_they_are_told_and_the_others_at_free_places(folder):
    places = parse_start_poses("rover_1:60,1,1.5 drone_0:-50,-2")
    simulator = Simulator(folder, replace(FLEET, places=places), 1)
    drone, other, rover = (simulator.motion(number).pose for number in range(3))
    assert rover.position[:2] == pytest.approx([60, 1]) and rover.yaw == pytest.approx(1.5)
    assert drone.position == pytest.approx([-50, -2, 30]) and drone.yaw == pytest.approx(0)
    assert np.linalg.norm(other.position - rover.position) > 6


@pytest.mark.parametrize(
    "places, sentence",
    [
        ("rover_0:20,20", r"rover_0 can't start at \(20, 20\): a building is there"),
        ("rover_0:11.9,20", "a building is there"),
        ("rover_1:900,0", "outside the city"),
        ("rover_0:50,0 rover_1:53,0", "rover_1 can't start .* rover_0 is less than 6 m away"),
        ("rover_7:0,0", "rover_7, and the robots are drone_0, rover_0, rover_1"),
    ],
)
def test_a_place_where_a_robot_can_not_be_is_refused_with_the_reason(folder, places, sentence):
    with pytest.raises(ValueError, match=sentence):
        Simulator(folder, replace(FLEET, places=parse_start_poses(places)), 1)


def test_a_drone_inside_a_building_is_refused_and_above_it_is_not(folder):
    inside = replace(FLEET, drone_altitude=10.0, places=parse_start_poses("drone_0:20,20"))
    with pytest.raises(ValueError, match="reach up to 15 m, and it would be at 10 m"):
        Simulator(folder, inside, 1)
    above = Simulator(folder, replace(inside, drone_altitude=25.0), 1)
    assert above.motion(0).pose.position == pytest.approx([20, 20, 25], abs=0.1)


@pytest.mark.parametrize(
    "text", ["rover_0", "rover_0:1", "rover_0:1,x", ":1,2", "rover_0:1,2,3,4", "a:nan,1", "a:1,2 a:3,4"]
)
def test_what_is_no_place_is_refused(text):
    with pytest.raises(ValueError, match="place"):
        parse_start_poses(text)


@given(st.floats(-5, 15), st.floats(-5, 15), st.floats(0.05, 3))
def test_a_building_is_near_where_its_outline_is(city, box, x, y, radius):
    house = city((Semantic.BUILDING, box((0, 0, 0), (10, 8, 6))))
    distance = np.hypot(max(-x, 0, x - 10), max(-y, 0, y - 8))
    if abs(distance - radius) > 1e-3:
        assert building_within(house, np.array([x, y]), radius) == (distance < radius)


@pytest.mark.parametrize("drones, rovers", [(0, 0), (10, 10), (25, 25)])
def test_no_robots_and_fifty_robots(folder, drones, rovers):
    simulator = Simulator(folder, Fleet(drones, rovers, 8, cameras=False), 1)
    simulator.step(0.2)
    simulator.step_traffic(0.1)
    assert len(simulator.actors()) == drones + rovers + 8
    for robot in range(0, drones + rovers, 10):
        assert np.isfinite(simulator.sweep(robot).ranges).any()
        assert simulator.imu(robot).acceleration[2] == pytest.approx(9.81, abs=3)
        assert np.isfinite(simulator.motion(robot).pose.matrix).all()


def test_a_city_without_roads_has_robots_and_no_traffic(tmp_path, city, box, sheet):
    roadless = city((Semantic.BUILDING, box((0, 0, 0), (20, 20, 15))), (Semantic.TERRAIN, sheet(-90, 90, -90, 90)))
    roadless.save(tmp_path)
    write_world(tmp_path / WORLD_FILE, Anchor(35.68, 139.76, 3.0, 6677, 0.0, 0.0), [])
    simulator = Simulator(tmp_path, Fleet(1, 2, 0, cameras=False), 1)
    for robot in range(3):
        assert not building_within(roadless, simulator.motion(robot).pose.position[:2], 0.5)
    with pytest.raises(ValueError, match="no roads"):
        Simulator(tmp_path, Fleet(1, 1, 5, cameras=False), 1)


def test_without_egl_all_but_cameras_works_and_it_is_said(folder, monkeypatch):
    monkeypatch.setenv("GLCONTEXT_LINUX_LIBEGL", "libnothere.so.9")
    simulator = Simulator(folder, replace(FLEET, cameras=True), 1)
    assert "apt install libegl1" in simulator.cameras_off
    assert simulator.images(0) == {} and np.isfinite(simulator.sweep(0).ranges).any()


def test_a_sweep_that_takes_its_time_is_mended_by_where_the_robot_was(folder):
    """At 4 m/s the oldest column is cast 0.4 m further back: houses stand still only with each column's own pose."""
    simulator = Simulator(folder, replace(FLEET, actors=0, motion_distortion=True), 2)
    simulator.command(1, np.array([4.0, 0, 0]), np.zeros(3))
    poses = []
    for _ in range(300):
        simulator.step(0.01)
        poses.append(simulator.motion(1).pose @ simulator.robots[1].lidar.mount)
    sweep = simulator.sweep(1)
    beams, columns = np.nonzero(sweep.classes == Semantic.BUILDING)
    assert len(columns) > 1000

    def off_the_walls(back: np.ndarray) -> np.ndarray:
        """How far points are from the houses' walls and roofs if each column was cast so many seconds ago."""
        before = 10 - back / 0.01
        whole = np.minimum(before.astype(int), 9)
        point = sweep.points[beams, columns]
        world = np.empty(point.shape)
        for tick in range(10):
            chosen = whole == tick
            first, then = poses[-11 + tick].apply(point[chosen]), poses[-10 + tick].apply(point[chosen])
            world[chosen] = first + (before - whole)[chosen, None] * (then - first)
        level = np.abs(np.abs(world[:, :2, None]) - [12.0, 32.0]).min(axis=(1, 2))
        return np.minimum(level, np.abs(world[:, 2] - 15.0))

    mended, raw = off_the_walls(-sweep.times[columns]), off_the_walls(np.zeros(len(columns)))
    assert np.percentile(mended, 98) < 0.08  # three standard deviations of the range noise: 0.06
    assert np.percentile(raw, 98) > 0.15


def test_sweeps_of_both_robots_are_the_nearest_of_city_traffic_and_the_other_robot(folder):
    """Every 25th column beside an independent ray caster; a drone hovers in the rover's beam 8 degrees up."""
    places = parse_start_poses("rover_0:40,-10 drone_0:52,-10")
    simulator = Simulator(folder, Fleet(1, 1, 30, drone_altitude=3.0, cameras=False, places=places), 3)
    simulator.step(0.05)
    seen = set()
    for number, robot in enumerate(simulator.robots):
        sweep = simulator.sweep(number)
        seen |= set(np.unique(sweep.classes))
        spec, sensor = robot.lidar, simulator.motion(number).pose @ robot.lidar.mount
        others = [actor for actor in simulator.actors() if actor.name != robot.name]
        boxes = np.concatenate([actor.corners()[BOX_FACES] for actor in others])
        triangles = np.concatenate([simulator.city.triangles, boxes])
        rays = spec.directions[:, ::25].reshape(-1, 3).astype(float) @ sensor.rotation.T
        distance, _ = moeller_trumbore(sensor.position, rays, triangles)
        measured = sweep.ranges[:, ::25].ravel()
        both = np.isfinite(measured) & (distance < spec.range_max)
        error = np.abs(measured - distance)[both]
        assert both.sum() > 500 and np.mean(error > 4 * spec.noise_stddev) < 0.005  # silhouettes
        # What is lost is lost by chance; nothing comes back from where there is nothing.
        assert np.isfinite(measured)[distance > spec.range_max + 1].sum() == 0
    assert {Semantic.DRONE, Semantic.ROVER} <= seen


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_robots_are_created_in_gazebo_where_the_engine_has_them(folder, seed):
    fleet = Fleet(1, 2, 0, cameras=False)
    simulator = Simulator(folder, fleet, seed)
    for number, spawn in enumerate(spawns(folder, fleet, seed, 10.0)):
        pose = simulator.motion(number).pose
        assert np.linalg.norm(pose.position - spawn.xyz) < 5e-5 and abs(pose.yaw - spawn.yaw) < 1e-6
