"""`tokyo compare`: a recording of the embedded engine agrees with it, a bent one does not, and it says why."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import in_process
import numpy as np
import pytest
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import TOKYO
from PIL import Image

from occ_core.citymap import CityMap
from occ_core.classes import COLOURS, GROUND_CLASSES, Semantic
from occ_core.frame import Frame, Occupancy, VehicleState
from occ_core.grid import TOKYO_GRID
from occ_core.poses import Pose, footprint
from occ_core.session import Session, SessionInfo, SessionWriter
from occ_core.topics import CAMERAS
from tokyo_occworld.compare.ranges import RangeImage, compare_ranges, range_image
from tokyo_occworld.compare.run import compare_session
from tokyo_occworld.compare.verdict import Limits
from tokyo_occworld.compare.views import _edges, compare_views
from tokyo_sim.engine.lidar import Sweep
from tokyo_sim.engine.robot import CameraSpec, RobotKind, load_robot
from tokyo_sim.engine.simulator import Fleet, Simulator

SIZE = (320, 180)


def jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


KINDS = [RobotKind.ROVER, pytest.param(RobotKind.DRONE, marks=pytest.mark.nightly)]


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.value)
def recording(request: pytest.FixtureRequest, city: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four frames of a moving robot, sensed by the simulator with its noise, written as the recorder writes them."""
    kind: RobotKind = request.param
    fleet = Fleet(
        int(kind is RobotKind.DRONE), int(kind is RobotKind.ROVER), actors=0, drone_altitude=12.0, image_size=SIZE
    )
    simulator = Simulator(city, fleet, seed=5)
    if simulator.cameras_off:
        pytest.skip(simulator.cameras_off)
    (robot,) = simulator.robots
    extrinsics = {
        name: {"position": pose.position.tolist(), "orientation_wxyz": pose.orientation.tolist()}
        for name, pose in robot.links.items()
    }
    info = SessionInfo(robot.name, TOKYO_GRID, 0.5, "lidar", str(city), 5, extrinsics)
    folder = tmp_path_factory.mktemp("recording") / f"{robot.name}_20240115_120000"
    writer = SessionWriter(folder, info)
    empty = Occupancy(*(np.zeros(TOKYO_GRID.shape, kind) for kind in (np.uint8, bool, np.uint16)))
    for _ in range(4):
        for _ in range(50):
            simulator.command(0, np.array([2.0, 0, 0]), np.array([0, 0, 0.3]))
            simulator.step(0.01)
        motion = simulator.motion(0)
        level = footprint(motion.pose, simulator.ground_under(0))
        sweep = simulator.sweep(0)
        back = np.isfinite(sweep.ranges)
        local = (level.inverse() @ motion.pose @ robot.lidar.mount).apply(sweep.points[back])
        points = np.column_stack([local, sweep.intensity[back]]).astype(np.float32)
        state = VehicleState(simulator.time, motion.pose, motion.linear, motion.angular, level)
        images = {CAMERAS[name]: jpeg(pixels) for name, pixels in simulator.images(0).items()}
        writer.write(Frame(state, points, empty, images))
    return folder


def test_the_command_line_says_that_a_true_recording_agrees_and_writes_pictures(
    recording: Path, city: Path, tmp_path: Path
) -> None:
    command = [TOKYO, "compare", recording, "--city", city, "--out", tmp_path / "out", "--frames", "2"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "2 frames agree" in result.stdout
    report = json.loads((tmp_path / "out/comparison.json").read_text())
    assert report["agrees"] and len(report["frames"]) == 2 and len(report["frames"][0]["views"]) == 6
    assert all(frame["ranges"]["agreeing"] > 0.995 for frame in report["frames"])
    shown = re.findall(r"\]\((.*)\)", (tmp_path / "out/comparison.md").read_text())
    assert len(shown) == 4 and all((tmp_path / "out" / name).is_file() for name in shown)
    assert Image.open(tmp_path / "out/000001_cameras.png").size == (6 * SIZE[0], 2 * SIZE[1])


def moved(metres: tuple[float, float, float]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda points: points + np.array([*metres, 0], np.float32)


def turned(degrees: float) -> Callable[[np.ndarray], np.ndarray]:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], np.float32)
    return lambda points: points @ turn.T


@pytest.mark.parametrize(
    "bend",
    [
        lambda points: points * np.array([1, -1, 1, 1], np.float32),
        moved((0.5, 0, 0)),
        moved((0, 0.5, 0)),
        moved((0, 0, 0.25)),
        turned(3.0),
        lambda points: points * np.array([1.05, 1.05, 1.05, 1], np.float32),
        lambda points: points[::2],
        lambda points: points[:0],
    ],
    ids=["mirrored", "forward", "left", "up", "turned", "stretched", "half of the points", "no points"],
)
def test_a_bent_sweep_is_complained_of(recording: Path, city: Path, tmp_path: Path, bend) -> None:
    copy = tmp_path / recording.name
    shutil.copytree(recording, copy, ignore=shutil.ignore_patterns("*.jpg"))
    for path in (copy / "lidar").iterdir():
        np.save(path, bend(np.load(path)))
    comparison = compare_session(copy, city, 1, tmp_path / "out")
    assert not comparison.agrees and all(problem.startswith("LiDAR") for problem in comparison.problems)


