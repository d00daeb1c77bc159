"""A region cuts areas at its border, takes buildings whole, and has one plane; what two tiles have is taken once."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from gml_samples import building
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_import_city import relief
from test_levels import area_of, polygon, read, road, shape, sheet

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from tokyo_city.plateau.citygml import read_citygml
from tokyo_city.plateau.clipping import apart
from tokyo_city.plateau.clipping import within as clip
from tokyo_city.plateau.meshcodes import DegreeBox, mesh_box
from tokyo_city.plateau.model import ImportProblem, Polygons
from tokyo_city.plateau.projection import to_degrees
from tokyo_city.plateau.sources import Region, TileSource, find_sources
from tokyo_city.plateau.tile import read_tile
from tokyo_city.plateau.triangulate import newell_normals
from tokyo_city.world.city import Options, import_city

ONE = Options(workers=1)


def box_of(x0: float, x1: float, y0: float, y1: float) -> DegreeBox:
    """A box about Tokyo station; metres east and north."""
    corners = to_degrees(np.array([(x0, y0, 0), (x1, y1, 0)], dtype=float) + [-6000.0, -35000, 0], 6677)
    return DegreeBox(*corners[0, :2].tolist(), *corners[1, :2].tolist())


def within(path, *boxes: DegreeBox):
    return read_tile(TileSource(path, path.parent.name), Region(boxes))


AREAS = {
    "tran:Road": "tran:lod1MultiSurface",
    "tran:Square": "tran:lod1MultiSurface",
    "wtr:WaterBody": "wtr:lod1MultiSurface",
}


@pytest.mark.parametrize("name", AREAS)
def test_an_area_is_cut_at_the_border_wherever_its_middle_is(citygml, name):
    path = citygml(f'<{name} gml:id="x">{shape(AREAS[name], sheet(-100, 300, 0, 10))}</{name}>', name="1_tran_2.gml")
    tile = within(path, box_of(-20, 30, -50, 50))
    # Boxes are of degrees, a little askew of the zone: the border of the area is of the box to a centimetre or two.
    assert area_of(tile) == pytest.approx(500, rel=2e-3) and not tile.skipped
    with pytest.raises(ImportProblem, match="nothing of it is in the region"):
        within(path, box_of(-20, 30, 20, 50))


def star(seed: int):
    rng = np.random.default_rng(seed)
    angles = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    outer = np.column_stack([np.cos(angles), np.sin(angles)]) * rng.uniform(30, 80, (14, 1))
    height = 5 + 0.05 * outer[:, :1]
    hole = np.array([(-9, -9), (-9, 9), (9, 9), (9, -9)]) * rng.uniform(0.3, 1.5)
    return np.column_stack([outer, height]), np.column_stack([hole, 5 + 0.05 * hole[:, :1]])


@given(st.integers(0, 2**32 - 1), st.floats(-30, 30), st.floats(-30, 30))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_pieces_of_an_area_are_together_what_it_was(citygml, seed, x, y):
    outer, hole = star(seed)
    path = citygml(road(shape("tran:lod2MultiSurface", polygon(outer, holes=[hole]))), name="1_tran_2.gml")
    whole = read(path)
    parts = []
    for x0, x1 in ((-100, x), (x, 100)):
        for y0, y1 in ((-100, y), (y, 100)):
            parts.append(within(path, box_of(x0, x1, y0, y1)))
    assert sum(map(area_of, parts)) == pytest.approx(area_of(whole), rel=2e-3)
    for part in parts:
        places = part.triangles.reshape(-1, 3) + part.origin - [-6000, -35000, 0]
        assert np.abs(places[:, 2] - 5 - 0.05 * places[:, 0]).max() < 0.01  # it slopes as it did
    together = within(path, *(box_of(*edges, -100, 100) for edges in ((-100, x), (x, 100))))
    assert area_of(together) == pytest.approx(area_of(whole), rel=2e-3)


def test_boxes_that_overlap_count_once():
    boxes = (DegreeBox(35, 139, 36, 140), DegreeBox(35.5, 139.5, 36.5, 140.5), DegreeBox(35.2, 139.2, 35.4, 139.4))
    cells = apart(boxes)
    assert not any(a.touches(b) for n, a in enumerate(cells) for b in cells[:n])
    assert sum((c.north - c.south) * (c.east - c.west) for c in cells) == pytest.approx(1 + 1 - 0.25)


def test_a_building_is_whole_where_it_reaches_into_the_region(citygml):
    path = citygml(building((0, 0, 0), (40, 10, 30), "in"), building((100, 0, 0), (140, 10, 30), "out"))
    for edges in ((-20, 1, -50, 50), (39, 60, -50, 50), (10, 12, 3, 4), (-50, 60, -50, 50)):
        tile = within(path, box_of(*edges))
        assert [entry.gml_id for entry in tile.city_objects] == ["in"] and len(tile.triangles) == 12


def test_a_texture_is_cut_with_its_area(textured):
    from gml_samples import picture, texture

    places = to_degrees(
        np.array([(0, 0, 5), (40, 0, 5), (40, 10, 5), (0, 10, 5), (0, 0, 5.0)]) + [-6000, -35000, 0], 6677
    )
    ring = f'<gml:LinearRing gml:id="ring_1"><gml:posList>{" ".join(f"{v:.12f}" for v in places.ravel())}</gml:posList>'
    face = f"<gml:Polygon><gml:exterior>{ring}</gml:LinearRing></gml:exterior></gml:Polygon>"
    path = textured(texture("images/a.png"), walls=(road(shape("tran:lod3MultiSurface", face)),))
    picture().save(path.parent / "images/a.png")
    tile = within(path, box_of(-10, 10, -50, 50))
    # The left quarter of the picture: red below, blue above.
    assert (tile.page == 0).all() and area_of(tile) == pytest.approx(100, rel=5e-3)
    assert tile.colour[0] == pytest.approx(np.mean([(220, 30, 30), (30, 30, 220)], axis=0), abs=6)


def test_water_of_a_large_square_is_cut_by_the_small_ones_in_it(plateau_data):
    found = sorted((plateau_data / "bunkyo").rglob("*_wtr_*.gml"))
    if not found:
        pytest.skip(f"no bunkyo in {plateau_data}")
    with open(found[0], "rb") as stream:
        reading = read_citygml(stream, found[0].name, "wtr")
    parts, pairs = 0.0, 0
    none = np.zeros((len(reading.polygons.points), 0))
    for square in ("533945", "533946"):  # its rivers reach over the edge of the file's own square
        for row, column in np.ndindex(10, 10):
            box = mesh_box(f"{square}{row}{column}")
            inside, _, _ = clip(reading.polygons, none, reading.objects, (box,))
            parts += plan_area(inside)
            pairs += len(np.unique(inside.objects))
            if len(inside):
                assert find_sources(found[0].parent, Region((box,)))[0][0].path == found[0]
    assert parts == pytest.approx(plan_area(reading.polygons), rel=1e-6) and pairs >= 25


def plan_area(polygons: Polygons) -> float:
    """Square degrees, seen from above."""
    starts, counts = polygons.rings[:-1], np.diff(polygons.rings)
    area = np.abs(newell_normals(polygons.points * [1, 1, 0], starts, counts)[:, 2]) / 2
    hole = np.ones(len(area), dtype=bool)
    hole[polygons.firsts[:-1]] = False
    return float(area[~hole].sum() - area[hole].sum())


def test_a_file_is_read_where_its_envelope_reaches_and_is_no_failure_where_nothing_does(citygml, tmp_path):
    text = building((0, 0, 0), (20, 10, 30))
    path = citygml(text)
    box = mesh_box("53394612")  # east of it
    corners = (
        f"<gml:lowerCorner>35.67 139.76 0</gml:lowerCorner><gml:upperCorner>35.69 {box.west + 1e-4} 9</gml:upperCorner>"
    )
    envelope = f"<gml:Envelope>{corners}</gml:Envelope>"
    path.write_text(
        path.read_text().replace(
            "<core:cityObjectMember>", f"<gml:boundedBy>{envelope}</gml:boundedBy><core:cityObjectMember>", 1
        )
    )
    region = Region((box,))
    assert len(find_sources(tmp_path / "udx", region)[0]) == 1
    with pytest.raises(ImportProblem, match="nothing at all is in the region"):
        import_city(tmp_path / "udx", tmp_path / "city", Options(workers=1, region=region))
    citygml(at(text, 35.68, box.west + 0.003), name="53394612_bldg_6697_op.gml")
    report = import_city(tmp_path / "udx", tmp_path / "city", Options(workers=1, region=region))
    assert report.objects == 1 and not report.failed


def at(text: str, latitude: float, longitude: float) -> str:
    from test_import_city import moved

    return moved(text, latitude, longitude)


@pytest.mark.parametrize("longitudes", [(135.16, 135.18), (137.80, 137.84)])
@pytest.mark.parametrize("named", [True, False])
def test_a_city_across_the_limit_of_two_zones_is_one(citygml, tmp_path, longitudes, named):
    """Kobe and Hamamatsu: the nearest central meridian changes within the city."""
    for number, longitude in enumerate(longitudes):
        text = at(building((0, 0, 0), (20, 10, 30), f"b{number}"), 34.7, longitude)
        code = mesh_code_of(34.7, longitude) if named else "x"
        citygml(text, name=f"{code}_bldg_{number}.gml")
    report = import_city(tmp_path / "udx", tmp_path / "city", ONE)
    assert report.objects == 2 and not report.failed
    tiles = json.loads((tmp_path / "city/city.json").read_text())["tiles"]
    assert len({tile["epsg"] for tile in tiles}) == 1
    mesh = CityMap.load(tmp_path / "city")
    points = mesh.triangles[mesh.classes == Semantic.BUILDING].reshape(-1, 3)
    apart_m = (longitudes[1] - longitudes[0]) * 111_320 * np.cos(np.radians(34.7))
    assert np.ptp(points[:, 0]) == pytest.approx(apart_m, abs=60)


def mesh_code_of(latitude: float, longitude: float) -> str:
    from tokyo_city.sample_city.georeference import mesh_code

    return mesh_code(latitude, longitude)


def wards(citygml, tmp_path, first: str, second: str, feature: str = "bldg") -> None:
    """Two wards' folders with a tile of one name."""
    for ward, text in (("13101_chiyoda-ku_2022_citygml_1_op", first), ("13102_chuo-ku_2023_citygml_1_op", second)):
        path = citygml(text, name=f"53394611_{feature}_6697_op.gml")
        place = tmp_path / "both" / ward / "udx" / feature / path.name
        place.parent.mkdir(parents=True)
        shutil.copy(path, place)


