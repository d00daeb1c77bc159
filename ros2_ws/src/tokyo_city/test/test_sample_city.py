"""The sample city is the same for a seed, closed and planar, on its terrain, and PLATEAU in form."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from pyproj import Transformer
from shapely import MultiPoint, Polygon

from tokyo_city.sample_city import build_sample_city, write_sample_city
from tokyo_city.sample_city.building_solids import extrusion, gable, hip, pyramid, shed, terraced
from tokyo_city.sample_city.citygml_writer import NAMESPACES
from tokyo_city.sample_city.codes import FLAT_ROOF, GABLE_ROOF, HIP_ROOF, SHED_ROOF
from tokyo_city.sample_city.draping import drape
from tokyo_city.sample_city.faces import rectangle
from tokyo_city.sample_city.georeference import Georeference, mesh_code, mesh_south_west
from tokyo_city.sample_city.streets import direction
from tokyo_city.sample_city.terrain import MAX_SLOPE, roll_terrain

FEATURES = ("bldg", "tran", "dem", "veg", "frn")
MESH = "53394611"
POS_LIST = f"{{{NAMESPACES['gml']}}}posList"


@pytest.fixture(scope="module")
def city():
    return build_sample_city(np.random.default_rng(7), 480.0)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    return write_sample_city(tmp_path_factory.mktemp("city"))


@pytest.fixture(scope="module")
def documents(written) -> dict[str, etree._Element]:
    return {feature: etree.parse(written / feature / f"{MESH}_{feature}_6697_op.gml").getroot() for feature in FEATURES}


def find(root: etree._Element, path: str) -> list[etree._Element]:
    return root.xpath(path, namespaces=NAMESPACES)


def positions(root: etree._Element) -> np.ndarray:
    """All coordinates below an element, ``(n, 3)`` latitude, longitude, height."""
    return np.concatenate([np.array(pos.text.split(), float).reshape(-1, 3) for pos in root.iter(POS_LIST)])


def rings_of(polygon: etree._Element) -> list[np.ndarray]:
    return [np.array(pos.text.split(), float).reshape(-1, 3) for pos in polygon.iter(POS_LIST)]


def open_edges(rings: list[np.ndarray]) -> int:
    """Directed edges of closed rings that have no partner in the opposite direction."""
    edges = Counter(
        (tuple(start), tuple(end))
        for ring in rings
        for start, end in zip(ring.tolist(), ring[1:].tolist(), strict=False)
    )
    return sum(edges[edge[::-1]] != count or count != 1 for edge, count in edges.items())


def signed_volume(rings: list[np.ndarray]) -> float:
    """Volume in m3 inside closed rings of planar faces; positive where the faces look out."""
    origin = rings[0][0]
    volume = 0.0
    for ring in rings:
        corners = ring[:-1] - origin
        volume += np.dot(corners[0], np.cross(corners, np.roll(corners, -1, axis=0)).sum(axis=0)) / 6
    return volume


def closed(ring: np.ndarray) -> np.ndarray:
    return np.vstack([ring, ring[:1]])


def solid_rings(solid) -> list[np.ndarray]:
    return [closed(ring) for face in solid.faces for ring in face.rings]


def metric(rings: list[np.ndarray]) -> list[np.ndarray]:
    to_plane = Transformer.from_crs(6697, 6677, always_xy=True)
    return [np.column_stack(to_plane.transform(ring[:, 1], ring[:, 0], ring[:, 2])) for ring in rings]


def relief_heights(relief: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Heights ``(m,)`` of the triangles ``relief (n, 3, 3)`` at ``points (m, 2 or more)``."""
    _, holder = shapely.STRtree(shapely.polygons(relief[:, :, :2])).query_nearest(
        shapely.points(points[:, :2]), all_matches=False
    )
    corner, *others = relief[holder].transpose(1, 0, 2)
    normal = np.cross(others[0] - corner, others[1] - corner)
    return corner[:, 2] - np.einsum("ij,ij->i", normal[:, :2], points[:, :2] - corner[:, :2]) / normal[:, 2]


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path):
    def digests(folder: Path) -> dict[str, str]:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    first, again, other = (
        write_sample_city(tmp_path / name, seed=seed, size_m=320.0)
        for name, seed in (("first", 7), ("again", 7), ("other", 8))
    )
    assert digests(again.parent) == digests(first.parent)
    assert digests(other)[f"bldg/{MESH}_bldg_6697_op.gml"] != digests(first)[f"bldg/{MESH}_bldg_6697_op.gml"]


def test_documents_are_city_models_with_the_plateau_reference_system(documents):
    for root in documents.values():
        assert root.tag == "{http://www.opengis.net/citygml/2.0}CityModel"
        assert {element.get("srsName") for element in root.xpath("//*[@srsName]")} == {
            "http://www.opengis.net/def/crs/EPSG/0/6697"
        }
    assert find(documents["bldg"], "//uro:BuildingIDAttribute/uro:buildingID")
    assert documents["bldg"].nsmap["uro"] == "https://www.geospatial.jp/iur/uro/2.0"


