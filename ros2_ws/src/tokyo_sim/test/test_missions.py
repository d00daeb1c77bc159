"""Paths lead round what stands in the way, and robots that follow them arrive."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from occ_core.actors import Actor
from occ_core.classes import Semantic
from occ_core.poses import Pose
from tokyo_sim.engine.robot import RobotKind
from tokyo_sim.missions import plans
from tokyo_sim.missions.follower import PathFollower
from tokyo_sim.missions.mission import Mission, MissionPlan, free_ahead, numbers
from tokyo_sim.missions.obstacles import ObstacleMap
from tokyo_sim.missions.plans import Pattern
from tokyo_sim.missions.waypoint_file import read_waypoints
from tokyo_sim.traffic.lane_graph import LaneGraph
from tokyo_sim.traffic.lanes import street_network

RADIUS = 0.8  # of a robot, with its rotors


def towers(rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Boxes (low, high) 40 m apart with streets between them, so that every free place can be reached."""
    corners = [np.array([x, y, 0.0]) for x in range(-120, 120, 40) for y in range(-120, 120, 40)]
    lows = [corner + [*rng.uniform(0, 8, 2), 0] for corner in corners]
    return [(low, low + [*rng.uniform(4, 20, 2), rng.uniform(5, 80)]) for low in lows]


def inside(path: np.ndarray, height: float, boxes) -> int:
    """How many points of a path, sampled every 20 cm, lie within a robot's radius of a box."""
    pieces = [np.linspace(a, b, int(np.linalg.norm(b - a) / 0.2) + 2) for a, b in zip(path, path[1:], strict=False)]
    xy = np.concatenate(pieces)
    return sum(
        int(((xy >= low[:2] - RADIUS) & (xy <= high[:2] + RADIUS)).all(axis=1).sum())
        for low, high in boxes
        if low[2] <= height <= high[2] + RADIUS
    )


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_survey_and_orbit_go_round_buildings_and_not_through_them(city, box, sheet, seed):
    rng = np.random.default_rng(seed)
    boxes, height = towers(rng), 30.0
    world = city(
        (Semantic.BUILDING, np.concatenate([box(*b) for b in boxes])), (Semantic.ROAD, sheet(-180, 180, -180, 180))
    )
    obstacles = ObstacleMap(world)
    start = np.array([-170.0, -170, height])
    survey = plans.survey(world, obstacles, start, height)
    orbit = plans.orbit(obstacles, start, rng.uniform(-60, 60, 2), 40.0, height)
    for path in (survey, orbit):
        assert inside(path, height, boxes) == 0
        assert np.linalg.norm(np.diff(path, axis=0), axis=1).max() < 3
    assert np.ptp(survey, axis=0).min() > 150


def test_a_thin_wall_between_raster_points_is_not_flown_through(city, box, sheet):
    wall = (np.array([-0.7, -60.0, 0]), np.array([-0.3, 60.0, 80]))
    world = city((Semantic.BUILDING, box(*wall)), (Semantic.ROAD, sheet(-80, 80, -80, 80)))
    path = ObstacleMap(world).way(np.array([-30.0, 0]), np.array([30.0, 0]), 30.0)
    assert inside(path, 30.0, [wall]) == 0


def lengths(path: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())


def test_a_low_building_is_flown_over(city, box, sheet):
    world = city((Semantic.BUILDING, box((-5, -60, 0), (5, 60, 10))), (Semantic.ROAD, sheet(-80, 80, -80, 80)))
    obstacles = ObstacleMap(world)
    straight, round_it = (obstacles.way(np.array([-30.0, 0]), np.array([30.0, 0]), h) for h in (30.0, 8.0))
    assert lengths(straight) < 65 < 100 < lengths(round_it)
    assert obstacles.free(np.array([[0.0, 0.0], [40.0, 0.0]]), 8.0).tolist() == [False, True]