@pytest.mark.parametrize("recording", [RobotKind.ROVER], indirect=True)
@pytest.mark.parametrize(
    "bend",
    [
        lambda image: image[:, ::-1],
        lambda image: image[::-1],
        lambda image: image[:, :, ::-1],
        lambda image: np.roll(image, 20, axis=1),
    ],
    ids=["mirrored", "upside down", "blue for red", "shifted"],
)
def test_a_bent_image_is_complained_of(recording: Path, city: Path, tmp_path: Path, bend) -> None:
    copy = tmp_path / recording.name
    shutil.copytree(recording, copy)
    for path in (copy / "images").iterdir():
        path.write_bytes(jpeg(bend(np.asarray(Image.open(path)))))
    comparison = compare_session(copy, city, 1, tmp_path / "out")
    assert {problem.split(":")[0] for problem in comparison.problems} == {"cameras"}, comparison.sentence


def cast_view(city: CityMap, spec: CameraSpec, optical: Pose) -> np.ndarray:
    """A picture by another renderer: rays, one plain colour a class, no shadows, no windows, no textures."""
    u, v = np.meshgrid(np.arange(spec.width), np.arange(spec.height))
    centre = np.array([(spec.width - 1) / 2, (spec.height - 1) / 2])
    rays = np.stack([(u - centre[0]) / spec.focal, (v - centre[1]) / spec.focal, np.ones(u.shape)], -1).reshape(-1, 3)
    rays = (rays / np.linalg.norm(rays, axis=1, keepdims=True) @ optical.rotation.T).astype(np.float32)
    triangles = city.triangles.astype(np.float32)
    scene = EmbreeScene()
    mesh = TriangleMesh(scene, triangles)
    hit = scene.run(np.broadcast_to(optical.position.astype(np.float32), rays.shape).copy(), rays, output=1)["primID"]
    del mesh
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    light = 0.5 + 0.5 * np.abs(normals[hit] @ np.array([0.45, -0.35, 0.82]))
    colours = np.where((hit >= 0)[:, None], COLOURS[city.classes[hit]] * light[:, None], (153, 191, 242))
    return colours.clip(0, 255).astype(np.uint8).reshape(spec.height, spec.width, 3)


def test_another_renderer_s_picture_of_the_same_city_agrees(recording: Path, city: Path, tmp_path: Path) -> None:
    """Gazebo draws plain materials in its own light; so does this one."""
    copy = tmp_path / recording.name
    shutil.copytree(recording, copy)
    mesh, session = CityMap.load(city), Session.open(copy)
    for number in session.numbers:
        robot = load_robot(RobotKind(session.info.agent[:-2]), session.info.agent, SIZE)
        base = session.state(number).base_link
        for spec in robot.cameras:
            drawn = cast_view(mesh, spec, base @ spec.mount)
            session.image_path(number, CAMERAS[spec.name]).write_bytes(jpeg(drawn))
    comparison = compare_session(copy, city, 4, tmp_path / "out")
    assert comparison.agrees, comparison.sentence


@pytest.mark.parametrize(("instance", "agrees"), [(7, True), (0, False)], ids=["known to move", "unknown"])
def test_rays_that_met_traffic_are_left_out(recording, city: Path, tmp_path: Path, instance: int, agrees: bool) -> None:
    """Half as far to the left as the city is, something stands; the session's grid says whether it moves."""
    session = Session.open(recording)
    number = session.numbers[0]
    state, points = session.state(number), session.points(number).copy()
    mount = session.info.sensors["lidar_link"]["position"]
    origin = state.footprint.inverse().apply(state.base_link.apply(np.array([mount])))[0]
    left = (points[:, 1] > 3) & (np.abs(points[:, :2]).max(axis=1) < 39)
    points[left, :3] = origin + 0.5 * (points[left, :3] - origin)
    assert left.mean() > 0.1
    voxels, inside = TOKYO_GRID.index(points[left, :3])
    occupancy = Occupancy(*(np.zeros(TOKYO_GRID.shape, kind) for kind in (np.uint8, bool, np.uint16)))
    occupancy.instance[tuple(voxels[inside].T)] = instance
    SessionWriter(tmp_path / "bent", session.info).write(Frame(state, points, occupancy))
    assert compare_session(tmp_path / "bent", city, 1, tmp_path / "out").agrees == agrees


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_a_range_image_comes_back_from_its_points_in_any_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    spec = load_robot(RobotKind.DRONE, "drone_0").lidar
    ranges = rng.uniform(0.5, 119, (len(spec.elevations), len(spec.azimuths)))
    ranges[rng.random(ranges.shape) < 0.3] = np.nan
    up, around = np.meshgrid(spec.elevations, spec.azimuths, indexing="ij")
    rays = np.stack([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)], -1)
    points = (rays * ranges[..., None]).reshape(-1, 3).astype(np.float32)
    image = range_image(rng.permutation(points), spec)
    again = image.ranges
    assert image.off_ray < 1e-3
    assert (np.isfinite(again) == np.isfinite(ranges)).all()
    assert np.nanmax(np.abs(again - ranges)) < 1e-4


