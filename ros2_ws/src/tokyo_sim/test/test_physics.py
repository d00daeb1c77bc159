"""Vehicles do what they are told, are stopped by walls, and feel it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from occ_core.classes import Semantic
from occ_core.poses import Pose
from tokyo_sim.engine.control import DroneController
from tokyo_sim.engine.imu import Imu
from tokyo_sim.engine.physics import STEP_S, Motion, Physics
from tokyo_sim.engine.robot import RobotKind, load_robot

ROVER, DRONE = load_robot(RobotKind.ROVER, "rover_0"), load_robot(RobotKind.DRONE, "drone_0")
ROVER_Z = 0.42


@pytest.fixture(scope="module")
def flat(city, sheet):
    return city((Semantic.ROAD, sheet(-200, 200, -200, 200)))


def at(x: float, y: float, z: float, yaw: float = 0.0) -> Pose:
    return Pose.from_xyz_rpy([x, y, z], [0, 0, yaw])


def driven(world, robot, pose, linear=(0, 0, 0), turn=0.0, seconds=5.0, prisms=()) -> tuple[Physics, list[Motion]]:
    """Physics after a command, and the motion ten times a second."""
    physics = Physics(world, list(prisms), [robot], [pose])
    physics.step(1.0)
    physics.command(0, np.array(linear, dtype=float), np.array([0, 0, turn]))
    motions = [physics.motion(0)]
    for _ in range(round(seconds * 10)):
        physics.step(0.1)
        motions.append(physics.motion(0))
    return physics, motions


@pytest.mark.parametrize("speed, turn", [(1.0, 0.0), (4.0, 0.0), (-1.0, 0.0), (3.0, 0.5), (2.0, -0.6), (-1.5, 0.4)])
def test_a_rover_drives_at_the_speed_and_yaw_rate_that_it_is_told(flat, speed, turn):
    _, motions = driven(flat, ROVER, at(0, 0, ROVER_Z), (speed, 0, 0), turn)
    last = motions[-20:]
    assert np.mean([m.linear[0] for m in last]) == pytest.approx(speed, rel=0.15)
    assert np.mean([m.angular[2] for m in last]) == pytest.approx(turn, rel=0.15, abs=0.02)
    assert abs(np.mean([m.linear[2] for m in last])) < 0.05
    assert max(abs(m.pose.rpy()[:2]).max() for m in motions) < 0.1


@pytest.mark.parametrize("speed, turn", [(1.0, 2.0), (1.0, -2.0), (-1.0, 2.0)])
def test_the_tightest_turn_is_that_of_gazebo_s_ackermann_steering(flat, speed, turn):
    """wheel_base / sin(steering_limit) = 1.19 m about the driven axle; 1.21 m were measured in Gazebo at 1 m/s."""
    _, motions = driven(flat, ROVER, at(0, 0, ROVER_Z), (speed, 0, 0), turn, seconds=12)
    axle = np.array([m.pose.apply(np.array([[-0.36, 0, 0]]))[0, :2] for m in motions[30:]])
    system = np.column_stack([2 * axle, np.ones(len(axle))])
    centre = np.linalg.lstsq(system, (axle**2).sum(axis=1), rcond=None)[0]
    radius = np.sqrt(centre[2] + centre[0] ** 2 + centre[1] ** 2)
    assert radius == pytest.approx(0.72 / np.sin(0.65), rel=0.05)
    assert max(abs(m.pose.rpy()[:2]).max() for m in motions) < 0.1


def test_steered_wheels_may_turn_as_far_as_the_tightest_turn_needs():
    """Gazebo keeps to the joints' limits: the inner front wheel turns further than `steering_limit`."""
    tightest = 0.72 / np.sin(ROVER.steering_limit)
    limits = [joint.upper for joint in ROVER.joints if joint.kind == "revolute"]
    assert len(limits) == 2 and min(limits) > np.arctan(0.72 / (tightest - 0.38))


def test_a_rover_at_rest_stays_and_stands_on_its_wheels(flat):
    _, motions = driven(flat, ROVER, at(3, -2, ROVER_Z, 0.7), seconds=3)
    assert np.linalg.norm(motions[-1].pose.position[:2] - [3, -2]) < 0.02
    assert motions[-1].pose.position[2] == pytest.approx(0.38, abs=0.02)  # wheel radius 0.22 + axle 0.16 below