@pytest.mark.parametrize("look", [1, 24])
def test_a_way_is_the_shortest_of_the_whole_city_however_little_of_it_is_looked_at(city, box, sheet, monkeypatch, look):
    rng = np.random.default_rng(look)
    places, sizes = rng.uniform(-180, 180, (40, 2)), rng.uniform(10, 90, (40, 2))
    sizes[::2, 0], sizes[1::2, 1] = 4, 4  # walls
    walls = [box((*place, 0), (*(place + size), 20)) for place, size in zip(places, sizes, strict=True)]
    obstacles = ObstacleMap(
        city((Semantic.TERRAIN, sheet(-250, 250, -250, 250)), (Semantic.BUILDING, np.concatenate(walls)))
    )
    monkeypatch.setattr("tokyo_sim.missions.obstacles._LOOK_CELLS", 10_000)
    ends = rng.uniform(-230, 230, (10, 2, 2))
    whole = [obstacles.way(*pair, 10.0) for pair in ends]
    assert sum(len(way) > 1.3 * np.linalg.norm(pair[1] - pair[0]) for way, pair in zip(whole, ends, strict=True)) > 1
    monkeypatch.setattr("tokyo_sim.missions.obstacles._LOOK_CELLS", look)
    for way, pair in zip(whole, ends, strict=True):
        assert np.array_equal(obstacles.way(*pair, 10.0), way)


def test_a_place_in_a_closed_yard_does_not_stop_a_mission(city, box, sheet):
    sides = [((-20, -20), (20, -15)), ((-20, 15), (20, 20)), ((-20, -20), (-15, 20)), ((15, -20), (20, 20))]
    boxes = [(np.array([*low, 0.0]), np.array([*high, 60.0])) for low, high in sides]
    world = city(
        (Semantic.BUILDING, np.concatenate([box(*b) for b in boxes])), (Semantic.ROAD, sheet(-80, 80, -80, 80))
    )
    path = plans.through(ObstacleMap(world), [np.array([-60.0, 0]), np.array([0.0, 0]), np.array([60.0, 0])], 30.0)
    assert inside(path, 30.0, boxes) == 0 and np.linalg.norm(path[-1] - [60, 0]) < 2


def rolled(follower: PathFollower, pose: Pose, seconds: float, height: float | None = None) -> list[Pose]:
    """A vehicle that does exactly what it is told, at 20 Hz."""
    poses = [pose]
    for _ in range(round(seconds * 20)):
        now = poses[-1]
        command = follower.drive(now) if height is None else follower.fly(now, height)
        step = now.rotation @ command.linear * 0.05
        turned = now @ Pose.from_xyz_rpy(np.zeros(3), [0, 0, command.yaw_rate * 0.05])
        poses.append(Pose(now.position + step, turned.orientation))
    return poses


def off_path(poses: list[Pose], path: np.ndarray) -> np.ndarray:
    dense = np.concatenate([np.linspace(a, b, 40) for a, b in zip(path, path[1:], strict=False)])
    return np.array([np.linalg.norm(dense - p.position[:2], axis=1).min() for p in poses])


CIRCLE = 30 * np.array([(np.cos(a), np.sin(a)) for a in np.linspace(0, 2 * np.pi, 60)])


@settings(max_examples=12, deadline=None)
@given(st.floats(-8, 8), st.floats(-np.pi, np.pi))
def test_a_rover_converges_to_a_path_from_beside_it_whatever_its_heading(offset, yaw):
    path = np.column_stack([np.arange(0, 400, 2.0), np.zeros(200)])
    poses = rolled(PathFollower(path, 4.0, 3.0), Pose.from_xyz_rpy([0, offset, 0], [0, 0, yaw]), 40)
    assert max(abs(p.position[1]) for p in poses[-200:]) < 0.3
    assert poses[-1].position[0] > 60


@pytest.mark.parametrize("height", [None, 25.0], ids=["rover", "drone"])
def test_a_circle_is_followed_round_and_round(height):
    poses = rolled(PathFollower(CIRCLE, 4.0, 4.0), Pose.from_xyz_rpy([25, -3, 20], [0, 0, 0]), 120, height)
    assert off_path(poses, CIRCLE)[600:].max() < 1.0
    angles = np.unwrap([np.arctan2(p.position[1], p.position[0]) for p in poses])
    assert angles[-1] - angles[0] > 4 * np.pi
    if height:
        assert abs(poses[-1].position[2] - height) < 0.1


@pytest.mark.timeout(10)
def test_a_path_that_does_not_loop_is_followed_to_its_end():
    path = np.array([[0.0, 0], [20, 0], [40, 0]])
    follower = PathFollower(path, 4.0, 3.0, loop=False)
    poses = rolled(follower, Pose.identity(), 30)
    assert follower.finished and np.linalg.norm(poses[-1].position[:2] - path[-1]) < 3.5


