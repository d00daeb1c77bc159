"""Pictures agree with their calibration, are the right way round, and leave nothing out that can be seen."""

from __future__ import annotations

import os

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")

import numpy as np
import pytest

from occ_core.actors import BOX_FACES
from occ_core.classes import Semantic
from occ_core.poses import Pose
from tokyo_sim.engine.cameras import CameraRenderer, CamerasUnavailable, Movable
from tokyo_sim.engine.culling import Chunks, chunked
from tokyo_sim.engine.meshes import shaded
from tokyo_sim.engine.robot import CameraSpec, Kind, load_robot
from tokyo_sim.nodes.robot_topics import camera_info

SIZE = (400, 225)


@pytest.fixture(scope="module")
def spec() -> CameraSpec:
    return load_robot(Kind.DRONE, "drone_0", SIZE).cameras[0]


@pytest.fixture(scope="module")
def empty(city, sheet):
    """A renderer of a city that is nowhere near."""
    try:
        renderer = CameraRenderer(city((Semantic.ROAD, sheet(5000, 5001, 5000, 5001))))
    except CamerasUnavailable as error:
        pytest.skip(str(error))
    yield renderer
    renderer.close()


def optical(position, yaw: float = 0.0, pitch: float = 0.0) -> Pose:
    """An optical frame that looks along a yaw and down by a pitch, radians."""
    turn = Pose.from_xyz_rpy(np.zeros(3), [-np.pi / 2, 0, -np.pi / 2])
    return Pose.from_xyz_rpy(np.asarray(position, dtype=float), [0, pitch, yaw]) @ turn


def cube(key: str, at, half: float, colour=(255, 0, 0)) -> Movable:
    corners = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * half
    rows = shaded(corners[BOX_FACES], np.tile(colour, (12, 1)), np.full(12, Semantic.CAR))
    return Movable(key, rows, Pose(np.asarray(at, dtype=float), np.array([1.0, 0, 0, 0])))


def changed(renderer: CameraRenderer, spec: CameraSpec, view: Pose, thing: Movable) -> np.ndarray:
    """(height, width) how much a thing changes each pixel."""
    with_it, without = (renderer.render(spec, view, things).astype(float) for things in ([thing], []))
    return np.abs(with_it - without).sum(axis=2)


def seen_at(weight: np.ndarray) -> np.ndarray:
    """(2,) u and v of what changed; pixel centres are whole numbers."""
    v, u = np.mgrid[: weight.shape[0], : weight.shape[1]]
    return np.array([(u * weight).sum(), (v * weight).sum()]) / weight.sum()


@pytest.mark.parametrize("seed", range(12))
def test_a_point_is_drawn_where_the_calibration_projects_it(empty, spec, seed):
    rng = np.random.default_rng(seed)
    view = optical(rng.uniform(-50, 50, 3), rng.uniform(-np.pi, np.pi), rng.uniform(-0.5, 0.8))
    k = np.array(camera_info(spec, "frame", 0.0).k).reshape(3, 3)
    pixel = rng.uniform([10, 10], [SIZE[0] - 10, SIZE[1] - 10])
    depth = rng.uniform(5, 40)
    ray = np.linalg.solve(k, [*pixel, 1.0])
    weight = changed(empty, spec, view, cube("point", view.apply(ray[None] * depth)[0], half=depth * 0.004))
    assert weight.max() > 30
    assert np.abs(seen_at(weight) - pixel).max() < 0.5


def test_images_are_neither_mirrored_nor_upside_down(empty, spec):
    view = optical((0, 0, 10))
    middle = (np.array(SIZE) - 1) / 2
    left, up = (seen_at(changed(empty, spec, view, cube("c", at, 0.3))) for at in ((10, 3, 10), (10, 0, 12)))
    assert left[0] < middle[0] - 30 and abs(left[1] - middle[1]) < 3
    assert up[1] < middle[1] - 30 and abs(up[0] - middle[0]) < 3
    picture = empty.render(spec, view, [])
    assert picture.shape == (SIZE[1], SIZE[0], 3) and picture.dtype == np.uint8
    top, bottom = picture[0].astype(int).mean(axis=0), picture[-1].astype(int).mean(axis=0)
    assert top[2] - top[0] > bottom[2] - bottom[0]  # the sky is bluest overhead


