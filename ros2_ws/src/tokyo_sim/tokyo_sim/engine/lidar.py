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


class _Target:
    """Triangles (n, 3, 3) with their classes (n,), ready to be hit."""

    def __init__(self, triangles: np.ndarray, classes: np.ndarray) -> None:
        triangles = np.ascontiguousarray(triangles, dtype=np.float32)
        self._scene = EmbreeScene()
        self._mesh = EmbreeMesh(self._scene, triangles)  # The scene does not keep its mesh alive.
        self._classes = classes
        normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
        self._normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)

    def hit(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(ranges, faces) of the nearest hits, each (n,); inf and -1 where there is none."""
        result = self._scene.run(origins, directions, output=1)
        return np.where(result["primID"] >= 0, result["tfar"], np.float32(np.inf)), result["primID"]

    def surface(self, faces: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(cosine of incidence, class) of hits on faces, each (n,)."""
        return np.abs(np.einsum("nc,nc->n", self._normals[faces], directions)), self._classes[faces]


class LidarCaster:
    """Casts sweeps into a city."""

    def __init__(self, city: CityMap) -> None:
        self._city = _Target(city.triangles, city.classes)
        self._directions: dict[int, tuple[LidarSpec, np.ndarray]] = {}

    def cast(self, spec: LidarSpec, sensor: Pose, actors: list[Actor], rng: np.random.Generator) -> Sweep:
        """A sweep from a sensor's pose in map. actors: what moves, the carrier excluded. rng: range noise."""
        local = self._rays(spec)
        rays = np.ascontiguousarray(local @ sensor.rotation.T.astype(np.float32))
        origins = np.broadcast_to(sensor.position.astype(np.float32), rays.shape).copy()
        ranges, faces = self._city.hit(origins, rays)
        cosine, classes = self._city.surface(faces, rays)
        near = [a for a in actors if np.linalg.norm(a.pose.position - sensor.position) < spec.range_max + a.size.max()]
        if near:
            labels = np.repeat([actor.semantic for actor in near], len(BOX_FACES)).astype(np.uint8)
            moving = _Target(np.concatenate([actor.corners()[BOX_FACES] for actor in near]), labels)
            moving_ranges, moving_faces = moving.hit(origins, rays)
            closer = np.flatnonzero(moving_ranges < ranges)
            ranges[closer] = moving_ranges[closer]
            cosine[closer], classes[closer] = moving.surface(moving_faces[closer], rays[closer])
        seen = (ranges >= spec.range_min) & (ranges <= spec.range_max)
        noise = rng.standard_normal(len(ranges), dtype=np.float32) * np.float32(spec.noise_stddev)
        measured = np.where(seen, ranges + noise, np.float32(np.nan))
        shape = (len(spec.elevations), len(spec.azimuths))
        return Sweep(
            ranges=measured.reshape(shape),
            points=(local * measured[:, None]).reshape(*shape, 3),
            intensity=np.where(seen, _REFLECTIVITY[classes] * cosine, np.float32(0)).reshape(shape),
            classes=np.where(seen, classes, np.uint8(Semantic.EMPTY)).reshape(shape),
        )

    def _rays(self, spec: LidarSpec) -> np.ndarray:
        """(beams * columns, 3) float32 unit directions in the sensor's frame, beam by beam."""
        if id(spec) not in self._directions:
            up, around = np.meshgrid(spec.elevations, spec.azimuths, indexing="ij")
            rays = np.stack([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)], axis=-1)
            # Keeping the spec keeps its id from being given to another.
            self._directions[id(spec)] = spec, np.ascontiguousarray(rays.reshape(-1, 3), dtype=np.float32)
        return self._directions[id(spec)][1]