def test_a_rover_stops_short_of_what_is_in_its_way():
    follower = PathFollower(np.array([[0.0, 0], [50, 0], [100, 0]]), 4.0, 3.0)
    speeds = [follower.drive(Pose.identity(), ahead).linear[0] for ahead in (np.inf, 6.0, 3.0, 2.0, 0.0, -1.0)]
    assert speeds[0] == 4.0 and speeds[3:] == [0, 0, 0] and speeds == sorted(speeds, reverse=True)


@pytest.mark.parametrize("path, speed", [([[0, 0]], 1.0), ([[0, 0], [1, 1]], 0.0), ([[0, 0], [1, 1]], -1.0)])
def test_a_path_without_length_or_speed_is_refused(path, speed):
    with pytest.raises(ValueError, match="two points"):
        PathFollower(np.array(path, dtype=float), speed, 3.0)


def car(x: float, y: float, yaw: float = 0.0) -> Actor:
    return Actor(1, Semantic.CAR, Pose.from_xyz_rpy([x, y, 0.7], [0, 0, yaw]), np.array([4.0, 1.8, 1.5]), np.zeros(3))


def test_only_what_is_in_front_and_in_the_way_is_ahead():
    here = Pose.from_xyz_rpy([0, 0, 0.4], [0, 0, 0])
    assert free_ahead(here, [car(8, 0)]) == pytest.approx(8 - 2 - 0.6)
    assert free_ahead(here, [car(8, 0), car(6, 0.5)]) == pytest.approx(6 - 2 - 0.6)
    for elsewhere in (car(-8, 0), car(8, 3), car(40, 0)):
        assert free_ahead(here, [elsewhere]) == np.inf
    turned = Pose.from_xyz_rpy([0, 0, 0.4], [0, 0, np.pi / 2])
    assert free_ahead(turned, [car(0, 8, np.pi / 2)]) == pytest.approx(5.4)


def test_a_lorry_that_stands_across_the_way_is_ahead():
    lorry = Actor(
        1,
        Semantic.TRUCK_BUS,
        Pose.from_xyz_rpy([8, 2.5, 1.5], [0, 0, np.pi / 2]),
        np.array([8.5, 2.4, 3.0]),
        np.zeros(3),
    )
    assert free_ahead(Pose.from_xyz_rpy([0, 0, 0.4], [0, 0, 0]), [lorry]) < 8


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-140, 140))
def test_a_street_drive_keeps_to_the_left_of_the_road_and_comes_back(city, sheet, seed, along):
    world = city((Semantic.ROAD, np.concatenate([sheet(-150, 150, -4, 4), sheet(-4, 4, -150, 150)])))
    graph = LaneGraph.of(world, street_network(world))
    path = plans.street(graph, np.array([along, 2.0, 0]), np.random.default_rng(seed))
    steps, middle = np.diff(path, axis=0), (path[1:] + path[:-1]) / 2
    length = np.linalg.norm(steps, axis=1)
    assert length.max() < 1.5 and np.linalg.norm(path[-1] - path[0]) < 1.5
    assert np.abs(path).min(axis=1).max() < 4, "on the road"
    # Whoever turns at a dead end crosses over.
    on_arm = (np.abs(middle).max(axis=1) > 15) & (np.abs(middle).max(axis=1) < 130)
    left = (steps[:, 0] * middle[:, 1] - steps[:, 1] * middle[:, 0]) / np.maximum(length, 1e-9)
    assert on_arm.sum() > 100 and (left[on_arm] > 0.5).all()


def test_a_city_without_lanes_has_no_street_drive(city, sheet):
    meadow = city((Semantic.TERRAIN, sheet(-50, 50, -50, 50)))
    with pytest.raises(ValueError, match="roads"):
        plans.street(LaneGraph.of(meadow, street_network(meadow)), np.zeros(3), np.random.default_rng(0))


