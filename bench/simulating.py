"""The embedded engine: a sweep beside the bare ray cast, and simulated seconds per second with the whole rig."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from embreex.mesh_construction import TriangleMesh as EmbreeMesh
from embreex.rtcore_scene import EmbreeScene
from tqdm import tqdm

from bench.pairs import Row, paired, table
from tokyo_sim.engine.simulator import Fleet, Simulator


def sweep(simulator: Simulator) -> Row:
    """A full LiDAR sweep with traffic and noise beside the bare ray cast into the static city."""
    spec, sensor = simulator.robots[1].lidar, simulator.motion(1).pose
    scene = EmbreeScene()
    mesh = EmbreeMesh(scene, np.ascontiguousarray(simulator.city.triangles, dtype=np.float32))
    up, around = np.meshgrid(spec.elevations, spec.azimuths, indexing="ij")
    rays = np.stack([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)], axis=-1).reshape(-1, 3)
    rays = np.ascontiguousarray(rays @ sensor.rotation.T, dtype=np.float32)
    origins = np.broadcast_to((sensor @ spec.mount).position.astype(np.float32), rays.shape).copy()
    bare = paired(lambda: simulator.sweep(1), lambda: scene.run(origins, rays, output=1), 20)
    del mesh
    return Row("LiDAR sweep, 32 x 1,800, 30 actors", *bare, "bare ray cast, static city")


def real_time_factor(city: Path, actors: int, cameras: bool) -> str:
    """Simulated seconds per second of one drone and one rover, full rig at 10 Hz, without ROS."""
    simulator = Simulator(city, Fleet(1, 1, actors, cameras=cameras), seed=1)
    seconds = 2.0 if cameras else 6.0
    for number in (0, 1):
        simulator.sweep(number), simulator.images(number)
    began = time.perf_counter()
    for tick in range(1, int(seconds * 100) + 1):
        simulator.step(0.01)
        for number in (0, 1):
            simulator.imu(number)
            if tick % 10 == 0:
                simulator.sweep(number)
                simulator.images(number)
        if tick % 10 == 0:
            simulator.step_traffic(0.1)
    factor = seconds / (time.perf_counter() - began)
    rig = "LiDAR, IMU, six 1600 x 900 cameras" if cameras else "LiDAR, IMU"
    return f"| 1 drone, 1 rover, {actors} actors: {rig} | {factor:.2f} |"


def run(udx: Path, city: Path) -> str:
    """The tables. udx: the sample city's CityGML; city: the same imported."""
    rows = [sweep(Simulator(city, Fleet(1, 1, 30, cameras=False), seed=1))]
    rigs = [(0, False), (30, False), (100, False), (30, True)]
    factors = [real_time_factor(city, *rig) for rig in tqdm(rigs, desc="real time", leave=False)]
    return table(rows) + "\n\n| simulator without ROS | x real time |\n|---|---|\n" + "\n".join(factors)
