"""The embedded simulator: one clock, one city, robots and traffic in it. No ROS; the node asks it for data."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from occ_core.actors import Actor
from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.pose_buffer import PoseBuffer
from tokyo_city.world import WORLD_FILE
from tokyo_city.world.appearance import Appearance, pages
from tokyo_city.world.collision import read_pieces
from tokyo_city.world.sdf import read_world
from tokyo_sim.engine.daylight import DEFAULT_HOUR, Daylight
from tokyo_sim.engine.imu import Imu, ImuReading
from tokyo_sim.engine.lidar import LidarCaster, Sweep
from tokyo_sim.engine.physics import STEP_S, Motion, Physics
from tokyo_sim.engine.robot import Robot, RobotKind, load_robot
from tokyo_sim.engine.spawn import spawn_poses
from tokyo_sim.missions.obstacles import ObstacleMap
from tokyo_sim.traffic.stored import lane_graph, walkways
from tokyo_sim.traffic.traffic import Traffic

if TYPE_CHECKING:
    from tokyo_sim.engine.cameras import CameraRenderer


@dataclass(frozen=True)
class Fleet:
    """What to simulate. drone_altitude: metres above ground at the start. image_size: width, height in pixels.

    motion_distortion: a sweep's columns are cast one after the other while the robot moves, not all at its stamp.
    places: x, y, yaw in map where robots of these names start; the others start at free places. hour: solar time at
    which the sun stands.
    """

    drones: int = 1
    rovers: int = 1
    actors: int = 30
    drone_altitude: float = 30.0
    image_size: tuple[int, int] = (1600, 900)
    cameras: bool = True
    motion_distortion: bool = False
    places: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    hour: float = DEFAULT_HOUR

    def __post_init__(self) -> None:
        if min(self.drones, self.rovers, self.actors) < 0:
            raise ValueError("numbers of drones, rovers and actors can't be negative")
        if min(self.image_size) < 16:
            raise ValueError(f"images need at least 16 x 16 pixels, got {self.image_size}")

    def load(self) -> list[Robot]:
        """The robots, drones first, named `drone_0` ... and `rover_0` ..."""
        names = [(RobotKind.DRONE, f"drone_{i}") for i in range(self.drones)]
        names += [(RobotKind.ROVER, f"rover_{i}") for i in range(self.rovers)]
        return [load_robot(kind, name, self.image_size) for kind, name in names]


class Simulator:
    """A city with a fleet in it. Deterministic for a seed: the same commands at the same times give the same data."""

    def __init__(self, city: Path, fleet: Fleet, seed: int) -> None:
        self.city = CityMap.load(city)
        self.robots = fleet.load()
        self.time = 0.0
        spawn_rng, traffic_rng, noise_rng = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3))
        # One of its own for each sensor: what one robot's draws, another's does not depend on.
        self._noise = noise_rng.spawn(len(self.robots))
        graph = lane_graph(city, self.city)
        obstacles = ObstacleMap(self.city)
        poses = spawn_poses(
            self.robots, self.city, graph.sections, obstacles, fleet.drone_altitude, spawn_rng, fleet.places
        )
        starts = np.array([pose.position for pose in poses]).reshape(-1, 3)
        ways = walkways(city, self.city, graph) if fleet.actors else None
        self._traffic = Traffic(self.city, graph, fleet.actors, traffic_rng, starts, ways)
        self._physics = Physics(self.city, _collision_prisms(city), self.robots, poses)
        self._lidar = LidarCaster(self.city)
        self._past = [PoseBuffer(2 / robot.lidar.rate) for robot in self.robots] if fleet.motion_distortion else []
        self._remember()
        self._imus = [
            Imu(robot.imu, rng) for robot, rng in zip(self.robots, noise_rng.spawn(len(self.robots)), strict=True)
        ]
        self.cameras_off = "" if fleet.cameras else "cameras are switched off"
        self._renderer = self._start_renderer(city, Daylight.at(fleet.hour)) if fleet.cameras else None
        self._actors: list[Actor] = self._traffic.actors()
        self._robot_actors: list[Actor] | None = None  # made when first asked for, until the next step

    def _start_renderer(self, city: Path, daylight: Daylight) -> CameraRenderer | None:
        from tokyo_sim.engine.cameras import CameraRenderer, CamerasUnavailable  # for images alone
        from tokyo_sim.engine.movables import Movables

        self._movables = Movables(self.robots)
        try:
            return CameraRenderer(self.city, Appearance.load(city), pages(city), daylight)
        except CamerasUnavailable as error:
            self.cameras_off = str(error)
            return None

    def step(self, duration: float) -> None:
        """Advance physics, and traffic with it."""
        self._robot_actors = None
        if not self._past:
            self._physics.step(duration)
            self.time += duration
            return
        for _ in range(round(duration / STEP_S)):
            self._physics.step(STEP_S)
            self.time += STEP_S
            self._remember()

    def _remember(self) -> None:
        for number, past in enumerate(self._past):
            past.add(self.time, self.motion(number).pose)

    def step_traffic(self, duration: float) -> None:
        """Advance traffic; it needs fewer steps than physics."""
        self._traffic.step(duration, np.array([self.motion(i).pose.position for i in range(len(self.robots))]))
        self._actors = self._traffic.actors()

    def command(self, robot: int, linear: np.ndarray, angular: np.ndarray) -> None:
        """As in `cmd_vel`: linear (3,) m/s, angular (3,) rad/s."""
        self._physics.command(robot, linear, angular)

    def motion(self, robot: int) -> Motion:
        """Ground truth of a robot now."""
        return self._physics.motion(robot)

    def ground_under(self, robot: int) -> float:
        """Height in map of the ground below a robot, metres."""
        return self.city.nearest_ground(*self.motion(robot).pose.position[:2])

    def actors(self) -> list[Actor]:
        """Traffic and robots; a robot's instance is its number from 1, its name its namespace."""
        if self._robot_actors is None:
            self._robot_actors = [self._robot_actor(number) for number in range(len(self.robots))]
        return self._actors + self._robot_actors

    def _robot_actor(self, number: int) -> Actor:
        motion = self.motion(number)
        return self.robots[number].actor(number + 1, motion.pose, motion.pose.rotation @ motion.linear)

    def sweep(self, robot: int) -> Sweep:
        """A LiDAR revolution now."""
        spec = self.robots[robot].lidar
        others = [actor for actor in self.actors() if actor.instance != robot + 1]
        past = self._past[robot].mounted(spec.mount) if self._past else None
        return self._lidar.cast(spec, self.motion(robot).pose @ spec.mount, others, self._noise[robot], past)

    def imu(self, robot: int) -> ImuReading:
        """An IMU reading now."""
        return self._imus[robot].read(*self._physics.inertial(robot))

    def images(self, robot: int, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
        """(height, width, 3) uint8 RGB by camera name, of all cameras or of those named; empty where they are off."""
        cameras = [spec for spec in self.robots[robot].cameras if names is None or spec.name in names]
        if self._renderer is None or not cameras:
            return {}
        poses = [self.motion(number).pose for number in range(len(self.robots))]
        movables = self._movables.at(self._actors, poses)
        views = self._renderer.views([(spec, poses[robot] @ spec.mount) for spec in cameras], movables)
        return {spec.name: view for spec, view in zip(cameras, views, strict=True)}


def _collision_prisms(city: Path) -> list[np.ndarray]:
    """Convex pieces of everything solid in the world, (k, 3) metres in map; ground is not among them."""
    prisms = []
    for model in read_world(city / WORLD_FILE):
        if model.collision and model.collision != model.visual and model.semantic is Semantic.BUILDING:
            prisms.extend(read_pieces(city, model.name))
    return prisms
