"""From a ray to a return: which box stands nearest, and what a receiver makes of what was hit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occ_core.classes import NUM_CLASSES, Semantic, class_id
from occ_core.loops import compiled


@dataclass(frozen=True)
class ReturnModel:
    """What of a hit comes back. reflectivity: (NUM_CLASSES,) float32 at 905 nm, 0 to 1.

    A hit's signal is reflectivity x cosine of incidence x (range_max / range)^2: the LiDAR equation of an extended
    Lambertian target. It is detected with probability signal^2 / (signal^2 + half_signal^2), and a share `random_loss`
    of the detected is lost for no reason.
    """

    reflectivity: np.ndarray
    half_signal: float
    random_loss: float

    def __post_init__(self) -> None:
        if self.half_signal < 0 or not 0 <= self.random_loss <= 1:
            raise ValueError(
                f"a LiDAR needs half_signal >= 0 and random_loss in 0 ... 1, got {self.half_signal}, {self.random_loss}"
            )

    @classmethod
    def from_config(cls, config: dict) -> ReturnModel:
        """From `returns` of sensors.yaml; ValueError for a class that there is not."""
        reflectivity = np.full(NUM_CLASSES, config["reflectivity"]["other"], dtype=np.float32)
        for name, value in config["reflectivity"].items():
            reflectivity[class_id(name)] = value
        return cls(reflectivity, float(config["half_signal"]), float(config["random_loss"]))


@dataclass(frozen=True)
class ActorBoxes:
    """What moves, as arrays: centres (n, 3) and velocities (n, 3) in map, rotations (n, 3, 3) box to map, halves (n, 3)
    metres, classes (n,) uint8."""

    centres: np.ndarray
    velocities: np.ndarray
    rotations: np.ndarray
    halves: np.ndarray
    classes: np.ndarray


@compiled
def turned(local, rotations):
    """Vectors (beams, columns, 3), each column turned by its rotation (columns, 3, 3): (beams * columns, 3) float32."""
    beams, columns = local.shape[:2]
    out = np.empty((beams * columns, 3), np.float32)
    for beam in range(beams):
        for column in range(columns):
            for k in range(3):
                out[beam * columns + column, k] = (
                    rotations[column, k, 0] * local[beam, column, 0]
                    + rotations[column, k, 1] * local[beam, column, 1]
                    + rotations[column, k, 2] * local[beam, column, 2]
                )
    return out


@compiled
def meet_boxes(rays, origins, times, ahead, aside, centres, velocities, rotations, halves, ranges, box, cosine):
    """Shorten rays that meet a box: ranges to its surface, which box, and the cosine of incidence there.

    rays: (beams * columns, 3) unit vectors in map, beam by beam. origins: (columns, 3) in map; times: (columns,) s from
    the boxes' stamp. ahead, aside: (columns, 3), along and across the upright half plane that a column's rays lie in.
    ranges, box, cosine: (beams * columns,), changed in place. Source: the slab test of Kay and Kajiya, SIGGRAPH 1986.
    """
    columns = len(origins)
    beams = len(rays) // columns
    start, along, entry = np.empty(3), np.empty(3), np.empty(3)
    for b in range(len(centres)):
        radius = np.sqrt(halves[b, 0] ** 2 + halves[b, 1] ** 2 + halves[b, 2] ** 2)
        for column in range(columns):
            across, front = 0.0, 0.0
            for k in range(3):
                entry[k] = centres[b, k] + velocities[b, k] * times[column] - origins[column, k]
                across += entry[k] * aside[column, k]
                front += entry[k] * ahead[column, k]
            if abs(across) > radius or front < -radius:
                continue
            for axis in range(3):
                start[axis] = 0.0
                for k in range(3):
                    start[axis] -= rotations[b, k, axis] * entry[k]
            for beam in range(beams):
                ray = beam * columns + column
                near, far, near_axis, far_axis = -np.inf, np.inf, 0, 0
                for axis in range(3):
                    along[axis] = 0.0
                    for k in range(3):
                        along[axis] += rotations[b, k, axis] * rays[ray, k]
                    step = along[axis] if abs(along[axis]) > 1e-12 else 1e-12
                    one, two = (-halves[b, axis] - start[axis]) / step, (halves[b, axis] - start[axis]) / step
                    if min(one, two) > near:
                        near, near_axis = min(one, two), axis
                    if max(one, two) < far:
                        far, far_axis = max(one, two), axis
                if near <= far and far > 0:
                    # From inside a box, its far wall is what a ray meets.
                    distance, axis = (near, near_axis) if near > 0 else (far, far_axis)
                    if distance < ranges[ray]:
                        ranges[ray], box[ray], cosine[ray] = distance, b, abs(along[axis])


@compiled
def receive(
    rays, local, faces, normals, face_classes, box, box_classes, box_cosine, noise, chance, reflectivity, limits,
    ranges, points, intensity, classes,
):  # fmt: skip
    """Turn hits into returns, in place: ranges (beams, columns) holds true distances before and measured ones after.

    rays: (beams * columns, 3) in map; local: (beams, columns, 3) the same in the sensor. faces: (beams *
    columns,) what the ray hit in the city, -1 for nothing; normals: (beams * columns, 3) there, of any length. box:
    (beams * columns,) which box, -1 for none. noise: (beams, columns) metres. chance: (beams, columns) in 0 ... 1.
    limits: range_min, range_max, half_signal, random_loss.
    """
    least, most, half, loss = limits
    beams, columns = ranges.shape
    for beam in range(beams):
        for column in range(columns):
            ray = beam * columns + column
            distance, face = ranges[beam, column], faces[ray]
            hit, what, cosine = False, np.uint8(0), np.float32(0)
            if face >= 0:
                hit, what = True, face_classes[face]
                dot, length = np.float32(0), np.float32(0)
                for k in range(3):
                    dot += normals[ray, k] * rays[ray, k]
                    length += normals[ray, k] ** 2
                cosine = abs(dot) / np.sqrt(length)
            elif box[ray] >= 0:
                hit, what, cosine = True, box_classes[box[ray]], box_cosine[ray]
            if hit and least <= distance <= most:
                signal = reflectivity[what] * cosine * (most / distance) ** 2
                # A signal of zero never comes back, and with half a signal of zero all others do.
                hit = signal > 0 and chance[beam, column] * (signal**2 + half**2) < (1 - loss) * signal**2
            else:
                hit = False
            measured = distance + noise[beam, column] if hit else np.float32(np.nan)
            ranges[beam, column] = measured
            intensity[beam, column] = reflectivity[what] * cosine if hit else np.float32(0)
            classes[beam, column] = what if hit else np.uint8(Semantic.EMPTY)
            for k in range(3):
                points[beam, column, k] = local[beam, column, k] * measured
