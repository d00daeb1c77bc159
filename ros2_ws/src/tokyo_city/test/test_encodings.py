"""CityGML 3.0 is read as CityGML 2.0 is: the same model in another encoding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gml_samples import CORNERS, METRES, WALL, picture

from occ_core.classes import Semantic
from tokyo_city.plateau.projection import to_degrees
from tokyo_city.plateau.sources import TileSource
from tokyo_city.plateau.tile import Tile, read_tile

HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<core:CityModel xmlns:core="http://www.opengis.net/citygml/3.0" xmlns:gml="http://www.opengis.net/gml/3.2"
 xmlns:con="http://www.opengis.net/citygml/construction/3.0" xmlns:bldg="http://www.opengis.net/citygml/building/3.0"
 xmlns:tran="http://www.opengis.net/citygml/transportation/3.0" xmlns:brid="http://www.opengis.net/citygml/bridge/3.0"
 xmlns:tun="http://www.opengis.net/citygml/tunnel/3.0" xmlns:veg="http://www.opengis.net/citygml/vegetation/3.0"
 xmlns:wtr="http://www.opengis.net/citygml/waterbody/3.0" xmlns:gen="http://www.opengis.net/citygml/generics/3.0"
 xmlns:frn="http://www.opengis.net/citygml/cityfurniture/3.0" xmlns:dem="http://www.opengis.net/citygml/relief/3.0"
 xmlns:app="http://www.opengis.net/citygml/appearance/3.0" xmlns:xlink="http://www.w3.org/1999/xlink"
 xmlns:uro="https://www.geospatial.jp/iur/uro/4.0" xmlns:urc="https://www.geospatial.jp/iur/urc/4.0">
"""


def write(folder: Path, *members: str, feature: str = "bldg", appearance: str = "") -> TileSource:
    path = folder / "udx" / feature / f"53394611_{feature}_6697_op.gml"
    path.parent.mkdir(parents=True)
    body = "".join(f"<core:cityObjectMember>{member}</core:cityObjectMember>" for member in members)
    shown = f"<core:appearanceMember><app:Appearance>{appearance}</app:Appearance></core:appearanceMember>"
    path.write_text(f"{HEAD}{body}{shown if appearance else ''}</core:CityModel>")
    return TileSource(path, feature)


def polygon(points, gml_id: str = "p") -> str:
    """points: metres about Tokyo station."""
    places = to_degrees(np.array([*points, points[0]], dtype=float) + [-6000.0, -35000, 0], 6677)
    text = " ".join(f"{value:.12f}" for value in places.ravel())
    ring = f'<gml:LinearRing gml:id="{gml_id}_ring"><gml:posList>{text}</gml:posList></gml:LinearRing>'
    return f'<gml:Polygon gml:id="{gml_id}"><gml:exterior>{ring}</gml:exterior></gml:Polygon>'


def surfaces(*polygons: str) -> str:
    members = "".join(f"<gml:surfaceMember>{each}</gml:surfaceMember>" for each in polygons)
    return f"<gml:MultiSurface>{members}</gml:MultiSurface>"


def level(low: float, high: float, z: float = 5.0) -> list[tuple[float, float, float]]:
    """A square from (low, low) to (high, high)."""
    return [(low, low, z), (high, low, z), (high, high, z), (low, high, z)]


def solid(*polygons: str) -> str:
    members = "".join(f"<gml:surfaceMember>{each}</gml:surfaceMember>" for each in polygons)
    return f"<gml:Solid><gml:exterior><gml:Shell>{members}</gml:Shell></gml:exterior></gml:Solid>"


def boundary(kind: str, *polygons: str, lod: int = 2) -> str:
    shape = f"<core:lod{lod}MultiSurface>{surfaces(*polygons)}</core:lod{lod}MultiSurface>"
    return f"<core:boundary><con:{kind}>{shape}</con:{kind}></core:boundary>"


HEIGHT = (
    "<con:height><con:Height><con:status>measured</con:status><con:value uom='m'>{}</con:value></con:Height>"
    "</con:height>"
)


