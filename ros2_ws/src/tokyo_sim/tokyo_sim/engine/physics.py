"""MuJoCo: rovers on wheels over the relief, drones on rotor thrust, both stopped by buildings."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from occ_core.citymap import CityMap
from occ_core.poses import Pose
from tokyo_city.world import GRAVITY
from tokyo_sim.engine.control import DroneController, RoverController
from tokyo_sim.engine.links import Link
from tokyo_sim.engine.robot import Robot, RobotKind

STEP_S = 0.005
# Ground under a robot is a height field that follows it: this many metres square, in cells of this size.
_PATCH_M, _CELL_M = 64.0, 0.5
_PATCH_CELLS = int(_PATCH_M / _CELL_M) + 1
_HEIGHT_RANGE_M = 200.0
_PIT_M = 20.0  # what drives off the ground falls, as in Gazebo; here so far
# Buildings whose bounds come within this of a robot collide with it, metres along x and y.
_REACH_M = 64.0
# Collision bits: robots meet buildings, each other, and only the ground patch that follows them.
_BUILDING, _ROBOT = 1, 2
_GROUND_BITS = 28  # of the 32 that MuJoCo has


@dataclass(frozen=True)
class Motion:
    """base_link in map; linear, angular: (3,) velocities in base_link; acceleration: (3,) specific force there."""

    pose: Pose
    linear: np.ndarray
    angular: np.ndarray
    acceleration: np.ndarray


class Physics:
    """Robots among buildings. prisms: convex pieces (k, 3) corners in map, metres.

    MuJoCo sees the buildings near robots only, so that a step costs the same in any city: when a robot has come half of
    `_REACH_M` closer to what was left out, the model is built anew about all robots and their motion goes on in it.
    """

    def __init__(self, city: CityMap, prisms: list[np.ndarray], robots: list[Robot], poses: list[Pose]) -> None:
        self.city, self.robots = city, robots
        self._prisms = prisms
        self._bounds = _plane_bounds(prisms)
        self._controllers = [
            DroneController(robot) if robot.kind is RobotKind.DRONE else RoverController(robot) for robot in robots
        ]
        self._build(poses)

    def _build(self, poses: list[Pose]) -> None:
        """A model of robots at poses, at rest, and of what is near them."""
        self._centres = np.array([pose.position[:2] for pose in poses]).reshape(-1, 2)
        spec = mujoco.MjSpec()
        spec.option.timestep = STEP_S
        spec.option.gravity = (0.0, 0.0, -GRAVITY)
        spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
        for number in self._near():
            _add_prism(spec, number, self._prisms[number])
        bodies: list[list[str]] = []
        for number, (robot, pose) in enumerate(zip(self.robots, poses, strict=True)):
            own_ground = 1 << (2 + number % _GROUND_BITS)
            _add_ground_patch(spec, robot.name, own_ground)
            bodies.append(_add_robot(spec, robot, pose, own_ground))
            # MuJoCo has 32 bits: robots that share one are kept off each other's ground one by one.
            for other in range(number % _GROUND_BITS, number, _GROUND_BITS):
                for owner, stranger in ((number, other), (other, number)):
                    for body in bodies[stranger]:
                        spec.add_exclude(bodyname1=f"{self.robots[owner].name}/ground", bodyname2=body)
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        self._places = [_Place.of(self.model, robot.name) for robot in self.robots]
        for controller in self._controllers:
            controller.attach(self.model, self.data)
        self._patch_centres = np.full((len(self.robots), 2), np.inf)
        self._lay_ground()
        mujoco.mj_forward(self.model, self.data)

    def _near(self) -> list[int]:
        """Numbers of the prisms within reach of any robot."""
        near = np.zeros(len(self._prisms), dtype=bool)
        for centre in self._centres:
            low, high = self._bounds[:, 0] <= centre + _REACH_M, self._bounds[:, 1] >= centre - _REACH_M
            near |= low.all(axis=1) & high.all(axis=1)
        return np.flatnonzero(near).tolist()

    def command(self, robot: int, linear: np.ndarray, angular: np.ndarray) -> None:
        """Set a robot's velocity: linear (3,) m/s and angular (3,) rad/s as in its `cmd_vel`."""
        self._controllers[robot].command(np.asarray(linear, dtype=float), np.asarray(angular, dtype=float))

    def step(self, duration: float) -> None:
        """Advance by a whole number of physics steps."""
        for _ in range(round(duration / STEP_S)):
            for controller in self._controllers:
                controller.apply()
            mujoco.mj_step(self.model, self.data)
        self._follow()

    def motion(self, robot: int) -> Motion:
        """Pose, velocities and specific force of a robot's base_link now."""
        place, data = self._places[robot], self.data
        pose = Pose(data.qpos[place.pose : place.pose + 3], data.qpos[place.pose + 3 : place.pose + 7])
        # A MuJoCo free joint has linear velocity in the world's axes and angular velocity in the body's.
        linear, back = np.empty(3), pose.orientation * (1, -1, -1, -1)
        mujoco.mju_rotVecQuat(linear, data.qvel[place.velocity : place.velocity + 3], back)
        return Motion(pose, linear, *self.inertial(robot))

    def inertial(self, robot: int) -> tuple[np.ndarray, np.ndarray]:
        """What an IMU at base_link feels: (3,) angular velocity, rad/s, and (3,) specific force, m/s^2."""
        place, data = self._places[robot], self.data
        return (
            data.qvel[place.velocity + 3 : place.velocity + 6].copy(),
            data.sensordata[place.accelerometer : place.accelerometer + 3].copy(),
        )

    def place(self, robot: int, pose: Pose) -> None:
        """Put a robot somewhere, at rest."""
        place = self._places[robot]
        self.data.qpos[place.pose : place.pose + 7] = np.concatenate([pose.position, pose.orientation])
        self.data.qvel[place.velocity : place.velocity + 6] = 0
        self._follow()
        mujoco.mj_forward(self.model, self.data)

    def _positions(self) -> np.ndarray:
        """(n, 3) metres in map of all robots."""
        return np.array([self.data.qpos[place.pose : place.pose + 3] for place in self._places]).reshape(-1, 3)

    def _follow(self) -> None:
        """Let buildings and ground keep up with the robots."""
        if not self.robots:
            return
        if np.abs(self._positions()[:, :2] - self._centres).max() > _REACH_M / 2:
            self._rebuild()
        self._lay_ground()

    def _rebuild(self) -> None:
        """The same robots, in the same motion, among the buildings that are near them now."""
        before = self.data
        self._build([self.motion(number).pose for number in range(len(self.robots))])
        for name in ("qpos", "qvel", "ctrl", "qacc_warmstart", "xfrc_applied"):
            getattr(self.data, name)[:] = getattr(before, name)
        self.data.time = before.time
        mujoco.mj_forward(self.model, self.data)

    def _lay_ground(self) -> None:
        """Move each robot's ground patch under it when it has driven a quarter of the patch."""
        for number, position in enumerate(self._positions()):
            if np.abs(position[:2] - self._patch_centres[number]).max() < _PATCH_M / 4:
                continue
            name = f"{self.robots[number].name}/ground"
            centre = np.round(position[:2])
            axis = (np.arange(_PATCH_CELLS) - (_PATCH_CELLS - 1) / 2) * _CELL_M
            heights = self.city.ground_heights(centre[0] + axis, centre[1] + axis)
            known = heights[~np.isnan(heights)]
            base = (known.min() if len(known) else position[2]) - _PIT_M
            heights = np.where(np.isnan(heights), base, heights)
            # MuJoCo stores rows along y, as fractions of the field's height range.
            start = self.model.hfield(name).adr[0]
            size = _PATCH_CELLS * _PATCH_CELLS
            self.model.hfield_data[start : start + size] = ((heights - base).T / _HEIGHT_RANGE_M).ravel()
            self.data.mocap_pos[self.model.body(name).mocapid[0]] = (*centre, base)
            self._patch_centres[number] = centre