def test_velocity_is_the_change_of_position(flat):
    for robot, z in ((ROVER, ROVER_Z), (DRONE, 20.0)):
        _, motions = driven(flat, robot, at(0, 0, z, 0.4), (3, 0, 0), 0.4)
        for before, now, after in list(zip(motions, motions[1:], motions[2:], strict=False))[20:]:
            change = (after.pose.position - before.pose.position) / 0.2
            assert np.linalg.norm(now.pose.rotation @ now.linear - change) < 0.1
            turn = Rotation.from_matrix(before.pose.rotation.T @ after.pose.rotation).as_rotvec() / 0.2
            assert np.linalg.norm(now.angular - turn) < 0.1


@pytest.mark.parametrize("speed", [1.0, 5.0])
def test_a_wall_stops_a_rover(flat, speed):
    wall = np.array([(x, y, z) for x in (10, 12) for y in (-5, 5) for z in (-0.5, 8)], dtype=float)
    _, motions = driven(flat, ROVER, at(0, 0, ROVER_Z), (speed, 0, 0), seconds=12, prisms=[wall])
    front = [m.pose.position[0] + 0.55 for m in motions]
    assert 9.5 < max(front) < 10.3


@pytest.mark.parametrize("speed", [4.0, 15.0])
@pytest.mark.parametrize("thickness", [0.2, 2.0])
def test_a_wall_stops_a_drone(flat, speed, thickness):
    wall = np.array([(x, y, z) for x in (40, 40 + thickness) for y in (-60, 60) for z in (-0.5, 90)], dtype=float)
    _, motions = driven(flat, DRONE, at(0, 0, 40), (speed, 0, 0), seconds=14, prisms=[wall])
    assert 39 < max(m.pose.position[0] for m in motions) < 40


def test_a_roof_stops_a_drone_that_descends(flat):
    house = np.array([(x, y, z) for x in (-9, 9) for y in (-9, 9) for z in (-0.5, 12)], dtype=float)
    _, motions = driven(flat, DRONE, at(0, 0, 30), (0, 0, -4), seconds=8, prisms=[house])
    assert 12 < min(m.pose.position[2] for m in motions) < 12.7


@pytest.mark.parametrize("speed", [1.0, 4.0, 15.0])
def test_hulls_of_drones_that_meet_do_not_sink_into_each_other(flat, speed):
    other = load_robot(RobotKind.DRONE, "drone_1")
    physics = Physics(flat, [], [DRONE, other], [at(-30, 0, 80), at(0, 0, 80)])
    physics.command(0, np.array([speed, 0, 0]), np.zeros(3))
    touches = []
    for _ in range(round((4 + 30 / speed) / STEP_S)):
        physics.step(STEP_S)
        touches.extend(contact.dist for contact in physics.data.contact)
    assert touches and min(touches) > -0.02 * speed - 0.01  # metres; what a contact gives way in a collision


@pytest.mark.parametrize("height", [0.05, 0.15])
def test_a_rover_climbs_a_kerb_that_a_car_climbs(city, sheet, height):
    """A sidewalk beside a road: 0.15 m is the kerb of a Japanese street; the rover's wheels are 0.44 m."""
    street = city((Semantic.ROAD, sheet(-50, 5, -20, 20)), (Semantic.SIDEWALK, sheet(5, 60, -20, 20, height)))
    _, motions = driven(street, ROVER, at(0, 0, ROVER_Z), (2, 0, 0), seconds=7)
    assert motions[-1].pose.position[0] > 10
    assert motions[-1].pose.position[2] == pytest.approx(height + 0.38, abs=0.03)
    assert max(abs(m.pose.rpy()[:2]).max() for m in motions) < 0.5


def blocks() -> list[np.ndarray]:
    """Thirty houses of 8 m along a street of 600 m, and a wall across its end."""
    houses = [
        np.array([(x, y, z) for x in (at_x, at_x + 8) for y in (side, side + 8) for z in (-0.5, 12)], dtype=float)
        for at_x in range(-280, 300, 40)
        for side in (-14, 6)
    ]
    wall = np.array([(x, y, z) for x in (180, 182) for y in (-6, 6) for z in (-0.5, 8)], dtype=float)
    return [*houses, wall]


