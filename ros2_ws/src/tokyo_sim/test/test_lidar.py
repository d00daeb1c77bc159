"""LiDAR ranges against a ray caster that shares no code with the engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from occ_core.actors import BOX_FACES, Actor
from occ_core.classes import Semantic
from occ_core.pose_buffer import PoseBuffer
from occ_core.poses import Pose
from tokyo_sim.engine.lidar import LidarCaster
from tokyo_sim.engine.robot import LidarSpec, RobotKind, load_robot


@pytest.fixture(scope="module")
def spec() -> LidarSpec:
    full = load_robot(RobotKind.ROVER, "rover_0").lidar
    lossless = replace(full.returns, half_signal=0.0, random_loss=0.0)
    return replace(full, elevations=np.linspace(-0.9, 0.9, 16), azimuths=full.azimuths[::16], returns=lossless)


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


def test_any_number_of_threads_gives_the_same_sweep(spec, city):
    rng = np.random.default_rng(0)
    scene = city((Semantic.BUILDING, random_triangles(rng, 60)))
    cars = [Actor(1, Semantic.CAR, Pose.from_xyz_rpy([9, 3, 0], [0, 0, 1]), np.array([4.0, 2, 2]), np.zeros(3))]
    sweeps = [
        LidarCaster(scene, threads).cast(spec, Pose.identity(), cars, np.random.default_rng(3)) for threads in (1, 2, 5)
    ]
    for other in sweeps[1:]:
        for name in ("ranges", "points", "intensity", "times", "classes"):
            assert np.array_equal(getattr(sweeps[0], name), getattr(other, name), equal_nan=name != "classes"), name


def test_from_inside_a_box_its_walls_are_seen(spec, city, box):
    scene = city((Semantic.BUILDING, box((-50, -50, -50), (50, 50, 50))))
    bus = Actor(1, Semantic.TRUCK_BUS, Pose.identity(), np.array([8.0, 6.0, 4.0]), np.zeros(3))
    sweep = LidarCaster(scene).cast(replace(spec, noise_stddev=0.0), Pose.identity(), [bus], np.random.default_rng(0))
    assert (sweep.classes == Semantic.TRUCK_BUS).all()
    assert np.abs(np.max(np.abs(sweep.points) / [4, 3, 2], axis=-1) - 1).max() < 1e-5


@pytest.mark.parametrize("tilt", [0.0, 0.6, 1.2, 1.45])
def test_intensity_is_reflectivity_by_incidence(spec, city, tilt):
    """A wall 10 m ahead, turned about the upright: the middle ray meets it at that angle."""
    wall = np.array([[(0, -40, -9), (0, 40, -9), (0, 40, 9)], [(0, -40, -9), (0, 40, 9), (0, -40, 9)]], dtype=float)
    turned = Pose.from_xyz_rpy([10, 0, 0], [0, 0, tilt]).apply(wall.reshape(-1, 3)).reshape(-1, 3, 3)
    middle = replace(spec, elevations=np.array([0.0]), azimuths=np.array([0.0]))
    for semantic in (Semantic.BUILDING, Semantic.ROAD, Semantic.VEGETATION):
        sweep = LidarCaster(city((semantic, turned))).cast(middle, Pose.identity(), [], np.random.default_rng(0))
        expected = middle.returns.reflectivity[semantic] * np.cos(tilt)
        assert sweep.intensity[0, 0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("semantic, distance", [(Semantic.ROAD, 100.0), (Semantic.WATER, 40.0), (Semantic.CAR, 110.0)])
@pytest.mark.parametrize("tilt", [0.0, 1.3, 1.5])
def test_the_share_of_lost_returns_follows_range_incidence_and_material(spec, city, semantic, distance, tilt):
    """A thousand rays at one patch: the share that comes back is the LiDAR equation's, to four standard errors."""
    wall = np.array([[(0, -9, -9), (0, 9, -9), (0, 9, 9)], [(0, -9, -9), (0, 9, 9), (0, -9, 9)]], dtype=float)
    turned = Pose.from_xyz_rpy([distance, 0, 0], [0, 0, tilt]).apply(wall.reshape(-1, 3)).reshape(-1, 3, 3)
    model = load_robot(RobotKind.ROVER, "rover_0").lidar.returns
    lossy = replace(spec, elevations=np.full(20, 0.0), azimuths=np.full(50, 0.0), returns=model)
    sweep = LidarCaster(city((semantic, turned))).cast(lossy, Pose.identity(), [], np.random.default_rng(1))
    signal = model.reflectivity[semantic] * np.cos(tilt) * (spec.range_max / distance) ** 2
    expected = (1 - model.random_loss) / (1 + (model.half_signal / signal) ** 2)
    error = np.sqrt(expected * (1 - expected) / 1000)
    assert abs(np.isfinite(sweep.ranges).mean() - expected) < 4 * error + 1e-3


