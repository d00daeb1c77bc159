"""Ground and areas: one surface, with areas' heights as hard edges and areas without heights lying in it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from gml_samples import building
from hypothesis import given, settings
from hypothesis import strategies as st
from test_import_city import relief

from occ_core.citymap import DRIVABLE, RASTER_M, CityMap, raster_heights
from occ_core.classes import Semantic
from tokyo_city.plateau.areas import Areas, open_edges, without_height
from tokyo_city.plateau.fitting import fitted
from tokyo_city.plateau.ground import CELL_M, cell_triangles, without_gaps, without_holes
from tokyo_city.plateau.meshcodes import mesh_box
from tokyo_city.plateau.projection import to_degrees, to_metres
from tokyo_city.world.checks import roads_above_ground, roads_under_ground
from tokyo_city.world.city import ImportReport, Options, import_city
from tokyo_city.world.drivable import fewest_triangles
from tokyo_city.world.obj import read_obj
from tokyo_city.world.sdf import read_world
from tokyo_occworld.cli.main import main

ONE = Options(workers=1)


def strip(x0: float, x1: float, y0: float, y1: float, height) -> np.ndarray:
    """(2, 3, 3) upward triangles over a rectangle at height(x, y)."""
    a, b, c, d = ((x, y, height(x, y)) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1)))
    return np.array([(a, b, c), (a, c, d)], dtype=float)


def areas_of(*parts: tuple[np.ndarray, bool]) -> Areas:
    triangles = np.concatenate([triangles for triangles, _ in parts])
    objects = np.repeat(np.arange(len(parts)), [len(triangles) for triangles, _ in parts])
    flat = np.array([flat for _, flat in parts])[objects]
    return Areas.of(triangles, objects, np.full(len(triangles), Semantic.ROAD, np.uint8), flat)


def plan_area(triangles: np.ndarray) -> float:
    u, v = triangles[:, 1, :2] - triangles[:, 0, :2], triangles[:, 2, :2] - triangles[:, 0, :2]
    doubled = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    assert (doubled > 0).all(), "all face up"
    return float(doubled.sum() / 2)


def cells(height, count: int = 8) -> np.ndarray:
    steps = CELL_M * np.arange(count + 1)
    heights = height(*np.meshgrid(steps, steps, indexing="ij"))
    return cell_triangles(np.zeros(2), heights, np.ones((count, count), bool))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_areas_without_height_lie_in_the_ground_and_nothing_is_lost(seed):
    rng = np.random.default_rng(seed)
    ground = cells(lambda x, y: 30 + 3 * np.sin(x / 20) + 0.1 * y)
    whole = plan_area(ground)
    corners = rng.uniform(5, 90, (4, 2))
    roads = [strip(x, x + rng.uniform(3, 30), y, y + rng.uniform(3, 30), lambda x, y: 0.0) for x, y in corners]
    one = fitted(ground, areas_of((roads[0], True)))
    assert plan_area(one.triangles[one.areas >= 0]) == pytest.approx(plan_area(roads[0]), rel=1e-6)
    assert plan_area(one.triangles) == pytest.approx(whole, rel=1e-6), "the ground under it goes, no more and no less"
    cut = fitted(ground, areas_of(*((road, True) for road in roads)))
    for number, road in enumerate(roads):
        assert plan_area(cut.triangles[cut.areas == number]) == pytest.approx(plan_area(road), rel=1e-6)
    a, b, c = np.moveaxis(ground[cut.sources], 1, 0)
    normal = np.cross(b - a, c - a)
    off = np.einsum("tkj,tj->tk", cut.triangles - a[:, None], normal) / normal[:, 2:]
    assert np.abs(off).max() < 1e-6, "every piece lies in the plane of the ground that it was cut from"


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_an_area_with_heights_is_a_hard_edge_of_the_ground_and_its_neighbours_meet_it_without_a_step(seed):
    rng = np.random.default_rng(seed)
    x, y, rise = rng.uniform(20, 60), rng.uniform(20, 60), rng.uniform(-3, 3)
    high = strip(x, x + 25, y, y + 12, lambda u, v: 31 + rise + 0.02 * u)
    beside = strip(x - 15, x, y, y + 12, lambda u, v: 0.0)
    cut = fitted(cells(lambda u, v: 30 + 0.05 * u + 0.0 * v), areas_of((high, False), (beside, True)))
    points = cut.triangles.reshape(-1, 3)
    on = (np.abs(points[:, 0] - np.clip(points[:, 0], x, x + 25)) < 1e-6) & (
        np.abs(points[:, 1] - np.clip(points[:, 1], y, y + 12)) < 1e-6
    )
    assert on.any() and points[on, 2] == pytest.approx(31 + rise + 0.02 * points[on, 0], abs=1e-6)
    shared = cut.triangles[cut.areas == 1].reshape(-1, 3)
    shared = shared[np.abs(shared[:, 0] - x) < 1e-6]
    assert len(shared) and shared[:, 2] == pytest.approx(31 + rise + 0.02 * x, abs=1e-6)
    middle = cut.triangles[:, :, :2].mean(axis=1)
    inside = ((middle > [x, y]) & (middle < [x + 25, y + 12])).all(axis=1)
    assert not inside.any(), "no ground under it"


def test_zero_is_no_height_up_to_lod2_and_where_other_levels_of_an_object_have_heights():
    zero, high = strip(0, 1, 0, 1, lambda x, y: 0.0), strip(1, 2, 0, 1, lambda x, y: 7.0)
    sloped = strip(0, 1, 0, 1, lambda x, y: x)
    triangles = np.concatenate([zero, zero, zero, high, sloped])
    objects, levels = np.repeat(np.arange(5), 2), np.repeat([1, 3, 2, 3, 2], 2)
    assert without_height(triangles, objects, levels).tolist() == [True] * 2 + [False] * 2 + [True] * 2 + [False] * 4
    mixed = without_height(np.concatenate([zero, high]), np.zeros(4, int), np.full(4, 3))
    assert mixed.tolist() == [True, True, False, False]


def test_open_edges_are_the_outline_by_heights_too():
    sheet = strip(0, 4, 0, 2, lambda x, y: x)
    assert len(open_edges(sheet)) == 4
    kerb = np.concatenate([sheet, strip(4, 6, 0, 2, lambda x, y: x + 0.15)])
    assert len(open_edges(kerb)) == 8


def road(x0: float, x1: float, y0: float, y1: float, height: float | None, gml_id: str, lod: int = 1) -> str:
    """A road over a rectangle in the metres of `gml_samples.building`; None: no height, as PLATEAU writes it."""
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
    metres = np.array([(-6000.0 + x, -35000.0 + y, 0.0 if height is None else 3 + height) for x, y in corners])
    text = " ".join(f"{a:.11f} {b:.11f} {z:.3f}" for a, b, z in to_degrees(metres, 6677))
    ring = f"<gml:LinearRing><gml:posList>{text}</gml:posList></gml:LinearRing>"
    polygon = f"<gml:Polygon><gml:exterior>{ring}</gml:exterior></gml:Polygon>"
    surface = f"<gml:MultiSurface><gml:surfaceMember>{polygon}</gml:surfaceMember></gml:MultiSurface>"
    if lod == 1:
        return f'<tran:Road gml:id="{gml_id}"><tran:lod1MultiSurface>{surface}</tran:lod1MultiSurface></tran:Road>'
    shape = f"<tran:lod{lod}MultiSurface>{surface}</tran:lod{lod}MultiSurface>"
    part = f"<tran:trafficArea><tran:TrafficArea>{shape}</tran:TrafficArea></tran:trafficArea>"
    return f'<tran:Road gml:id="{gml_id}">{part}</tran:Road>'


def roads_of(city: Path, semantic: Semantic = Semantic.ROAD) -> np.ndarray:
    mesh = CityMap.load(city)
    return mesh.triangles[mesh.classes == semantic].astype(np.float64)


def test_a_road_without_height_lies_on_the_relief_and_is_counted(citygml, tmp_path, capsys):
    citygml(building((0, 0, 9), (20, 10, 30)))
    citygml(relief(12.0), name="533946_dem_6697_op.gml")
    citygml(road(-150, 150, 20, 26, None, "flat"), name="53394611_tran_6697_op.gml")
    with pytest.raises(SystemExit) as ended:
        main(["city", str(tmp_path / "udx"), "--out", str(tmp_path / "city"), "--workers", "1"])
    assert ended.value.code == 0 and "1 areas have no height" in capsys.readouterr().out
    told = json.loads((tmp_path / "city/city.json").read_text())
    assert told["without_height"] == 1 and told["ground"] == []
    assert {tile["feature"]: tile["without_height"] for tile in told["tiles"]} == {"bldg": 0, "dem": 0, "tran": 1}
    lying = roads_of(tmp_path / "city")
    assert lying[:, :, 2] == pytest.approx(15 - told["anchor"]["height"], abs=1e-3)
    assert plan_area(lying) == pytest.approx(300 * 6, rel=1e-3)
    assert plan_area(roads_of(tmp_path / "city", Semantic.TERRAIN)) == pytest.approx(400 * 400 - 300 * 6, rel=1e-3)


def test_a_road_without_height_meets_its_neighbour_with_one_and_pulls_no_ground_down(citygml, tmp_path):
    citygml(building((0, 0, 0), (20, 10, 30), "a"), building((200, 100, 4), (220, 110, 30), "b"))
    parts = road(-100, 50, 20, 26, None, "flat"), road(50, 150, 20, 26, 6.0, "real", 3)
    citygml(*parts, name="53394611_tran_6697_op.gml")
    report = import_city(tmp_path / "udx", tmp_path / "city", ONE)
    mesh = CityMap.load(tmp_path / "city")
    lying = roads_of(tmp_path / "city")
    step = lying.reshape(-1, 3)
    assert report.without_height == 1
    base = 3 - report.anchor.height
    assert step[:, 2].min() > base - 0.5, "nothing lies at the zero of the file"
    joint = step[np.abs(step[:, 0] - (50 - 6000 - report.anchor.east)) < 2e-3]
    assert len(joint) and joint[:, 2] == pytest.approx(base + 6, abs=2e-3)
    assert roads_under_ground(mesh).covered == 0


@pytest.mark.parametrize("heights", [(0.0, 0.0), (2.0, 9.0)])
def test_the_ground_of_an_imported_square_has_no_hole_and_no_shelf(citygml, tmp_path, heights):
    low, high = heights
    boxes = [building((x, y, low), (x + 10, y + 10, high + 20), f"b{x}{y}") for x, y in ((0, 0), (300, -90), (30, 400))]
    citygml(*boxes, road(20, 260, 30, 36, high, "road"))
    report = import_city(tmp_path / "udx", tmp_path / "city", ONE)
    mesh = CityMap.load(tmp_path / "city")
    box = mesh_box("53394611")
    inside = np.random.default_rng(1).uniform((box.south, box.west), (box.north, box.east), (2000, 2))
    metres = to_metres(np.column_stack([inside, np.zeros(len(inside))]), 6677)[:, :2]
    places = metres - [report.anchor.east, report.anchor.north]
    assert all(np.isfinite(mesh.ground_height(x, y)) for x, y in places.tolist())
    low, high = np.ceil(places.min(axis=0)) + 20, np.floor(places.max(axis=0)) - 20
    ground = mesh.ground_heights(np.arange(low[0], high[0], 2.0), np.arange(low[1], high[1], 2.0))
    assert np.isfinite(ground).all()
    for along in (0, 1):
        assert np.abs(np.diff(ground, axis=along)).max() < 2.5, "no steps but beside the road on its bank"
    assert np.isnan(mesh.ground_height(3000.0, 0.0)) and np.isfinite(mesh.nearest_ground(3000.0, 0.0))


def test_gaps_are_filled_from_around_and_holes_closed():
    heights = np.full((20, 20), np.nan)
    assert (without_gaps(heights) == 0).all()
    heights[:, 0], heights[:, -1] = 3.0, 5.0
    filled = without_gaps(heights)
    assert filled.min() >= 3 and filled.max() <= 5 and np.abs(np.diff(filled, axis=1)).max() < 1
    ring = np.zeros((20, 20), bool)
    ring[4:16, 4:16] = True
    ring[7:11, 7:11] = False
    assert without_holes(ring)[4:16, 4:16].all() and not without_holes(np.zeros((9, 9), bool)).any()


@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 8, 32, 128]), st.sampled_from([0.0, 0.01, 0.2]))
@settings(max_examples=40, deadline=None)
def test_the_fewest_triangles_keep_to_the_raster_without_cracks(seed, side, tolerance):
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(side + 1.0), np.arange(side + 1.0), indexing="ij")
    heights = np.sin(x / 9 + rng.uniform(0, 6)) + 0.15 * (x + 0.3 * y > rng.uniform(0, side)) + 0.01 * y
    heights = heights.astype(np.float32)
    if side > 8:
        heights[: rng.integers(0, side // 2)] = np.nan
    mesh = fewest_triangles(heights, tolerance)
    made = np.full(heights.shape, np.nan, dtype=np.float32)
    raster_heights(mesh.triangles, made)
    there = ~np.isnan(heights)
    assert (np.isnan(made) == ~there).all()
    assert np.abs(made[there] - heights[there]).max() <= 2.5 * tolerance + 1e-6
    squares = there[:-1, :-1] & there[1:, :-1] & there[:-1, 1:] & there[1:, 1:]
    assert plan_area(mesh.triangles) == pytest.approx(squares.sum())
    edges = np.sort(np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]]), axis=1)
    _, used = np.unique(edges, axis=0, return_counts=True)
    assert used.max() <= 2


def test_gazebo_collides_with_the_surface_that_the_map_tells_everybody_of(citygml, tmp_path):
    """Kerbs of 0.15 m included: the meshes that the world names, and heights of the map, to a centimetre."""
    citygml(building((0, 0, 0), (20, 10, 30)))
    paths = road(-80, 80, 20, 26, 0.0, "road", 3), road(-80, 80, 26, 29, 0.15, "walk", 3)
    citygml(*paths, name="53394611_tran_6697_op.gml")
    city = import_city(tmp_path / "udx", tmp_path / "city", ONE).folder
    mesh = CityMap.load(city)
    models = read_world(city / "city.sdf")
    laid = [model for model in models if not model.visual]
    assert laid and all(model.collision for model in laid)
    seen = [m for m in models if m.semantic in (Semantic.ROAD, Semantic.TERRAIN, Semantic.SIDEWALK) and m.visual]
    assert seen and not any(model.collision for model in seen), "nothing to drive on but the surface"
    compared = 0
    for model in laid:
        surface = read_obj(city / model.collision).triangles
        low = np.floor(surface[:, :, :2].min(axis=(0, 1)))
        count = np.ceil((surface[:, :, :2].max(axis=(0, 1)) - low) / RASTER_M).astype(int) + 1
        raster = np.full(tuple(count), np.nan, dtype=np.float32)
        scaled = surface.copy()
        scaled[:, :, :2] = (scaled[:, :, :2] - low) / RASTER_M
        raster_heights(scaled, raster)
        told = mesh.ground_heights(*(low[axis] + RASTER_M * np.arange(count[axis]) for axis in (0, 1)))
        both = ~np.isnan(raster)
        assert np.isfinite(told[both]).all()
        assert np.abs(told[both] - raster[both]).max() < 0.01
        compared += both.sum()
    assert compared > 100_000 and (city / DRIVABLE).is_dir()


def tiles() -> list[tuple[str, str]]:
    """(folder, mesh code or '') of the real tiles with roads or ground of their own."""
    osaka = Path(__file__).resolve().parents
    found = next((p / "shared/data/plateau/osaka" for p in osaka if (p / "shared/data/plateau/osaka").is_dir()), None)
    squares = sorted({(f"osaka/{g.parts[-4]}", g.name[:8]) for g in found.glob("*/udx/tran/*.gml")}) if found else []
    return [*((name, "") for name in ("haneda", "sapporo", "yokosuka", "suginami/spec4")), *squares]


def imported(data: Path, folder: str, code: str, work: Path) -> ImportReport:
    """A folder, or the files of one of its squares."""
    source = data / folder / "udx"
    if code:
        for path in source.rglob(f"{code}_*.gml"):
            (work / "udx" / path.parent.name).mkdir(parents=True, exist_ok=True)
            (work / "udx" / path.parent.name / path.name).symlink_to(path)
        source = work / "udx"
    return import_city(source, work / "city", ONE)


@pytest.mark.parametrize(("folder", "code"), tiles())
def test_no_road_of_a_real_tile_lies_under_its_ground(plateau_data, tmp_path, folder, code):
    report = imported(plateau_data, folder, code, tmp_path)
    mesh = CityMap.load(report.folder)
    assert roads_under_ground(mesh).covered == 0
    roads = mesh.triangles[np.isin(mesh.classes, (Semantic.ROAD, Semantic.SIDEWALK))]
    if folder.startswith("osaka"):
        assert report.without_height > 0
        assert roads[:, :, 2].min() > -report.anchor.height - 5
    middles = roads.mean(axis=1)[:: max(len(roads) // 2000, 1)]
    ground = np.array([mesh.ground_height(x, y) for x, y, _ in middles.tolist()])
    assert np.isfinite(ground).all(), "wheels have ground on every road"


CASES = ("01_road_lod1_height0", "06_ground_through_winding_hill_road", "03_traffic_areas_of_mixed_lod")


@pytest.mark.parametrize("case", CASES)
def test_cases_of_roads_in_and_above_the_ground(plateau_data, tmp_path, case):
    source = plateau_data.parents[1] / "cases/plateau" / case / "udx"
    report = import_city(source, tmp_path / "city", ONE)
    mesh = CityMap.load(report.folder)
    assert roads_under_ground(mesh).covered == 0
    if case.startswith("01"):
        assert report.without_height == 1
        z = mesh.triangles[mesh.classes == Semantic.ROAD][:, :, 2] + report.anchor.height
        assert z.min() > 29 and z.max() < 34


def test_nobody_looks_in_under_a_raised_area_whose_file_has_no_face_there():
    """A median, 0.2 m high; its kerbs have faces but at one end."""
    top = np.array([(0, 0, 5.2), (2, 0, 5.2), (2, 8, 5.2), (0, 8, 5.2)])
    foot = top - [0, 0, 0.2]
    around = [(top[k], top[(k + 1) % 4]) for k in range(4)] + [(foot[k], foot[(k + 1) % 4]) for k in (1, 2, 3)]
    median = Areas(
        np.array([shapely.box(0, 0, 2, 8)]),
        np.full(1, Semantic.SIDEWALK, np.uint8),
        np.zeros(1, bool),
        np.array(around),
    )
    ground = cell_triangles(np.array([-16.0, -16.0]), np.full((4, 4), 5.0), np.ones((3, 3), bool))
    cut = fitted(ground, median)
    upright = cut.triangles[np.ptp(cut.triangles[:, :, 2], axis=1) > 0.1]
    u, v = upright[:, 1] - upright[:, 0], upright[:, 2] - upright[:, 0]
    assert (upright[:, :, 1] == 0).all()
    assert np.linalg.norm(np.cross(u, v), axis=1).sum() / 2 == pytest.approx(2 * 0.2)


def test_heights_of_roads_are_measured_from_the_terrain_beside_them(city, sheet):
    road, far = sheet(-10, 10, -3, 3, 0.3), sheet(-10, 10, 60, 66, 9.0)
    beside = np.concatenate([sheet(-10, 10, 3, 30, 0.0), sheet(-10, 10, -30, -3, 0.1)])
    heights = roads_above_ground(city((Semantic.ROAD, np.concatenate([road, far])), (Semantic.TERRAIN, beside)))
    assert (heights.low, heights.high) == pytest.approx((0.2, 0.3))
    assert heights.samples == pytest.approx(2 * 80 * 2, rel=0.3)
    assert roads_above_ground(city((Semantic.TERRAIN, beside))).samples == 0
