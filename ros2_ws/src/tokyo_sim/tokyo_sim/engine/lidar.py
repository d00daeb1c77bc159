"""LiDAR by ray casting with Embree, sectors of the revolution shared out among cores."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from embreex.mesh_construction import TriangleMesh as EmbreeMesh
from embreex.rtcore_scene import EmbreeScene

from occ_core.actors import Actor, rotations
from occ_core.citymap import CityMap
from occ_core.pose_buffer import PoseBuffer
from occ_core.poses import Pose
from tokyo_sim.engine.lidar_returns import ActorBoxes, meet_boxes, receive, turned
from tokyo_sim.engine.robot import LidarSpec

_SECTORS = 4  # for each core: a street is seen on one side, and walls cost more than the sky


@dataclass(frozen=True)
class Sweep:
    """One revolution, organised beams x columns. ranges: (b, c) float32 metres, NaN where nothing came back.

    points: (b, c, 3) float32 in the sensor's frame at each column's time, NaN likewise. intensity: (b, c) float32,
    reflectivity x cosine of incidence, 0 to 1. times: (c,) float32 seconds of each column after the sweep's stamp: zero
    without motion distortion, else negative up to zero. classes: (b, c) uint8, what was hit: ground truth that no topic
    carries.
    """

    ranges: np.ndarray
    points: np.ndarray
    intensity: np.ndarray
    times: np.ndarray
    classes: np.ndarray


@dataclass(frozen=True)
class _Aim:
    """Where a sweep's columns look from: origins (c, 3) and rotations (c, 3, 3) to map at times (c,)."""

    times: np.ndarray
    origins: np.ndarray
    rotations: np.ndarray