def _plane_bounds(prisms: list[np.ndarray]) -> np.ndarray:
    """(n, 2, 2) lowest and highest x and y of each."""
    if not prisms:
        return np.zeros((0, 2, 2))
    corners, starts = np.concatenate(prisms)[:, :2], np.cumsum([0, *map(len, prisms[:-1])])
    return np.stack([np.minimum.reduceat(corners, starts), np.maximum.reduceat(corners, starts)], axis=1)


@dataclass(frozen=True)
class _Place:
    """Where a robot's numbers start in MuJoCo's arrays."""

    pose: int
    velocity: int
    accelerometer: int

    @classmethod
    def of(cls, model: mujoco.MjModel, name: str) -> _Place:
        joint = model.joint(f"{name}/free")
        return cls(int(joint.qposadr[0]), int(joint.dofadr[0]), int(model.sensor(f"{name}/accelerometer").adr[0]))


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


def _add_robot(spec: mujoco.MjSpec, robot: Robot, pose: Pose, ground: int) -> list[str]:
    """One body with a free joint, and one per link that moves against it, whose names are returned.

    Massless and welded links are left out.

    Joints that steer (revolute) get a position servo, wheels of `base_link` (continuous) a velocity servo; steered
    wheels roll freely; rotors turn nothing here, their thrust is the controller's.
    """
    base = spec.worldbody.add_body(name=robot.name, pos=pose.position, quat=pose.orientation)
    base.add_joint(name=f"{robot.name}/free", type=mujoco.mjtJoint.mjJNT_FREE)
    base.add_site(name=f"{robot.name}/imu", pos=robot.imu.mount.position, quat=robot.imu.mount.orientation)
    _fill_body(base, robot.bodies["base_link"], ground)
    bodies = {"base_link": base}
    for joint in robot.joints:
        link, name = robot.bodies[joint.child], f"{robot.name}/{joint.name}"
        if joint.kind == "fixed" or (joint.kind == "continuous" and not link.collisions):
            continue
        body = bodies[joint.parent].add_body(
            name=f"{robot.name}/{link.name}", pos=joint.origin.position, quat=joint.origin.orientation
        )
        bodies[joint.child] = body
        # MuJoCo parts only parent and child: a steered wheel, two joints away, would rub on the chassis.
        spec.add_exclude(bodyname1=robot.name, bodyname2=body.name)
        body.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_HINGE, axis=joint.axis, damping=[0.2, 0, 0])
        _fill_body(body, link, ground)
        if joint.kind == "revolute":
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
    return [body.name for body in bodies.values()]


def _fill_body(body: mujoco.MjsBody, link: Link, ground: int) -> None:
    if link.inertial is not None:
        body.mass = link.inertial.mass
        body.inertia = np.diag(link.inertial.inertia)
        body.ipos = link.inertial.centre
        body.explicitinertial = True
    for collision in link.collisions:
        shape = {"pos": collision.pose.position, "quat": collision.pose.orientation, "mass": 0}
        shape |= {"contype": _ROBOT, "conaffinity": _BUILDING | _ROBOT | ground}
        if collision.kind == "box":
            half = np.asarray(collision.size) / 2
            # As hard as the step allows: hulls of drones sink less into each other and into thin walls.
            body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=half, solref=[2 * STEP_S, 1.0], **shape)
        else:
            # Tyres give: a contact time constant of 0.04 s keeps four rigid wheels on uneven ground.
            soft = {"solref": [0.04, 1.0], "friction": [0.9, 0.005, 0.0001]}
            body.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[collision.size[0], 0, 0], **soft, **shape)
