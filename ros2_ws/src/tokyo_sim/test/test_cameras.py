"""Pictures agree with their calibration, are the right way round, and leave nothing out that can be seen."""

from __future__ import annotations

import os

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from occ_core.actors import BOX_FACES, Actor
from occ_core.citymap import CityMap
from occ_core.classes import GROUND_CLASSES, SHEET_CLASSES, Semantic
from occ_core.poses import Pose
from tokyo_city.world.appearance import PAGE_PIXELS, Appearance, page_path, pages
from tokyo_sim.engine.actor_meshes import actor_vertices
from tokyo_sim.engine.cameras import CameraRenderer, CamerasUnavailable
from tokyo_sim.engine.culling import Chunks, chunked
from tokyo_sim.engine.daylight import DEFAULT_HOUR, Daylight
from tokyo_sim.engine.meshes import shaded
from tokyo_sim.engine.movables import Movable, Movables
from tokyo_sim.engine.robot import CameraSpec, RobotKind, load_robot
from tokyo_sim.engine.winding import one_sided
from tokyo_sim.nodes.robot_publishers import camera_info
from tokyo_sim.traffic.actor_types import LARGEST, SMALLEST, VEHICLES, WALKER

SIZE = (400, 225)


def draws(city: CityMap, hour: float = DEFAULT_HOUR) -> CameraRenderer:
    """A renderer of a city in grey, without textures."""
    grey = Appearance.plain(np.full((len(city.faces), 3), 128, np.uint8))
    return CameraRenderer(city, grey, [], Daylight.at(hour))


@pytest.fixture(scope="module")
def spec() -> CameraSpec:
    return load_robot(RobotKind.DRONE, "drone_0", SIZE).cameras[0]


@pytest.fixture(scope="module")
def empty(city, sheet):
    """A renderer of a city that is nowhere near."""
    try:
        renderer = draws(city((Semantic.ROAD, sheet(5000, 5001, 5000, 5001))))
    except CamerasUnavailable as error:
        pytest.skip(str(error))
    yield renderer
    renderer.close()


def optical(position, yaw: float = 0.0, pitch: float = 0.0) -> Pose:
    """An optical frame that looks along a yaw and down by a pitch, radians."""
    turn = Pose.from_xyz_rpy(np.zeros(3), [-np.pi / 2, 0, -np.pi / 2])
    return Pose.from_xyz_rpy(np.asarray(position, dtype=float), [0, pitch, yaw]) @ turn


def cube(at, half: float, colour=(255, 0, 0)) -> Movable:
    corners = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * half
    rows = shaded(corners[BOX_FACES], np.tile(colour, (12, 1)), np.full(12, Semantic.CAR))
    return Movable(rows, Pose(np.asarray(at, dtype=float), np.array([1.0, 0, 0, 0])))


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
    weight = changed(empty, spec, view, cube(view.apply(ray[None] * depth)[0], half=depth * 0.004))
    assert weight.max() > 30
    assert np.abs(seen_at(weight) - pixel).max() < 0.5


def test_images_are_neither_mirrored_nor_upside_down(empty, spec):
    view = optical((0, 0, 10))
    middle = (np.array(SIZE) - 1) / 2
    left, up = (seen_at(changed(empty, spec, view, cube(at, 0.3))) for at in ((10, 3, 10), (10, 0, 12)))
    assert left[0] < middle[0] - 30 and abs(left[1] - middle[1]) < 3
    assert up[1] < middle[1] - 30 and abs(up[0] - middle[0]) < 3
    picture = empty.render(spec, view, [])
    assert picture.shape == (SIZE[1], SIZE[0], 3) and picture.dtype == np.uint8
    top, bottom = picture[0].astype(int).mean(axis=0), picture[-1].astype(int).mean(axis=0)
    assert top[2] - top[0] > bottom[2] - bottom[0]  # the sky is bluest overhead