class LidarCaster:
    """Casts sweeps into a city. threads: how many cores share a sweep; its points are the same for any number."""

    def __init__(self, city: CityMap, threads: int | None = None) -> None:
        self._scene = EmbreeScene()
        self._mesh = EmbreeMesh(self._scene, city.vertices, city.faces)  # The scene does not keep its mesh alive.
        self._classes = city.classes
        self._threads = threads or len(os.sched_getaffinity(0))
        self._pool = ThreadPoolExecutor(self._threads) if self._threads > 1 else None
        nowhere = np.zeros((1, 3), np.float32)
        self._scene.run(nowhere, nowhere)  # The first cast builds the tree, and two threads must not.

    def cast(
        self,
        spec: LidarSpec,
        sensor: Pose,
        actors: list[Actor],
        rng: np.random.Generator,
        past: PoseBuffer | None = None,
    ) -> Sweep:
        """A sweep from a sensor's pose in map. actors: what moves, the carrier excluded. rng: noise and losses.

        past: the sensor's poses in map during the revolution that ends with the last of them; each column is then cast
        from where the sensor was at its time, before the first pose from there, and at moving things where they were,
        and points are in the frame of that time, as a real sensor reports them. Without it all is cast at once.
        """
        beams, columns = len(spec.elevations), len(spec.azimuths)
        aim = _aim(spec, sensor, past)
        boxes = _boxes(actors, spec, sensor.position)

        def draw() -> tuple[np.ndarray, np.ndarray]:
            noise = rng.standard_normal((beams, columns), dtype=np.float32) * np.float32(spec.noise_stddev)
            return noise, rng.random((beams, columns), dtype=np.float32)

        sweep = Sweep(
            ranges=np.empty((beams, columns), np.float32),
            points=np.empty((beams, columns, 3), np.float32),
            intensity=np.empty((beams, columns), np.float32),
            times=aim.times.astype(np.float32),
            classes=np.empty((beams, columns), np.uint8),
        )
        edges = np.linspace(0, columns, min(_SECTORS * self._threads, columns) + 1).astype(int)
        sectors = [slice(start, end) for start, end in zip(edges[:-1], edges[1:], strict=True)]
        if self._pool is None:
            drawn = draw()
            for sector in sectors:
                self._cast_sector(spec, aim, boxes, lambda: drawn, sector, sweep)
            return sweep
        # Before the sectors, so that it has begun when one of them waits for it.
        drawing = self._pool.submit(draw)
        work = lambda sector: self._cast_sector(spec, aim, boxes, drawing.result, sector, sweep)  # noqa: E731
        list(self._pool.map(work, sectors))
        return sweep

    def _cast_sector(
        self,
        spec: LidarSpec,
        aim: _Aim,
        boxes: ActorBoxes,
        drawn: Callable[[], tuple[np.ndarray, np.ndarray]],
        sector: slice,
        sweep: Sweep,
    ) -> None:
        """Fill some columns of a sweep: boxes first, so that the tree is searched no further than they stand.

        drawn: gives the noise and the chance of every ray, (beams, columns) float32.
        """
        local, model = spec.directions[:, sector], spec.returns
        rotations = aim.rotations[sector]
        rays = turned(local, rotations)
        origins = np.broadcast_to(aim.origins[sector].astype(np.float32), local.shape).reshape(-1, 3)
        ranges = np.full(len(rays), spec.range_max, np.float32)
        box, cosine = np.full(len(rays), -1, np.int32), np.zeros(len(rays), np.float32)
        turn = spec.azimuths[sector]
        ahead = np.einsum("cij,cj->ci", rotations, np.column_stack([np.cos(turn), np.sin(turn), 0 * turn]))
        aside = np.einsum("cij,cj->ci", rotations, np.column_stack([-np.sin(turn), np.cos(turn), 0 * turn]))
        meet_boxes(
            rays, aim.origins[sector], aim.times[sector], ahead, aside,
            boxes.centres, boxes.velocities, boxes.rotations, boxes.halves, ranges, box, cosine,
        )  # fmt: skip
        hits = self._scene.run(origins, rays, ranges, output=1)
        sweep.ranges[:, sector] = hits["tfar"].reshape(local.shape[:2])
        noise, chance = drawn()
        receive(
            rays, local, hits["primID"], hits["Ng"], self._classes, box, boxes.classes, cosine,
            noise[:, sector], chance[:, sector], model.reflectivity,
            (spec.range_min, spec.range_max, model.half_signal, model.random_loss),
            sweep.ranges[:, sector], sweep.points[:, sector], sweep.intensity[:, sector], sweep.classes[:, sector],
        )  # fmt: skip


def _aim(spec: LidarSpec, sensor: Pose, past: PoseBuffer | None) -> _Aim:
    columns = len(spec.azimuths)
    if past is None:
        still = np.broadcast_to(sensor.position, (columns, 3)), np.broadcast_to(sensor.rotation, (columns, 3, 3))
        return _Aim(np.zeros(columns), *(part.copy() for part in still))
    times = (np.arange(1, columns + 1) / columns - 1) / spec.rate
    return _Aim(times, *past.batch(np.maximum(past.last + times, past.first)))


def _boxes(actors: list[Actor], spec: LidarSpec, sensor: np.ndarray) -> ActorBoxes:
    """Those of the actors that a sensor at (3,) in map may meet during a revolution."""
    centres = np.array([a.pose.position for a in actors]).reshape(-1, 3)
    velocities = np.array([a.velocity for a in actors], dtype=float).reshape(-1, 3)
    halves = np.array([a.size for a in actors], dtype=float).reshape(-1, 3) / 2
    moving = np.linalg.norm(velocities, axis=1) / spec.rate
    near = np.linalg.norm(centres - sensor, axis=1) < spec.range_max + np.linalg.norm(halves, axis=1) + moving
    return ActorBoxes(
        centres=centres[near],
        velocities=velocities[near],
        rotations=rotations([a for a, close in zip(actors, near, strict=True) if close]),
        halves=halves[near],
        classes=np.array([a.semantic for a in actors], dtype=np.uint8)[near],
    )