def test_ids_are_unique_and_references_resolve(documents):
    for root in documents.values():
        ids = root.xpath("//@gml:id", namespaces=NAMESPACES)
        assert len(ids) == len(set(ids))
        assert {href.lstrip("#") for href in root.xpath("//@xlink:href", namespaces=NAMESPACES)} <= set(ids)


def test_every_code_is_in_its_code_list(documents, written):
    for feature, root in documents.items():
        for element in root.xpath("//*[@codeSpace]"):
            listed = etree.parse((written / feature / element.get("codeSpace")).resolve()).getroot()
            assert element.text in find(listed, "//gml:Definition/gml:name/text()")


def test_envelope_and_mesh_hold_all_coordinates(documents):
    south, west = mesh_south_west(MESH)
    for root in documents.values():
        texts = [find(root, f"//gml:{corner}Corner")[0].text for corner in ("lower", "upper")]
        corners = [np.array(text.split(), float) for text in texts]
        points = positions(root)
        assert np.all(points >= corners[0]) and np.all(points <= corners[1])
        assert np.all(points[:, :2] >= [south, west])
        assert np.all(points[:, :2] < [south + 30 / 3600, west + 45 / 3600])


@given(st.floats(20, 46), st.floats(122, 154))
def test_mesh_code_names_the_square_that_holds_a_point(latitude, longitude):
    south, west = mesh_south_west(mesh_code(latitude, longitude))
    assert -1e-9 <= latitude - south <= 30 / 3600 + 1e-9
    assert -1e-9 <= longitude - west <= 45 / 3600 + 1e-9


def test_a_city_that_outgrows_its_mesh_is_divided(tmp_path, monkeypatch):
    """A small one, on the corner of four."""
    in_the_middle = Georeference.__init__

    def on_the_corner(self) -> None:
        in_the_middle(self)
        self._anchor = self._anchor + [566.0, 462.0]

    monkeypatch.setattr(Georeference, "__init__", on_the_corner)
    udx = write_sample_city(tmp_path, size_m=320.0)
    names = {path.name for path in udx.rglob("*.gml")}
    assert {f"{MESH}_{feature}_6697_op.gml" for feature in FEATURES} < names
    assert any(not name.startswith(MESH) and "_bldg_" in name for name in names)


def test_written_building_solids_are_closed_planar_and_face_out(documents):
    named = find(documents["bldg"], "//gml:Polygon[@gml:id]")
    polygons = {polygon.get(f"{{{NAMESPACES['gml']}}}id"): polygon for polygon in named}
    lod1 = [
        [ring for polygon in find(solid, ".//gml:Polygon") for ring in rings_of(polygon)]
        for solid in find(documents["bldg"], "//bldg:lod1Solid")
    ]
    lod2 = [
        [ring for href in find(solid, ".//@xlink:href") for ring in rings_of(polygons[href[1:]])]
        for solid in find(documents["bldg"], "//bldg:lod2Solid")
    ]
    buildings = find(documents["bldg"], "//bldg:Building")
    assert len(lod1) == len(buildings)
    assert 0.6 < len(lod2) / len(buildings) < 0.8
    for rings in lod1 + lod2:
        assert open_edges(rings) == 0
    for rings in (metric(rings) for rings in (lod1 + lod2)[::7]):
        assert signed_volume(rings) > 50
        for ring in rings:
            centred = ring - ring.mean(axis=0)
            assert np.linalg.svd(centred)[1][2] < 1e-3


@given(
    length=st.floats(3, 40),
    width=st.floats(3, 40),
    heading=st.floats(-3.1, 3.1),
    eaves=st.floats(2, 20),
    rise=st.floats(0.3, 5),
)
def test_every_kind_of_roof_closes_over_any_rectangle(length, width, heading, eaves, rise):
    ring = rectangle(np.array([3.0, -2.0]), direction(heading), length, width)
    shrunk = rectangle(np.array([3.0, -2.0]), direction(heading), length - 0.5, width - 0.5)
    roofs = [
        gable(ring, 0.0, eaves, eaves + rise),
        shed(ring, 0.0, eaves, eaves + rise),
        pyramid(ring, 0.0, eaves, eaves + rise),
        terraced(0.0, [(ring, eaves + rise), (shrunk, eaves)]),
    ]
    if abs(length - width) > 0.01:
        roofs.append(hip(ring, 0.0, eaves, eaves + rise))
    for solid in roofs:
        assert open_edges(solid_rings(solid)) == 0
        box = length * width * (eaves + rise)
        assert length * width * eaves < signed_volume(solid_rings(solid)) < box
    assert signed_volume(solid_rings(extrusion(ring, 0.0, eaves))) == pytest.approx(length * width * eaves)


