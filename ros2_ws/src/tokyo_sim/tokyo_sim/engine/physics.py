"""MuJoCo: rovers on wheels over the relief, drones on rotor thrust, both stopped by buildings."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
import yourdfpy

from occ_core.citymap import CityMap
from occ_core.poses import Pose
from tokyo_sim.engine.control import DroneController, RoverController
from tokyo_sim.engine.robot import Kind, Robot

STEP_S = 0.005
# Ground under a robot is a height field that follows it: this many metres square, in cells of this size.
_PATCH_M, _CELL_M = 64.0, 0.5
_PATCH_CELLS = int(_PATCH_M / _CELL_M) + 1
_HEIGHT_RANGE_M = 200.0
# Collision bits: robots meet buildings, each other, and only the ground patch that follows them.
_BUILDING, _ROBOT = 1, 2


@dataclass(frozen=True)
class Motion:
    """base_link in map; linear, angular: (3,) velocities in base_link; acceleration: (3,) specific force there."""

    pose: Pose
    linear: np.ndarray
    angular: np.ndarray
    acceleration: np.ndarray


class Physics:
    """Robots among buildings. prisms: convex pieces (k, 3) corners in map, metres."""

    def __init__(self, city: CityMap, prisms: list[np.ndarray], robots: list[Robot], poses: list[Pose]) -> None:
        self.city, self.robots = city, robots
        spec = mujoco.MjSpec()
        spec.option.timestep = STEP_S
        spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
        for number, prism in enumerate(prisms):
            _add_prism(spec, number, prism)
        for number, (robot, pose) in enumerate(zip(robots, poses, strict=True)):
            own_ground = 1 << (2 + number % 28)
            _add_ground_patch(spec, robot.name, own_ground)
            _add_robot(spec, robot, pose, own_ground)
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        self._bodies = [self.model.body(robot.name).id for robot in robots]
        self._controllers = [
            DroneController(robot, self.model) if robot.kind is Kind.DRONE else RoverController(robot, self.model)
            for robot in robots
        ]
        self._patch_centres = [np.full(2, np.inf) for _ in robots]
        self._follow()
        mujoco.mj_forward(self.model, self.data)

    def command(self, robot: int, linear: np.ndarray, angular: np.ndarray) -> None:
        """Set a robot's velocity: linear (3,) m/s and angular (3,) rad/s as in its `cmd_vel`."""
        self._controllers[robot].command(np.asarray(linear, dtype=float), np.asarray(angular, dtype=float))

    def step(self, duration: float) -> None:
        """Advance by a whole number of physics steps."""
        for _ in range(round(duration / STEP_S)):
            for controller in self._controllers:
                controller.apply(self.data)
            mujoco.mj_step(self.model, self.data)
        self._follow()

    def motion(self, robot: int) -> Motion:
        """Pose, velocities and specific force of a robot's base_link now."""
        name = self.robots[robot].name
        free = self.data.joint(f"{name}/free")
        pose = Pose(free.qpos[:3], free.qpos[3:7] / np.linalg.norm(free.qpos[3:7]))
        # A MuJoCo free joint has linear velocity in the world's axes and angular velocity in the body's.
        return Motion(
            pose,
            linear=pose.rotation.T @ free.qvel[:3],
            angular=free.qvel[3:6].copy(),
            acceleration=self.data.sensor(f"{name}/accelerometer").data.copy(),
        )

    def place(self, robot: int, pose: Pose) -> None:
        """Put a robot somewhere, at rest."""
        free = self.data.joint(f"{self.robots[robot].name}/free")
        free.qpos[:] = np.concatenate([pose.position, pose.orientation])
        free.qvel[:] = 0
        self._follow()
        mujoco.mj_forward(self.model, self.data)

    def _follow(self) -> None:
        """Move each robot's ground patch under it when it has driven a quarter of the patch."""
        for number, robot in enumerate(self.robots):
            position = self.data.joint(f"{robot.name}/free").qpos[:2]
            if np.abs(position - self._patch_centres[number]).max() < _PATCH_M / 4:
                continue
            centre = np.round(position)
            axis = (np.arange(_PATCH_CELLS) - (_PATCH_CELLS - 1) / 2) * _CELL_M
            heights = self.city.ground_heights(centre[0] + axis, centre[1] + axis)
            field = self.model.hfield(f"{robot.name}/ground")
            base = heights.min()
            # MuJoCo stores rows along y, as fractions of the field's height range.
            start = field.adr[0]
            size = _PATCH_CELLS * _PATCH_CELLS
            self.model.hfield_data[start : start + size] = ((heights - base).T / _HEIGHT_RANGE_M).ravel()
            self.data.mocap_pos[self.model.body(f"{robot.name}/ground").mocapid[0]] = (*centre, base)
            self._patch_centres[number] = centre