def area_of(tile: Tile, semantic: Semantic | None = None) -> float:
    chosen = tile.triangles if semantic is None else tile.triangles[tile.classes == semantic]
    a, b, c = np.moveaxis(chosen, 1, 0)
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def test_a_building_has_its_solid_its_surfaces_its_height_and_its_use(tmp_path):
    links = '<gml:surfaceMember xlink:href="#roof"/><gml:surfaceMember xlink:href="#ground"/>'
    linked = f"<gml:Solid><gml:exterior><gml:Shell>{links}</gml:Shell></gml:exterior></gml:Solid>"
    content = (
        f"<core:lod1Solid>{solid(polygon(level(0, 10)))}</core:lod1Solid><core:lod2Solid>{linked}</core:lod2Solid>"
        + boundary("RoofSurface", polygon(level(0, 10, 14), "roof"))
        + boundary("GroundSurface", polygon(level(0, 10), "ground"))
        + HEIGHT.format(9)
        + "<bldg:usage>411</bldg:usage>"
    )
    tile = read_tile(write(tmp_path, f'<bldg:Building gml:id="b">{content}</bldg:Building>'))
    (entry,) = tile.city_objects
    assert (entry.gml_id, entry.lod, entry.height, entry.usage) == ("b", 2, 9, "411")
    assert tile.spec == "4.0" and not tile.skipped and area_of(tile) == pytest.approx(200, rel=1e-3)
    assert len(tile.prisms.sizes) == 1  # the roof alone, which the solid only links to


def test_parts_are_read_each_at_its_best_level(tmp_path):
    def part(gml_id: str, element: str, z: float) -> str:
        body = f"<core:{element}>{surfaces(polygon(level(0, 10, z)))}</core:{element}>"
        return f'<bldg:buildingPart><bldg:BuildingPart gml:id="{gml_id}">{body}</bldg:BuildingPart></bldg:buildingPart>'

    parts = part("a", "lod2MultiSurface", 4) + part("b", "lod1MultiSurface", 9)
    tile = read_tile(write(tmp_path, f'<bldg:Building gml:id="whole">{parts}</bldg:Building>'))
    assert [(entry.gml_id, entry.lod) for entry in tile.city_objects] == [("a", 2), ("b", 1)]


def test_doors_and_windows_are_walls_and_rooms_are_not_seen(tmp_path):
    window = f"<core:lod3MultiSurface>{surfaces(polygon(level(2, 3)))}</core:lod3MultiSurface>"
    filled = f"<con:fillingSurface><con:WindowSurface>{window}</con:WindowSurface></con:fillingSurface>"
    wall = f"<core:lod3MultiSurface>{surfaces(polygon(level(0, 2)))}</core:lod3MultiSurface>{filled}"
    room = f"<core:lod3MultiSurface>{surfaces(polygon(level(0, 90)))}</core:lod3MultiSurface>"
    body = (
        f"<core:boundary><con:WallSurface>{wall}</con:WallSurface></core:boundary>"
        f"<bldg:buildingRoom><bldg:BuildingRoom>{room}</bldg:BuildingRoom></bldg:buildingRoom>"
    )
    tile = read_tile(write(tmp_path, f'<bldg:Building gml:id="b">{body}</bldg:Building>'))
    assert area_of(tile) == pytest.approx(4 + 1, rel=1e-3)


def test_a_footprint_is_raised_by_the_height(tmp_path):
    body = f"<core:lod0MultiSurface>{surfaces(polygon(level(0, 10, 3)))}</core:lod0MultiSurface>{HEIGHT.format(12)}"
    tile = read_tile(write(tmp_path, f'<bldg:Building gml:id="b">{body}</bldg:Building>'))
    assert tile.lods == {0: 1} and np.ptp(tile.triangles[:, :, 2]) == pytest.approx(12)
    assert area_of(tile) == pytest.approx(2 * 100 + 40 * 12, rel=1e-3)