@pytest.mark.parametrize("wrong", [{"half_signal": -1.0}, {"random_loss": 1.5}])
def test_a_return_model_that_can_not_be_is_refused(spec, wrong):
    with pytest.raises(ValueError, match="half_signal"):
        replace(spec.returns, **wrong)


def known(poses: list[tuple[float, Pose]]) -> PoseBuffer:
    buffer = PoseBuffer()
    for time, pose in poses:
        buffer.add(time, pose)
    return buffer


@pytest.mark.parametrize("seed", range(3))
def test_with_motion_distortion_each_column_is_cast_from_where_the_sensor_was(spec, city, seed):
    """Columns beside sweeps cast all at once from each column's pose, at actors where they were at its time."""
    rng = np.random.default_rng(seed)
    scene = city((Semantic.BUILDING, random_triangles(rng, 40)))
    quiet = replace(spec, noise_stddev=0.0)
    velocity, spin = rng.uniform(-15, 15, 3), rng.uniform(-2, 2)
    pose_at = lambda time: Pose.from_xyz_rpy(velocity * time, [0.1, 0.2, spin * time])  # noqa: E731
    car_at = lambda time: Actor(  # noqa: E731
        1, Semantic.CAR, Pose.from_xyz_rpy(np.array([9, 4, 0]) + np.array([0, 12, 0]) * time, [0, 0, 0.3]),
        np.array([5.0, 5, 5]), np.array([0, 12.0, 0]),
    )  # fmt: skip
    past = known([(time, pose_at(time)) for time in np.linspace(-0.1, 0, 101)])
    sweep = LidarCaster(scene).cast(quiet, pose_at(0), [car_at(0)], np.random.default_rng(0), past)
    columns = len(spec.azimuths)
    assert sweep.times[-1] == 0 and sweep.times[0] == pytest.approx(-0.1 + 0.1 / columns)
    assert (np.diff(sweep.times) > 0).all()
    assert (sweep.classes == Semantic.CAR).sum() > 20
    local = directions(spec).reshape(len(spec.elevations), columns, 3)
    errors = []
    for column in range(columns):
        time = float(sweep.times[column])
        sensor = pose_at(time)
        everything = np.concatenate([scene.triangles, car_at(time).corners()[BOX_FACES]])
        distance, _ = moeller_trumbore(sensor.position, local[:, column] @ sensor.rotation.T, everything)
        measured = sweep.ranges[:, column]
        both = np.isfinite(measured) & (distance <= spec.range_max)
        assert np.mean(np.isfinite(measured) != (distance <= spec.range_max)) <= 1 / len(distance)
        errors.extend(np.abs(measured - distance)[both])
    assert len(errors) > 150 and np.median(errors) < 1e-4
    assert np.mean(np.array(errors) > 0.01) < 0.005  # silhouettes


def test_points_moved_by_their_columns_poses_lie_on_the_wall_that_the_raw_sweep_bends(spec, city):
    """At 15 m/s a sensor moves 1.5 m while it turns once: raw points smear a wall by as much, undone by `times`."""
    wall = np.array([[(20, -90, -40), (20, 90, -40), (20, 90, 40)], [(20, -90, -40), (20, 90, 40), (20, -90, 40)]])
    caster = LidarCaster(city((Semantic.BUILDING, wall.astype(float))))
    quiet = replace(spec, noise_stddev=0.0)
    past = known([(time, Pose.from_xyz_rpy([15 * time, 0, 0], [0, 0, 0])) for time in np.linspace(-0.1, 0, 11)])
    sweep = caster.cast(quiet, Pose.identity(), [], np.random.default_rng(0), past)
    seen = np.isfinite(sweep.ranges)
    assert np.ptp(sweep.points[seen][:, 0]) > 0.4  # half a turn faces the wall
    mended = sweep.points + np.array([15, 0, 0]) * sweep.times[None, :, None]
    assert np.abs(mended[seen][:, 0] - 20).max() < 5e-3
    at_once = caster.cast(quiet, Pose.identity(), [], np.random.default_rng(0))
    assert np.abs(at_once.points[np.isfinite(at_once.ranges)][:, 0] - 20).max() < 5e-3 and not at_once.times.any()
