"""Reading CityGML: holes, links, levels of detail, and files that are broken or hostile."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading

import numpy as np
import pytest

from occ_core.classes import Semantic
from tokyo_sim.plateau.citygml import read_city_objects
from tokyo_sim.plateau.model import CityObject, ImportProblem, Skipped
from tokyo_sim.plateau.tile import read_tile

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


def building(*content: str, gml_id: str = "b1") -> str:
    return f'<bldg:Building gml:id="{gml_id}">{"".join(content)}</bldg:Building>'


def lod1(*polygons: str) -> str:
    return f"<bldg:lod1Solid>{solid(*(polygons or (polygon(),)))}</bldg:lod1Solid>"


def only(path) -> CityObject:
    (found,) = read_city_objects(path)
    assert isinstance(found, CityObject), found
    return found


def test_a_ring_is_read_once_and_its_closing_point_dropped(citygml):
    found = only(citygml(building("<bldg:measuredHeight>12.5</bldg:measuredHeight>", lod1())))
    assert (found.gml_id, found.lod, found.measured_height) == ("b1", 1, 12.5)
    (surface,) = found.surfaces
    assert surface.semantic is Semantic.BUILDING
    assert (surface.rings[0] == [(a, b, 10.0) for a, b in SQUARE]).all()


def test_holes_follow_the_exterior_and_stay_open(citygml):
    path = citygml(building(lod1(polygon(holes=(HOLE,)))))
    (surface,) = only(path).surfaces
    assert [len(r) for r in surface.rings] == [4, 3]
    assert (surface.rings[1][:, :2] == HOLE).all()
    whole, holed = (
        read_tile(p).visual[Semantic.BUILDING] for p in (citygml(building(lod1()), name="1_bldg_2.gml"), path)
    )
    area = [np.linalg.norm(np.cross(t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]), axis=1).sum() / 2 for t in (whole, holed)]
    # The hole is 1/32 of the square: half of a quarter by a quarter of its sides.
    assert area[1] == pytest.approx(area[0] * (1 - 1 / 32), rel=1e-3)


def test_points_may_be_written_one_by_one(citygml):
    points = "".join(f"<gml:pos>{a} {b} 3</gml:pos>" for a, b in [*SQUARE, SQUARE[0]])
    member = f"<gml:Polygon><gml:exterior><gml:LinearRing>{points}</gml:LinearRing></gml:exterior></gml:Polygon>"
    assert len(only(citygml(building(lod1(member)))).surfaces[0].rings[0]) == 4


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
    assert [surface.kind for surface in found.surfaces] == ["RoofSurface", "GroundSurface"]


def test_the_best_level_of_detail_is_taken_and_no_other(citygml):
    lod2 = f"<bldg:lod2MultiSurface>{surfaces(polygon(z=22))}</bldg:lod2MultiSurface>"
    found = only(citygml(building(lod1(), lod2)))
    assert found.lod == 2 and len(found.surfaces) == 1
    assert (found.surfaces[0].rings[0][:, 2] == 22).all()


def test_a_footprint_alone_is_skipped_and_said(citygml):
    lod0 = f"<bldg:lod0RoofEdge>{surfaces(polygon())}</bldg:lod0RoofEdge>"
    (skipped,) = read_city_objects(citygml(building(lod0)))
    assert isinstance(skipped, Skipped) and "LOD1" in skipped.reason


@pytest.mark.parametrize("text", ["-9999", "-9999.0", "", "0"])
def test_an_unknown_height_is_none(citygml, text):
    assert only(citygml(building(f"<bldg:measuredHeight>{text}</bldg:measuredHeight>", lod1()))).measured_height is None


@pytest.mark.parametrize("code, semantic", [("1000", Semantic.ROAD), ("2000", Semantic.SIDEWALK), ("", Semantic.ROAD)])
def test_traffic_areas_are_carriageway_or_sidewalk_by_their_code(citygml, code, semantic):
    area = f"<tran:function>{code}</tran:function><tran:lod2MultiSurface>{surfaces(polygon())}</tran:lod2MultiSurface>"
    part = f"<tran:trafficArea><tran:TrafficArea>{area}</tran:TrafficArea></tran:trafficArea>"
    road = f'<tran:Road gml:id="r">{part}</tran:Road>'
    assert only(citygml(road, name="1_tran_2.gml")).surfaces[0].semantic is semantic


BROKEN_RINGS = {
    "not a number": polygon().replace("35.68 ", "north ", 1),
    "finite": polygon().replace("35.68 ", "NaN ", 1),
    "inf is not finite|finite": polygon().replace("35.68 ", "inf ", 1),
    "3D points": polygon().replace(" 10.0<", "<"),
    "needs 3": polygon(points=SQUARE[:2]),
    "no ring": "<gml:Polygon/>",
}


@pytest.mark.parametrize("reason", BROKEN_RINGS)
def test_an_object_with_broken_coordinates_is_skipped_and_the_next_one_read(citygml, reason):
    broken, good = read_city_objects(citygml(building(lod1(BROKEN_RINGS[reason])), building(lod1(), gml_id="b2")))
    assert isinstance(broken, Skipped) and broken.gml_id == "b1"
    assert any(part in broken.reason for part in reason.split("|"))
    assert isinstance(good, CityObject) and good.gml_id == "b2"


def test_truncated_xml_is_a_problem_with_its_line_and_what_came_before_is_read(citygml):
    path = citygml(building(lod1()), building(lod1(), gml_id="b2"))
    path.write_text(path.read_text()[:-220])
    objects = read_city_objects(path)
    assert next(objects).gml_id == "b1"
    with pytest.raises(ImportProblem, match=rf"{path.name}, line \d+"):
        list(objects)


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
from tokyo_sim.plateau.citygml import read_city_objects
from tokyo_sim.plateau.model import ImportProblem
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (400 << 20),) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
try:
    for found in read_city_objects(Path(sys.argv[1])): print(type(found).__name__)
except ImportProblem: print("ImportProblem")
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
    assert done.stdout.split()[-1] in ("Skipped", "ImportProblem")


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
            found = list(read_city_objects(path))
        except ImportProblem:
            found = []
        server.shutdown()
    assert not asked
    heights = [r[:, 2].max() for o in found if isinstance(o, CityObject) for s in o.surfaces for r in s.rings]
    assert 777 not in heights


REAL = {
    "haneda/udx/bldg/53392642_bldg_6697_op2.gml": (Semantic.BUILDING, 8, {2}),
    "haneda/udx/tran/533925_tran_6697_op.gml": (Semantic.ROAD, 9, {1}),
    "yokosuka/udx/bldg/52397519_bldg_6697_op.gml": (Semantic.BUILDING, 13, {1, 2}),
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
    assert not tile.skipped
    assert set(tile.visual) == {semantic}
    triangles = tile.visual[semantic]
    assert np.isfinite(triangles).all() and np.ptp(triangles[:, :, :2], axis=(0, 1)).max() < 15_000
    if count:
        assert tile.objects == count and set(tile.lods) == lods
    else:
        assert len(triangles) == 1066
    if semantic is Semantic.BUILDING:
        assert len(tile.prisms) >= tile.objects