def test_traffic_areas_are_found_in_their_spaces_and_cover_the_coarser_one(tmp_path):
    def space(kind: str, function: str, lod: int, low: float, high: float) -> str:
        shape = f"<core:lod{lod}MultiSurface>{surfaces(polygon(level(low, high)))}</core:lod{lod}MultiSurface>"
        area = f"<tran:{kind}Area>{shape}{function}</tran:{kind}Area>"
        held = f"<tran:{kind}Space><core:boundary>{area}</core:boundary></tran:{kind}Space>"
        name = f"tran:{kind[0].lower()}{kind[1:]}Space"
        return f"<{name}>{held}</{name}>"

    spaces = (
        space("Traffic", "", 1, 0, 20)
        + space("Traffic", "<tran:function>1000</tran:function>", 2, 0, 20)
        + space("AuxiliaryTraffic", "<tran:function>3000</tran:function>", 2, 20, 30)
    )
    road = f'<tran:Road gml:id="r"><tran:section><tran:Section>{spaces}</tran:Section></tran:section></tran:Road>'
    tile = read_tile(write(tmp_path, road, feature="tran"))
    assert tile.lods == {2: 1}
    assert area_of(tile, Semantic.ROAD) == pytest.approx(400, rel=1e-3)
    assert area_of(tile, Semantic.SIDEWALK) == pytest.approx(100, rel=1e-3)