@settings(max_examples=50)
@given(st.floats(-1, 1), st.floats(0, 0.5), st.integers(0, 2**32 - 1))
def test_an_offset_and_losses_of_ranges_are_measured(offset: float, lost: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ranges = rng.uniform(1, 100, (8, 400)).astype(np.float32)
    times, classes = np.zeros(400, np.float32), np.ones((8, 400), np.uint8)
    sweep = Sweep(ranges, np.zeros((8, 400, 3), np.float32), ranges, times, classes)
    recorded = ranges + offset
    recorded[rng.random(ranges.shape) < lost] = np.nan
    difference = compare_ranges(RangeImage(recorded, 0.0), sweep, np.zeros(ranges.shape, bool))
    assert difference.bias == pytest.approx(offset, abs=1e-4)
    assert difference.missing == pytest.approx(lost, abs=0.05) and difference.extra == 0
    assert (difference.agreeing == 1) == (abs(offset) <= 0.1 + 0.005 * ranges[np.isfinite(recorded)].min())


@pytest.mark.parametrize("semantic", GROUND_CLASSES)
def test_what_a_robot_can_stand_on_is_ground_bridges_too(semantic: Semantic) -> None:
    ranges = np.full((2, 4), 10.0)
    classes = np.full(ranges.shape, semantic, np.uint8)
    sweep = Sweep(ranges, np.zeros((2, 4, 3), np.float32), ranges, ranges[0], classes)
    difference = compare_ranges(RangeImage(ranges + 5.0, 0.0), sweep, np.zeros(ranges.shape, bool))
    assert (difference.ground, difference.upright) == (0.0, 1.0)


def test_a_view_of_nothing_says_so_and_sizes_have_to_match() -> None:
    sky = np.full((90, 160, 3), 200, np.uint8)
    assert compare_views("front", sky, sky).blank
    wall = np.full((180, 320, 3), 151.0)
    wall[60:, 100:] = 152  # shaded by one step, in one colour
    shaded = np.asarray(Image.open(io.BytesIO(jpeg(wall.astype(np.uint8)))))
    assert 0.01 < _edges(shaded).max() < 0.06
    assert compare_views("front", shaded, shaded).blank
    shaded = shaded.copy()
    shaded[:, 160:] //= 2
    assert not compare_views("front", shaded, shaded).blank
    with pytest.raises(ValueError, match="front"):
        compare_views("front", sky, sky[:45])


@pytest.mark.parametrize("recording", [RobotKind.ROVER], indirect=True)
@pytest.mark.parametrize(
    ("session", "city_folder", "frames", "words"),
    [
        ("nowhere", "", "3", "no session in"),
        ("", "nowhere", "3", "no imported city"),
        ("", "", "0", "at least one"),
    ],
)
def test_wrong_input_gets_one_sentence(
    recording: Path, city: Path, tmp_path: Path, session: str, city_folder: str, frames: str, words: str
) -> None:
    arguments = [recording / session if session else recording, "--city", city / city_folder, "--frames", frames]
    result = in_process.tokyo("compare", *arguments, "--out", tmp_path)
    assert result.returncode == 2 and words in result.stderr and len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("recording", [RobotKind.ROVER], indirect=True)
def test_without_opengl_ranges_are_compared_and_it_says_that_images_are_not(
    recording: Path, city: Path, tmp_path: Path
) -> None:
    command = [TOKYO, "compare", recording, "--city", city, "--out", tmp_path / "out", "--frames", "1"]
    environment = os.environ | {"__EGL_VENDOR_LIBRARY_FILENAMES": str(tmp_path / "none.json")}
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0 and "images are left out: no OpenGL" in result.stdout, result.stderr


def test_limits_can_be_tightened_until_noise_is_too_much(recording: Path, city: Path, tmp_path: Path) -> None:
    strict = compare_session(recording, city, 1, tmp_path, Limits(correlation=1.0, views=1.0))
    assert not strict.agrees
