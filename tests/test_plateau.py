"""Real PLATEAU tiles, from CityGML to sensors: imported, checked by SDFormat's own parser, driven and flown in."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from lxml import etree
from paths import PLATEAU, TOKYO

from occ_core.classes import Semantic
from occ_core.session import find_sessions
from tokyo_occworld.collecting import Collection, collect
from tokyo_occworld.demo.drives import has_roads
from tokyo_sim.engine.simulator import Fleet, Simulator

TILES = ("sapporo", *(pytest.param(name, marks=pytest.mark.nightly) for name in ("haneda", "yokosuka")))
pytestmark = pytest.mark.skipif(not PLATEAU.is_dir(), reason=f"no PLATEAU sample data in {PLATEAU}: set PLATEAU_DATA")


@pytest.fixture(scope="module", params=TILES)
def tile(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp(request.param) / "city"
    subprocess.run([TOKYO, "city", str(PLATEAU / request.param / "udx"), "--out", str(out)], check=True)
    return out


def obj_triangles(path: Path) -> np.ndarray:
    """An OBJ reader of the test's own: (n, 3, 3)."""
    lines = path.read_text().splitlines()
    vertices = [line.split()[1:4] for line in lines if line.startswith("v ")]
    faces = [[int(i.partition("/")[0]) for i in line.split()[1:4]] for line in lines if line.startswith("f ")]
    return np.array(vertices, dtype=float)[np.array(faces) - 1]


def nearest_hit(origin: np.ndarray, directions: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Moeller and Trumbore, 1997, in numpy: (n,) metres to the first triangle on each ray, inf for none."""
    a, e1, e2 = triangles[:, 0], triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    out = np.full(len(directions), np.inf)
    for number, direction in enumerate(directions):
        p = np.cross(direction, e2)
        det = (e1 * p).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = 1.0 / det
            s = origin - a
            u = (s * p).sum(axis=1) * inverse
            q = np.cross(s, e1)
            v = (q @ direction) * inverse
            t = (e2 * q).sum(axis=1) * inverse
            hits = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 1e-6) & np.isfinite(t)
        out[number] = t[hits].min(initial=np.inf)
    return out


def test_sdformat_accepts_the_world(tile: Path) -> None:
    if shutil.which("ign") is None:
        pytest.skip("no SDFormat parser here: apt install ignition-tools libsdformat-dev sdformat-sdf")
    result = subprocess.run(["ign", "sdf", "-k", str(tile / "city.sdf")], capture_output=True, text=True)
    assert "Valid." in result.stdout, result.stdout + result.stderr


def test_every_mesh_of_the_world_exists_and_is_attributed(tile: Path) -> None:
    uris = [element.text for element in etree.parse(str(tile / "city.sdf")).iter("uri")]
    assert uris
    assert all((tile / uri).is_file() for uri in uris)
    for materials in (tile / "meshes").glob("*.mtl"):
        pages = [line.split()[1] for line in materials.read_text().splitlines() if line.startswith("map_Kd")]
        assert all((materials.parent / page).is_file() for page in pages)
    assert "PLATEAU" in (tile / "city.json").read_text()


def test_sensors_agree_with_the_geometry_after_driving_and_flying(tile: Path) -> None:
    simulator = Simulator(tile, Fleet(drones=1, rovers=1, actors=0, cameras=False), seed=4)
    start = [simulator.motion(robot).pose.position for robot in (0, 1)]
    for _ in range(300):
        simulator.command(0, np.array([2.0, 0, 0]), np.array([0, 0, 0.1]))
        simulator.command(1, np.array([1.5, 0, 0]), np.array([0, 0, 0.1]))
        simulator.step(0.01)
    world = np.concatenate([obj_triangles(tile / uri.text) for uri in _visual_uris(tile)])
    for robot, moved_at_least in ((0, 3.0), (1, 2.0)):
        motion = simulator.motion(robot)
        assert np.linalg.norm(motion.pose.position - start[robot]) > moved_at_least
        assert np.abs(motion.pose.rpy()[:2]).max() < 0.5
        _check_sweep(simulator, robot, world)
    rover = simulator.motion(1)
    below = nearest_hit(rover.pose.position, np.array([[0.0, 0, -1]]), world)[0]
    assert below == pytest.approx(0.38, abs=0.15)  # chassis centre above the ground: wheel radius plus axle height


@pytest.mark.parametrize("tile", ["sapporo"], indirect=True)
def test_without_roads_robots_roam_a_real_tile_and_see_it(tile: Path, tmp_path: Path) -> None:
    assert not has_roads(tile)
    collect(tile, tmp_path, Collection(sessions=2, frames=4, seed=3))
    sessions = find_sessions(tmp_path)
    assert sorted(session.info.agent for session in sessions) == ["drone_0", "rover_0"]
    for session in sessions:
        first, last = (session.state(number).base_link.position for number in session.numbers[:: len(session) - 1])
        assert np.linalg.norm(last - first) > 0.5
        assert (session.classes(session.numbers[-1]) == Semantic.BUILDING).any()


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_the_demo_runs_on_real_tiles_without_roads(tmp_path: Path) -> None:
    source = PLATEAU / "sapporo/udx"
    short = ["--drives", "2", "--drive-seconds", "9", "--steps", "40"]
    subprocess.run([TOKYO, "demo", "--out", str(tmp_path), "--city-source", str(source), *short], check=True)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["city"]["objects"] == 25
    assert report["evaluation"]["scores"]["warp_oracle"][0]["iou"] > report["evaluation"]["scores"]["copy"][0]["iou"]


def _visual_uris(tile: Path) -> list[etree._Element]:
    return etree.parse(str(tile / "city.sdf")).findall("world/model/link/visual/geometry/mesh/uri")


def _check_sweep(simulator: Simulator, robot: int, world: np.ndarray) -> None:
    spec = simulator.robots[robot].lidar
    sensor = simulator.motion(robot).pose @ spec.mount
    ranges = simulator.sweep(robot).ranges
    near = world[np.linalg.norm(world.mean(axis=1) - sensor.position, axis=1) < 400]
    beams, columns = np.meshgrid(np.arange(0, 32, 4), np.arange(0, 1800, 45), indexing="ij")
    up, around = spec.elevations[beams.ravel()], spec.azimuths[columns.ravel()]
    local = np.column_stack([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)])
    expected = nearest_hit(sensor.position, local @ sensor.rotation.T, near)
    measured = ranges[beams.ravel(), columns.ravel()]
    # The other robot may stand in a ray's way: it is the only thing that is not in the world's meshes.
    inside = (expected > spec.range_min + 0.1) & (expected < spec.range_max - 0.5)
    assert inside.sum() > 60
    error = np.abs(measured - expected)[inside]
    assert np.nanmedian(error) < 0.03
    assert (np.nan_to_num(error, nan=9.0) < 5 * spec.noise_stddev + 0.01).mean() > 0.97
