"""Each piece of an object at its best level of detail; a broken polygon costs itself and nothing more."""

from __future__ import annotations

import re

import numpy as np
import pytest
import shapely
from gml_samples import building as box
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from occ_core.classes import Semantic
from tokyo_city.plateau.projection import to_degrees
from tokyo_city.plateau.sources import TileSource
from tokyo_city.plateau.tile import Tile, read_tile


def read(path) -> Tile:
    return read_tile(TileSource(path, path.parent.name))


def polygon(points, gml_id: str = "", holes=()) -> str:
    """points: (n, 3) metres about Tokyo station; holes: more rings."""

    def ring(points) -> str:
        places = to_degrees(np.array([*points, points[0]], dtype=float) + [-6000.0, -35000, 0], 6677)
        text = " ".join(f"{value:.12f}" for value in places.ravel())
        return f"<gml:LinearRing><gml:posList>{text}</gml:posList></gml:LinearRing>"

    name = f' gml:id="{gml_id}"' if gml_id else ""
    inner = "".join(f"<gml:interior>{ring(hole)}</gml:interior>" for hole in holes)
    return f"<gml:Polygon{name}><gml:exterior>{ring(points)}</gml:exterior>{inner}</gml:Polygon>"


def sheet(x0: float, x1: float, y0: float = 0, y1: float = 10, z: float = 5.0) -> str:
    return polygon([(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)])


def shape(element: str, *polygons: str) -> str:
    members = "".join(f"<gml:surfaceMember>{each}</gml:surfaceMember>" for each in polygons)
    return f"<{element}><gml:MultiSurface>{members}</gml:MultiSurface></{element}>"


def traffic_area(function: str, *shapes: str) -> str:
    inside = f"<tran:function>{function}</tran:function>{''.join(shapes)}"
    return f"<tran:trafficArea><tran:TrafficArea>{inside}</tran:TrafficArea></tran:trafficArea>"


def road(*content: str, name: str = "Road") -> str:
    return f'<tran:{name} gml:id="r">{"".join(content)}</tran:{name}>'


def area_of(tile: Tile, semantic: Semantic | None = None, z: float | None = None) -> float:
    chosen = np.ones(len(tile.triangles), bool) if semantic is None else tile.classes == semantic
    if z is not None:
        chosen &= np.abs(tile.triangles[:, :, 2].mean(axis=1) + tile.origin[2] - z) < 0.01
    a, b, c = np.moveaxis(tile.triangles[chosen], 1, 0)
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


@pytest.mark.parametrize("name", ["Road", "Square", "Track"])
def test_every_traffic_area_is_read_at_its_own_level(citygml, name):
    carriageway = traffic_area("1000", shape("tran:lod2MultiSurface", sheet(0, 30)))
    both = shape("tran:lod2MultiSurface", sheet(30, 40)) + shape("tran:lod3MultiSurface", sheet(30, 40, z=5.15))
    tile = read(citygml(road(carriageway, traffic_area("2000", both), name=name), name="1_tran_2.gml"))
    assert area_of(tile, Semantic.ROAD) == pytest.approx(300, rel=1e-3)
    assert area_of(tile, Semantic.SIDEWALK) == pytest.approx(100, rel=1e-3)
    assert area_of(tile, Semantic.SIDEWALK, z=5.15) == pytest.approx(100, rel=1e-3)
    assert tile.lods == {3: 1} and not tile.skipped


def test_of_a_coarser_area_stays_what_no_finer_one_covers(citygml):
    whole = shape("tran:lod1MultiSurface", sheet(0, 50, z=0))
    tile = read(
        citygml(road(traffic_area("2000", shape("tran:lod3MultiSurface", sheet(0, 20))), whole), name="1_tran_2.gml")
    )
    assert area_of(tile, Semantic.SIDEWALK, z=5) == pytest.approx(200, rel=1e-3)
    assert area_of(tile, Semantic.ROAD, z=0) == pytest.approx(300, rel=1e-3)
    assert ((tile.levels == 3) == (tile.classes == Semantic.SIDEWALK)).all() and tile.levels.min() == 1