def test_red_green_and_blue_are_in_that_order(empty, spec):
    for channel in range(3):
        colour = tuple(255 if c == channel else 0 for c in range(3))
        picture = empty.render(spec, optical((0, 0, 0)), [cube((6, 0, 0), 1.0, colour)])
        assert picture[SIZE[1] // 2, SIZE[0] // 2].argmax() == channel


def test_what_is_nearer_hides_what_is_further(empty, spec):
    near, far = cube((6, 0, 0), 1.0, (255, 0, 0)), cube((12, 0, 0), 1.0, (0, 0, 255))
    for order in ([near, far], [far, near]):
        assert empty.render(spec, optical((0, 0, 0)), order)[SIZE[1] // 2, SIZE[0] // 2].argmax() == 0
    behind = cube((-6, 0, 0), 1.0)
    assert not changed(empty, spec, optical((0, 0, 0)), behind).any()


def scattered_city(city, box, sheet, seed: int):
    rng = np.random.default_rng(seed)
    corners = [(*rng.uniform(-250, 250, 2), 0.0) for _ in range(150)]
    houses = [box(low, np.array(low) + rng.uniform(3, 30, 3)) for low in corners]
    return city((Semantic.BUILDING, np.concatenate(houses)), (Semantic.TERRAIN, sheet(-400, 400, -400, 400, -0.1)))


def test_leaving_out_what_is_out_of_view_changes_no_pixel(city, box, sheet, spec, empty, monkeypatch):
    renderer = draws(scattered_city(city, box, sheet, 0))
    rng = np.random.default_rng(1)
    views = [
        optical(rng.uniform((-250, -250, 1), (250, 250, 80)), rng.uniform(-3.2, 3.2), rng.uniform(-1.5, 1.5))
        for _ in range(25)
    ]
    culled = [renderer.render(spec, view, []).copy() for view in views]
    visible = Chunks.visible

    def everything(self, *view):
        """What is left out, drawn after what is not: surfaces that cross are drawn in the same order."""
        drawn = list(visible(self, *view))
        parts = zip(self.starts.tolist(), np.diff(self.starts).tolist(), strict=False)
        yield from drawn + [part for part in parts if part not in drawn]

    monkeypatch.setattr(Chunks, "visible", everything)
    whole = [renderer.render(spec, view, []) for view in views]
    renderer.close()
    assert np.ptp(np.array(whole), axis=0).max() > 50
    for number, (a, b) in enumerate(zip(culled, whole, strict=True)):
        assert (a == b).all(), f"view {number}: {np.argwhere((a != b).any(axis=2))[:3]}"


def test_a_face_that_fills_the_view_at_one_distance_does_not_hide_itself(city, sheet, spec, empty):
    """Seen straight on, all of it is as far as its nearest corner, but for what a float32 rounds."""
    renderer, sky = draws(city((Semantic.BRIDGE, sheet(-90, 90, -90, 90)))), empty.render(spec, optical((0, 0, 9)), [])
    haze = sky[SIZE[1] - 1, 0].astype(int)
    for height in np.arange(3.0, 45.0, 0.5):
        picture = renderer.render(spec, optical((0, -9, height), 0.3, np.pi / 2), []).astype(int)
        assert (np.abs(picture - haze).max(axis=2) > 20).all(), f"from {height} m"
    renderer.close()


@pytest.mark.parametrize("turned", [False, True])
def test_a_closed_building_looks_the_same_whichever_way_its_faces_turn(city, box, sheet, spec, empty, turned):
    house = box((8, -4, 0), (14, 4, 7))
    ground = sheet(-50, 50, -50, 50)
    both = [
        (Semantic.BUILDING, house[:, ::-1] if turned else house),
        (Semantic.TERRAIN, ground[:, ::-1] if turned else ground),
    ]
    single, clockwise = one_sided(city(*both))
    assert single.all() and clockwise.all() == turned
    renderer, plain = draws(city(*both)), draws(city((Semantic.BUILDING, house), (Semantic.TERRAIN, ground)))
    for view in (optical((0, 0, 3)), optical((30, 1, 5), np.pi), optical((11, 0, 20), 0.3, 1.5)):
        assert (renderer.render(spec, view, []) == plain.render(spec, view, [])).all()
    renderer.close(), plain.close()


def test_an_open_shell_is_seen_from_inside_and_outside(city, box, sheet, spec, empty):
    roofless = np.array([face for face in box((-5, -5, 0), (5, 5, 6)) if not (face[:, 2] == 6).all()])
    single, _ = one_sided(city((Semantic.BUILDING, roofless)))
    assert not single.any()
    renderer = draws(city((Semantic.BUILDING, roofless), (Semantic.TERRAIN, sheet(-50, 50, -50, 50, -0.1))))
    sky = empty.render(spec, optical((0, 0, 3)), [])
    for eye in ((0, 0, 3), (-20, 0, 3)):
        assert (renderer.render(spec, optical(eye), [])[SIZE[1] // 2] != sky[SIZE[1] // 2]).any(axis=1)[150:250].all()
    renderer.close()


def test_a_bridge_is_ground_to_stand_on_and_is_seen_from_below_too(city, sheet):
    deck, road = sheet(-5, 5, -5, 5, 6.0), sheet(-50, 50, -50, 50)
    single, _ = one_sided(city((Semantic.BRIDGE, deck), (Semantic.ROAD, road)))
    assert single.tolist() == [False, False, True, True]
    assert set(GROUND_CLASSES) == {*SHEET_CLASSES, Semantic.BRIDGE}


@pytest.mark.parametrize("lean", [-1e-6, 0.0, 1e-6])
@pytest.mark.parametrize("turned", [False, True])
def test_the_face_of_a_kerb_is_seen_whichever_way_its_file_wound_it(city, sheet, lean, turned):
    face = np.array([[(0, -5, 0), (0, 5, 0), (lean, 5, 0.2)], [(0, -5, 0), (lean, 5, 0.2), (lean, -5, 0.2)]])
    road, walk = sheet(-50, 0, -5, 5), sheet(0, 50, -5, 5, 0.2)
    single, _ = one_sided(
        city((Semantic.ROAD, road), (Semantic.SIDEWALK, np.concatenate([walk, face[:, ::-1] if turned else face])))
    )
    assert single.tolist() == [True] * 4 + [False] * 2


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_faces_of_shells_that_share_no_edge_are_each_found_from_their_own_side(seed):
    rng = np.random.default_rng(seed)
    low = np.arange(6)[:, None] * [40.0, 0, 0] + rng.uniform(0, 5, (6, 3))
    unit = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=float)
    houses = [(corner + unit * rng.uniform(1, 30, 3))[BOX_FACES] for corner in low]
    turned = rng.integers(0, 2, 6).astype(bool)
    triangles = np.concatenate([h[:, ::-1] if t else h for h, t in zip(houses, turned, strict=True)])
    order = rng.permutation(len(triangles))
    faces = np.arange(3 * len(triangles), dtype=np.int32).reshape(-1, 3)
    shape = CityMap(triangles[order].reshape(-1, 3).astype(np.float32), faces, np.full(len(faces), 1, np.uint8))
    single, clockwise = one_sided(shape)
    assert single.all()
    assert (clockwise == np.repeat(turned, 12)[order]).all()


def test_a_texture_is_the_right_way_up_and_not_mirrored(tmp_path, city, spec, empty):
    quarters = np.zeros((PAGE_PIXELS, PAGE_PIXELS, 3), np.uint8)
    half = PAGE_PIXELS // 2
    quarters[:half, :half], quarters[:half, half:] = (255, 0, 0), (0, 255, 0)  # upper left, upper right
    quarters[half:, :half], quarters[half:, half:] = (0, 0, 255), (255, 255, 0)
    page_path(tmp_path, 0).parent.mkdir()
    Image.fromarray(quarters).save(page_path(tmp_path, 0), quality=95)
    # A wall 10 m ahead, seen from its front: u to the right (-y), v up.
    corners = np.array([(10, 3, -3), (10, -3, -3), (10, -3, 3), (10, 3, 3)], dtype=float)
    texel = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], dtype=np.float32)
    wall = city((Semantic.BUILDING, corners[[[0, 1, 2], [0, 2, 3]]]))
    look = Appearance(np.full((2, 3), 9, np.uint8), texel[[[0, 1, 2], [0, 2, 3]]], np.zeros(2, np.int16))
    renderer = CameraRenderer(wall, look, pages(tmp_path))
    picture = renderer.render(spec, optical((0, 0, 0)), []).astype(int)
    renderer.close()
    (v, u), off = np.array(SIZE)[::-1] // 2, 30
    for dv, du, channels in ((-off, -off, {0}), (-off, off, {1}), (off, -off, {2}), (off, off, {0, 1})):
        pixel = picture[v + dv, u + du]
        assert set(np.flatnonzero(pixel > pixel.max() * 0.7)) == channels, (dv, du, pixel)


@pytest.mark.parametrize("semantic", [Semantic.ROAD, Semantic.SIDEWALK, Semantic.TERRAIN])
def test_ground_is_rough_from_near_and_does_not_crawl_from_afar(city, sheet, spec, empty, semantic):
    renderer = draws(city((semantic, sheet(-400, 400, -400, 400))))
    first, second = (renderer.render(spec, optical((x, 0, 1.2), 0, 0.1), []).astype(float) for x in (0.0, 0.4))
    renderer.close()
    near = slice(SIZE[1] - 40, SIZE[1])
    horizon = np.flatnonzero(np.diff(first[:, SIZE[0] // 2].sum(axis=1)) < -60)[0]
    afar = slice(horizon + 4, horizon + 14)  # 25 to 85 m away
    assert np.abs(first[afar] - second[afar]).mean() < 1.5
    assert first[near].std(axis=(0, 1)).max() > 4


def test_a_wall_in_the_shade_is_as_bright_as_a_camera_makes_it(city, box, spec, empty):
    """Lit by sky and ground alone: half as bright in an image as in the sun, not a tenth."""
    renderer = draws(city((Semantic.FURNITURE, box((-3, -3, 0), (3, 3, 6)))))
    sunny, shaded_wall = (
        renderer.render(spec, optical((x, 0, 3), yaw), [])[SIZE[1] // 2, SIZE[0] // 2].astype(float)
        for x, yaw in ((12.0, np.pi), (-12.0, 0.0))
    )
    renderer.close()
    assert sunny.mean() > 90 and 0.45 < shaded_wall.mean() / sunny.mean() < 0.75
    assert shaded_wall[2] / shaded_wall[0] > sunny[2] / sunny[0]  # the sky is blue


def test_the_sun_goes_from_east_to_west_and_is_low_and_red_at_both_ends():
    morning, noon, evening = (Daylight.at(hour) for hour in (7.0, 12.0, 17.0))
    assert morning.to_sun[0] > 0.5 and abs(noon.to_sun[0]) < 1e-9 and evening.to_sun[0] < -0.5
    assert noon.to_sun[1] < 0, "at noon it is in the south"
    assert np.degrees(np.arcsin(noon.to_sun[2])) == pytest.approx(90 - 35.7 + 12.0)
    assert morning.sun[2] / morning.sun[0] < 0.8 * noon.sun[2] / noon.sun[0]
    for light in (morning, noon, evening):
        assert np.linalg.norm(light.to_sun) == pytest.approx(1)
        exposed = np.mean(light.sun * light.to_sun[2] + light.sky)
        assert exposed == pytest.approx(1.45), "a camera exposes for the light that there is"
    with pytest.raises(ValueError, match="the sun is not up"):
        Daylight.at(3.0)


def test_shadows_fall_away_from_the_sun_of_the_hour(city, box, sheet, spec, empty):
    parts = [(Semantic.TERRAIN, sheet(-60, 60, -60, 60)), (Semantic.FURNITURE, box((-2, -2, 0), (2, 2, 12)))]
    shape = city(*parts)
    above, dark = optical((0, 0, 90), np.pi / 2, np.pi / 2), []
    for hour in (8.0, 16.0):
        renderer = draws(shape, hour)
        picture = renderer.render(spec, above, []).astype(float).mean(axis=2)
        renderer.close()
        left, right = picture[:, 150:192], picture[:, 208:250]  # west of the tower is left, with north up
        dark.append([np.count_nonzero(side < 0.75 * np.median(picture)) for side in (left, right)])
    (west_am, east_am), (west_pm, east_pm) = dark
    assert west_am > 4 * max(east_am, 1) and east_pm > 4 * max(west_pm, 1)


@pytest.mark.parametrize("hour", [8.0, 12.0, 16.0])
def test_a_vehicle_throws_the_shadow_that_a_house_of_its_shape_throws(city, box, sheet, spec, empty, hour):
    ground, low, high = (Semantic.BRIDGE, sheet(-40, 40, -40, 40)), (-5, -1.5, 0), (5, 1.5, 4)
    house, plain = city(ground, (Semantic.OTHER, box(low, high))), city(ground)
    vehicle = shaded(box(low, high), np.tile(128, (12, 3)), np.full(12, Semantic.TRUCK_BUS))
    here, above = Pose.identity(), optical((0, 0, 30), 0.3, np.pi / 2)
    pictures = []
    for shape, stands in ((house, None), (plain, True), (plain, False)):
        renderer = draws(shape, hour)
        things = [] if stands is None else [Movable(vehicle, here, stands)]
        pictures.append(renderer.render(spec, above, things).astype(float).mean(axis=2))
        renderer.close()
    of_house, standing, floating = pictures
    lit = np.median(floating)
    dark = [(picture < 0.85 * lit) & (np.abs(floating - lit) < 3) for picture in (of_house, standing)]
    assert dark[0].sum() > 1000
    # A house's is looked up 0.35 m off the ground, in a map of 0.26 m a pixel.
    assert (dark[0] & dark[1]).sum() > 0.7 * (dark[0] | dark[1]).sum()
    assert np.median(standing[dark[0]]) == pytest.approx(np.median(of_house[dark[0]]), abs=3), "as dark"


def test_a_shadow_in_the_shade_darkens_only_what_is_close_to_a_vehicle(city, box, sheet, spec, empty):
    shape = city((Semantic.BRIDGE, sheet(-40, 40, -40, 40)), (Semantic.OTHER, box((-6, -3, 0), (6, 3, 30))))
    renderer = draws(shape, 12.0)
    vehicle = shaded(box((-1, -1, 0), (1, 1, 2)), np.tile(128, (12, 3)), np.full(12, Semantic.CAR))
    darker = {}
    for name, (x, y) in {"in the shade": (0.0, 7.0), "in the sun": (0.0, -9.0)}.items():
        there, view = Pose(np.array([x, y, 0.0]), np.array([1.0, 0, 0, 0])), optical((x, y, 25), np.pi / 2, np.pi / 2)
        floating, standing = (
            renderer.render(spec, view, [Movable(vehicle, there, stands)]).astype(float).mean(axis=2)
            for stands in (False, True)
        )
        darker[name] = floating - standing
    renderer.close()
    v, u = np.mgrid[: SIZE[1], : SIZE[0]]
    from_middle = np.maximum(np.abs(u - SIZE[0] / 2), np.abs(v - SIZE[1] / 2)) * 25 / spec.focal
    near, far = from_middle < 1.2, from_middle > 1.5
    assert 5 < darker["in the shade"][near].max() < 45, "some of the sky is hidden below and beside it"
    assert np.abs(darker["in the shade"][far]).max() < 1
    assert (darker["in the sun"][far] > 15).sum() > 20


def test_what_stands_throws_a_shadow_and_what_flies_throws_none():
    robots = [load_robot(RobotKind.DRONE, "drone_0", SIZE), load_robot(RobotKind.ROVER, "rover_0", SIZE)]
    here = Pose.identity()
    walker = Actor(5, Semantic.PEDESTRIAN, here, np.array([0.4, 0.55, 1.7]), np.zeros(3))
    things = Movables(robots).at([walker], [here, here])
    assert [thing.stands for thing in things] == [True, False, True]


@pytest.mark.parametrize("scale", [SMALLEST, 1.0, LARGEST])
@pytest.mark.parametrize("kind", [*VEHICLES, WALKER], ids=lambda kind: kind.name)
def test_an_actor_is_drawn_in_its_box_and_stands_on_its_floor(kind, scale):
    half = scale * np.array(kind.size) / 2
    here = Pose.identity()
    for instance in range(12):
        rows = actor_vertices(Actor(instance, kind.semantic, here, 2 * half, np.zeros(3)))
        low, high = rows[:, :3].min(axis=0), rows[:, :3].max(axis=0)
        assert (low >= -half - 1e-6).all() and (high <= half + 1e-6).all()
        assert low[2] == pytest.approx(-half[2]) and high[2] == pytest.approx(half[2])
        assert (high - low > 1.7 * half).all(), "as long, wide and high as what LiDAR meets"
        np.testing.assert_allclose(np.linalg.norm(rows[:, 3:6], axis=1), 1, atol=1e-5)
        assert (rows[:, 9] == kind.semantic).all()


def plant(across: float, low: float, high: float, sides: int = 12) -> np.ndarray:
    """(n, 3, 3): a closed shape about the z axis, widest half way up."""
    angles = 2 * np.pi * np.arange(sides) / sides
    ring = np.stack([np.cos(angles), np.sin(angles), np.zeros(sides)], axis=1) * across / 2
    loops = [ring * s + [0, 0, low + z * (high - low)] for s, z in ((0.7, 0.1), (1, 0.35), (1, 0.65), (0.7, 0.9))]
    ends = [np.broadcast_to([0.0, 0, z], ring.shape) for z in (low, high)]
    faces = []
    for a, b in zip([ends[0], *loops], [*loops, ends[1]], strict=True):
        a_next, b_next = np.roll(a, -1, axis=0), np.roll(b, -1, axis=0)
        faces += [np.stack([a, a_next, b_next], axis=1), np.stack([a, b_next, b], axis=1)]
    triangles = np.concatenate(faces)
    return triangles[np.linalg.norm(np.cross(*(triangles[:, k] - triangles[:, 0] for k in (1, 2))), axis=1) > 1e-9]


@pytest.mark.parametrize("turned", [False, True])
def test_a_crown_is_ragged_at_its_edge_and_its_trunk_is_bark(city, spec, empty, turned):
    crown, trunk = plant(4, 3, 7), plant(0.4, 0, 3.2)
    parts = [part[:, ::-1] if turned else part for part in (crown, trunk)]
    shape = city((Semantic.VEGETATION, np.concatenate(parts)))
    green = Appearance.plain(np.tile(np.array([66, 108, 58], np.uint8), (len(shape.faces), 1)))
    renderer = CameraRenderer(shape, green, [])
    picture = renderer.render(spec, optical((-8, 0, 4)), []).astype(int)
    sky = empty.render(spec, optical((-8, 0, 4)), []).astype(int)
    renderer.close()
    there = (picture != sky).any(axis=2)
    middle = SIZE[0] // 2
    rows = np.flatnonzero(there[:, middle - 40 : middle + 40].sum(axis=1) > 20)
    changes = np.abs(np.diff(there[rows].astype(int), axis=1)).sum(axis=1)
    assert np.median(changes) > 2, "an outline that is crossed twice is a ball's"
    leaf = picture[rows[len(rows) // 2], middle]
    assert leaf[1] > leaf[0] and there[rows[len(rows) // 2], middle - 5 : middle + 6].all()
    bark = picture[SIZE[1] - 30, middle]
    assert bark[0] > bark[1] > bark[2]


def test_views_of_one_instant_are_those_drawn_one_by_one(city, box, sheet, spec, empty):
    renderer = draws(scattered_city(city, box, sheet, 2))
    cameras = [(spec, optical((x, 0, 30), x / 50, 0.4)) for x in (-60.0, 0.0, 60.0)]
    together = renderer.views(cameras, [])
    for image, (camera, pose) in zip(together, cameras, strict=True):
        assert (renderer.render(camera, pose, []) == image).all()
    assert (together[0] != together[1]).any() and (together[1] != together[2]).any()
    renderer.close()


def test_two_renderers_in_a_process_do_not_disturb_each_other(city, box, sheet, spec, empty):
    first, second = (draws(scattered_city(city, box, sheet, seed)) for seed in (3, 4))
    view = optical((0, 0, 60), 0.2, 0.5)
    alone = first.render(spec, view, [])
    other = second.render(spec, view, [])
    assert (other != alone).any()
    assert (first.render(spec, view, []) == alone).all()
    first.close(), second.close()


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
