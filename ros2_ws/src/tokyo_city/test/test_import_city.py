"""Importing a city: goes on where it was, streams, names what was left out, in one plane, on any engine."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from gml_samples import building
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import PATIENCE_S

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.meshes import TriangleMesh, decimated
from occ_core.output_folders import OutputError
from occ_core.parallel import Backend, ParallelError, run_tasks
from tokyo_city.plateau.ground import SIDE, SQUARE_M, SquareGround, cell_triangles, without_gaps
from tokyo_city.plateau.projection import to_degrees
from tokyo_city.sample_city import write_sample_city
from tokyo_city.world.appearance import Appearance
from tokyo_city.world.city import Options, import_city, import_or_generate
from tokyo_city.world.sdf import read_world
from tokyo_occworld.cli.main import main
from tokyo_sim.traffic.stored import lane_graph

ONE = Options(workers=1)


def contents(folder) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def tiles_of(city) -> dict[str, dict]:
    return {tile["name"]: tile for tile in json.loads((city / "city.json").read_text())["tiles"]}


def six_tiles(folder: Path) -> Path:
    """A folder with six buildings' tiles: an import of it can be interrupted between two."""
    (tile,) = (write_sample_city(folder, seed=3, size_m=320.0) / "bldg").iterdir()
    for number in range(5):
        shutil.copy(tile, tile.with_name(f"{tile.stem}{number}.gml"))
    return tile.parent


def test_an_import_says_all_about_itself(tmp_path):
    udx = write_sample_city(tmp_path / "gml", seed=3, size_m=320.0)
    report = import_city(udx, tmp_path / "city", ONE)
    told = json.loads((tmp_path / "city/city.json").read_text())
    mesh = CityMap.load(tmp_path / "city")
    assert told["objects"] == report.objects == sum(tile["objects"] for tile in told["tiles"])
    for entry in told["classes"]:
        assert entry["triangles"] == (mesh.classes == entry["id"]).sum() == told["triangles"][entry["name"]]
    assert {tile["feature"] for tile in told["tiles"]} == {"bldg", "tran", "dem", "veg", "frn"}
    assert all(tile["mesh_code"] == "53394611" and tile["uro"] and tile["epsg"] == 6677 for tile in told["tiles"])
    assert "MLIT" in told["attribution"] and told["anchor"]["epsg"] == 6677 and told["ground"] == []
    for model in read_world(tmp_path / "city/city.sdf"):
        assert model.visual or model.collision
        assert model.own_materials or not model.visual
        assert all((tmp_path / "city" / path).is_file() for path in (model.visual, model.collision) if path)
    text = (tmp_path / "city/city.sdf").read_text()
    assert text.count('filename="gz-sim-label-system"') == text.count("<visual ") == text.count("<label>")


def test_an_import_is_the_same_every_time_and_on_every_number_of_processes(tmp_path):
    udx = write_sample_city(tmp_path / "gml", seed=3, size_m=320.0)
    import_city(udx, tmp_path / "a", ONE)
    import_city(udx, tmp_path / "b", Options(workers=2))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_tiles_that_are_kept_are_not_read_again_and_stale_ones_are(citygml, tmp_path, monkeypatch):
    first = citygml(building((0, 0, 0), (20, 10, 30)), name="1_bldg_6697.gml")
    citygml(building((50, 0, 0), (60, 10, 30)), name="2_bldg_6697.gml")
    import_city(tmp_path / "udx", tmp_path / "city", ONE)
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / ".city.tiles").glob("*.npz")}
    assert len(kept) == 2
    first.write_text(first.read_text().replace('gml:id="b"', 'gml:id="changed"'))
    report = import_city(tmp_path / "udx", tmp_path / "city", ONE)
    now = {path.name: path.stat().st_mtime_ns for path in (tmp_path / ".city.tiles").glob("*.npz")}
    assert report.objects == 2 and len(now) == 2
    assert len(set(kept.items()) & set(now.items())) == 1


def test_an_import_that_was_killed_goes_on_with_what_it_had_read(tmp_path):
    udx, city = six_tiles(tmp_path / "gml"), tmp_path / "city"
    command = [sys.executable, "-m", "tokyo_occworld.cli.main", "city", str(udx), "--out", str(city), "--workers", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    store = tmp_path / ".city.tiles"
    while len(list(store.glob("*.json"))) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in store.glob("*.json")}
    assert not city.exists() and 2 <= len(done) < 6
    import_city(udx, city, ONE)
    assert all(path.stat().st_mtime_ns == when for path, when in done.items())
    assert len(tiles_of(city)) == 6