def _add_prism(spec: mujoco.MjSpec, number: int, prism: np.ndarray) -> None:
    centre = prism.mean(axis=0)
    mesh = spec.add_mesh(name=f"prism_{number}", uservert=(prism - centre).astype(np.float32).ravel())
    mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX
    spec.worldbody.add_geom(
        type=mujoco.mjtGeom.mjGEOM_MESH, meshname=mesh.name, pos=centre, contype=_BUILDING, conaffinity=0
    )


def _add_ground_patch(spec: mujoco.MjSpec, name: str, bit: int) -> None:
    # MuJoCo bounds the field by its heights at compile time: one cell at full height leaves room for any ground.
    heights = np.zeros(_PATCH_CELLS * _PATCH_CELLS)
    heights[0] = 1.0
    spec.add_hfield(
        name=f"{name}/ground",
        nrow=_PATCH_CELLS,
        ncol=_PATCH_CELLS,
        size=[_PATCH_M / 2, _PATCH_M / 2, _HEIGHT_RANGE_M, 1.0],
        userdata=heights,
    )
    # A mocap body may move without being simulated; geoms of the world body may not.
    spec.worldbody.add_body(name=f"{name}/ground", mocap=True).add_geom(
        name=f"{name}/ground",
        type=mujoco.mjtGeom.mjGEOM_HFIELD,
        hfieldname=f"{name}/ground",
        contype=bit,
        conaffinity=0,
    )


def _add_robot(spec: mujoco.MjSpec, robot: Robot, pose: Pose, ground: int) -> None:
    """One body with a free joint, and one per link that moves against it; massless and welded links are left out.

    Joints that steer (revolute) get a position servo, wheels of `base_link` (continuous) a velocity servo; steered
    wheels roll freely; rotors turn nothing here, their thrust is the controller's.
    """
    base = spec.worldbody.add_body(name=robot.name, pos=pose.position, quat=pose.orientation)
    base.add_joint(name=f"{robot.name}/free", type=mujoco.mjtJoint.mjJNT_FREE)
    base.add_site(name=f"{robot.name}/imu", pos=robot.imu.mount.position, quat=robot.imu.mount.orientation)
    links = {link.name: link for link in robot.urdf.robot.links}
    _fill_body(base, links["base_link"], ground)
    bodies = {"base_link": base}
    for joint in robot.urdf.robot.joints:
        link, name = links[joint.child], f"{robot.name}/{joint.name}"
        if joint.type == "fixed" or (joint.type == "continuous" and not link.collisions):
            continue
        mount = Pose.from_matrix(joint.origin)
        body = bodies[joint.parent].add_body(
            name=f"{robot.name}/{link.name}", pos=mount.position, quat=mount.orientation
        )
        bodies[joint.child] = body
        # MuJoCo parts only parent and child: a steered wheel, two joints away, would rub on the chassis.
        spec.add_exclude(bodyname1=robot.name, bodyname2=body.name)
        body.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_HINGE, axis=joint.axis, damping=[0.2, 0, 0])
        _fill_body(body, link, ground)
        if joint.type == "revolute":
            servo = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT, forcerange=[-60, 60])
            servo.set_to_position(kp=400, kv=20)
        elif joint.parent == "base_link":
            servo = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT, forcerange=[-60, 60])
            servo.set_to_velocity(kv=60)
    spec.add_sensor(
        name=f"{robot.name}/accelerometer",
        type=mujoco.mjtSensor.mjSENS_ACCELEROMETER,
        objtype=mujoco.mjtObj.mjOBJ_SITE,
        objname=f"{robot.name}/imu",
    )


def _fill_body(body: mujoco.MjsBody, link: yourdfpy.Link, ground: int) -> None:
    if link.inertial is not None:
        body.mass = link.inertial.mass
        body.inertia = np.diag(link.inertial.inertia)
        body.ipos = np.zeros(3) if link.inertial.origin is None else link.inertial.origin[:3, 3]
        body.explicitinertial = True
    for collision in link.collisions:
        pose = Pose.identity() if collision.origin is None else Pose.from_matrix(collision.origin)
        shape = {"pos": pose.position, "quat": pose.orientation, "mass": 0}
        shape |= {"contype": _ROBOT, "conaffinity": _BUILDING | _ROBOT | ground}
        if collision.geometry.box is not None:
            half = np.asarray(collision.geometry.box.size) / 2
            body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=half, **shape)
        else:
            # Tyres give: a contact time constant of 0.04 s keeps four rigid wheels on uneven ground.
            soft = {"solref": [0.04, 1.0], "friction": [0.9, 0.005, 0.0001]}
            body.add_geom(
                type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[collision.geometry.sphere.radius, 0, 0], **soft, **shape
            )
