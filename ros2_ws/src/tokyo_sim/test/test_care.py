"""Rovers do not drive over edges, free themselves where they can, and say where they can't."""

from __future__ import annotations

import numpy as np
import pytest

from occ_core.classes import Semantic
from occ_core.condition import lean
from occ_core.poses import Pose
from tokyo_sim.engine.physics import Physics
from tokyo_sim.engine.robot import RobotKind, load_robot
from tokyo_sim.missions.follower import Command, PathFollower
from tokyo_sim.missions.watchdog import RoverWatchdog, drivable_ahead

ROVER = load_robot(RobotKind.ROVER, "rover_0")


def terrace(city, sheet, height: float):
    """A street that ends at x = 12 in a step up or down, metres."""
    return city((Semantic.ROAD, sheet(-40, 12, -30, 30)), (Semantic.TERRAIN, sheet(12.0, 60, -30, 30, height)))


def driven(world, seconds: float, prisms=(), careful: bool = True) -> tuple[RoverWatchdog, list[Pose]]:
    """Straight on along x at 3 m/s, as a mission drives."""
    physics = Physics(world, list(prisms), [ROVER], [Pose.from_xyz_rpy([0, 0, 0.42], [0, 0, 0.4])])
    follower = PathFollower(np.array([[0.0, 0], [30.0, 0], [60.0, 0]]), 3.0, 3.0, loop=False)
    watchdog, poses = RoverWatchdog(), []
    for _ in range(round(seconds / 0.05)):
        pose = physics.motion(0).pose
        free = drivable_ahead(world, pose) + 1.8 if careful else np.inf
        command = follower.drive(pose, free)
        command = watchdog.allow(pose, command) if careful else command
        physics.command(0, command.linear, np.array([0, 0, command.yaw_rate]))
        physics.step(0.05)
        poses.append(pose)
    return watchdog, poses


@pytest.mark.parametrize("height", [0.0, 0.15, -0.15])
def test_flat_ground_and_kerbs_are_driven_on(city, sheet, height):
    watchdog, poses = driven(terrace(city, sheet, height), 10)
    assert poses[-1].position[0] > 20 and not watchdog.problem
    assert max(float(lean(pose.orientation)[0]) for pose in poses) < 30


@pytest.mark.parametrize("height", [-1.5, -0.7, 0.7, 1.5])
def test_a_rover_stops_before_an_edge_and_says_so_at_last(city, sheet, height):
    watchdog, poses = driven(terrace(city, sheet, height), 60)
    assert max(float(lean(pose.orientation)[0]) for pose in poses) < 15
    assert max(pose.position[0] for pose in poses) < 12
    assert "stuck at" in watchdog.problem


def test_without_care_it_goes_over_the_edge(city, sheet):
    _, poses = driven(terrace(city, sheet, -1.5), 10, careful=False)
    assert max(float(lean(pose.orientation)[0]) for pose in poses) > 25


def test_a_rover_against_a_wall_backs_off_and_gives_up_in_words(city, sheet):
    wall = np.array([(x, y, z) for x in (10, 12) for y in (-9, 9) for z in (-0.5, 8)], dtype=float)
    watchdog, poses = driven(terrace(city, sheet, 0.0), 60, [wall])
    x = np.array([pose.position[0] for pose in poses])
    assert (np.diff(x[::20]) < -0.5).any(), "it never backed off"
    assert "stuck at (" in watchdog.problem and np.ptp(x[-40:]) < 0.05


def test_a_rover_on_its_back_is_not_driven_and_goes_on_once_it_stands():
    watchdog, on = RoverWatchdog(), Command(np.array([3.0, 0, 0]), 0.1)
    back = Pose.from_xyz_rpy([1, 2, 3], [3.1, 0, 0])
    assert not watchdog.allow(back, on).linear.any() and "back at (1.0, 2.0, 3.0)" in watchdog.problem
    assert watchdog.allow(Pose.from_xyz_rpy([1, 2, 3.3], [0, 0, 0]), on) is on and not watchdog.problem


def test_a_rover_that_falls_says_so():
    watchdog, on = RoverWatchdog(), Command(np.array([3.0, 0, 0]), 0.1)
    for tick in range(40):
        watchdog.allow(Pose.from_xyz_rpy([0, 0, -9.81 / 2 * (0.05 * tick) ** 2], [0, 0, 0]), on)
    assert "it falls at" in watchdog.problem


def test_waiting_for_somebody_is_not_being_stuck():
    watchdog, stop, here = RoverWatchdog(), Command(np.zeros(3), 0.0), Pose.from_xyz_rpy([0, 0, 0.4], [0, 0, 0])
    for _ in range(2000):
        watchdog.waits()
        assert watchdog.allow(here, stop) is stop
    assert not watchdog.problem


def test_where_the_ground_ends_is_an_edge_too(city, sheet):
    _, poses = driven(city((Semantic.ROAD, sheet(-40, 12, -30, 30))), 20)
    assert max(pose.position[0] for pose in poses) < 12.0
    assert max(float(lean(pose.orientation)[0]) for pose in poses) < 15
