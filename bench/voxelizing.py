"""Sweeps to frames: what a keyframe costs beside plain numpy, beside memory alone, and beside its ground truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from timeit import timeit

import numpy as np

from bench.pairs import Row, paired, table
from occ_core.actors import BOX_FACES, Actor
from occ_core.grid import TOKYO_GRID
from occ_core.keyframes import KeyframeBuilder, OccupancySource
from occ_core.poses import Pose, footprint
from tokyo_sim.engine.lidar import LidarCaster
from tokyo_sim.engine.simulator import Fleet, Simulator

ROVER = 1


def plain_numpy_frame(points: np.ndarray, to_grid: Pose) -> tuple[np.ndarray, np.ndarray]:
    """A frame without numba: occupied voxels by index, observed ones by sampling rays at a third of a voxel."""
    points, origin = to_grid.apply(points[np.isfinite(points).all(axis=1)]), to_grid.position
    occupied, observed = np.zeros(TOKYO_GRID.shape, np.uint8), np.zeros(TOKYO_GRID.shape, bool)
    indices, inside = TOKYO_GRID.index(points)
    occupied[tuple(indices[inside].T)] = 1
    lengths = np.linalg.norm(points - origin, axis=1)
    steps = np.arange(0, 60, 0.4 / 3)
    for chunk in np.array_split(np.arange(len(points)), 64):
        directions = (points[chunk] - origin) / lengths[chunk, None]
        samples = origin + directions[:, None] * np.minimum(steps[None, :, None], lengths[chunk, None, None])
        cells, ok = TOKYO_GRID.index(samples.reshape(-1, 3))
        observed[tuple(cells[ok].T)] = True
    return occupied, observed


def beside_slow(ours: Callable[[], object], baseline: Callable[[], object]) -> tuple[float, float]:
    """Median seconds of 20 runs of ours; of a baseline that takes seconds, one run."""
    return paired(ours, lambda: None, 20)[0], timeit(baseline, number=1)


def frame_of(points: np.ndarray, sensor: Pose) -> Row:
    """A keyframe of one sweep, as recorder and forecast make it, beside plain numpy."""
    builder = KeyframeBuilder(TOKYO_GRID, OccupancySource.LIDAR)

    def ours() -> None:
        builder.clear()
        builder.add(0.0, points, sensor, [])
        builder.build(Pose.identity(), [])

    return Row("", *beside_slow(ours, lambda: plain_numpy_frame(points, sensor)), "numpy")


def sweep_frames(simulator: Simulator) -> list[Row]:
    """Frames of 65,536 points: a sweep of 32 beams in the city, and directions without order, which caches dislike."""
    spec = simulator.robots[ROVER].lidar
    around = replace(spec, azimuths=np.linspace(-np.pi, np.pi, 2048, endpoint=False))
    motion = simulator.motion(ROVER)
    sensor = motion.pose @ spec.mount
    cast = LidarCaster(simulator.city).cast(around, sensor, simulator.actors()[:-2], np.random.default_rng(0))
    in_grid = footprint(motion.pose, simulator.ground_under(ROVER)).inverse() @ sensor
    cloud = np.random.default_rng(0).normal(size=(65536, 3)) * [20, 20, 4] + [0, 0, 4]
    sweep = frame_of(cast.points.reshape(-1, 3), in_grid)
    source, target = (np.ones(TOKYO_GRID.size * 4, np.uint8) for _ in range(2))
    memory = paired(lambda: np.copyto(target, source), lambda: None, 20)[0]
    return [
        replace(sweep, name="sweep of 65,536 rays to frame"),
        replace(sweep, name="the same", baseline=memory, against="copying a frame's bytes"),
        replace(frame_of(cloud, Pose.identity()), name="65,536 random points to frame"),
    ]


def drive(simulator: Simulator, builder: KeyframeBuilder) -> tuple[Pose, list[Actor]]:
    """3 s of sweeps into the builder. Returns the last footprint and the actors but the rover."""
    simulator.command(ROVER, np.array([3.0, 0, 0]), np.zeros(3))
    for _ in range(31):
        simulator.step(0.1)
        simulator.step_traffic(0.1)
        motion = simulator.motion(ROVER)
        actors = [actor for actor in simulator.actors() if actor.instance != ROVER + 1]
        points = simulator.sweep(ROVER).points.reshape(-1, 3)
        builder.add(simulator.time, points, motion.pose @ simulator.robots[ROVER].lidar.mount, actors)
    return footprint(motion.pose, simulator.ground_under(ROVER)), actors


def accumulated_frame(simulator: Simulator) -> Row:
    """A 3 s accumulated frame beside its ground truth, which gives the labels and is in both."""
    builder = KeyframeBuilder(TOKYO_GRID, OccupancySource.ACCUMULATED, 3.0, simulator.city)
    level, actors = drive(simulator, builder)
    truth = paired(
        lambda: builder.build(level, actors), lambda: simulator.city.occupancy(TOKYO_GRID, level, actors), 10
    )
    return Row("accumulated frame, 31 sweeps", *truth, "ground truth alone")


def sampled_truth(simulator: Simulator, level: Pose) -> np.ndarray:
    """Ground truth without numba: every triangle sampled at 0.2 m; not conservative, and no priorities."""
    city, classes = simulator.city, np.zeros(TOKYO_GRID.size, np.uint8)
    near = city.faces_near(level.position, 57.0)
    triangles, labels = [city.triangles[near]], [city.classes[near]]
    for actor in simulator.actors():
        triangles.append(actor.corners()[BOX_FACES])
        labels.append(np.full(len(BOX_FACES), actor.semantic, np.uint8))
    to_grid = level.inverse()
    for (a, b, c), label in zip(np.concatenate(triangles), np.concatenate(labels), strict=True):
        count = int(max(np.linalg.norm(b - a), np.linalg.norm(c - a)) / 0.2) + 2
        u, v = np.meshgrid(*2 * (np.linspace(0, 1, count),))
        u, v = u[u + v <= 1, None], v[u + v <= 1, None]
        numbers = TOKYO_GRID.numbers(to_grid.apply(a + u * (b - a) + v * (c - a)))
        classes[numbers[numbers >= 0]] = label
    return classes


def ground_truth_frames(simulator: Simulator) -> list[Row]:
    """Ground truth of a frame among 100 actors."""
    level, actors = footprint(simulator.motion(ROVER).pose, simulator.ground_under(ROVER)), simulator.actors()
    hollow = beside_slow(
        lambda: simulator.city.occupancy(TOKYO_GRID, level, actors), lambda: sampled_truth(simulator, level)
    )
    solid = paired(lambda: simulator.city.occupancy(TOKYO_GRID, level, actors, solid=True), lambda: None, 20)[0]
    row = Row("ground truth, 100 actors", *hollow, "numpy, sampled at 0.2 m")
    return [row, replace(row, name="the same, insides filled", ours=solid)]


def run(udx: Path, city: Path) -> str:
    """The table. udx: the sample city's CityGML; city: the same imported."""
    simulator, crowded = (Simulator(city, Fleet(1, 1, actors, cameras=False), seed=1) for actors in (30, 100))
    for each in (simulator, crowded):
        each.step(0.1)
    return table(
        [
            *sweep_frames(simulator),
            accumulated_frame(simulator),
            *ground_truth_frames(crowded),
        ]
    )
