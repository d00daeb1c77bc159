"""Reading CityGML: holes, links, levels of detail, and files that are broken or hostile."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading

import numpy as np
import pytest

from occ_core.classes import Semantic
from tokyo_city.plateau.citygml import read_citygml
from tokyo_city.plateau.codes import SurfaceType
from tokyo_city.plateau.model import ImportProblem, Reading
from tokyo_city.plateau.sources import TileSource
from tokyo_city.plateau.tile import Tile
from tokyo_city.plateau.tile import read_tile as read_source

SQUARE = ((35.68, 139.76), (35.68, 139.7602), (35.6802, 139.7602), (35.6802, 139.76))
HOLE = ((35.6801, 139.7601), (35.68015, 139.7601), (35.68015, 139.76015))


def ring(points, z: float = 10.0, closed: bool = True) -> str:
    points = [*points, points[0]] if closed else points
    text = " ".join(f"{a} {b} {z}" for a, b in points)
    return f"<gml:LinearRing><gml:posList>{text}</gml:posList></gml:LinearRing>"


def polygon(points=SQUARE, z: float = 10.0, holes=(), gml_id: str = "p") -> str:
    inner = "".join(f"<gml:interior>{ring(hole, z)}</gml:interior>" for hole in holes)
    return f'<gml:Polygon gml:id="{gml_id}"><gml:exterior>{ring(points, z)}</gml:exterior>{inner}</gml:Polygon>'


def surfaces(*polygons: str) -> str:
    members = "".join(f"<gml:surfaceMember>{p}</gml:surfaceMember>" for p in polygons)
    return f"<gml:MultiSurface>{members}</gml:MultiSurface>"


def solid(*members: str) -> str:
    inside = "".join(f"<gml:surfaceMember>{m}</gml:surfaceMember>" for m in members)
    return f"<gml:Solid><gml:exterior><gml:CompositeSurface>{inside}</gml:CompositeSurface></gml:exterior></gml:Solid>"


def nested(inner: str, *names: str) -> str:
    """An element in elements, the outermost named first."""
    for name in reversed(names):
        inner = f"<{name}>{inner}</{name}>"
    return inner


def building(*content: str, gml_id: str = "b1") -> str:
    return f'<bldg:Building gml:id="{gml_id}">{"".join(content)}</bldg:Building>'


def lod1(*polygons: str) -> str:
    return f"<bldg:lod1Solid>{solid(*(polygons or (polygon(),)))}</bldg:lod1Solid>"


def read(path) -> Reading:
    with open(path, "rb") as stream:
        return read_citygml(stream, path.name, path.parent.name)


def read_tile(path) -> Tile:
    return read_source(TileSource(path, path.parent.name))


def only(path) -> Reading:
    found = read(path)
    assert len(found.objects) == 1 and not found.skipped, found
    return found


def rings_of(found: Reading) -> list[list[np.ndarray]]:
    """The rings of each polygon, without closing points."""
    table = found.polygons
    rings = [table.points[a : b - 1] for a, b in zip(table.rings, table.rings[1:], strict=False)]
    return [rings[a:b] for a, b in zip(table.firsts, table.firsts[1:], strict=False)]


def test_a_ring_is_read_once_and_its_closing_point_dropped(citygml):
    path = citygml(building("<bldg:measuredHeight>12.5</bldg:measuredHeight>", lod1()))
    found = only(path)
    (entry,) = found.objects
    assert (entry.gml_id, entry.lod, entry.height) == ("b1", 1, 12.5)
    assert found.polygons.classes.tolist() == [Semantic.BUILDING]
    (rings,) = rings_of(found)
    assert (rings[0] == [(a, b, 10.0) for a, b in SQUARE]).all()
    assert len(read_tile(path).triangles) == 2


def test_holes_follow_the_exterior_and_stay_open(citygml):
    path = citygml(building(lod1(polygon(holes=(HOLE,)))))
    (rings,) = rings_of(only(path))
    assert [len(r) for r in rings] == [4, 3]
    assert (rings[1][:, :2] == HOLE).all()
    whole, holed = (read_tile(p).triangles for p in (citygml(building(lod1()), name="1_bldg_2.gml"), path))
    area = [np.linalg.norm(np.cross(t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]), axis=1).sum() / 2 for t in (whole, holed)]
    # The hole is 1/32 of the square: half of a quarter by a quarter of its sides.
    assert area[1] == pytest.approx(area[0] * (1 - 1 / 32), rel=1e-3)


def test_points_may_be_written_one_by_one(citygml):
    points = "".join(f"<gml:pos>{a} {b} 3</gml:pos>" for a, b in [*SQUARE, SQUARE[0]])
    member = f"<gml:Polygon><gml:exterior><gml:LinearRing>{points}</gml:LinearRing></gml:exterior></gml:Polygon>"
    assert len(rings_of(only(citygml(building(lod1(member)))))[0][0]) == 4


def test_a_surface_that_a_solid_links_to_is_read_once_with_its_kind(citygml):
    bounded = "".join(
        f"<bldg:boundedBy><bldg:{kind}><bldg:lod2MultiSurface>{surfaces(polygon(gml_id=name))}</bldg:lod2MultiSurface>"
        f"</bldg:{kind}></bldg:boundedBy>"
        for kind, name in (("RoofSurface", "roof"), ("GroundSurface", "ground"))
    )
    links = "".join(f'<gml:surfaceMember xlink:href="#{name}"/>' for name in ("roof", "ground"))
    composite = f"<gml:CompositeSurface>{links}</gml:CompositeSurface>"
    linked = f"<bldg:lod2Solid><gml:Solid><gml:exterior>{composite}</gml:exterior></gml:Solid></bldg:lod2Solid>"
    found = only(citygml(building(linked, bounded)))
    assert found.polygons.kinds.tolist() == [SurfaceType.ROOF, SurfaceType.FLOOR]


def test_polygons_in_the_solid_have_the_kind_of_the_surface_that_links_to_them(citygml):
    inline = f"<bldg:lod2Solid>{solid(polygon(gml_id='top'), polygon(gml_id='side'))}</bldg:lod2Solid>"
    link = '<gml:MultiSurface><gml:surfaceMember xlink:href="#top"/></gml:MultiSurface>'
    surface = f"<bldg:RoofSurface><bldg:lod2MultiSurface>{link}</bldg:lod2MultiSurface></bldg:RoofSurface>"
    found = only(citygml(building(inline, f"<bldg:boundedBy>{surface}</bldg:boundedBy>")))
    assert found.polygons.kinds.tolist() == [SurfaceType.ROOF, SurfaceType.PLAIN]


def test_the_best_level_of_detail_is_taken_and_no_other(citygml):
    lod2 = f"<bldg:lod2MultiSurface>{surfaces(polygon(z=22))}</bldg:lod2MultiSurface>"
    found = only(citygml(building(lod1(), lod2)))
    assert found.objects[0].lod == 2 and len(found.polygons) == 1
    assert (found.polygons.points[:, 2] == 22).all()


def part(*content: str, gml_id: str) -> str:
    body = f'<bldg:BuildingPart gml:id="{gml_id}">{"".join(content)}</bldg:BuildingPart>'
    return f"<bldg:consistsOfBuildingPart>{body}</bldg:consistsOfBuildingPart>"


def lod2(z: float) -> str:
    return f"<bldg:lod2MultiSurface>{surfaces(polygon(z=z))}</bldg:lod2MultiSurface>"


def test_each_part_of_a_building_is_taken_at_its_own_best_level(citygml):
    parts = part(lod1(polygon(z=1)), lod2(2), gml_id="fine") + part(lod1(polygon(z=3)), gml_id="coarse")
    found = read(citygml(building(parts)))
    assert [(o.gml_id, o.lod) for o in found.objects] == [("fine", 2), ("coarse", 1)]
    assert np.unique(found.polygons.points[:, 2]).tolist() == [2, 3]


def test_a_coarser_whole_over_finer_parts_is_not_read_as_well(citygml):
    found = read(citygml(building(lod1(polygon(z=9)), part(lod2(2), gml_id="a"), part(lod2(4), gml_id="b"))))
    assert [(o.gml_id, o.lod) for o in found.objects] == [("a", 2), ("b", 2)]


def test_a_whole_is_read_where_a_part_has_no_shape_or_as_the_main_body_beside_its_parts(citygml):
    found = read(citygml(building(lod1(polygon(z=9)), part(lod2(2), gml_id="a"), part(gml_id="b"))))
    assert [(o.gml_id, o.lod) for o in found.objects] == [("b1", 1)]
    found = read(citygml(building(lod2(9), part(lod1(polygon(z=2)), gml_id="annex"))))
    assert [(o.gml_id, o.lod) for o in found.objects] == [("b1", 2), ("annex", 1)]


HEIGHT = "<bldg:measuredHeight>{}</bldg:measuredHeight>"


@pytest.mark.parametrize("element, low, high", [("lod0RoofEdge", 6, 26), ("lod0FootPrint", 26, 46)])
def test_a_footprint_alone_is_raised_by_the_measured_height(citygml, element, low, high):
    lod0 = f"<bldg:{element}>{surfaces(polygon(z=26, holes=(HOLE,)))}</bldg:{element}>"
    tile = read_tile(citygml(building(HEIGHT.format(20), lod0)))
    assert tile.lods == {0: 1}
    heights = tile.triangles[:, :, 2] + tile.origin[2]
    assert (heights.min(), heights.max()) == (low, high)
    normals = np.cross(tile.triangles[:, 1] - tile.triangles[:, 0], tile.triangles[:, 2] - tile.triangles[:, 0])
    assert np.abs(normals.sum(axis=0)).max() < 1e-6  # a closed block, its hole included
    volume = np.einsum("ij,ij->i", tile.triangles[:, 0], np.cross(tile.triangles[:, 1], tile.triangles[:, 2])).sum() / 6
    floor = normals[normals[:, 2] > 0, 2].sum() / 2
    assert volume == pytest.approx(20 * floor, rel=1e-6) and volume > 0
    assert len(tile.prisms.sizes) > 2


def test_a_footprint_at_height_zero_stands_where_its_neighbour_does(citygml):
    lod0 = f"<bldg:lod0FootPrint>{surfaces(polygon(z=0))}</bldg:lod0FootPrint>"
    tile = read_tile(citygml(building(lod1(polygon(z=105))), building(HEIGHT.format(7), lod0, gml_id="flat")))
    heights = tile.triangles[tile.objects == 1][:, :, 2] + tile.origin[2]
    assert (heights.min(), heights.max()) == (105, 112)


@pytest.mark.parametrize("height", ["", HEIGHT.format(-9999), HEIGHT.format(0), HEIGHT.format("unknown")])
def test_a_footprint_without_a_height_is_skipped_and_said(citygml, height):
    lod0 = f"<bldg:lod0RoofEdge>{surfaces(polygon())}</bldg:lod0RoofEdge>"
    (skipped,) = read(citygml(building(height, lod0))).skipped
    assert skipped.gml_id == "b1" and "measuredHeight" in skipped.reason


URO = ("1.4", "1.5", "2.0", "3.0", "3.1")


@pytest.mark.parametrize("version", URO)
def test_every_version_of_uro_is_read_and_its_height_stands_in(citygml, version):
    details = "BuildingDetails" if version < "2" else "BuildingDetailAttribute"
    uro = f"<uro:d><uro:{details}><uro:buildingHeight>31.5</uro:buildingHeight></uro:{details}></uro:d>"
    path = citygml(building(HEIGHT.format(-9999), uro, lod1()))
    kantei = "http://www.kantei.go.jp/jp/singi/tiiki/toshisaisei/itoshisaisei"
    authority = kantei if version < "2" else "https://www.geospatial.jp"
    path.write_text(
        path.read_text().replace("<core:CityModel", f'<core:CityModel xmlns:uro="{authority}/iur/uro/{version}"')
    )
    found = only(path)
    assert found.spec == version and found.objects[0].height == 31.5


@pytest.mark.parametrize("text", ["-9999", "-9999.0", "", "0"])
def test_an_unknown_height_is_none(citygml, text):
    assert only(citygml(building(HEIGHT.format(text), lod1()))).objects[0].height is None


AREAS = [
    ("TrafficArea", "1000", Semantic.ROAD), ("TrafficArea", "1020", Semantic.ROAD), ("TrafficArea", "", Semantic.ROAD),
    ("TrafficArea", "2000", Semantic.SIDEWALK), ("TrafficArea", "2020", Semantic.SIDEWALK),
    ("AuxiliaryTrafficArea", "1100", Semantic.ROAD), ("AuxiliaryTrafficArea", "1080", Semantic.SIDEWALK),
    ("AuxiliaryTrafficArea", "3000", Semantic.SIDEWALK), ("AuxiliaryTrafficArea", "3020", Semantic.SIDEWALK),
    ("AuxiliaryTrafficArea", "5010", Semantic.VEGETATION), ("TrafficArea", "7000", Semantic.ROAD),
]  # fmt: skip


@pytest.mark.parametrize("lod", [2, 3])
@pytest.mark.parametrize("element, code, semantic", AREAS)
def test_traffic_areas_are_carriageway_pavement_or_planting_by_their_code(citygml, element, code, semantic, lod):
    shape = f"<tran:lod{lod}MultiSurface>{surfaces(polygon())}</tran:lod{lod}MultiSurface>"
    area = f"<tran:{element}><tran:function>{code}</tran:function>{shape}</tran:{element}>"
    whole = f"<tran:lod1MultiSurface>{surfaces(polygon(), polygon())}</tran:lod1MultiSurface>"
    road = f'<tran:Road gml:id="r"><tran:trafficArea>{area}</tran:trafficArea>{whole}</tran:Road>'
    found = only(citygml(road, name="1_tran_2.gml"))
    assert found.objects[0].lod == lod and found.polygons.classes.tolist() == [semantic]


OTHERS = {
    "brid:Bridge": ("brid:lod1Solid", Semantic.BRIDGE),
    "frn:CityFurniture": ("frn:lod2Geometry", Semantic.FURNITURE),
    "wtr:WaterBody": ("wtr:lod1MultiSurface", Semantic.WATER),
    "veg:PlantCover": ("veg:lod1MultiSolid", Semantic.VEGETATION),
    "veg:SolitaryVegetationObject": ("veg:lod3Geometry", Semantic.VEGETATION),
    "tran:Square": ("tran:lod1MultiSurface", Semantic.SIDEWALK),
    "tran:Track": ("tran:lod1MultiSurface", Semantic.SIDEWALK),
}


@pytest.mark.parametrize("name", OTHERS)
def test_bridges_furniture_water_and_plants_have_their_class(citygml, name):
    element, semantic = OTHERS[name]
    shape = f"<{element}>{surfaces(polygon())}</{element}>"
    path = citygml(f'<{name} gml:id="x">{shape}</{name}>', name="1_brid_2.gml")
    tile = read_tile(path)
    assert tile.city_objects[0].gml_id == "x" and set(tile.classes) == {semantic}


def test_the_parts_and_surfaces_of_a_bridge_are_read_and_the_bottom_of_a_river_is_not(citygml):
    deck = nested(surfaces(polygon(z=8)), "brid:boundedBy", "brid:RoofSurface", "brid:lod2MultiSurface")
    construction = ("brid:outerBridgeConstruction", "brid:BridgeConstructionElement", "brid:lod2Geometry")
    piers = nested(surfaces(polygon(z=1)), *construction)
    bridge_part = f'<brid:BridgePart gml:id="p">{deck}</brid:BridgePart>'
    bridge = f'<brid:Bridge gml:id="b">{piers}{nested(bridge_part, "brid:consistsOfBridgePart")}</brid:Bridge>'
    water = "".join(
        nested(surfaces(polygon(z=z)), "wtr:boundedBy", f"wtr:{kind}", "wtr:lod2Surface")
        for kind, z in (("WaterSurface", 3), ("WaterGroundSurface", -2), ("WaterClosureSurface", 0))
    )
    found = read(citygml(bridge, f'<wtr:WaterBody gml:id="w">{water}</wtr:WaterBody>', name="1_brid_2.gml"))
    assert [o.gml_id for o in found.objects] == ["b", "p", "w"]
    assert found.polygons.points[::5, 2].tolist() == [1, 8, 3]


def test_an_implicit_tree_stands_at_its_place_turned_and_scaled(citygml):
    shape = polygon(points=((0, 0), (2, 0), (2, 1)), z=0, gml_id="tree")
    place = "<core:referencePoint><gml:Point><gml:pos>35.68 139.76 12</gml:pos></gml:Point></core:referencePoint>"
    matrix = "0 -3 0 0 3 0 0 0 0 0 3 5 0 0 0 1"  # a quarter turn to the left, three times as large, five metres up

    def tree(geometry: str, gml_id: str) -> str:
        body = f"<core:transformationMatrix>{matrix}</core:transformationMatrix>{geometry}{place}"
        implicit = f"<core:ImplicitGeometry>{body}</core:ImplicitGeometry>"
        representation = f"<veg:lod2ImplicitRepresentation>{implicit}</veg:lod2ImplicitRepresentation>"
        return f'<veg:SolitaryVegetationObject gml:id="{gml_id}">{representation}</veg:SolitaryVegetationObject>'

    full = f"<core:relativeGMLGeometry>{surfaces(shape)}</core:relativeGMLGeometry>"
    linked = '<core:relativeGMLGeometry xlink:href="#tree"/>'
    tile = read_tile(citygml(tree(full, "a"), tree(linked, "b"), name="1_veg_2.gml"))
    assert len(tile.city_objects) == 2
    for number in (0, 1):
        corners = tile.triangles[tile.objects == number].reshape(-1, 3)
        corners = corners - corners[0]
        assert np.abs(corners - [(0, 0, 0), (0, 6, 0), (-3, 6, 0)]).max() < 0.01 or np.ptp(
            corners, axis=0
        ) == pytest.approx([3, 6, 0], abs=0.01)
    assert tile.triangles[:, :, 2] + tile.origin[2] == pytest.approx(17, abs=1e-6)


BROKEN_RINGS = {
    "not a number": polygon().replace("35.68 ", "north ", 1),
    "finite": polygon().replace("35.68 ", "NaN ", 1),
    "inf is not finite|finite": polygon().replace("35.68 ", "inf ", 1),
    "3D points": polygon().replace(" 10.0<", "<"),
    "no area": polygon(points=SQUARE[:2]),
    "no area|flat": polygon(points=(SQUARE[0], SQUARE[1], SQUARE[1], SQUARE[0])),
    "no geometry": "<gml:Polygon/>",
    "a polygon has no ring": "<gml:Polygon><gml:exterior/></gml:Polygon>",
}


@pytest.mark.parametrize("reason", BROKEN_RINGS)
def test_an_object_with_broken_coordinates_is_skipped_and_the_next_one_read(citygml, reason):
    path = citygml(building(lod1(BROKEN_RINGS[reason])), building(lod1(), gml_id="b2"))
    tile = read_tile(path)
    (broken,) = tile.skipped
    assert broken.gml_id == "b1" and any(part in broken.reason for part in reason.split("|"))
    assert [entry.gml_id for entry in tile.city_objects] == ["b2"]


def test_broken_triangles_of_a_relief_are_left_out_and_the_rest_is_read(citygml):
    good = "35.68 139.76 1 35.68 139.761 1 35.681 139.761 2 35.68 139.76 1"
    triangles = "".join(
        f"<gml:Triangle><gml:exterior><gml:LinearRing><gml:posList>{text}</gml:posList></gml:LinearRing></gml:exterior></gml:Triangle>"
        for text in (good, good.replace("35.681", "NaN"), good)
    )
    tin = f"<gml:TriangulatedSurface><gml:trianglePatches>{triangles}</gml:trianglePatches></gml:TriangulatedSurface>"
    relief = f"<dem:reliefComponent><dem:TINRelief><dem:tin>{tin}</dem:tin></dem:TINRelief></dem:reliefComponent>"
    tile = read_tile(citygml(f'<dem:ReliefFeature gml:id="r">{relief}</dem:ReliefFeature>', name="533946_dem_6697.gml"))
    assert len(tile.triangles) == 2 and "finite" in tile.skipped[0].reason


def test_truncated_xml_is_a_problem_with_its_line(citygml):
    path = citygml(building(lod1()), building(lod1(), gml_id="b2"))
    path.write_text(path.read_text()[:-220])
    with pytest.raises(ImportProblem, match=rf"{path.name}, line \d+"):
        read_tile(path)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"not xml", b"\x00\x01\x02", b"\x89PNG\r\n\x1a\n"])
def test_what_is_not_xml_is_a_problem_that_names_the_file(citygml, content):
    path = citygml()
    path.write_bytes(content)
    with pytest.raises(ImportProblem, match=path.name):
        read_tile(path)


def test_a_city_without_members_is_a_problem_that_names_the_file(citygml):
    path = citygml()
    with pytest.raises(ImportProblem, match=f"{path.name}: no city object"):
        read_tile(path)


def test_a_missing_file_is_a_problem_that_names_it(tmp_path):
    with pytest.raises(ImportProblem, match=r"away\.gml"):
        read_tile(tmp_path / "away.gml")


SWAPPED = tuple((b, a) for a, b in SQUARE)


def test_longitude_before_latitude_is_a_problem_that_says_so(citygml):
    path = citygml(building(lod1(polygon(points=SWAPPED))))
    with pytest.raises(ImportProblem, match="latitude first"):
        read_tile(path)


def test_a_later_object_with_swapped_axes_does_not_stop_the_import(citygml):
    path = citygml(building(lod1()), building(lod1(polygon(points=SWAPPED)), gml_id="b2"))
    try:
        tile = read_tile(path)
    except ImportProblem:
        return
    assert [skip.gml_id for skip in tile.skipped] == ["b2"]


def with_doctype(path, entities: str) -> None:
    head, _, rest = path.read_text().partition("?>")
    path.write_text(f"{head}?><!DOCTYPE core:CityModel [{entities}]>{rest}")


BOMB = '<!ENTITY e0 "35.68 139.76 1 ">' + "".join(f'<!ENTITY e{k} "{f"&e{k - 1};" * 10}">' for k in range(1, 10))
READ_WITH_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from tokyo_city.plateau.model import ImportProblem
from tokyo_city.plateau.sources import TileSource
from tokyo_city.plateau.tile import read_tile
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (400 << 20),) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
try:
    print("read", len(read_tile(TileSource(Path(sys.argv[1]), "bldg")).triangles))
except ImportProblem as problem: print(problem)
"""


