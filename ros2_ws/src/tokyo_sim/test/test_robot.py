"""Both robots' descriptions: links where URDF says, bodies that can exist, sensors as the design says."""

from __future__ import annotations

import io

import numpy as np
import pytest
import yourdfpy
from lxml import etree

from occ_core.topics import CAMERAS
from occ_core.urdf import link_poses
from tokyo_sim.engine.robot import Robot, RobotKind, load_robot


@pytest.fixture(scope="module", params=list(RobotKind))
def robot(request) -> Robot:
    return load_robot(request.param, f"{request.param.value}_0")


def test_link_poses_are_those_of_an_independent_urdf_reader(robot):
    urdf = yourdfpy.URDF.load(io.StringIO(robot.xml), build_scene_graph=True, load_meshes=False)
    poses = link_poses(robot.xml)
    assert set(poses) == {link.name for link in urdf.robot.links}
    for name, pose in poses.items():
        assert np.allclose(pose.matrix, urdf.get_transform(name, "base_link"), atol=1e-9), name


def test_links_and_joints_are_those_of_an_independent_urdf_reader(robot):
    urdf = yourdfpy.URDF.load(io.StringIO(robot.xml), build_scene_graph=False, load_meshes=False)
    assert list(robot.bodies) == [link.name for link in urdf.robot.links]
    for link, theirs in zip(robot.bodies.values(), urdf.robot.links, strict=True):
        assert (link.inertial is None) == (theirs.inertial is None), link.name
        if link.inertial is not None:
            centre = np.zeros(3) if theirs.inertial.origin is None else theirs.inertial.origin[:3, 3]
            assert link.inertial.mass == theirs.inertial.mass
            assert np.array_equal(link.inertial.inertia, theirs.inertial.inertia)
            assert np.array_equal(link.inertial.centre, centre)
        for shapes, others in ((link.collisions, theirs.collisions), (link.visuals, theirs.visuals)):
            assert len(shapes) == len(others)
            for shape, other in zip(shapes, others, strict=True):
                assert np.allclose(shape.pose.matrix, np.eye(4) if other.origin is None else other.origin, atol=1e-12)
                it = getattr(other.geometry, shape.kind)
                size = it.size if shape.kind == "box" else [it.radius, *filter(None, [getattr(it, "length", None)])]
                assert np.array_equal(shape.size, size)
        for shape, other in zip(link.visuals, theirs.visuals, strict=True):
            assert np.array_equal(shape.rgba, other.material.color.rgba)
    assert [joint.name for joint in robot.joints] == [joint.name for joint in urdf.robot.joints]
    for joint, other in zip(robot.joints, urdf.robot.joints, strict=True):
        assert (joint.kind, joint.parent, joint.child) == (other.type, other.parent, other.child)
        assert np.allclose(joint.origin.matrix, np.eye(4) if other.origin is None else other.origin, atol=1e-12)
        assert np.array_equal(joint.axis, other.axis)
        assert joint.upper == (np.inf if other.limit is None else other.limit.upper)


def test_every_body_can_exist(robot):
    bodies = [link for link in robot.bodies.values() if link.inertial is not None]
    assert bodies
    for link in bodies:
        assert link.inertial.mass > 0
        moments = np.linalg.eigvalsh(link.inertial.inertia)
        assert moments[0] > 0, link.name
        assert moments[0] + moments[1] >= moments[2] * (1 - 1e-9), link.name


def test_masses_and_sizes_are_those_of_such_vehicles(robot):
    """A survey drone (DJI Matrice 300: 6.3 kg, 0.81 x 0.67 m) and a delivery rover (40 to 100 kg, about 1 m)."""
    mass = sum(link.inertial.mass for link in robot.bodies.values() if link.inertial is not None)
    low, high = {RobotKind.DRONE: (4, 10), RobotKind.ROVER: (40, 100)}[robot.kind]
    assert low < mass < high
    assert (robot.size[:2] > 0.5).all() and (robot.size < 2.0).all()
    # A body's gyration radii lie inside the body.
    base = robot.bodies["base_link"].inertial
    assert (np.sqrt(np.linalg.eigvalsh(base.inertia) / base.mass) < robot.size.max() / 2).all()


def test_a_drone_can_lift_itself_and_a_rover_stands_on_four_wheels():
    drone, rover = (load_robot(kind, f"{kind.value}_0") for kind in (RobotKind.DRONE, RobotKind.ROVER))
    mass = sum(link.inertial.mass for link in drone.bodies.values() if link.inertial is not None)
    assert 1.8 < sum(rotor.most_thrust for rotor in drone.rotors) / (mass * 9.81) < 4
    assert sorted(rotor.direction for rotor in drone.rotors) == [-1, -1, 1, 1]
    assert rover.rotors == ()
    wheels = [joint for joint in rover.joints if joint.kind == "continuous"]
    bottoms = [rover.links[j.child].position[2] - rover.bodies[j.child].collisions[0].size[0] for j in wheels]
    assert len(wheels) == 4 and np.ptp(bottoms) < 1e-9


