"""Both robots' descriptions: links where URDF says, bodies that can exist, sensors as the design says."""

from __future__ import annotations

import io

import numpy as np
import pytest
import yourdfpy

from occ_core.topics import CAMERAS
from occ_core.urdf import link_poses
from tokyo_sim.engine.robot import Kind, Robot, load_robot


@pytest.fixture(scope="module", params=list(Kind))
def robot(request) -> Robot:
    return load_robot(request.param, f"{request.param.value}_0")


def test_link_poses_are_those_of_an_independent_urdf_reader(robot):
    urdf = yourdfpy.URDF.load(io.StringIO(robot.xml), build_scene_graph=True, load_meshes=False)
    poses = link_poses(robot.xml)
    assert set(poses) == {link.name for link in urdf.robot.links}
    for name, pose in poses.items():
        assert np.allclose(pose.matrix, urdf.get_transform(name, "base_link"), atol=1e-9), name


def test_every_body_can_exist(robot):
    bodies = [link for link in robot.urdf.robot.links if link.inertial is not None]
    assert bodies
    for link in bodies:
        assert link.inertial.mass > 0
        moments = np.linalg.eigvalsh(link.inertial.inertia)
        assert moments[0] > 0, link.name
        assert moments[0] + moments[1] >= moments[2] * (1 - 1e-9), link.name


def test_the_sensors_are_those_of_the_design(robot):
    assert {camera.name for camera in robot.cameras} == set(CAMERAS)
    for camera in robot.cameras:
        assert (camera.width, camera.height) == (1600, 900)
        assert np.degrees(camera.horizontal_fov) == pytest.approx(70)
    assert len(robot.lidar.elevations) == 32 and robot.lidar.range_max == 120
    steps = np.diff(np.append(robot.lidar.azimuths, robot.lidar.azimuths[0] + 2 * np.pi))
    assert steps == pytest.approx(np.full(len(steps), steps[0]))
    assert robot.imu.rate == 100


def test_cameras_look_where_their_names_say(robot):
    bearing = {"front": 0, "front_left": 60, "back_left": 110, "back": 180, "back_right": -110, "front_right": -60}
    for camera in robot.cameras:
        forward, down = camera.mount.rotation[:, 2], camera.mount.rotation[:, 1]
        off = np.degrees(np.arctan2(forward[1], forward[0])) - bearing[camera.name]
        assert abs((off + 180) % 360 - 180) <= 15, camera.name
        assert down @ [0, 0, -1] > 0.9


@pytest.mark.parametrize("name", ["", "Drone", "drone 0", "0drone", "drone/0", "ドローン"])
def test_a_name_that_is_no_namespace_is_refused(name):
    with pytest.raises(ValueError, match="namespace"):
        load_robot(Kind.DRONE, name)


def test_a_description_that_is_no_urdf_is_refused():
    with pytest.raises(ValueError, match="not XML"):
        link_poses("<robot")
    with pytest.raises(ValueError, match="parent or child"):
        link_poses('<robot><joint name="j"><parent link="a"/></joint></robot>')
