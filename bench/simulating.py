"""The embedded engine: a sweep beside the bare ray cast, and simulated seconds per second with the whole rig."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from embreex.mesh_construction import TriangleMesh as EmbreeMesh
from embreex.rtcore_scene import EmbreeScene
from tqdm import tqdm

from bench.pairs import Row, paired, table
from tokyo_sim.engine.lidar import LidarCaster
from tokyo_sim.engine.simulator import Fleet, Simulator


def sweeps(city: Path) -> list[Row]:
    """Full LiDAR sweeps with traffic, noise and losses, beside the same rays cast bare into the static city."""
    simulator = Simulator(city, Fleet(1, 1, 30, cameras=False), seed=1)
    distorted = Simulator(city, Fleet(1, 1, 30, cameras=False, motion_distortion=True), seed=1)
    distorted.step(0.2)
    alone, rng = LidarCaster(simulator.city, threads=1), np.random.default_rng(0)
    scene = EmbreeScene()
    mesh = EmbreeMesh(scene, simulator.city.vertices, simulator.city.faces)
    rows = []
    for number, robot in enumerate(simulator.robots):
        spec, sensor = robot.lidar, simulator.motion(number).pose @ robot.lidar.mount
        rays = spec.directions.reshape(-1, 3) @ sensor.rotation.T.astype(np.float32)
        origins = np.broadcast_to(sensor.position.astype(np.float32), rays.shape).copy()
        others = [actor for actor in simulator.actors() if actor.name != robot.name]
        kinds = {
            "": lambda number=number: simulator.sweep(number),
            ", on one core": lambda spec=spec, sensor=sensor, others=others: alone.cast(spec, sensor, others, rng),
            ", motion distortion": lambda number=number: distorted.sweep(number),
        }
        for kind, ours in kinds.items():
            times = paired(ours, lambda rays=rays, origins=origins: scene.run(origins, rays, output=1), 20)
            rows.append(Row(f"sweep of the {robot.kind.value}, 32 x 1,800, 30 actors{kind}", *times, "bare ray cast"))
    del mesh
    return rows


def real_time_factor(city: Path, actors: int, cameras: bool) -> str:
    """Simulated seconds per second of one drone and one rover, full rig at 10 Hz, without ROS, and where they go."""
    simulator = Simulator(city, Fleet(1, 1, actors, cameras=cameras), seed=1)
    seconds = 1.0 if cameras else 6.0
    spent = dict.fromkeys(("physics", "IMU", "LiDAR", "cameras", "traffic"), 0.0)

    def timed(part: str, work, *arguments) -> None:
        began = time.perf_counter()
        work(*arguments)
        spent[part] += time.perf_counter() - began

    for number in (0, 1):
        simulator.sweep(number), simulator.images(number), simulator.imu(number)
        simulator.command(number, np.array([3.0, 0, 0]), np.zeros(3))
    simulator.step(0.1)
    for tick in range(1, int(seconds * 100) + 1):
        timed("physics", simulator.step, 0.01)
        for number in (0, 1):
            timed("IMU", simulator.imu, number)
            if tick % 10 == 0:
                timed("LiDAR", simulator.sweep, number)
                timed("cameras", simulator.images, number)
        if tick % 10 == 0:
            timed("traffic", simulator.step_traffic, 0.1)
    rig = "LiDAR, IMU, six 1600 x 900 cameras" if cameras else "LiDAR, IMU"
    parts = " | ".join(f"{1e3 * part / seconds:.0f}" for part in spent.values())
    return f"| 1 drone, 1 rover, {actors} actors: {rig} | {seconds / sum(spent.values()):.2f} | {parts} |"


def run(udx: Path, city: Path) -> str:
    """The tables. udx: the sample city's CityGML; city: the same imported."""
    rigs = [(actors, cameras) for cameras in (False, True) for actors in (0, 30, 100)]
    factors = [real_time_factor(city, *rig) for rig in tqdm(rigs, desc="real time", leave=False)]
    head = [
        "| simulator without ROS | x real time | physics | IMU | LiDAR | cameras | traffic, ms a simulated second |"
    ]
    return "\n".join([table(sweeps(city)), "", *head, "|---|---|---|---|---|---|---|", *factors])