@pytest.mark.parametrize("kind", list(RobotKind))
@pytest.mark.parametrize("name", ["drone_0", "rover_17", "a", "tokyo_survey_2"])
def test_the_description_expands_for_any_namespace(kind, name):
    """All topics and frames of its Gazebo plugins and sensors are below the name, and no xacro is left."""
    robot = load_robot(kind, name)
    assert "${" not in robot.xml and "$(" not in robot.xml
    tree = etree.fromstring(robot.xml)
    assert not [element.tag for element in tree.iter(etree.Element) if "xacro" in element.tag]
    topics = [e.text for tag in ("topic", "odom_topic", "gz_frame_id", "robot_base_frame") for e in tree.iter(tag)]
    assert len(topics) > 10 and all(text.startswith(f"{name}/") for text in topics)
    assert {e.text for e in tree.iter("robotNamespace")} <= {name}


def test_gazebo_gets_the_motors_and_the_controller_that_its_documentation_names():
    drone, rover = (
        etree.fromstring(load_robot(kind, f"{kind.value}_0").xml) for kind in (RobotKind.DRONE, RobotKind.ROVER)
    )
    plugins = lambda tree: [plugin.get("name") for plugin in tree.iter("plugin")]  # noqa: E731
    assert plugins(drone).count("gz::sim::systems::MulticopterMotorModel") == 4
    assert plugins(drone).count("gz::sim::systems::MulticopterVelocityControl") == 1
    assert plugins(rover).count("gz::sim::systems::AckermannSteering") == 1
    joints = {joint.get("name") for joint in rover.iter("joint")}
    tags = ("left_joint", "right_joint", "left_steering_joint", "right_steering_joint")
    assert {rover.findtext(f".//plugin/{tag}") for tag in tags} <= joints
    # The controller mixes for the motors that there are: the same joints, constants and directions.
    motors = {p.findtext("jointName"): p for p in drone.iter("plugin") if p.find("motorConstant") is not None}
    entries = list(drone.iter("rotor"))
    assert len(entries) == len(motors) == 4
    for entry in entries:
        motor = motors[entry.findtext("jointName")]
        assert entry.findtext("forceConstant") == motor.findtext("motorConstant")
        assert entry.findtext("momentConstant") == motor.findtext("momentConstant")
        assert (entry.findtext("direction") == "1") == (motor.findtext("turningDirection") == "ccw")


def test_the_sensors_are_those_of_the_design(robot):
    assert {camera.name for camera in robot.cameras} == set(CAMERAS)
    for camera in robot.cameras:
        assert (camera.width, camera.height) == (1600, 900)
        assert np.degrees(camera.horizontal_fov) == pytest.approx(70)
    assert robot.lidar.directions.shape == (32, 1800, 3) and robot.lidar.range_max == 120 and robot.lidar.rate == 10
    up = np.degrees(robot.lidar.elevations)
    if robot.kind is RobotKind.ROVER:  # Velodyne HDL-32E: +10.67 to -30.67 degrees, 1.33 apart
        assert up == pytest.approx(np.linspace(-30.67, 10.67, 32), abs=0.01)
    else:
        assert (up.min(), up.max()) == pytest.approx((-45, 45))
    steps = np.diff(np.append(robot.lidar.azimuths, robot.lidar.azimuths[0] + 2 * np.pi))
    assert steps == pytest.approx(np.full(len(steps), steps[0]))
    assert robot.imu.rate == 100


def test_cameras_look_where_their_names_say(robot):
    bearing = {"front": 0, "front_left": 55, "back_left": 110, "back": 180, "back_right": -110, "front_right": -55}
    for camera in robot.cameras:
        forward, down = camera.mount.rotation[:, 2], camera.mount.rotation[:, 1]
        off = np.degrees(np.arctan2(forward[1], forward[0])) - bearing[camera.name]
        assert abs((off + 180) % 360 - 180) < 1e-6, camera.name
        assert down @ [0, 0, -1] == pytest.approx(1)


@pytest.mark.parametrize("name", ["", "Drone", "drone 0", "0drone", "drone/0", "ドローン"])
def test_a_name_that_is_no_namespace_is_refused(name):
    with pytest.raises(ValueError, match="namespace"):
        load_robot(RobotKind.DRONE, name)


def test_a_description_that_is_no_urdf_is_refused():
    with pytest.raises(ValueError, match="not XML"):
        link_poses("<robot")
    with pytest.raises(ValueError, match="parent or child"):
        link_poses('<robot><joint name="j"><parent link="a"/></joint></robot>')


def test_a_description_whose_joints_are_no_tree_is_refused():
    def joint(parent: str, child: str) -> str:
        return f'<joint name="{parent}{child}"><parent link="{parent}"/><child link="{child}"/></joint>'

    for joints in (("base_link", "a"), ("a", "b"), ("b", "a")), (("base_link", "base_link"),):
        with pytest.raises(ValueError, match="two ways to link"):
            link_poses("<robot>" + "".join(joint(*names) for names in joints) + "</robot>")