def test_a_coarser_outline_that_is_a_little_larger_leaves_no_slivers(citygml):
    whole = shape("tran:lod1MultiSurface", sheet(-0.2, 50.2, -0.2, 10.2, z=0))
    areas = traffic_area("1000", shape("tran:lod3MultiSurface", sheet(0, 50)))
    tile = read(citygml(road(areas, whole), name="1_tran_2.gml"))
    assert area_of(tile) == pytest.approx(500, rel=1e-3)


def test_an_area_says_what_it_is_before_the_whole_at_the_same_level(citygml):
    whole = shape("tran:lod2MultiSurface", sheet(0, 50))
    areas = traffic_area("2000", shape("tran:lod2MultiSurface", sheet(0, 20)))
    tile = read(citygml(road(whole, areas), name="1_tran_2.gml"))
    assert (area_of(tile, Semantic.SIDEWALK), area_of(tile, Semantic.ROAD)) == pytest.approx((200, 300), rel=1e-3)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_levels_together_cover_what_each_of_them_covers_and_nothing_twice(citygml, seed):
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 8, (4, 2)) * 10.0
    sizes = rng.integers(1, 5, (4, 2)) * 10.0
    boxes = [(x, x + w, y, y + h) for (x, y), (w, h) in zip(corners, sizes, strict=True)]
    pieces = [
        traffic_area("1000", shape(f"tran:lod{lod}MultiSurface", sheet(*edges)))
        for lod, edges in zip((1, 2, 3), boxes[:3], strict=True)
    ]
    whole = shape("tran:lod1MultiSurface", sheet(*boxes[3]))
    tile = read(citygml(road(*pieces, whole), name="1_tran_2.gml"))
    union = shapely.union_all([shapely.box(x0, y0, x1, y1) for x0, x1, y0, y1 in boxes])
    # Of one level, pieces are the file's own business.
    assert area_of(tile) == pytest.approx(union.area, rel=2e-3)


def test_an_installation_is_read_at_its_level_beside_the_hull_at_its_own(citygml):
    installation = shape("bldg:lod3Geometry", sheet(0, 2, z=20))
    inner = f"<bldg:BuildingInstallation>{installation}</bldg:BuildingInstallation>"
    installed = f"<bldg:outerBuildingInstallation>{inner}</bldg:outerBuildingInstallation>"
    text = box((0, 0, 0), (20, 10, 30)).replace("</bldg:Building>", f"{installed}</bldg:Building>")
    tile = read(citygml(text))
    assert len(tile.city_objects) == 1 and len(tile.triangles) == 12 + 2
    assert area_of(tile, z=20) == pytest.approx(20, rel=1e-3)


def test_an_installation_that_has_lod4_alone_is_read_beside_a_coarser_hull(citygml):
    installation = shape("bldg:lod4Geometry", sheet(0, 2, z=20))
    inner = f"<bldg:BuildingInstallation>{installation}</bldg:BuildingInstallation>"
    installed = f"<bldg:outerBuildingInstallation>{inner}</bldg:outerBuildingInstallation>"
    text = box((0, 0, 0), (20, 10, 30)).replace("</bldg:Building>", f"{installed}</bldg:Building>")
    assert area_of(read(citygml(text)), z=20) == pytest.approx(20, rel=1e-3)


def bounded(kind: str, lod: int, *polygons: str) -> str:
    return (
        f"<bldg:boundedBy><bldg:{kind}>{shape(f'bldg:lod{lod}MultiSurface', *polygons)}</bldg:{kind}></bldg:boundedBy>"
    )


