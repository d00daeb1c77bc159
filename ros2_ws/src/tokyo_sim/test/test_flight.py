"""A drone in Gazebo, flown through its controller as gz-sim 8 to 10 have it: straight and as fast as told.

The plant is MulticopterVelocityControl's law (velocity error times gain, clipped along each axis of the world; attitude
after Lee, Leok, McClamroch, CDC 2010) on a rigid body with linear drag; 200 steps and 50 commands a second.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from scipy.spatial.transform import Rotation

from occ_core.poses import Pose, footprint
from tokyo_city.world import GRAVITY
from tokyo_sim.engine.control import MOST_VELOCITY_ERROR, VELOCITY_GAIN
from tokyo_sim.engine.robot import RobotKind, load_robot
from tokyo_sim.gazebo.flight import FlightLaw, PoseRates

DT, DRAG = 0.005, 0.036  # s; 1/s, with which the plain controller stays 2% low


class Multicopter:
    """Position, velocity and attitude of the drone. gains: on velocity, attitude and rates, as in its description."""

    def __init__(self, yaw: float) -> None:
        plugin = next(
            plugin
            for plugin in etree.fromstring(load_robot(RobotKind.DRONE, "drone_0").xml.encode()).iter("plugin")
            if plugin.get("name").endswith("MulticopterVelocityControl")
        )
        self.most = np.array(plugin.findtext("maximumLinearAcceleration").split(), dtype=float)
        self.position, self.velocity = np.zeros(3), np.zeros(3)
        self.rotation, self.rates = Rotation.from_euler("z", yaw), np.zeros(3)

    @property
    def pose(self) -> Pose:
        return Pose(self.position, self.rotation.as_quat(scalar_first=True))

    def step(self, set_point: np.ndarray) -> None:
        body = self.rotation.as_matrix()
        wanted = np.clip(VELOCITY_GAIN * (body @ set_point - self.velocity), -self.most, self.most)
        force = wanted + (0, 0, GRAVITY)
        up = force / np.linalg.norm(force)
        side = np.cross(up, body[:, 0])
        side /= np.linalg.norm(side)
        desired = np.column_stack([np.cross(side, up), side, up])
        skew = 0.5 * (desired.T @ body - body.T @ desired)
        turn = -np.array([60, 60, 1.6]) * (skew[2, 1], skew[0, 2], skew[1, 0]) - np.array([14, 14, 6]) * self.rates
        self.rates = self.rates + turn * DT
        self.rotation = self.rotation * Rotation.from_rotvec(self.rates * DT)
        acceleration = body[:, 2] * (force @ body[:, 2]) - (0, 0, GRAVITY) - DRAG * self.velocity
        self.velocity = self.velocity + acceleration * DT
        self.position = self.position + self.velocity * DT


def in_body(level: np.ndarray, pose: Pose) -> np.ndarray:
    """The command without our law: turned into the body's frame, and no more."""
    return pose.rotation.T @ footprint(pose, 0.0).rotation @ level


def flown(level, yaw: float, seconds: float, plain: bool = False) -> tuple[Multicopter, np.ndarray]:
    """The drone at the end, and (n, 4) of each step: metres ahead, aside and up from the start, and roll."""
    drone, law, rates, rows = Multicopter(yaw), FlightLaw(), PoseRates(), []
    level, start = np.array(level, dtype=float), Rotation.from_euler("z", yaw)
    set_point = np.zeros(3)
    for step in range(round(seconds / DT)):
        if step % 4 == 0:
            measured = rates.add(step * DT, drone.pose)
            velocity = drone.pose.rotation @ measured[0] if measured else np.zeros(3)
            set_point = in_body(level, drone.pose) if plain else law.set_point(level, drone.pose, velocity, 0.02)
        drone.step(set_point)
        rows.append([*start.inv().apply(drone.position), drone.pose.rpy()[0]])
    return drone, np.array(rows)


def test_a_drone_that_starts_at_69_degrees_flies_straight():
    _, plain = flown((5, 0, 0), np.radians(69), 6, plain=True)
    assert np.abs(plain[:, 1]).max() > 0.3 and np.degrees(np.abs(plain[:, 3]).max()) > 5  # what was seen in Gazebo
    drone, ours = flown((5, 0, 0), np.radians(69), 6)
    assert np.abs(ours[:, 1]).max() < 0.02 and np.degrees(np.abs(ours[:, 3]).max()) < 0.5
    assert drone.pose.yaw == pytest.approx(np.radians(69), abs=np.radians(0.5))


@settings(max_examples=15)
@given(st.floats(-np.pi, np.pi), st.tuples(st.floats(-5, 5), st.floats(-5, 5), st.floats(-2, 2)))
def test_whatever_its_heading_it_reaches_its_velocity_within_half_a_per_cent(yaw, level):
    drone, _ = flown(level, yaw, 10)
    error = Rotation.from_euler("z", yaw).apply(level) - drone.velocity
    assert np.linalg.norm(error) < 0.005 * max(np.linalg.norm(level), 1)


def test_without_the_law_speeds_are_two_per_cent_low():
    drone, _ = flown((4, 0, 0), 0.0, 10, plain=True)
    assert drone.velocity[0] == pytest.approx(0.98 * 4, rel=0.003)


@given(st.tuples(*[st.floats(-0.6, 0.6)] * 2, st.floats(-np.pi, np.pi)), *[st.tuples(*[st.floats(-9, 9)] * 3)] * 2)
def test_no_axis_of_the_world_is_clipped_by_the_controller(rpy, level, velocity):
    pose = Pose.from_xyz_rpy(np.zeros(3), np.array(rpy))
    set_point = FlightLaw().set_point(np.array(level), pose, np.array(velocity), 0.02)
    asked = VELOCITY_GAIN * (pose.rotation @ set_point - velocity)
    assert (np.abs(asked) <= Multicopter(0).most + 1e-9).all()
    error = footprint(pose, 0.0).rotation @ level - velocity
    short = np.linalg.norm(error) <= MOST_VELOCITY_ERROR
    assert asked / VELOCITY_GAIN == pytest.approx(error, abs=0.02) if short else True
    assert np.cross(asked, error) == pytest.approx(np.zeros(3), abs=0.2)  # towards it


def test_rates_of_poses_need_two_of_them_and_no_gap_or_reset_between():
    rates, pose = PoseRates(), Pose.from_xyz_rpy([1.0, 0, 0], [0, 0, np.pi - 0.01])
    assert rates.add(10.0, pose) is None
    linear, angular = rates.add(10.02, Pose.from_xyz_rpy([1.0, 0.04, 0], [0, 0, np.pi + 0.01]))
    assert angular == pytest.approx([0, 0, 1.0]) and linear == pytest.approx([0, -2.0, 0], abs=0.05)
    assert rates.add(11.0, pose) is None and rates.add(0.0, pose) is None
    assert rates.add(0.02, pose) is not None