@pytest.mark.parametrize("tiles_done", [0, 1])
def test_ctrl_c_leaves_the_city_that_was_there_and_one_line_at_most(tmp_path, tiles_done):
    udx, city = six_tiles(tmp_path / "gml"), tmp_path / "city"
    city.mkdir()
    (city / "city.json").write_text("mine")
    command = [sys.executable, "-m", "tokyo_occworld.cli.main", "city", str(udx), "--out", str(city), "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    store = tmp_path / ".city.tiles"
    while not store.is_dir() or len(list(store.glob("*.json"))) < tiles_done:
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, errors.decode()
    assert b"Traceback" not in errors
    assert (city / "city.json").read_text() == "mine"


def test_a_folder_that_is_no_city_is_refused_before_anything_is_read_and_nothing_in_it_is_lost(citygml, tmp_path):
    source, data = citygml(building((0, 0, 0), (20, 10, 30))), tmp_path / "data"
    mine = data / "tokyo_gazebo/rover_0_20240115_120000/session.json"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(OutputError, match="data is not empty and is not an imported city"):
        import_city(source, data, ONE)
    with pytest.raises(OutputError, match="data is not empty and is not an imported city"):
        import_or_generate(None, data, seed=1, options=ONE)
    with pytest.raises(OutputError, match="data is not empty and is not a generated sample city"):
        write_sample_city(data)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {source, mine}


def test_what_somebody_put_into_a_city_is_named_and_an_import_adds_nothing_that_a_next_one_would_refuse(
    citygml, tmp_path
):
    source, city = citygml(building((0, 0, 0), (20, 10, 30))), tmp_path / "city"
    for _ in range(2):
        import_city(source, city, ONE)
    lane_graph(city, CityMap.load(city))
    import_city(source, city, ONE)
    (city / "recordings").mkdir()
    before = (city / "city.json").stat().st_mtime_ns
    with pytest.raises(OutputError, match="also holds recordings"):
        import_city(source, city, ONE)
    assert (city / "city.json").stat().st_mtime_ns == before


def test_tiles_of_another_zone_are_left_out_and_said(citygml, tmp_path):
    """Tiles at 36 N 136 E (zone VI) and 43 N 141 E (zone XI) are each imported in their own zone, never together."""
    for name, (latitude, longitude), epsg in (("a", (36.0, 136.0), 6674), ("b", (43.0, 141.0), 6679)):
        text = building((0, 0, 0), (20, 10, 30), name)
        shifted = moved(text, latitude, longitude)
        path = citygml(shifted, name=f"{name}_bldg_6697.gml")
        import_city(path, tmp_path / name, ONE)
        anchor = json.loads((tmp_path / name / "city.json").read_text())["anchor"]
        assert anchor["epsg"] == epsg
        assert (anchor["latitude"], anchor["longitude"]) == pytest.approx((latitude, longitude), abs=0.01)
        mesh = CityMap.load(tmp_path / name)
        points = mesh.triangles[mesh.classes == Semantic.BUILDING].reshape(-1, 3)
        # The box was drawn in degrees at Tokyo: the same degrees are other metres here, by latitude and convergence.
        assert np.ptp(points[:, 2]) == pytest.approx(30, abs=0.01) and np.abs(points).max() < 40
    citygml(building((0, 0, 0), (20, 10, 30)), building((50, 0, 0), (60, 10, 30)), name="c_bldg_6697.gml")
    citygml(building((0, 90, 0), (20, 99, 30)), name="d_bldg_6697.gml")
    report = import_city(tmp_path / "udx", tmp_path / "all", ONE)
    assert report.anchor.epsg == 6677 and report.objects == 3
    assert sorted(failure.partition(":")[0] for failure in report.failed) == ["a_bldg_6697.gml", "b_bldg_6697.gml"]


def moved(text: str, latitude: float, longitude: float) -> str:
    """A building's positions, moved in degrees from where `gml_samples` puts it."""
    import re

    origin = to_degrees(np.array([[-6000.0, -35000, 3]]), 6677)[0]
    step = np.array([latitude, longitude, origin[2]]) - origin

    def shift(match: re.Match) -> str:
        points = np.array(match[1].split(), dtype=float).reshape(-1, 3) + step
        return "<gml:posList>" + " ".join(f"{v:.12f}" for v in points.ravel()) + "</gml:posList>"

    return re.sub(r"<gml:posList>([^<]*)</gml:posList>", shift, text)


def relief(height: float) -> str:
    """A level relief of 400 m about the boxes of `gml_samples`."""
    steps = np.arange(-200.0, 201, 10)
    triangles = []
    for x in steps[:-1]:
        for y in steps[:-1]:
            corners = np.array([(x, y), (x + 10, y), (x + 10, y + 10), (x, y + 10)])
            triangles += [corners[[0, 1, 2, 0]], corners[[0, 2, 3, 0]]]
    metres = np.array(triangles).reshape(-1, 2) + [-6000.0, -35000]
    places = to_degrees(np.column_stack([metres, np.full(len(metres), 3 + height)]), 6677).reshape(-1, 4, 3)
    rings = "".join(
        "<gml:Triangle><gml:exterior><gml:LinearRing><gml:posList>"
        + " ".join(f"{v:.10f}" for v in ring.ravel())
        + "</gml:posList></gml:LinearRing></gml:exterior></gml:Triangle>"
        for ring in places
    )
    surface = f"<gml:TriangulatedSurface><gml:trianglePatches>{rings}</gml:trianglePatches></gml:TriangulatedSurface>"
    tin = f"<dem:TINRelief><dem:lod>1</dem:lod><dem:tin>{surface}</dem:tin></dem:TINRelief>"
    component = f"<dem:lod>1</dem:lod><dem:reliefComponent>{tin}</dem:reliefComponent>"
    return f'<dem:ReliefFeature gml:id="r">{component}</dem:ReliefFeature>'


def test_a_building_below_the_terrain_is_left_out_and_one_that_reaches_out_of_it_stays(citygml, tmp_path):
    buried, half = building((0, 0, 0), (20, 10, 5), "buried"), building((50, 0, 0), (60, 10, 30), "half")
    citygml(buried, half, building((90, 0, 20), (99, 9, 30), "above"))
    citygml(relief(12.0), name="533946_dem_6697_op.gml")
    report = import_city(tmp_path / "udx", tmp_path / "city", ONE)
    ((tile, gml_id, reason),) = report.skipped
    assert gml_id == "buried" and "below the terrain" in reason
    mesh = CityMap.load(tmp_path / "city")
    assert (mesh.classes == Semantic.BUILDING).sum() == 24
    assert tiles_of(tmp_path / "city")[tile]["skipped"] == 1
    (model,) = (m for m in read_world(tmp_path / "city/city.sdf") if m.semantic is Semantic.BUILDING)
    collision = (tmp_path / "city" / model.collision).read_text()
    assert len(Appearance.load(tmp_path / "city").page) == len(mesh.faces)
    assert collision.count("\nf ") == 4 * 8  # two prisms of three corners for each box that is left
    assert json.loads((tmp_path / "city/city.json").read_text())["ground"] == []  # there is relief all around
    assert report.triangles["terrain"] == 3200


def test_without_relief_there_is_ground_everywhere_below_what_stands(citygml, tmp_path):
    rng = np.random.default_rng(2)
    lows = np.column_stack([rng.uniform(0, 1500, (40, 2)), rng.uniform(0, 20, 40)])
    citygml(*(building(tuple(low), tuple(low + [15, 15, 12]), f"b{n}") for n, low in enumerate(lows)))
    city = import_city(tmp_path / "udx", tmp_path / "city", ONE).folder
    mesh = CityMap.load(city)
    boxes = mesh.triangles[mesh.classes == Semantic.BUILDING].reshape(40, -1, 3)
    for low, high in zip(boxes.min(axis=1), boxes.max(axis=1), strict=True):
        middle = (low + high) / 2
        assert mesh.ground_height(*middle[:2]) == pytest.approx(low[2], abs=2.5)
    assert len(json.loads((city / "city.json").read_text())["ground"]) >= 4


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_the_ground_of_neighbouring_squares_meets_without_a_gap(seed):
    rng = np.random.default_rng(seed)
    points = np.column_stack([rng.uniform((900, -100), (1200, 1200), (600, 2)), rng.uniform(0, 30, 600)])
    none, nowhere = np.zeros((0, 3)), np.zeros((0, 2))
    squares = [SquareGround.of(np.array([x, 0.0]), points, none, nowhere) for x in (0.0, SQUARE_M)]
    heights = without_gaps(np.pad(np.concatenate([s.heights for s in squares]), (0, 1), constant_values=np.nan))
    edge = []
    for number in (0, 1):
        nodes = heights[SIDE * number : SIDE * (number + 1) + 1]
        part = cell_triangles(np.array([SQUARE_M * number, 0.0]), nodes, np.ones((SIDE, SIDE), bool))
        edge.append({tuple(np.round(p, 6)) for p in part.reshape(-1, 3) if p[0] == SQUARE_M})
    assert edge[0] == edge[1] and len(edge[0]) == SIDE + 1


@given(st.integers(0, 2**32 - 1), st.integers(20, 2000))
@settings(max_examples=25)
def test_a_decimated_mesh_has_few_enough_faces_and_stays_where_it_was(seed, target):
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(60.0), np.arange(60.0), indexing="ij")
    height = 3 * np.sin(x / 9 + rng.uniform(0, 6)) + 2 * np.cos(y / 7)
    grid = np.dstack([x, y, height])
    a, b, c, d = grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]
    sheet = np.concatenate([np.stack([a, b, c], axis=-2), np.stack([a, c, d], axis=-2)]).reshape(-1, 3, 3)
    mesh = TriangleMesh.from_triangles(sheet)
    coarse = decimated(mesh, target)
    assert 0 < len(coarse.faces) <= target
    assert (coarse.vertices.min(axis=0) >= mesh.vertices.min(axis=0) - 1e-9).all()
    assert (coarse.vertices.max(axis=0) <= mesh.vertices.max(axis=0) + 1e-9).all()
    assert decimated(mesh, len(mesh.faces)) is mesh
    if target > 400:
        a, b, c = np.moveaxis(coarse.triangles, 1, 0)
        covered = np.cross(b - a, c - a)[:, 2].sum() / 2
        assert covered == pytest.approx(59 * 59, rel=0.25)