GOOD_FILES = {
    "way.json": "[[0, 1], [2, 3.5]]",
    "way.yaml": "- [0, 1]\n- [2, 3.5]\n",
    "way.yml": "waypoints:\n  - [0, 1]\n  - [2, 3.5]\n",
    "way.csv": "x, y, note\n0,1,a\n2,3.5,b\n",
}
BAD_FILES = {
    "way.json": (
        "",
        "{}",
        "[[1, 2]]",
        "[[1], [2]]",
        "[[1, 2], [3, NaN]]",
        '[["a", "b"], [1, 2]]',
        "[[1, 2], [3]]",
        "[",
    ),
    "way.yaml": ("- [1, 2]\n- 3\n", "a: b: c", "waypoints: 3", "- [1, .inf]\n- [1, 2]", "- ['1', '2']\n- [1, 2]"),
    "way.csv": ("", "a,b\n1,2\n", "x,y\n1,2\n3\n", "x,y\n1,2\n3,four\n", "x,y\n1,2\n", "0,1\n2,3\n"),
    "way.txt": ("0 1\n2 3\n",),
}


@pytest.mark.parametrize("name", GOOD_FILES)
def test_waypoints_are_read_from_every_kind_of_file(tmp_path, name):
    (tmp_path / name).write_text(GOOD_FILES[name])
    assert read_waypoints(tmp_path / name).tolist() == [[0, 1], [2, 3.5]]


@pytest.mark.parametrize("name", BAD_FILES)
def test_wrong_waypoints_are_refused_with_one_sentence_that_names_the_file(tmp_path, name):
    for wrong in BAD_FILES[name]:
        (tmp_path / name).write_text(wrong)
        with pytest.raises(ValueError, match=r"way\.") as refusal:
            read_waypoints(tmp_path / name)
        assert "\n" not in str(refusal.value)
    (tmp_path / name).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"way\."):
        read_waypoints(tmp_path / name)
    with pytest.raises(ValueError, match="nowhere"):
        read_waypoints(tmp_path / "nowhere.yaml")


def test_a_waypoint_inside_a_building_is_named(city, box, sheet):
    world = city((Semantic.BUILDING, box((-5, -5, 0), (5, 5, 50))), (Semantic.ROAD, sheet(-80, 80, -80, 80)))
    obstacles = ObstacleMap(world)
    with pytest.raises(ValueError, match=r"waypoint 2 at \(0, 1\)"):
        plans.waypoints(obstacles, np.array([[-30.0, 0], [0, 1], [30, 0]]), 20.0)
    path = plans.waypoints(obstacles, np.array([[-30.0, 0], [30, 0]]), 20.0)
    assert inside(path, 20.0, [(np.array([-5.0, -5, 0]), np.array([5.0, 5, 50]))]) == 0


@pytest.fixture(scope="module")
def downtown(city, box, sheet, tmp_path_factory):
    """An imported city's folder: towers, and streets between them."""
    boxes = towers(np.random.default_rng(5))
    folder = tmp_path_factory.mktemp("downtown")
    roads = [sheet(x - 4, x + 4, -160, 160) for x in (-126, 114)] + [
        sheet(-160, 160, y - 4, y + 4) for y in (-126, 114)
    ]
    city(
        (Semantic.BUILDING, np.concatenate([box(*b) for b in boxes])),
        (Semantic.ROAD, np.concatenate(roads)),
        (Semantic.TERRAIN, sheet(-200, 200, -200, 200, -0.01)),
    ).save(folder)
    return folder, boxes


def flown(mission: Mission, pose: Pose, seconds: float) -> list[Pose]:
    """A vehicle that does exactly what the mission says, at 10 Hz."""
    poses = [pose]
    for _ in range(round(seconds * 10)):
        now = poses[-1]
        command = mission.command(now, [])
        turned = now @ Pose.from_xyz_rpy(np.zeros(3), [0, 0, command.yaw_rate * 0.1])
        poses.append(Pose(now.position + now.rotation @ command.linear * 0.1, turned.orientation))
    return poses


MISSIONS = {
    "survey": {"area": (-110.0, -110.0, 90.0, 90.0)},
    "orbit": {"centre": (-6.0, -6.0), "radius": 70.0},
    "street": {},
    "roam": {},
}


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**31), altitude=st.sampled_from([12.0, 30.0, 60.0]), start=st.sampled_from([8.0, 85.0]))
@pytest.mark.parametrize("pattern", MISSIONS)
def test_a_drone_on_any_mission_touches_no_building(downtown, pattern, seed, altitude, start):
    """From below and from above its altitude; loops included."""
    folder, boxes = downtown
    plan = MissionPlan(RobotKind.DRONE, Pattern(pattern), 6.0, altitude, seed=seed, **MISSIONS[pattern])
    poses = flown(Mission(folder, plan), Pose.from_xyz_rpy([-126, -100, start], [0, 0, 1.0]), 200)
    places = np.array([pose.position for pose in poses])
    for low, high in boxes:
        assert not ((places > low - RADIUS) & (places < high + RADIUS)).all(axis=1).any()
    # A street mission may spend 200 s to and fro on one long street.
    assert np.ptp(places[:, :2], axis=0).max() > 80
    assert places[-1, 2] == pytest.approx(altitude, abs=2.5)