@pytest.mark.parametrize("seed", [1, 2, 7, 23])
def test_heights_have_the_long_tail_of_tokyo(seed):
    city = build_sample_city(np.random.default_rng(seed), 480.0)
    heights = np.array([building.height_m for building in city.buildings])
    towers = [building for building in city.buildings if building.height_m > 60]
    assert len(heights) > 500
    assert 0.55 < np.mean((heights >= 6) & (heights <= 12)) < 0.9
    assert np.sum((heights >= 15) & (heights <= 40)) >= 20
    assert len(towers) >= 3
    assert all(tower.lot.kind.name == "AVENUE" for tower in towers)
    assert {building.roof for building in city.buildings} >= {FLAT_ROOF, GABLE_ROOF, HIP_ROOF, SHED_ROOF}


def test_buildings_overlap_neither_each_other_nor_streets(city):
    footprints = [Polygon(building.footprint) for building in city.buildings]
    left, right = shapely.STRtree(footprints).query(footprints, predicate="intersects")
    assert np.all(left == right)
    assert shapely.union_all(footprints).intersection(city.plan.rights_of_way).area == 0
    assert all(city.plan.site.contains(footprint) for footprint in footprints)


def test_buildings_stand_below_the_lowest_ground_under_them(city):
    for building in city.buildings:
        base = building.lod1.ground[0].ring[0, 2]
        assert base < city.terrain.height(building.footprint).min() - 0.1


def test_only_trees_overhang_carriageways_below_the_clearance_of_lorries(city):
    carriageways = city.roads.carriageways
    shapely.prepare(carriageways)
    for furniture in city.furniture:
        low = [
            face.ring[:, :2]
            for face in furniture.faces
            if face.ring[:, 2].min() < city.terrain.height(face.ring).min() + 4.5
        ]
        assert not carriageways.intersects(MultiPoint(np.concatenate(low)).convex_hull)
    assert not any(carriageways.contains(shapely.Point(tree.foot[:2])) for tree in city.trees)


def test_furniture_stands_clear_of_buildings(city):
    built = shapely.union_all([Polygon(building.footprint) for building in city.buildings])
    shapely.prepare(built)
    for furniture in city.furniture:
        foot = np.concatenate([face.ring[:, :2] for face in furniture.faces[:6]])
        assert not built.intersects(MultiPoint(foot).convex_hull)


def test_furniture_and_plants_of_every_kind_are_there(documents):
    functions = Counter(find(documents["frn"], "//frn:function/text()"))
    assert functions["4840"] > 100 and functions["4200"] > 40 and functions["8080"] > 10 and functions["4900"] >= 8
    assert len(find(documents["veg"], "//veg:SolitaryVegetationObject[veg:height and veg:crownDiameter]")) > 200
    assert len(find(documents["veg"], "//veg:PlantCover")) == 1
    assert set(find(documents["tran"], "//tran:TrafficArea/tran:function/text()")) == {"1000", "1020", "2000"}
    assert set(find(documents["tran"], "//tran:AuxiliaryTrafficArea/tran:function/text()")) == {"3000"}


def test_traffic_areas_share_borders_and_never_overlap(city):
    parts = [area for street in city.roads.streets for area in (*street.carriageway, *street.sidewalk, *street.median)]
    parts += [crossing.area for crossing in city.roads.intersections]
    assert sum(part.area for part in parts) == pytest.approx(city.plan.rights_of_way.area, abs=1.0)
    assert shapely.union_all(parts, grid_size=1e-4).area == pytest.approx(city.plan.rights_of_way.area, abs=1.0)


def test_roads_lie_on_the_terrain_and_over_the_relief(city):
    areas = [(area, street.street) for street in city.roads.streets for area in street.carriageway]
    areas += [(crossing.area, crossing.street) for crossing in city.roads.intersections]
    triangles = np.stack([face.ring for area, street in areas for face in drape(area, street.along, city.terrain)])
    weights = np.array([[1, 1, 1], [3, 3, 0], [0, 3, 3], [3, 0, 3], [6, 0, 0]]) / np.array([[3], [6], [6], [6], [6]])
    samples = np.einsum("wc,tcx->twx", weights, triangles).reshape(-1, 3)
    assert np.abs(samples[:, 2] - city.terrain.height(samples)).max() < 0.05
    assert (samples[:, 2] - relief_heights(city.relief, samples)).min() > 0.01


def test_relief_covers_the_site_and_its_margin_facing_up(city):
    first, second, third = city.relief[:, 0], city.relief[:, 1], city.relief[:, 2]
    normals = np.cross(second - first, third - first)
    assert np.all(normals[:, 2] > 0)
    assert normals[:, 2].sum() / 2 == pytest.approx(520.0**2)


@given(st.integers(0, 2**32 - 1))
def test_terrain_is_never_steeper_than_promised(seed):
    terrain = roll_terrain(np.random.default_rng(seed))
    points = np.random.default_rng(seed).uniform(-500, 500, (200, 2))
    step = 0.1
    slope_x = (terrain.height(points + [step, 0]) - terrain.height(points)) / step
    slope_y = (terrain.height(points + [0, step]) - terrain.height(points)) / step
    assert np.hypot(slope_x, slope_y).max() <= MAX_SLOPE + 1e-4


def test_a_size_that_cannot_hold_the_streets_is_refused(tmp_path):
    with pytest.raises(ValueError, match="size_m is 100"):
        write_sample_city(tmp_path, size_m=100.0)
