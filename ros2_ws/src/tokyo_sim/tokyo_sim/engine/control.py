"""Velocity control of both vehicles: what Gazebo's AckermannSteering and MulticopterVelocityControl do for it there."""

from __future__ import annotations

from math import atan, atan2, copysign, sin, tan

import mujoco
import numpy as np

from occ_core.loops import compiled
from tokyo_city.world import GRAVITY
from tokyo_sim.engine.robot import Robot

# Of the drone's law, on accelerations and angular accelerations: 1/s and 1/s^2.
VELOCITY_GAIN = 1.8
MOST_VELOCITY_ERROR = 1.6
"""m/s, the length of wanted minus actual velocity that a drone works off: 2.9 m/s^2 in any direction."""
_ATTITUDE_GAIN = 60.0
_RATE_GAIN = 14.0
_YAW_RATE_GAIN = 6.0
_INTEGRAL_GAIN = 0.6
_DRAG = 0.25  # 1/s, linear drag of body and rotors per unit mass
_ROTOR_LAG_S = 0.03


def _towards(now: float, target: float, most: float) -> float:
    """A value that changes by so much at most."""
    return now + min(max(target - now, -most), most)


class RoverController:
    """Ackermann steering: rear wheel speeds and front steering angles from forward speed and yaw rate."""

    _MOST_ACCELERATION = 3.0
    _STEERING_RATE = 4.0  # rad/s

    def __init__(self, robot: Robot) -> None:
        self._steered = [joint for joint in robot.joints if joint.kind == "revolute"]
        self._driven = [j for j in robot.joints if j.kind == "continuous" and j.parent == "base_link"]
        self._name = robot.name
        self._radius = robot.bodies[self._driven[0].child].collisions[0].size[0]
        self._wheel_base = float(self._steered[0].origin.position[0] - self._driven[0].origin.position[0])
        # AckermannSteering's tightest turn: wheel_base / sin(steering_limit), about the middle of the driven axle.
        self._most_curvature = sin(robot.steering_limit) / self._wheel_base
        self._target = (0.0, 0.0)
        self._speed, self._angle = 0.0, 0.0

    def attach(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Drive the robot of this model from now on; speed and steering go on as they were."""
        self._ctrl, self._dt = data.ctrl, model.opt.timestep
        self._steering, self._driving = (
            [(model.actuator(f"{self._name}/{joint.name}").id, float(joint.origin.position[1])) for joint in joints]
            for joints in (self._steered, self._driven)
        )

    def command(self, linear: np.ndarray, angular: np.ndarray) -> None:
        """linear: x forward, m/s. angular: z, rad/s. Other axes can't be driven and are ignored."""
        self._target = float(np.clip(linear[0], -6, 6)), float(np.clip(angular[2], -2, 2))

    def apply(self) -> None:
        """Set wheel speeds and steering angles for the next step, speed and curvature changing at limited rates."""
        speed, turn = self._target
        # A car at rest can't turn: the curvature that a yaw rate needs is that of a crawl.
        curvature = copysign(1.0, speed) * turn / max(abs(speed), 0.2)
        angle = atan(self._wheel_base * min(max(curvature, -self._most_curvature), self._most_curvature))
        self._speed = _towards(self._speed, speed, self._MOST_ACCELERATION * self._dt)
        self._angle = _towards(self._angle, angle, self._STEERING_RATE * self._dt)
        bend = tan(self._angle) / self._wheel_base
        for actuator, y in self._driving:
            self._ctrl[actuator] = self._speed * (1 - bend * y) / self._radius
        for actuator, y in self._steering:
            self._ctrl[actuator] = atan2(self._wheel_base * bend, 1 - bend * y)


class DroneController:
    """Cascade: velocity -> acceleration -> thrust and attitude -> torque -> rotors, each with a lag and a limit.

    mixer: (4, rotors) from thrusts, N, to thrust and torque about the body's axes. thrusts: (rotors,) now.
    Source: geometric tracking after Lee, Leok, McClamroch, CDC 2010, with velocity instead of position errors.
    """

    def __init__(self, robot: Robot) -> None:
        self._name = robot.name
        rotors = robot.rotors
        # Rows: thrust, roll, pitch and yaw torque. A rotor's drag turns the body against its own turning.
        self.mixer = np.array(
            [(1.0, r.position[1], -r.position[0], -r.direction * r.moment_constant) for r in rotors]
        ).T.copy()
        self._most_thrust = np.array([rotor.most_thrust for rotor in rotors])
        self._allocation = np.linalg.pinv(self.mixer)
        self.thrusts = np.full(len(rotors), np.nan)
        self._target = np.zeros(4)
        self._integral = np.zeros(3)

    def attach(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Fly the robot of this model from now on; rotors go on as they were, and hover at first."""
        body, start = model.body(self._name).id, int(model.joint(f"{self._name}/free").dofadr[0])
        self._dt = float(model.opt.timestep)
        self._mass = float(model.body_subtreemass[body])
        self._inertia = model.body_inertia[body].copy()
        # Views: they follow the model as it moves.
        self._velocity, self._rates = data.qvel[start : start + 3], data.qvel[start + 3 : start + 6]
        self._rotation, self._applied = data.xmat[body].reshape(3, 3), data.xfrc_applied[body]
        if np.isnan(self.thrusts[0]):
            self.thrusts[:] = self._mass * GRAVITY / len(self.thrusts)

    def command(self, linear: np.ndarray, angular: np.ndarray) -> None:
        """linear: x forward, y left, z up, m/s, level with the ground and yawed with the body. angular: z, rad/s."""
        self._target = np.concatenate([np.clip(linear, -15, 15), np.clip(angular[2:3], -2, 2)])

    def apply(self) -> None:
        """Set the rotors' thrust and torque, and drag, for the next step."""
        wrench = _wanted_wrench(
            self._target,
            self._velocity,
            self._rates,
            self._rotation,
            self._mass,
            self._inertia,
            self._dt,
            self._integral,
        )
        _spin(
            self.mixer, self._allocation @ wrench, self._most_thrust, self._dt, self.thrusts, self._rotation,
            _DRAG * self._mass * self._velocity, self._applied,
        )  # fmt: skip


@compiled
def limited(vector, longest):
    """A vector (3,) in its direction, no longer than that."""
    return vector * min(1.0, longest / max(np.sqrt(np.sum(vector**2)), 1e-9))


@compiled
def _wanted_wrench(target, velocity, rates, rotation, mass, inertia, dt, integral):
    """(4,) thrust, N, and torque about the body's axes, N m. target: (4,) velocity forward, left, up, and yaw rate.

    velocity: (3,) in map; rates: (3,) in the body; rotation: (3, 3) to map. integral: (3,), changed in place.
    """
    heading = np.array([rotation[0, 0], rotation[1, 0], 0.0])
    heading /= max(np.sqrt(heading[0] ** 2 + heading[1] ** 2), 1e-6)
    left = np.array([-heading[1], heading[0], 0.0])
    wanted = heading * target[0] + left * target[1] + np.array([0.0, 0.0, target[2]])
    error = wanted - velocity
    integral[:] = limited(integral + error * dt * _INTEGRAL_GAIN, 1.0)
    # What is known beforehand: a turn's centripetal acceleration, and drag. The integral has the rest to learn.
    known = np.array([-target[3] * wanted[1], target[3] * wanted[0], 0.0]) + _DRAG * velocity
    acceleration = known + VELOCITY_GAIN * limited(error + integral / VELOCITY_GAIN, MOST_VELOCITY_ERROR)
    force = mass * (acceleration + np.array([0.0, 0.0, GRAVITY]))
    up = force / np.sqrt(np.sum(force**2))
    side = np.cross(up, heading)
    side /= np.sqrt(np.sum(side**2))
    desired = np.column_stack((np.cross(side, up), side, up))
    skew = desired.T @ rotation - rotation.T @ desired
    tilt = 0.5 * np.array([skew[2, 1], skew[0, 2], skew[1, 0]])
    angular = -_ATTITUDE_GAIN * tilt - _RATE_GAIN * rates
    angular[2] = _YAW_RATE_GAIN * (target[3] - rates[2])
    wrench = np.empty(4)
    wrench[0] = np.sum(force * rotation[:, 2])
    wrench[1:] = angular * inertia
    return wrench


@compiled
def _spin(mixer, wanted, most, dt, thrusts, rotation, drag, applied):
    """Rotors follow wanted thrusts (n,) within their limits and with a lag; what they do to the body, and drag, (3,) N
    in map, goes to applied: (6,) force and torque in map. thrusts: (n,), changed in place."""
    follow = dt / (_ROTOR_LAG_S + dt)
    for rotor in range(len(thrusts)):
        thrusts[rotor] += follow * (min(max(wanted[rotor], 0.0), most[rotor]) - thrusts[rotor])
    wrench = mixer @ thrusts
    applied[:3] = rotation[:, 2] * wrench[0] - drag
    applied[3:] = rotation @ wrench[1:]