@pytest.mark.parametrize("where", ["text", "attribute"])
def test_an_entity_bomb_is_not_expanded(citygml, where):
    if where == "text":
        path = citygml(building(lod1(polygon().replace("35.68 ", "&e9; ", 1))))
    else:
        path = citygml(building(lod1(), gml_id="&e9;"))
    with_doctype(path, BOMB)
    done = subprocess.run(
        [sys.executable, "-c", READ_WITH_LITTLE_MEMORY, str(path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert path.name in done.stdout


def test_external_entities_are_neither_read_nor_fetched(citygml, tmp_path):
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    secret = tmp_path / "secret.txt"
    secret.write_text("35.68 139.76 777 ")
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        entities = f'<!ENTITY file SYSTEM "{secret.as_uri()}"><!ENTITY net SYSTEM "{url}/x">'
        entities += f'<!ENTITY % dtd SYSTEM "{url}/dtd">%dtd;'
        path = citygml(
            building(lod1(polygon().replace("35.68 ", "&file; 35.68 ", 1))),
            building(lod1(polygon().replace("35.68 ", "&net; 35.68 ", 1)), gml_id="b2"),
        )
        with_doctype(path, entities)
        try:
            heights = read(path).polygons.points[:, 2]
        except ImportProblem:
            heights = np.zeros(0)
        server.shutdown()
    assert not asked
    assert 777 not in heights


REAL = {
    "haneda/udx/bldg/53392642_bldg_6697_op2.gml": (Semantic.BUILDING, 8, {2}),
    "haneda/udx/tran/533925_tran_6697_op.gml": (Semantic.ROAD, 9, {1}),
    "yokosuka/udx/bldg/52397519_bldg_6697_op.gml": (Semantic.BUILDING, 14, {1, 2}),
    "yokosuka/udx/dem/523965_dem_6697_05_op.gml": (Semantic.TERRAIN, None, None),
    "sapporo/udx/bldg/64413325_bldg_6697_op.gml": (Semantic.BUILDING, 25, {1}),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files_are_read_whole(plateau_data, name):
    semantic, count, lods = REAL[name]
    path = plateau_data / name
    if not path.is_file():
        pytest.skip(f"{name} is not in {plateau_data}")
    tile = read_tile(path)
    assert not tile.skipped and not tile.mended
    assert set(tile.classes) == {semantic}
    triangles = tile.triangles
    assert np.isfinite(triangles).all() and np.ptp(triangles[:, :, :2], axis=(0, 1)).max() < 15_000
    if count:
        assert len(tile.city_objects) == count and set(tile.lods) == lods
    else:
        assert len(triangles) == 1063  # of 1,066, three have corners less than a millimetre apart
    if semantic is Semantic.BUILDING:
        assert len(tile.prisms.sizes) >= len(tile.city_objects)