def test_an_orbit_looks_at_its_point_and_stays_at_its_radius(city, sheet, tmp_path):
    city((Semantic.ROAD, sheet(-200, 200, -200, 200))).save(tmp_path)
    plan = MissionPlan(RobotKind.DRONE, Pattern.ORBIT, 4.0, 20.0, radius=40.0, centre=(10.0, 20.0))
    poses = flown(Mission(tmp_path, plan), Pose.from_xyz_rpy([-60, 0, 20], [0, 0, 0]), 180)[800:]
    away = np.array([[10, 20] - pose.position[:2] for pose in poses])
    assert np.linalg.norm(away, axis=1) == pytest.approx(np.full(len(away), 40.0), abs=4)
    bearing = np.arctan2(away[:, 1], away[:, 0]) - [pose.yaw for pose in poses]
    assert np.abs(np.angle(np.exp(1j * bearing))).max() < 0.3


def test_a_survey_passes_within_its_spacing_of_every_place_of_its_area(city, sheet):
    world = city((Semantic.ROAD, sheet(-200, 200, -200, 200)))
    area = np.array([-100.0, -50]), np.array([80.0, 120])
    path = plans.survey(world, ObstacleMap(world), np.array([0.0, 0, 30]), 30.0, area)
    places = np.random.default_rng(0).uniform(*area, (300, 2))
    assert max(np.linalg.norm(path - place, axis=1).min() for place in places) < 32
    beyond = path[((path < area[0] - 2) | (path > area[1] + 2)).any(axis=1)]
    assert not len(beyond)


def test_a_mission_that_does_not_loop_ends_and_the_robot_stops(downtown, tmp_path):
    folder, _ = downtown
    (tmp_path / "way.csv").write_text("x,y\n-126,-100\n-126,-60\n")
    plan = MissionPlan(RobotKind.ROVER, Pattern.WAYPOINTS, 3.0, waypoints=tmp_path / "way.csv", loop=False)
    mission = Mission(folder, plan)
    poses = flown(mission, Pose.from_xyz_rpy([-126, -120, 0.3], [0, 0, 1.5]), 60)
    assert mission.finished and np.linalg.norm(poses[-1].position[:2] - [-126, -60]) < 3
    assert (poses[-1].position == poses[-20].position).all()


def test_missions_that_make_no_sense_are_refused(tmp_path):
    with pytest.raises(ValueError, match="rover"):
        MissionPlan(RobotKind.ROVER, Pattern.SURVEY, 4.0)
    with pytest.raises(ValueError, match="waypoints"):
        MissionPlan(RobotKind.DRONE, Pattern.WAYPOINTS, 4.0)
    with pytest.raises(ValueError, match="waypoints"):
        MissionPlan(RobotKind.DRONE, Pattern.SURVEY, 4.0, waypoints=tmp_path)
    for wrong in ({"centre": (1.0,)}, {"area": (0.0, 0.0, 1.0, 1.0)}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            MissionPlan(RobotKind.DRONE, Pattern.ORBIT, 4.0, **wrong)
    with pytest.raises(ValueError, match="x0 < x1"):
        MissionPlan(RobotKind.DRONE, Pattern.SURVEY, 4.0, area=(5.0, 0.0, 1.0, 1.0))
    assert numbers("area", "0, -1.5,2e1,3") == (0.0, -1.5, 20.0, 3.0) and numbers("area", " ") == ()
    for text in ("1,,2", "a,b", "1;2", "nan,1"):
        with pytest.raises(ValueError, match="parameter 'area'"):
            numbers("area", text)


HANG = """
import numpy as np
from occ_core.poses import Pose
from tokyo_sim.missions.follower import PathFollower
PathFollower(np.array([[0.0, 0], [1, 0]]), 1.0, 3.0).drive(Pose.identity())
"""


def test_a_loop_smaller_than_the_lookahead_does_not_hang():
    import subprocess
    import sys

    subprocess.run([sys.executable, "-c", HANG], check=True, timeout=120)