def test_buildings_out_of_reach_cost_nothing_and_stop_robots_once_they_come_near(city, sheet):
    street = city((Semantic.ROAD, sheet(-400, 400, -50, 50)))
    physics = Physics(street, blocks(), [ROVER], [at(0, 0, ROVER_Z)])
    houses = lambda: sum(physics.model.geom_type == 7)  # noqa: E731  # meshes
    before = houses()
    assert 0 < before < len(blocks()) / 2
    physics.command(0, np.array([6.0, 0, 0]), np.zeros(3))
    for _ in range(400):
        physics.step(0.1)
        assert abs(physics.motion(0).pose.position[1]) < 1
    assert physics.motion(0).pose.position[0] + 0.55 == pytest.approx(180, abs=0.3)
    assert houses() < len(blocks()) / 2


@pytest.mark.parametrize("robot, z, speed", [(ROVER, ROVER_Z, 6.0), (DRONE, 30.0, 12.0)], ids=["rover", "drone"])
def test_a_new_surrounding_does_not_change_how_a_robot_moves(city, sheet, robot, z, speed):
    """Among houses that it never meets, with and without them: the motion stays the same over several rebuilds."""
    street = city((Semantic.ROAD, sheet(-400, 400, -50, 50)))
    runs = []
    for prisms in (blocks()[:-1], []):
        physics = Physics(street, prisms, [robot], [at(-150, 0, z)])
        models = {id(physics.model): physics.model}
        physics.command(0, np.array([speed, 0, 0]), np.array([0, 0, 0.0]))
        motions = []
        for _ in range(150):
            physics.step(0.1)
            models[id(physics.model)] = physics.model
            motions.append(physics.motion(0))
        assert len(models) > 2
        runs.append(motions)
    for with_houses, without in zip(*runs, strict=True):
        assert np.allclose(with_houses.pose.matrix, without.pose.matrix, atol=1e-6)
        assert np.allclose(with_houses.linear, without.linear, atol=1e-6)
    speeds = np.array([np.linalg.norm(motion.linear) for motion in runs[0]])
    assert np.abs(np.diff(speeds[80:])).max() < 0.05 and speeds[-1] == pytest.approx(speed, rel=0.05)


def test_a_drone_hovers_with_rotors_that_carry_its_weight_and_none_beyond_its_limit(flat):
    physics, _ = driven(flat, DRONE, at(0, 0, 40), seconds=4)
    controller = physics._controllers[0]
    weight = physics.model.body_subtreemass[physics.model.body("drone_0").id] * 9.81
    assert controller.thrusts.sum() == pytest.approx(weight, rel=0.01)
    physics.command(0, np.array([15.0, -15, 15]), np.array([0, 0, 2.0]))
    most = np.array([rotor.most_thrust for rotor in DRONE.rotors])
    for _ in range(300):
        physics.step(STEP_S)
        assert (controller.thrusts >= 0).all() and (controller.thrusts <= most).all()


def test_rotors_turn_the_body_as_their_places_and_directions_say():
    """Thrust at each rotor by itself: the torque is lever arm x force, and drag against its own turning."""
    mixer = DroneController(DRONE).mixer
    for column, rotor in zip(mixer.T, DRONE.rotors, strict=True):
        torque = np.cross(rotor.position, [0, 0, 1.0])
        assert column[0] == 1 and column[1:3] == pytest.approx(torque[:2])
        assert column[3] == pytest.approx(-rotor.direction * rotor.moment_constant)
    assert np.linalg.matrix_rank(mixer) == 4
    assert mixer @ np.ones(4) == pytest.approx([4, 0, 0, 0], abs=1e-12)


@pytest.mark.parametrize("velocity", [(5, 0, 0), (0, -3, 0), (0, 0, 2), (0, 0, -2), (4, 3, 1), (0, 0, 0)])
def test_a_drone_reaches_its_velocity_and_holds_what_is_not_asked(flat, velocity):
    _, motions = driven(flat, DRONE, at(0, 0, 40, 0.5), velocity, seconds=6)
    level = [Rotation.from_euler("z", -m.pose.yaw).apply(m.pose.rotation @ m.linear) for m in motions[-20:]]
    assert np.abs(np.mean(level, axis=0) - velocity).max() < 0.15 * max(np.linalg.norm(velocity), 1)
    if velocity[2] == 0:
        assert max(abs(m.pose.position[2] - 40) for m in motions) < 0.8
    assert abs(motions[-1].pose.yaw - 0.5) < 0.1