HOUSE = building((0, 0, 0), (20, 10, 30), "house")


@pytest.mark.parametrize(
    "second",
    [HOUSE, HOUSE.replace('"house"', '"another name"'), building((0.1, 0.1, 0), (20.1, 10, 30.2), "house")],
    ids=["the same", "another id", "measured again"],
)
def test_a_building_that_two_wards_have_is_there_once_with_a_note(citygml, tmp_path, second):
    wards(
        citygml,
        tmp_path,
        HOUSE,
        second + building((50, 0, 0), (60, 10, 9), "own").join(["</core:cityObjectMember><core:cityObjectMember>", ""]),
    )
    report = import_city(tmp_path / "both", tmp_path / "city", ONE)
    assert report.objects == 2 and not report.skipped and not report.failed
    (note,) = report.problems
    assert "1 object" in note and "as well" in note
    mesh = CityMap.load(tmp_path / "city")
    assert (mesh.classes == Semantic.BUILDING).sum() == 24
    told = json.loads((tmp_path / "city/city.json").read_text())
    # The newer data set's is kept.
    assert [tile["objects"] for tile in told["tiles"]] == [0, 2] and told["objects"] == 2


def test_the_one_with_more_detail_is_kept(citygml, tmp_path):
    roof = shape("bldg:lod2MultiSurface", sheet(0, 20, z=33))
    fine = HOUSE.replace("</bldg:Building>", f"{roof}</bldg:Building>")
    wards(citygml, tmp_path, fine, HOUSE)
    import_city(tmp_path / "both", tmp_path / "city", ONE)
    told = json.loads((tmp_path / "city/city.json").read_text())
    assert [(tile["objects"], tile["lods"]) for tile in told["tiles"]] == [(1, {"2": 1}), (0, {"1": 1})]


def test_neighbours_that_are_alike_are_two(citygml, tmp_path):
    wards(citygml, tmp_path, HOUSE, building((0, 10.5, 0), (20, 20.5, 30), "house"))
    report = import_city(tmp_path / "both", tmp_path / "city", ONE)
    assert report.objects == 2 and not report.problems


def test_a_relief_that_two_wards_have_is_there_once(citygml, tmp_path):
    wards(citygml, tmp_path, relief(0.0), relief(0.0), feature="dem")
    report = import_city(tmp_path / "both", tmp_path / "city", ONE)
    (note,) = report.problems
    assert "1 object" in note and "as well" in note
    mesh = CityMap.load(tmp_path / "city")
    a, b, c = np.moveaxis(mesh.triangles[mesh.classes == Semantic.TERRAIN][:, :, :2].astype(float), 1, 0)
    area = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]).sum() / 2
    assert area == pytest.approx(400 * 400, rel=1e-3)
