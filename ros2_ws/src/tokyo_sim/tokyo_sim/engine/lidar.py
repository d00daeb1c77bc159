"""LiDAR by ray casting with Embree: the static city once, what moves anew for each sweep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from embreex.mesh_construction import TriangleMesh as EmbreeMesh
from embreex.rtcore_scene import EmbreeScene

from occ_core.actors import BOX_FACES, Actor
from occ_core.citymap import CityMap
from occ_core.classes import NUM_CLASSES, Semantic
from occ_core.poses import Pose
from tokyo_sim.engine.robot import LidarSpec

# Reflectivity at 905 nm by class: asphalt is dark, leaves and painted steel are bright.
_REFLECTIVITY = np.full(NUM_CLASSES, 0.4, dtype=np.float32)
_REFLECTIVITY[[Semantic.ROAD, Semantic.SIDEWALK, Semantic.TERRAIN, Semantic.VEGETATION]] = (0.15, 0.3, 0.35, 0.6)
_REFLECTIVITY[[Semantic.WATER, Semantic.CAR, Semantic.TRUCK_BUS, Semantic.FURNITURE]] = (0.02, 0.7, 0.6, 0.5)


@dataclass(frozen=True)
class Sweep:
    """One revolution, organised beams x columns. ranges: (b, c) float32 metres, NaN where nothing came back.

    points: (b, c, 3) float32 in the sensor's frame, NaN likewise. intensity: (b, c) float32, 0 to 1. classes: (b, c)
    uint8, what was hit: ground truth that no topic carries.
    """

    ranges: np.ndarray
    points: np.ndarray
    intensity: np.ndarray
    classes: np.ndarray


class LidarCaster:
    """Casts sweeps into a city."""

    def __init__(self, city: CityMap) -> None:
        self._classes = city.classes
        self._scene = EmbreeScene()
        self._mesh = EmbreeMesh(self._scene, np.ascontiguousarray(city.triangles, dtype=np.float32))
        self._directions: dict[int, np.ndarray] = {}

    def cast(self, spec: LidarSpec, sensor: Pose, actors: list[Actor], rng: np.random.Generator) -> Sweep:
        """A sweep from a sensor's pose in map. actors: what moves, the carrier excluded. rng: range noise."""
        directions = self._rays(spec)
        world = np.ascontiguousarray(directions @ sensor.rotation.T.astype(np.float32))
        origins = np.broadcast_to(sensor.position.astype(np.float32), world.shape).copy()
        ranges, cosine, classes = _hits(self._scene, origins, world, self._classes)
        near = [a for a in actors if np.linalg.norm(a.pose.position - sensor.position) < spec.range_max + a.size.max()]
        if near:
            scene = EmbreeScene()
            triangles = np.concatenate([actor.corners()[BOX_FACES] for actor in near]).astype(np.float32)
            keep_alive = EmbreeMesh(scene, triangles)
            labels = np.repeat([actor.semantic for actor in near], len(BOX_FACES)).astype(np.uint8)
            moving = _hits(scene, origins, world, labels)
            closer = moving[0] < ranges
            ranges, cosine, classes = (
                np.where(closer, b, a) for a, b in zip((ranges, cosine, classes), moving, strict=False)
            )
            del keep_alive
        seen = (ranges >= spec.range_min) & (ranges <= spec.range_max)
        noisy = ranges + rng.normal(0.0, spec.noise_stddev, len(ranges)).astype(np.float32)
        measured = np.where(seen, noisy, np.nan).astype(np.float32)
        shape = (len(spec.elevations), len(spec.azimuths))
        return Sweep(
            ranges=measured.reshape(shape),
            points=(directions * measured[:, None]).reshape(*shape, 3),
            intensity=np.where(seen, _REFLECTIVITY[classes] * cosine, 0).astype(np.float32).reshape(shape),
            classes=np.where(seen, classes, Semantic.EMPTY).astype(np.uint8).reshape(shape),
        )

    def _rays(self, spec: LidarSpec) -> np.ndarray:
        """(beams * columns, 3) float32 unit directions in the sensor's frame, beam by beam."""
        key = id(spec)
        if key not in self._directions:
            up, around = np.meshgrid(spec.elevations, spec.azimuths, indexing="ij")
            rays = np.stack([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)], axis=-1)
            self._directions[key] = np.ascontiguousarray(rays.reshape(-1, 3), dtype=np.float32)
        return self._directions[key]


def _hits(
    scene: EmbreeScene, origins: np.ndarray, directions: np.ndarray, classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(ranges, cosine of incidence, class) of the nearest hits, each (n,); inf, 0, 0 where there is none."""
    result = scene.run(origins, directions, output=1)
    hit = result["primID"] >= 0
    ranges = np.where(hit, result["tfar"], np.inf).astype(np.float32)
    normals = result["Ng"]
    length = np.linalg.norm(normals, axis=1)
    along = np.abs((normals * directions).sum(axis=1))
    cosine = np.divide(along, length, out=np.zeros_like(along), where=length > 0)
    return ranges, np.where(hit, cosine, 0), np.where(hit, classes[np.maximum(result["primID"], 0)], 0).astype(np.uint8)
