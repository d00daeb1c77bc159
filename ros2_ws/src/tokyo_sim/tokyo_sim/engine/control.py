"""Velocity control of both vehicles: what Gazebo's DiffDrive and MulticopterVelocityControl do for it there."""

from __future__ import annotations

import mujoco
import numpy as np

from tokyo_sim.engine.robot import Robot

GRAVITY = 9.81


class RoverController:
    """Ackermann steering: rear wheel speeds and front steering angles from forward speed and yaw rate."""

    def __init__(self, robot: Robot, model: mujoco.MjModel) -> None:
        joints = {joint.name: joint for joint in robot.urdf.robot.joints}
        steered = [joint for joint in joints.values() if joint.type == "revolute"]
        driven = [joint for joint in joints.values() if joint.type == "continuous" and joint.parent == "base_link"]
        self._steered = [(model.actuator(f"{robot.name}/{j.name}").id, float(j.origin[1, 3])) for j in steered]
        self._driven = [(model.actuator(f"{robot.name}/{j.name}").id, float(j.origin[1, 3])) for j in driven]
        self._radius = float(robot.urdf.link_map[driven[0].child].collisions[0].geometry.sphere.radius)
        self._wheel_base = float(steered[0].origin[0, 3] - driven[0].origin[0, 3])
        self._most_angle = float(steered[0].limit.upper)
        self._target = np.zeros(2)
        self._now = np.zeros(2)
        self._most = np.array([3.0, 4.0]) * model.opt.timestep

    def command(self, linear: np.ndarray, angular: np.ndarray) -> None:
        """linear: x forward, m/s. angular: z, rad/s. Other axes can't be driven and are ignored."""
        self._target = np.array([np.clip(linear[0], -6, 6), np.clip(angular[2], -2, 2)])

    def apply(self, data: mujoco.MjData) -> None:
        """Set wheel speeds and steering angles for the next step, speed and curvature changing at limited rates."""
        speed, turn = self._target
        # A car at rest can't turn: the angle that a yaw rate needs is that of a crawl.
        wanted = np.arctan2(self._wheel_base * turn, max(abs(speed), 0.2)) * (1 if speed >= 0 else -1)
        target = np.array([speed, np.clip(wanted, -self._most_angle, self._most_angle)])
        self._now += np.clip(target - self._now, -self._most, self._most)
        speed, angle = self._now
        curvature = np.tan(angle) / self._wheel_base
        for actuator, y in self._driven:
            data.ctrl[actuator] = speed * (1 - curvature * y) / self._radius
        for actuator, y in self._steered:
            data.ctrl[actuator] = np.arctan2(self._wheel_base * curvature, 1 - curvature * y)


class DroneController:
    """Cascade: velocity -> acceleration -> thrust and attitude -> body torque; rotors follow with a lag.

    Source: geometric tracking after Lee, Leok, McClamroch, CDC 2010, with velocity instead of position errors.
    """

    _VELOCITY_GAIN = 1.8
    _ATTITUDE_GAIN = 60.0
    _RATE_GAIN = 14.0
    _YAW_RATE_GAIN = 6.0
    _INTEGRAL_GAIN = 0.6
    _MOST_ACCELERATION = 4.0
    _DRAG = 0.25  # 1/s, linear drag of body and rotors per unit mass
    _ROTOR_LAG_S = 0.03

    def __init__(self, robot: Robot, model: mujoco.MjModel) -> None:
        self._body = model.body(robot.name).id
        self._joint = f"{robot.name}/free"
        self._mass = float(model.body_subtreemass[self._body])
        self._inertia = model.body_inertia[self._body].copy()
        self._follow = model.opt.timestep / (self._ROTOR_LAG_S + model.opt.timestep)
        self._target = np.zeros(4)
        self._integral = np.zeros(3)
        self._wrench = np.array([self._mass * GRAVITY, 0, 0, 0])
        self._dt = model.opt.timestep

    def command(self, linear: np.ndarray, angular: np.ndarray) -> None:
        """linear: x forward, y left, z up, m/s, level with the ground and yawed with the body. angular: z, rad/s."""
        self._target = np.concatenate([np.clip(linear, -15, 15), np.clip(angular[2:3], -2, 2)])

    def apply(self, data: mujoco.MjData) -> None:
        """Set the rotors' common thrust and torque, and drag, for the next step."""
        velocity, rates = data.joint(self._joint).qvel[:3], data.joint(self._joint).qvel[3:6]
        rotation = data.xmat[self._body].reshape(3, 3)
        heading = np.array([rotation[0, 0], rotation[1, 0], 0.0])
        heading /= max(float(np.linalg.norm(heading)), 1e-6)
        left = np.array([-heading[1], heading[0], 0.0])
        wanted = heading * self._target[0] + left * self._target[1] + np.array([0, 0, self._target[2]])
        error = wanted - velocity
        self._integral = np.clip(self._integral + error * self._dt * self._INTEGRAL_GAIN, -3, 3)
        turning = np.cross([0.0, 0.0, self._target[3]], wanted)
        most = self._MOST_ACCELERATION
        acceleration = turning + np.clip(self._VELOCITY_GAIN * error + self._integral, -most, most)
        force = self._mass * (acceleration + np.array([0, 0, GRAVITY]))
        up = force / np.linalg.norm(force)
        side = np.cross(up, heading)
        side /= np.linalg.norm(side)
        desired = np.column_stack([np.cross(side, up), side, up])
        skew = desired.T @ rotation - rotation.T @ desired
        tilt = 0.5 * np.array([skew[2, 1], skew[0, 2], skew[1, 0]])
        torque = -self._ATTITUDE_GAIN * tilt - self._RATE_GAIN * rates
        torque[2] = self._YAW_RATE_GAIN * (self._target[3] - rates[2])
        wrench = np.concatenate([[max(force @ rotation[:, 2], 0.0)], torque * self._inertia])
        self._wrench += self._follow * (wrench - self._wrench)
        drag = -self._DRAG * self._mass * velocity
        data.xfrc_applied[self._body, :3] = rotation[:, 2] * self._wrench[0] + drag
        data.xfrc_applied[self._body, 3:] = rotation @ self._wrench[1:]
