"""LiDAR ranges against a ray caster that shares no code with the engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from occ_core.actors import BOX_FACES, Actor
from occ_core.classes import Semantic
from occ_core.poses import Pose
from tokyo_sim.engine.lidar import LidarCaster
from tokyo_sim.engine.robot import Kind, LidarSpec, load_robot


@pytest.fixture(scope="module")
def spec() -> LidarSpec:
    full = load_robot(Kind.ROVER, "rover_0").lidar
    return replace(full, elevations=np.linspace(-0.9, 0.9, 16), azimuths=full.azimuths[::16])


def moeller_trumbore(origin: np.ndarray, rays: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance (n,) to and number of the nearest triangle of each ray, float64; inf where none.

    Source: Moeller and Trumbore, "Fast, Minimum Storage Ray/Triangle Intersection", 1997.
    """
    nearest, number = np.full(len(rays), np.inf), np.full(len(rays), -1)
    for index, (a, b, c) in enumerate(triangles.astype(np.float64)):
        u_edge, v_edge = b - a, c - a
        p = np.cross(rays, v_edge)
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = 1 / (p @ u_edge)
            u = (p @ (origin - a)) * scale
            q = np.cross(origin - a, u_edge)
            v = (rays @ q) * scale
            t = (q @ v_edge) * scale
        closer = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0) & (t < nearest)
        nearest[closer], number[closer] = t[closer], index
    return nearest, number


def directions(spec: LidarSpec) -> np.ndarray:
    return np.array(
        [(np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)) for e in spec.elevations for a in spec.azimuths]
    )


def random_triangles(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.uniform(-60, 60, (count, 1, 3)) + rng.normal(0, 12, (count, 3, 3))


@pytest.mark.parametrize("seed", range(4))
def test_ranges_points_and_classes_are_those_of_the_nearest_triangle_or_box(spec, city, seed):
    rng = np.random.default_rng(seed)
    triangles = random_triangles(rng, 60)
    semantics = rng.choice([Semantic.BUILDING, Semantic.ROAD, Semantic.VEGETATION], 60)
    scene = city(*((Semantic(s), t[None]) for s, t in zip(semantics, triangles, strict=True)))
    actors = [
        Actor(i + 1, Semantic.CAR, Pose.from_xyz_rpy(rng.uniform(-30, 30, 3), rng.uniform(-3, 3, 3)),
              rng.uniform(2, 9, 3), np.zeros(3))
        for i in range(6)
    ]  # fmt: skip
    sensor = Pose.from_xyz_rpy(rng.uniform(-10, 10, 3), rng.uniform(-1, 1, 3))
    sweep = LidarCaster(scene).cast(spec, sensor, actors, rng)

    boxes = np.concatenate([actor.corners()[BOX_FACES] for actor in actors])
    everything = np.concatenate([scene.triangles, boxes])
    classes = np.concatenate([scene.classes, np.full(len(boxes), Semantic.CAR)])
    local = directions(spec)
    distance, number = moeller_trumbore(sensor.position, local @ sensor.rotation.T, everything)
    seen = (distance >= spec.range_min) & (distance <= spec.range_max)
    measured = sweep.ranges.ravel()
    # A ray along an edge may fall on either side of it.
    assert np.mean(np.isfinite(measured) != seen) < 0.002
    both = np.isfinite(measured) & seen
    assert both.sum() > 300
    error = np.abs(measured - distance)[both]
    assert np.median(error) < 0.8 * spec.noise_stddev  # of a normal distribution: 0.67
    assert np.mean(error > 3 * spec.noise_stddev) < 0.02  # 0.003 of a normal distribution, and silhouettes
    assert np.mean(sweep.classes.ravel()[both] != classes[number[both]]) < 0.002
    points = sweep.points.reshape(-1, 3)[both]
    assert np.linalg.norm(points - local[both] * measured[both, None], axis=1).max() < 1e-4


@pytest.mark.parametrize("seed", range(2))
def test_without_noise_ranges_are_right_to_the_centimetre(spec, city, seed):
    rng = np.random.default_rng(seed)
    scene = city((Semantic.BUILDING, random_triangles(rng, 60)))
    sweep = LidarCaster(scene).cast(replace(spec, noise_stddev=0.0), Pose.identity(), [], rng)
    distance, _ = moeller_trumbore(np.zeros(3), directions(spec), scene.triangles)
    both = np.isfinite(sweep.ranges.ravel()) & np.isfinite(distance)
    error = np.abs(sweep.ranges.ravel() - distance)[both]
    assert np.median(error) < 1e-4 and np.mean(error > 0.01) < 0.002


def test_what_is_nearer_than_the_least_or_further_than_the_largest_range_gives_nothing(spec, city, box):
    shell = lambda half: box((-half,) * 3, (half,) * 3)  # noqa: E731
    quiet = replace(spec, noise_stddev=0.0)
    for half, some in ((0.2, False), (10.0, True), (121.0, False)):
        sweep = LidarCaster(city((Semantic.BUILDING, shell(half)))).cast(
            quiet, Pose.identity(), [], np.random.default_rng(0)
        )
        assert np.isfinite(sweep.ranges).any() == some
        assert (np.isnan(sweep.ranges) == np.isnan(sweep.points[..., 0])).all()
        assert ((sweep.classes == Semantic.EMPTY) == np.isnan(sweep.ranges)).all()
    near = LidarCaster(city((Semantic.BUILDING, shell(10.0)))).cast(
        quiet, Pose.identity(), [], np.random.default_rng(0)
    )
    assert near.ranges.min() >= 10 - 1e-3 and near.ranges.max() <= 10 * np.sqrt(3) + 1e-3


def test_the_same_generator_gives_the_same_sweep(spec, city, box):
    caster = LidarCaster(city((Semantic.BUILDING, box((5, -5, -5), (6, 5, 5)))))
    first, again = (caster.cast(spec, Pose.identity(), [], np.random.default_rng(3)).ranges for _ in range(2))
    other = caster.cast(spec, Pose.identity(), [], np.random.default_rng(4)).ranges
    assert np.array_equal(first, again, equal_nan=True) and not np.array_equal(first, other, equal_nan=True)


def test_a_caster_follows_the_spec_that_it_is_given(spec, city, box):
    caster = LidarCaster(city((Semantic.BUILDING, box((-9, -9, -9), (9, 9, 9)))))
    quiet = replace(spec, noise_stddev=0.0)
    for turn in range(50):
        # A spec that is thrown away after its sweep.
        azimuths = spec.azimuths + turn
        sweep = caster.cast(replace(quiet, azimuths=azimuths), Pose.identity(), [], np.random.default_rng(0))
        bearing = np.arctan2(sweep.points[8, :, 1], sweep.points[8, :, 0])
        assert np.abs(np.angle(np.exp(1j * (bearing - azimuths)))).max() < 1e-3
