"""`make bench`: each row is a time beside that of a baseline doing the same work in the same run, and their ratio."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from embreex.mesh_construction import TriangleMesh as EmbreeMesh
from embreex.rtcore_scene import EmbreeScene
from lxml import etree
from tqdm import tqdm

from occ_core.citymap import CityMap
from occ_core.grid import TOKYO_GRID
from occ_core.keyframes import KeyframeBuilder, OccupancySource
from occ_core.poses import footprint
from occ_core.voxelize import carve_free_space, voxelize_points
from tokyo_sim.engine.simulator import Fleet, Simulator
from tokyo_sim.plateau.tile import read_tile
from tokyo_sim.sample_city import write_sample_city
from tokyo_sim.world.city import import_city


@dataclass(frozen=True)
class Row:
    """ours, baseline: median seconds of the same work. target: what the ratio baseline / ours is wanted to be."""

    name: str
    ours: float
    baseline: float
    against: str

    def line(self) -> str:
        """A row of the Markdown table."""
        ratio = self.baseline / self.ours
        return f"| {self.name} | {1e3 * self.ours:.1f} | {self.against} | {1e3 * self.baseline:.1f} | {ratio:.2f} |"


def paired(ours: Callable[[], object], baseline: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median seconds of each, run in turn after a warm-up, so that a drifting machine hits both alike."""
    ours(), baseline()
    times: tuple[list[float], list[float]] = [], []
    for _ in range(repeats):
        for work, store in zip((ours, baseline), times, strict=True):
            began = time.perf_counter()
            work()
            store.append(time.perf_counter() - began)
    return float(np.median(times[0])), float(np.median(times[1]))


def plain_numpy_frame(points: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The voxelizer's work without numba: votes by a dense histogram, rays by sampling at a third of a voxel."""
    indices, inside = TOKYO_GRID.index(points)
    votes = np.zeros((TOKYO_GRID.size, 16), np.uint8)
    np.add.at(votes, (np.ravel_multi_index(tuple(indices[inside].T), TOKYO_GRID.shape), labels[inside]), 1)
    observed = np.zeros(TOKYO_GRID.shape, bool)
    steps = np.arange(0, 60, 0.4 / 3)
    lengths = np.linalg.norm(points, axis=1)
    for chunk in np.array_split(np.arange(len(points)), 64):
        directions = points[chunk] / lengths[chunk, None]
        samples = directions[:, None] * np.minimum(steps[None, :, None], lengths[chunk, None, None])
        cells, ok = TOKYO_GRID.index(samples.reshape(-1, 3))
        observed[tuple(cells[ok].T)] = True
    return votes.argmax(axis=1), observed


def voxelizer(rng: np.random.Generator) -> Row:
    """A sweep of 65,536 points to a frame with free space."""
    points = rng.normal(size=(65536, 3)) * [20, 20, 4] + [0, 0, 4]
    labels = rng.integers(1, 16, len(points)).astype(np.uint8)

    def ours() -> None:
        voxelize_points(TOKYO_GRID, points, labels)
        carve_free_space(TOKYO_GRID, np.zeros(3), points)

    return Row("sweep of 65,536 points to frame", *paired(ours, lambda: plain_numpy_frame(points, labels), 5), "numpy")


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


def import_rate(udx: Path) -> Row:
    """Reading and triangulating the building tile beside parsing its XML and its numbers."""
    path = next((udx / "bldg").glob("*.gml"))

    def parse() -> None:
        for element in etree.parse(str(path)).iter("{http://www.opengis.net/gml}posList"):
            np.array(element.text.split(), dtype=float)

    return Row("import of the building tile", *paired(lambda: read_tile(path), parse, 3), "XML parse")


def frame(simulator: Simulator) -> Row:
    """A 3 s accumulated frame beside its ground truth."""
    builder = KeyframeBuilder(TOKYO_GRID, OccupancySource.ACCUMULATED, 3.0, simulator.city)
    simulator.command(1, np.array([3.0, 0, 0]), np.zeros(3))
    for _ in range(31):
        simulator.step(0.1)
        simulator.step_traffic(0.1)
        motion = simulator.motion(1)
        actors = [actor for actor in simulator.actors() if actor.instance != 2]
        points = simulator.sweep(1).points.reshape(-1, 3)
        builder.add(simulator.time, points, motion.pose @ simulator.robots[1].lidar.mount, actors)
    level = footprint(motion.pose, simulator.ground_under(1))
    truth = paired(
        lambda: builder.build(level, actors), lambda: simulator.city.occupancy(TOKYO_GRID, level, actors), 10
    )
    return Row("accumulated frame, 31 sweeps", *truth, "ground truth alone")


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


def main() -> None:
    """Print both tables."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as name:
        udx = write_sample_city(Path(name) / "citygml", seed=7)
        city = import_city(udx, Path(name) / "city").folder
        CityMap.load(city).ground_height(0, 0)
        simulator = Simulator(city, Fleet(1, 1, 30, cameras=False), seed=1)
        jobs = (
            lambda: voxelizer(np.random.default_rng(0)),
            lambda: sweep(simulator),
            lambda: frame(simulator),
            lambda: import_rate(udx),
        )
        rows = [job().line() for job in tqdm(jobs, desc="paired", leave=False)]
        rigs = [(0, False), (30, False), (100, False), (30, True)]
        factors = [real_time_factor(city, *rig) for rig in tqdm(rigs, desc="real time", leave=False)]
    print("| what | ms | beside | ms | ratio |\n|---|---|---|---|---|")
    print("\n".join(rows))
    print("\n| simulator without ROS | x real time |\n|---|---|")
    print("\n".join(factors))


if __name__ == "__main__":
    main()