def test_collision_meshes_keep_to_their_target_and_prisms_can_be_switched_off(tmp_path):
    udx = write_sample_city(tmp_path / "gml", seed=3, size_m=320.0)
    city = import_city(udx, tmp_path / "city", Options(workers=1, target_faces=500, prisms=False)).folder
    standing = [model for model in read_world(city / "city.sdf") if model.visual and model.collision]
    assert standing
    for model in standing:
        assert (city / model.collision).read_text().count("\nf ") <= 500


BAD_USAGE = [["--bbox", "1,2"], ["--bbox", "a,b,c,d"], ["--bbox", "36,139,35,140"], ["--mesh", "9"], ["--workers", "0"]]


@pytest.mark.parametrize("arguments", [*BAD_USAGE, ["--target-faces", "1"], ["--engine", "slurm"]])
def test_bad_usage_of_the_command_gets_one_sentence_and_exit_code_2(tmp_path, arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["city", "--out", str(tmp_path / "city"), *arguments])
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (tmp_path / "city").exists()


@pytest.mark.parametrize("options", [{"target_faces": 0}, {"workers": 0}])
def test_options_that_make_no_sense_are_errors(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Options(**options)


@pytest.mark.parametrize("engine", list(Backend))
@pytest.mark.parametrize("jobs", [[], [3], list(range(20))])
def test_every_engine_runs_every_job_once_or_says_that_it_is_missing(engine, jobs):
    package = {Backend.RAY: "ray", Backend.DASK: "distributed"}.get(engine)
    if package and importlib.util.find_spec(package) is None:
        with pytest.raises(ParallelError, match=f"'{engine.value}'.*pip install"):
            list(run_tasks(engine, json.dumps, jobs, 2))
    else:
        assert sorted(run_tasks(engine, json.dumps, jobs, 2)) == sorted(map(json.dumps, jobs))


def killed(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_worker_that_dies_is_a_problem_and_not_a_hang():
    with pytest.raises(ParallelError, match="worker process died"):
        list(run_tasks(Backend.LOCAL, killed, [1, 2, 3], 2))