def test_sides_that_a_building_has_only_at_a_coarser_level_are_taken_from_there(citygml):
    fine = bounded("RoofSurface", 3, sheet(0, 10, z=20))
    coarse = bounded("RoofSurface", 2, sheet(0, 10, z=19)) + bounded("GroundSurface", 2, sheet(0, 10, z=1))
    tile = read(citygml(f'<bldg:Building gml:id="b">{fine}{coarse}</bldg:Building>'))
    assert [area_of(tile, z=z) for z in (20, 19, 1)] == pytest.approx([100, 0, 100], rel=1e-3)


def test_lod4_is_read_only_where_there_is_nothing_else(citygml):
    alone = f'<bldg:Building gml:id="a">{bounded("RoofSurface", 4, sheet(0, 10, z=9))}</bldg:Building>'
    inside = shape("bldg:lod4MultiSurface", sheet(0, 99, z=2))
    room = f"<bldg:interiorRoom><bldg:Room>{inside}</bldg:Room></bldg:interiorRoom>"
    roofs = "".join(bounded("RoofSurface", lod, sheet(20, 30, z=z)) for lod, z in ((4, 9), (2, 8)))
    both = f'<bldg:Building gml:id="b">{roofs}{room}</bldg:Building>'
    tile = read(citygml(alone, both))
    assert tile.lods == {2: 1, 4: 1}
    assert [area_of(tile, z=z) for z in (9, 8, 2)] == pytest.approx([100, 100, 0], rel=1e-3)


def test_a_solid_and_its_surfaces_both_in_full_are_read_once(citygml):
    faces = box((0, 0, 0), (20, 10, 30)).replace("lod1Solid", "lod2Solid")
    members = [part.partition("</gml:surfaceMember>")[0] for part in faces.split("<gml:surfaceMember>")[1:]]
    surfaces = bounded("RoofSurface", 2, *members[:2]) + bounded("WallSurface", 2, *members[2:])
    tile = read(citygml(faces.replace("</bldg:Building>", f"{surfaces}</bldg:Building>")))
    assert len(tile.triangles) == 12 and area_of(tile) == pytest.approx(2 * (200 + 300 + 600), rel=1e-3)


def test_surfaces_that_cut_a_solid_up_in_another_way_are_not_read_beside_it(citygml):
    solid = shape("bldg:lod2MultiSurface", sheet(0, 20))
    halves = bounded("RoofSurface", 2, sheet(0, 10), sheet(10, 20))
    tile = read(citygml(f'<bldg:Building gml:id="b">{solid}{halves}</bldg:Building>'))
    assert area_of(tile) == pytest.approx(200, rel=1e-3)


