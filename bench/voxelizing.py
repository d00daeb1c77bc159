"""Sweeps to frames: the voxelizer beside plain numpy, an accumulated frame beside its ground truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.pairs import Row, paired, table
from occ_core.grid import TOKYO_GRID
from occ_core.keyframes import KeyframeBuilder, OccupancySource
from occ_core.poses import footprint
from occ_core.voxelize import carve_free_space, voxelize_points
from tokyo_sim.engine.simulator import Fleet, Simulator


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


def run(udx: Path, city: Path) -> str:
    """The table. udx: the sample city's CityGML; city: the same imported."""
    return table([voxelizer(np.random.default_rng(0)), frame(Simulator(city, Fleet(1, 1, 30, cameras=False), seed=1))])