OTHERS = {
    "brid:Bridge": Semantic.BRIDGE,
    "tun:Tunnel": Semantic.OTHER,
    "con:OtherConstruction": Semantic.OTHER,
    "frn:CityFurniture": Semantic.FURNITURE,
    "veg:PlantCover": Semantic.VEGETATION,
    "veg:SolitaryVegetationObject": Semantic.VEGETATION,
    "wtr:WaterBody": Semantic.WATER,
    "tran:Waterway": Semantic.WATER,
    "tran:Railway": Semantic.TERRAIN,
    "tran:Square": Semantic.SIDEWALK,
    "tran:Track": Semantic.SIDEWALK,
    "gen:GenericOccupiedSpace": Semantic.OTHER,
    "uro:UndergroundBuilding": Semantic.BUILDING,
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("element", ["lod1MultiSurface", "lod2MultiSurface", "lod3MultiSurface"])
def test_everything_else_has_its_class(tmp_path, name, element):
    body = f"<core:{element}>{surfaces(polygon(level(0, 10)))}</core:{element}>"
    tile = read_tile(write(tmp_path, f'<{name} gml:id="x">{body}</{name}>'))
    assert set(tile.classes) == {OTHERS[name]} and area_of(tile) == pytest.approx(100, rel=1e-3)


def test_a_relief_is_read(tmp_path):
    a, b, c, _ = level(0, 30)
    triangle = polygon([a, b, c]).replace("gml:Polygon", "gml:Triangle").replace(' gml:id="p"', "")
    tin = f"<gml:TriangulatedSurface><gml:patches>{triangle}</gml:patches></gml:TriangulatedSurface>"
    body = f"<dem:reliefComponent><dem:TINRelief><dem:tin>{tin}</dem:tin></dem:TINRelief></dem:reliefComponent>"
    relief = f'<dem:ReliefFeature gml:id="r"><dem:lod>1</dem:lod>{body}</dem:ReliefFeature>'
    tile = read_tile(write(tmp_path, relief, feature="dem"))
    assert set(tile.classes) == {Semantic.TERRAIN} and area_of(tile) == pytest.approx(450, rel=1e-3)


def test_an_implicit_shape_stands_at_its_place(tmp_path):
    shape = "<gml:MultiSurface gml:id='tree'><gml:surfaceMember><gml:Polygon><gml:exterior><gml:LinearRing>"
    shape += "<gml:posList>0 0 0 2 0 0 2 0 3 0 0 3 0 0 0</gml:posList></gml:LinearRing></gml:exterior></gml:Polygon>"
    shape += "</gml:surfaceMember></gml:MultiSurface>"
    place = "<core:referencePoint><gml:Point><gml:pos>35.68 139.76 12</gml:pos></gml:Point></core:referencePoint>"

    def tree(geometry: str, gml_id: str) -> str:
        implicit = f"<core:ImplicitGeometry>{place}{geometry}</core:ImplicitGeometry>"
        body = f"<core:lod2ImplicitRepresentation>{implicit}</core:lod2ImplicitRepresentation>"
        return f'<frn:CityFurniture gml:id="{gml_id}">{body}</frn:CityFurniture>'

    full = f"<core:relativeGeometry>{shape}</core:relativeGeometry>"
    tile = read_tile(write(tmp_path, tree(full, "a"), tree('<core:relativeGeometry xlink:href="#tree"/>', "b")))
    assert len(tile.city_objects) == 2 and area_of(tile) == pytest.approx(12, rel=1e-3)
    heights = tile.triangles[:, :, 2] + tile.origin[2]
    assert (heights.min(), heights.max()) == pytest.approx((12, 15))


def test_textures_and_colours_find_their_surfaces(tmp_path):
    other = METRES + [0, 20, 0]
    shapes = [polygon(place - [-6000.0, -35000, 0], name) for place, name in ((METRES, "a"), (other, "b"))]
    coordinates = " ".join(f"{u} {v}" for u, v in WALL)
    image = (
        "<app:surfaceData><app:ParameterizedTexture><app:imageURI>a.png</app:imageURI><app:textureParameterization>"
        "<app:TextureAssociation><app:target>#a</app:target><app:textureParameterization><app:TexCoordList>"
        f"<app:textureCoordinates>{coordinates}</app:textureCoordinates><app:ring>#a_ring</app:ring>"
        "</app:TexCoordList></app:textureParameterization></app:TextureAssociation></app:textureParameterization>"
        "</app:ParameterizedTexture></app:surfaceData>"
    )
    colour = (
        "<app:surfaceData><app:X3DMaterial><app:diffuseColor>0.2 0.4 0.6</app:diffuseColor><app:target>#b</app:target>"
        "</app:X3DMaterial></app:surfaceData>"
    )
    source = write(
        tmp_path,
        f'<bldg:Building gml:id="x">{boundary("WallSurface", *shapes)}</bldg:Building>',
        appearance=image + colour,
    )
    picture().save(source.path.parent / "a.png")
    tile = read_tile(source)
    assert sorted(tile.page.tolist()) == [-1, -1, 0, 0] and not tile.problems
    assert (tile.colour[tile.page < 0] == (51, 102, 153)).all()
    assert tile.colour[tile.page == 0][0] == pytest.approx(np.mean(list(CORNERS.values()), axis=0), abs=4)


def corners_of(tile: Tile, gml_id: str) -> np.ndarray:
    """(t, 9) an object's triangles in the zone, each from its least corner on, in order."""
    number = next(n for n, entry in enumerate(tile.city_objects) if entry.gml_id == gml_id)
    triangles = tile.triangles[tile.objects == number] + tile.origin
    rounded = np.round(triangles, 4)
    first = [min(range(3), key=lambda k: tuple(each[k])) for each in rounded]
    turned = np.stack([np.roll(each, -k, axis=0) for each, k in zip(triangles, first, strict=True)]).reshape(-1, 9)
    return turned[np.lexsort(np.round(turned, 3).T[::-1])]


@pytest.mark.parametrize("place", ["shinjuku", "suginami"])
def test_the_same_place_is_the_same_city_in_both_encodings(plateau_data, place):
    tiles = []
    for spec in ("spec4", "spec6"):
        found = sorted((plateau_data / place / spec).rglob("*.gml"))
        if not found:
            pytest.skip(f"{place}/{spec} is not in {plateau_data}")
        tiles.append(read_tile(TileSource(found[0], found[0].parent.name)))
    old, new = tiles
    shared = {entry.gml_id for entry in old.city_objects} & {entry.gml_id for entry in new.city_objects}
    assert shared == {entry.gml_id for entry in old.city_objects} and not old.skipped and not new.skipped
    levels = [{entry.gml_id: (entry.lod, entry.height, entry.usage) for entry in tile.city_objects} for tile in tiles]
    for gml_id in shared:
        assert levels[0][gml_id] == levels[1][gml_id]
        ours, theirs = corners_of(old, gml_id), corners_of(new, gml_id)
        assert ours.shape == theirs.shape and np.abs(ours - theirs).max() < 1e-3
        for semantic in np.unique(old.classes):
            assert area_of(old, semantic) > 0
    if place == "suginami":
        for semantic in (Semantic.ROAD, Semantic.SIDEWALK):
            assert area_of(old, semantic) == pytest.approx(area_of(new, semantic), abs=1e-3)
    else:
        numbers = [next(n for n, e in enumerate(tile.city_objects) if e.gml_id in shared) for tile in tiles]
        textured = [(tile.page[tile.objects == n] >= 0).mean() for tile, n in zip(tiles, numbers, strict=True)]
        assert textured[0] == textured[1] > 0.9