GOOD = polygon([(0, 0, 5), (9, 0, 5), (9, 9, 5)])
BROKEN = {
    "five numbers": re.sub(r"<gml:posList>.*</gml:posList>", "<gml:posList>35 139 5 35 139</gml:posList>", GOOD),
    "NaN": GOOD.replace("<gml:posList>35", "<gml:posList>NaN", 1),
    "word": GOOD.replace("<gml:posList>35", "<gml:posList>north", 1),
    "no ring": "<gml:Polygon><gml:exterior/></gml:Polygon>",
    "empty ring": "<gml:Polygon><gml:exterior><gml:LinearRing/></gml:exterior></gml:Polygon>",
    "abroad": GOOD.replace("<gml:posList>35", "<gml:posList>5", 1),
    "-9999": polygon([(0, 0, -9999), (9, 0, 5), (9, 9, 5)]),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_polygon_beside_a_closed_hull_is_left_out_and_said(citygml, fault):
    text = box((0, 0, 0), (20, 10, 30))
    path = citygml(
        text.replace(
            "</gml:CompositeSurface>", f"<gml:surfaceMember>{BROKEN[fault]}</gml:surfaceMember></gml:CompositeSurface>"
        )
    )
    tile = read(path)
    assert len(tile.triangles) == 12 and not tile.skipped
    (problem,) = tile.problems
    assert problem.startswith("b: 1 of 13 polygons at LOD1 broken, left out (")


@pytest.mark.parametrize("fault", BROKEN)
def test_a_level_with_a_hole_in_it_gives_way_to_a_whole_one_below_it(citygml, fault):
    fine = bounded("RoofSurface", 2, sheet(0, 20, z=31)) + bounded("WallSurface", 2, BROKEN[fault])
    path = citygml(box((0, 0, 0), (20, 10, 30)).replace("</bldg:Building>", f"{fine}</bldg:Building>"))
    tile = read(path)
    assert tile.lods == {1: 1} and len(tile.triangles) == 12
    assert any("1 of 2 polygons at LOD2 broken, LOD1 taken instead" in problem for problem in tile.problems)


@pytest.mark.parametrize("fault", BROKEN)
def test_without_a_level_below_it_what_is_left_is_taken(citygml, fault):
    fine = bounded("RoofSurface", 2, sheet(0, 20, z=31)) + bounded("WallSurface", 2, BROKEN[fault])
    tile = read(citygml(f'<bldg:Building gml:id="b">{fine}</bldg:Building>'))
    assert tile.lods == {2: 1} and area_of(tile) == pytest.approx(200, rel=1e-3) and len(tile.problems) == 1


def test_a_broken_hole_is_no_hole(citygml):
    holed = polygon([(0, 0, 5), (20, 0, 5), (20, 10, 5), (0, 10, 5)], holes=[[(2, 2, 5), (4, 2, 5), (4, 4, 5)]])
    at = holed.index("<gml:interior>")
    text = holed[:at] + holed[at:].replace("<gml:posList>35", "<gml:posList>NaN")
    tile = read(citygml(f'<bldg:Building gml:id="b">{shape("bldg:lod1MultiSurface", text)}</bldg:Building>'))
    assert area_of(tile) == pytest.approx(200, rel=1e-3) and len(tile.problems) == 1


def test_an_area_at_an_unknown_height_has_none(citygml):
    tile = read(citygml(road(shape("tran:lod1MultiSurface", sheet(0, 20, z=-9999))), name="1_tran_2.gml"))
    assert not tile.problems and area_of(tile, z=0) == pytest.approx(200, rel=1e-3)


@pytest.mark.parametrize("element", ["lod0RoofEdge", "lod0FootPrint"])
def test_a_footprint_at_an_unknown_height_stands_where_its_neighbour_does(citygml, element):
    flat = shape(f"bldg:{element}", sheet(40, 60, z=-9999))
    height = "<bldg:measuredHeight>9</bldg:measuredHeight>"
    tile = read(citygml(box((0, 0, 4), (20, 10, 30)), f'<bldg:Building gml:id="f">{height}{flat}</bldg:Building>'))
    raised = tile.triangles[tile.objects == 1][:, :, 2] + tile.origin[2]
    assert (raised.min(), raised.max()) == pytest.approx((7, 16))


BOW_TIES = {
    "level": [(0, 0, 5), (10, 10, 5), (0, 10, 5), (10, 0, 5)],
    "upright": [(0, 0, 5), (10, 0, 15), (0, 0, 15), (10, 0, 5)],
    "sloping": [(0, 0, 5), (10, 10, 15), (0, 10, 15), (10, 0, 5)],
    "with a point more": [(0, 0, 5), (10, 10, 5), (5, 10, 5), (0, 10, 5), (10, 0, 5)],
}
TIED = {"level": 50, "upright": 50, "sloping": 50 * 2**0.5, "with a point more": 50}


@pytest.mark.parametrize("name", BOW_TIES)
def test_a_bow_tie_of_equal_halves_has_area(citygml, name):
    tile = read(
        citygml(f'<bldg:Building gml:id="b">{shape("bldg:lod2MultiSurface", polygon(BOW_TIES[name]))}</bldg:Building>')
    )
    assert area_of(tile) == pytest.approx(TIED[name], rel=1e-3) and tile.mended == 1