def test_red_green_and_blue_are_in_that_order(empty, spec):
    for channel in range(3):
        colour = tuple(255 if c == channel else 0 for c in range(3))
        picture = empty.render(spec, optical((0, 0, 0)), [cube(f"colour_{channel}", (6, 0, 0), 1.0, colour)])
        assert picture[SIZE[1] // 2, SIZE[0] // 2].argmax() == channel


def test_what_is_nearer_hides_what_is_further(empty, spec):
    near, far = cube("near", (6, 0, 0), 1.0, (255, 0, 0)), cube("far", (12, 0, 0), 1.0, (0, 0, 255))
    for order in ([near, far], [far, near]):
        assert empty.render(spec, optical((0, 0, 0)), order)[SIZE[1] // 2, SIZE[0] // 2].argmax() == 0
    behind = cube("behind", (-6, 0, 0), 1.0)
    assert not changed(empty, spec, optical((0, 0, 0)), behind).any()


def scattered_city(city, box, sheet, seed: int):
    rng = np.random.default_rng(seed)
    corners = [(*rng.uniform(-250, 250, 2), 0.0) for _ in range(150)]
    houses = [box(low, np.array(low) + rng.uniform(3, 30, 3)) for low in corners]
    return city((Semantic.BUILDING, np.concatenate(houses)), (Semantic.TERRAIN, sheet(-400, 400, -400, 400, -0.1)))


def test_leaving_out_what_is_out_of_view_changes_no_pixel(city, box, sheet, spec, empty, monkeypatch):
    renderer = CameraRenderer(scattered_city(city, box, sheet, 0))
    rng = np.random.default_rng(1)
    views = [
        optical(rng.uniform((-250, -250, 1), (250, 250, 80)), rng.uniform(-3.2, 3.2), rng.uniform(-1.5, 1.5))
        for _ in range(25)
    ]
    culled = [renderer.render(spec, view, []).copy() for view in views]
    monkeypatch.setattr(Chunks, "visible", lambda self, *_: iter([(0, int(self.starts[-1]))]))
    whole = [renderer.render(spec, view, []) for view in views]
    renderer.close()
    assert np.ptp(np.array(whole), axis=0).max() > 50
    for number, (a, b) in enumerate(zip(culled, whole, strict=True)):
        assert (a == b).all(), f"view {number}: {np.argwhere((a != b).any(axis=2))[:3]}"


@pytest.mark.parametrize("seed", range(3))
def test_sorting_into_chunks_loses_no_triangle(seed):
    rng = np.random.default_rng(seed)
    rows = rng.uniform(-300, 300, (500, 3, 10)).astype(np.float32)
    ordered, chunks = chunked(rows.reshape(-1, 10), np.inf)
    key = lambda triangles: sorted(t.tobytes() for t in triangles)  # noqa: E731
    assert key(ordered.reshape(-1, 3, 10)) == key(rows)
    assert chunks.starts[0] == 0 and chunks.starts[-1] == 1500
    for start, stop, corners in zip(chunks.starts, chunks.starts[1:], chunks.corners, strict=False):
        points = ordered[start:stop, :3]
        assert (points >= corners[:, :3].min(axis=0)).all() and (points <= corners[:, :3].max(axis=0)).all()


def test_the_calibration_has_the_field_of_view_and_the_middle_of_the_image(spec):
    info = camera_info(spec, "drone_0/camera_front_optical", 1.5)
    assert (info.width, info.height, info.header.frame_id) == (*SIZE, "drone_0/camera_front_optical")
    fx, cx, cy = info.k[0], info.k[2], info.k[5]
    assert 2 * np.degrees(np.arctan(SIZE[0] / 2 / fx)) == pytest.approx(70)
    assert (cx, cy) == ((SIZE[0] - 1) / 2, (SIZE[1] - 1) / 2)
    assert np.array(info.p).reshape(3, 4)[:, :3].ravel().tolist() == list(info.k)