def test_a_drone_flies_straight_whatever_its_heading(flat):
    """Limits on acceleration hold for the vector: clipped along each axis of the world, it would fly aside."""
    yaw = np.radians(69)
    _, motions = driven(flat, DRONE, at(0, 0, 40, yaw), (8, 0, 0), seconds=6)
    across = np.array([-np.sin(yaw), np.cos(yaw), 0])
    assert max(abs(across @ m.pose.position) for m in motions) < 0.05
    assert max(abs(m.pose.rpy()[0]) for m in motions) < np.radians(1)


@pytest.mark.parametrize("turn", [0.5, -0.8])
def test_a_drone_turns_where_it_hovers(flat, turn):
    _, motions = driven(flat, DRONE, at(0, 0, 40), turn=turn, seconds=4)
    assert motions[-1].angular[2] == pytest.approx(turn, rel=0.15)
    assert np.linalg.norm(motions[-1].pose.position - [0, 0, 40]) < 0.5


@pytest.mark.parametrize("robot, z", [(ROVER, ROVER_Z), (DRONE, 30.0)], ids=["rover", "drone"])
def test_an_imu_at_rest_reads_gravity_upwards(flat, robot, z):
    physics, _ = driven(flat, robot, at(0, 0, z), seconds=1)
    imu = Imu(robot.imu, np.random.default_rng(0))
    readings = []
    for _ in range(100):
        physics.step(0.01)
        readings.append(imu.read(*physics.inertial(0)))
    mean = np.mean([r.acceleration for r in readings], axis=0)
    assert mean == pytest.approx([0, 0, 9.81], abs=0.08)
    assert np.mean([r.angular_velocity for r in readings], axis=0) == pytest.approx([0, 0, 0], abs=0.01)
    assert np.std([r.acceleration[0] for r in readings]) >= 0.5 * robot.imu.accel.stddev


def test_a_rover_climbs_a_slope_and_leaves_its_first_ground_patch(city):
    corners = [(x, y, 0.1 * x) for x, y in ((-100, -100), (100, -100), (100, 100), (-100, 100))]
    slope = city(
        (Semantic.ROAD, np.array([[corners[0], corners[1], corners[2]], [corners[0], corners[2], corners[3]]]))
    )
    _, motions = driven(slope, ROVER, at(0, 0, ROVER_Z), (5, 0, 0), seconds=12)
    x, _, z = motions[-1].pose.position
    assert x > 40 and z == pytest.approx(0.1 * x + 0.38, abs=0.1)


def test_a_robot_is_at_rest_where_it_is_placed(flat):
    physics, _ = driven(flat, ROVER, at(0, 0, ROVER_Z), (3, 0, 0), seconds=2)
    physics.place(0, at(80, -60, ROVER_Z, 1.0))
    motion = physics.motion(0)
    assert motion.pose.position == pytest.approx([80, -60, ROVER_Z]) and not motion.linear.any()
    physics.command(0, np.zeros(3), np.zeros(3))
    physics.step(2.0)
    assert physics.motion(0).pose.position[2] == pytest.approx(0.38, abs=0.02)


def test_of_many_robots_none_touches_the_ground_of_another(flat):
    """MuJoCo has 32 bits for who may touch what: the first and the 29th robot have the same one."""
    robots = [replace(ROVER, name=f"rover_{number}") for number in range(30)]
    places = [at(3.0 * (number % 28), 3.0 * (number // 28), ROVER_Z) for number in range(30)]
    physics = Physics(flat, [], robots, places)
    physics.step(0.5)
    body_of = physics.model.geom_bodyid
    names = [[physics.model.body(body_of[geom]).name for geom in pair] for pair in physics.data.contact.geom]
    pairs = [sorted(pair, key=lambda name: name.endswith("/ground")) for pair in names]
    on_ground = [(part.split("/")[0], ground.split("/")[0]) for part, ground in pairs if ground.endswith("/ground")]
    assert {robot for robot, _ in on_ground} == {robot.name for robot in robots}
    assert all(robot == owner for robot, owner in on_ground)
