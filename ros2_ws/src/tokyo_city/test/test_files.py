"""Files as they come: names, archives, images and classes of every kind, and what is said of what is not read."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest
from gml_samples import building, picture, texture
from PIL import Image
from test_levels import area_of, shape, sheet
from test_sources import box_obj, middle_of

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from tokyo_city.plateau.model import ImportProblem
from tokyo_city.plateau.obj_tile import read_obj_tile
from tokyo_city.plateau.sources import EVERYWHERE, TileSource, find_sources, find_unread
from tokyo_city.plateau.tile import read_tile
from tokyo_city.world.appearance import pages
from tokyo_city.world.city import Options, import_city
from tokyo_city.world.sdf import read_world

ONE = Options(workers=1)
URO = 'xmlns:uro="https://www.geospatial.jp/iur/uro/3.1"'
URF = 'xmlns:urf="https://www.geospatial.jp/iur/urf/3.1"'
TUN = 'xmlns:tun="http://www.opengis.net/citygml/tunnel/2.0"'
GEN = 'xmlns:gen="http://www.opengis.net/citygml/generics/2.0"'


CLASSES = {
    "tun": (f"tun:Tunnel {TUN}", "tun:lod1MultiSurface", Semantic.OTHER),
    "cons": (f"uro:OtherConstruction {URO}", "uro:lod3Geometry", Semantic.OTHER),
    "rwy": ("tran:Railway", "tran:lod2MultiSurface", Semantic.TERRAIN),
    "wwy": (f"uro:Waterway {URO}", "tran:lod1MultiSurface", Semantic.WATER),
    "ubld": (f"uro:UndergroundBuilding {URO}", "bldg:lod1Solid", Semantic.BUILDING),
    "gen": (f"gen:GenericCityObject {GEN}", "gen:lod2Geometry", Semantic.OTHER),
    "area": (f"urf:Zone {URF}", "urf:lod1MultiSurface", Semantic.TERRAIN),
}


@pytest.mark.parametrize("feature", CLASSES)
def test_every_class_with_surfaces_is_read(citygml, tmp_path, feature):
    name, element, semantic = CLASSES[feature]
    member = f'<{name} gml:id="x">{shape(element, sheet(0, 20, z=8))}</{name.split()[0]}>'
    citygml(member, name=f"53394611_{feature}_6697_op.gml")
    (source,), refused = find_sources(tmp_path / "udx", EVERYWHERE)
    tile = read_tile(source)
    assert source.feature == feature and not refused and not tile.skipped
    assert set(tile.classes) == {semantic} and area_of(tile) == pytest.approx(200, rel=1e-3)


def test_a_generic_area_without_height_is_an_area_of_the_ground(citygml):
    name = f"gen:GenericCityObject {GEN}"
    path = citygml(f'<{name} gml:id="x">{shape("gen:lod0Geometry", sheet(0, 20, z=0))}</gen:GenericCityObject>')
    tile = read_tile(TileSource(path, "gen"))
    assert set(tile.classes) == {Semantic.TERRAIN} and tile.city_objects[0].area


def member(name: str, namespace: str, gml_id: str = "x") -> str:
    prefix = name.partition(":")[0]
    lod = shape(f"{prefix}:lod1MultiSurface", sheet(0, 20))
    return f'<{name} xmlns:{prefix}="{namespace}" gml:id="{gml_id}">{lod}</{name}>'


NOT_READ = {
    "luse": member("luse:LandUse", "http://www.opengis.net/citygml/landuse/2.0"),
    "urf": member("urf:UseDistrict", "https://www.geospatial.jp/iur/urf/3.1"),
    "lsld": member("urf:SedimentDisasterProneArea", "https://www.geospatial.jp/iur/urf/3.1"),
    "unf": member("uro:SewerPipe", "https://www.geospatial.jp/iur/uro/3.1"),
    **dict.fromkeys(
        ("fld", "htd", "tnm", "ifld", "rfld"), member("wtr:WaterBody", "http://www.opengis.net/citygml/waterbody/2.0")
    ),
}


@pytest.mark.parametrize("feature", NOT_READ)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_what_is_not_imported_is_named_with_its_count_in_a_folder_and_alone(citygml, tmp_path, feature, suffix):
    path = citygml(NOT_READ[feature], NOT_READ[feature], name=f"53394611_{feature}_6697_op.gml")
    deep = path.parent / "natl" / "river" / (path.name + suffix)
    deep.parent.mkdir(parents=True)
    deep.write_bytes(gzip.compress(path.read_bytes()) if suffix else path.read_bytes())
    path.unlink()
    element = NOT_READ[feature].partition(" ")[0].partition(":")[2]
    for source in (deep, tmp_path / "udx"):
        with pytest.raises(ImportProblem, match=rf"not imported: {feature} \(.*\): 2 {element} in 1 file"):
            import_city(source, tmp_path / "city", ONE)
    citygml(building((0, 0, 0), (20, 10, 30)))
    report = import_city(tmp_path / "udx", tmp_path / "city", ONE)
    (line,) = report.unread
    assert line.startswith(f"{feature} (") and f"2 {element} in 1 file" in line
    assert json.loads((tmp_path / "city/city.json").read_text())["not_imported"] == [line]
    assert set(report.triangles) == {"building", "terrain"}


def test_an_element_that_is_not_imported_is_named_in_a_file_that_is(citygml, tmp_path):
    citygml(building((0, 0, 0), (20, 10, 30)), NOT_READ["luse"])
    assert import_city(tmp_path / "udx", tmp_path / "city", ONE).unread == ("53394611_bldg_6697_op: 1 LandUse",)
    path = citygml(NOT_READ["luse"], name="9_bldg_1.gml")
    with pytest.raises(ImportProblem, match="no city object that is imported, but 1 LandUse"):
        read_tile(TileSource(path, "bldg"))


def test_a_flood_is_no_water_whatever_its_file_is_called(citygml):
    risk = f"<uro:floodingRiskAttribute {URO}><uro:WaterBodyRiverFloodingRiskAttribute/></uro:floodingRiskAttribute>"
    lod = shape("wtr:lod1MultiSurface", sheet(0, 20))
    path = citygml(f'<wtr:WaterBody gml:id="x">{risk}{lod}</wtr:WaterBody>', name="1_wtr_2.gml")
    with pytest.raises(ImportProblem, match="1 WaterBody of a flood"):
        read_tile(TileSource(path, "wtr"))


LINE = (
    "<gml:MultiCurve><gml:curveMember><gml:LineString><gml:posList>35.68 139.76 0 35.68 139.761 0</gml:posList>"
    "</gml:LineString></gml:curveMember></gml:MultiCurve>"
)
WITHOUT = {
    "only lines or points (lod0MultiCurve)": f"<wtr:lod0MultiCurve>{LINE}</wtr:lod0MultiCurve>",
    "links to another file (../tran/1.gml)": '<wtr:boundedBy xlink:href="../tran/1.gml#a"/>',
    "links to what is not in it (#a)": '<wtr:boundedBy xlink:href="#a"/>',
    "no geometry at all": "<wtr:class>1</wtr:class>",
}


@pytest.mark.parametrize("reason", WITHOUT)
def test_an_object_without_surfaces_is_skipped_with_what_it_has(citygml, reason):
    empty = f'<wtr:WaterBody gml:id="x">{WITHOUT[reason]}</wtr:WaterBody>'
    tile = read_tile(TileSource(citygml(empty, building((0, 0, 0), (20, 10, 30))), "wtr"))
    (skipped,) = tile.skipped
    assert skipped.gml_id == "x" and reason in skipped.reason


NAMES = ["53394611_bldg_6697_千代田.gml", "53394611_bldg_6697_op (1).gml", "53394611_bldg_6697_#%20&'.gml", "区.GML"]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_may_have_any_name(citygml, tmp_path, name):
    path = citygml(building((0, 0, 0), (20, 10, 30)))
    path.rename(path.with_name(name))
    city = import_city(tmp_path / "udx", tmp_path / "city", ONE).folder
    for model in read_world(city / "city.sdf"):
        mesh = model.visual or model.collision  # what is driven on is not seen
        assert model.name.isascii() and " " not in mesh and (city / mesh).is_file()
    (tile,) = json.loads((city / "city.json").read_text())["tiles"]
    assert tile["source"] == name and tile["objects"] == 1


def one_texture(textured, uri: str, name: str):
    """A wall with an image that its file calls `uri`, and which lies at `name`."""
    path = textured(texture(uri))
    (path.parent / name).parent.mkdir(parents=True, exist_ok=True)
    picture().save(path.parent / name)
    return path


IMAGES = {
    "escaped": ("images/a%20b.jpg", "images/a b.jpg"),
    "escaped japanese": ("images/%E5%A4%96.jpg", "images/外.jpg"),
    "really with a percent": ("images/a%20b.jpg", "images/a%20b.jpg"),
    "space": ("images/a b.jpg", "images/a b.jpg"),
    "case": ("Images/A.JPG", "images/a.jpg"),
    "decomposed": ("images/が.jpg", unicodedata.normalize("NFD", "images/が.jpg")),
    "backslash": ("images\\a.jpg", "images/a.jpg"),
}


@pytest.mark.parametrize("kind", IMAGES)
@pytest.mark.parametrize("packed", [False, True])
def test_an_image_is_found_by_what_its_name_means(textured, tmp_path, kind, packed):
    path = one_texture(textured, *IMAGES[kind])
    source = TileSource(path, "bldg")
    if packed:
        archive = tmp_path / "city.zip"
        with zipfile.ZipFile(archive, "w") as content:
            for file in sorted(p for p in (tmp_path / "udx").rglob("*") if p.is_file()):
                content.write(file, file.relative_to(tmp_path).as_posix())
        (source,), _ = find_sources(archive, EVERYWHERE)
    tile = read_tile(source)
    assert (tile.page == 0).all() and not tile.problems


@pytest.mark.parametrize("uri", ["%2e%2e/a.jpg", "..%2fa.jpg", "%2fetc/passwd", "images/%2e%2e/%2e%2e/a.jpg"])
def test_an_escaped_name_leads_no_farther_than_a_plain_one(textured, uri):
    path = one_texture(textured, uri, "images/a.jpg")
    picture().save(path.parent.parent / "a.jpg")
    tile = read_tile(TileSource(path, "bldg"))
    assert (tile.page == -1).all() and len(tile.problems) == 1


@pytest.mark.parametrize("encoding", ["cp932", "utf-8"])
def test_names_in_a_zip_that_does_not_say_their_encoding(textured, tmp_path, encoding):
    """As Windows writes them: bytes of the system's encoding, and no flag."""
    path = one_texture(textured, "images/外観.jpg", "images/外観.jpg")
    names = {path: "13101_千代田区/udx/bldg/53394611_bldg_6697_op.gml"}
    names[path.parent / "images/外観.jpg"] = "13101_千代田区/udx/bldg/images/外観.jpg"
    archive = tmp_path / "city.zip"
    with zipfile.ZipFile(archive, "w") as content:
        for number, file in enumerate(names):
            content.writestr(f"{'x' * (len(names[file].encode(encoding)) - 1)}{number}", file.read_bytes())
    data = archive.read_bytes()
    for number, name in enumerate(names.values()):
        raw = name.encode(encoding)
        data = data.replace(b"x" * (len(raw) - 1) + str(number).encode(), raw)
    archive.write_bytes(data)
    (source,), refused = find_sources(archive, EVERYWHERE)
    assert source.member == names[path] and not refused
    tile = read_tile(source)
    assert (tile.page == 0).all() and not tile.problems


def test_a_gzip_is_read_and_a_damaged_one_is_a_problem(citygml, tmp_path):
    path = citygml(building((0, 0, 0), (20, 10, 30)))
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    (source,), _ = find_sources(tmp_path / "udx", EVERYWHERE)
    assert source.name == "53394611_bldg_6697_op" and len(read_tile(source).triangles) == 12
    packed.write_bytes(packed.read_bytes()[:-200])
    with pytest.raises(ImportProblem, match=r"53394611_bldg_6697_op\.gml\.gz"):
        read_tile(source)
    packed.write_bytes(b"not gzip")
    with pytest.raises(ImportProblem, match=r"53394611_bldg_6697_op\.gml\.gz"):
        read_tile(source)


def test_images_that_come_later_appear(textured, tmp_path):
    path = textured(texture("images/a.png"))
    first = import_city(tmp_path / "udx", tmp_path / "city", ONE)
    assert not pages(tmp_path / "city") and len(first.problems) == 1
    picture().save(path.parent / "images/a.png")
    second = import_city(tmp_path / "udx", tmp_path / "city", ONE)
    assert len(pages(tmp_path / "city")) == 1 and not second.problems
    kept = {p.name: p.stat().st_mtime_ns for p in (tmp_path / ".city.tiles").glob("*.npz")}
    import_city(tmp_path / "udx", tmp_path / "city", ONE)
    assert kept == {p.name: p.stat().st_mtime_ns for p in (tmp_path / ".city.tiles").glob("*.npz")}
    picture(32).save(path.parent / "images/a.png")
    os.utime(path.parent / "images/a.png", ns=(1, 1))
    import_city(tmp_path / "udx", tmp_path / "city", ONE)
    assert kept != {p.name: p.stat().st_mtime_ns for p in (tmp_path / ".city.tiles").glob("*.npz")}
    (path.parent / "images/a.png").unlink()
    assert len(import_city(tmp_path / "udx", tmp_path / "city", ONE).problems) == 1
    assert not pages(tmp_path / "city")


@pytest.mark.parametrize("kind", ["webp", "gif", "bmp", "avif", "png", "tiff"])
def test_images_that_a_browser_shows_are_shown(textured, kind):
    Image.init()
    if kind.upper() not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {kind}")
    path = textured(texture(f"images/a.{kind}"))
    picture().save(path.parent / f"images/a.{kind}")
    assert (read_tile(TileSource(path, "bldg")).page == 0).all()


MATERIAL = {
    "plain": "map_Kd tex/a.jpg",
    "scale": "map_Kd -s 1 1 1 tex/a.jpg",
    "two of three": "map_Kd -s 1 1 -o 0 0 0 tex/a.jpg",
    "switches": "map_Kd -blendu on -clamp off -bm 1.5 -mm 0 1 tex/a.jpg",
    "channel": "map_Kd -imfchan r -texres 512 tex/a.jpg",
    "space": "map_Kd tex/b c.jpg",
    "space and option": "map_Kd -s 1 1 1 tex/b c.jpg",
    "case and backslash": "map_Kd TEX\\A.JPG",
}
WALL = [
    "v 0 0 0",
    "v 8 0 0",
    "v 8 0 4",
    "v 0 0 4",
    "vt 0 0",
    "vt 1 0",
    "vt 1 1",
    "vt 0 1",
    "usemtl m",
    "f 1/1 2/2 3/3 4/4",
]


def wall_obj(folder, head: list[str], material: str, end: str = "\n", encoding: str = "utf-8") -> TileSource:
    at = middle_of("53394611")
    lines = []
    for line in WALL:
        if line.startswith("v "):
            x, y, z = (float(value) for value in line.split()[1:])
            line = f"v {x + at[0]} {y + at[1]} {z}"
        lines.append(line)
    path = folder / "53394611_bldg_6677.obj"
    path.write_bytes((end.join([*head, *lines]) + end).encode(encoding))
    path.with_suffix(".mtl").write_bytes((end.join(["newmtl m", material]) + end).encode(encoding))
    (folder / "tex").mkdir(exist_ok=True)
    for name in ("a.jpg", "b c.jpg"):
        picture().save(folder / "tex" / name)
    return TileSource(path, "bldg")


@pytest.mark.parametrize("kind", MATERIAL)
def test_a_texture_of_an_obj_may_have_options(tmp_path, kind):
    tile = read_obj_tile(wall_obj(tmp_path, ["mtllib 53394611_bldg_6677.mtl"], MATERIAL[kind]), EVERYWHERE)
    assert (tile.page == 0).all() and not tile.problems


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_an_obj_may_begin_with_a_mark_and_end_lines_as_windows_does(tmp_path, encoding, end):
    tile = read_obj_tile(
        wall_obj(tmp_path, ["mtllib 53394611_bldg_6677.mtl"], "map_Kd tex/a.jpg", end, encoding), EVERYWHERE
    )
    assert (tile.page == 0).all() and not tile.problems


def test_a_material_of_an_obj_without_a_texture_has_its_colour(tmp_path):
    tile = read_obj_tile(wall_obj(tmp_path, ["mtllib 53394611_bldg_6677.mtl"], "Kd 0.2 0.4 0.6"), EVERYWHERE)
    assert (tile.colour == (51, 102, 153)).all()


@pytest.mark.parametrize("folder", ["", "all of them/"])
def test_a_material_library_of_an_obj_may_have_spaces_in_its_name(tmp_path, folder):
    source = wall_obj(tmp_path, [f"mtllib {folder}wall  of 53394611 (1).mtl"], "Kd 0.2 0.4 0.6")
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / "53394611_bldg_6677.mtl").rename(tmp_path / folder / "wall  of 53394611 (1).mtl")
    tile = read_obj_tile(source, EVERYWHERE)
    assert (tile.colour == (51, 102, 153)).all() and not tile.problems


def test_one_line_of_an_obj_may_name_several_material_libraries(tmp_path):
    source = wall_obj(tmp_path, ["mtllib other.mtl 53394611_bldg_6677.mtl"], "Kd 0.2 0.4 0.6")
    (tmp_path / "other.mtl").write_text("newmtl n\nKd 1 1 1\n")
    tile = read_obj_tile(source, EVERYWHERE)
    assert (tile.colour == (51, 102, 153)).all() and not tile.problems


def test_a_texture_of_an_obj_that_is_scaled_repeats(tmp_path):
    source = wall_obj(tmp_path, ["mtllib 53394611_bldg_6677.mtl"], "map_Kd -s 2 1 1 -o 0.5 0 0 tex/a.jpg")
    tile = read_obj_tile(source, EVERYWHERE)
    plain = read_obj_tile(wall_obj(tmp_path, ["mtllib 53394611_bldg_6677.mtl"], "map_Kd tex/a.jpg"), EVERYWHERE)
    assert (tile.page == 0).all() and tile.colour[0] == pytest.approx(plain.colour[0], abs=4)


ZONE_IX = (
    'PROJCS["JGD2011 / Japan Plane Rectangular CS IX",GEOGCS["JGD2011",AUTHORITY["EPSG","6668"]],'
    'PARAMETER["latitude_of_origin",36],PARAMETER["central_meridian",139.833333333333],AUTHORITY["EPSG","6677"]]'
)


@pytest.mark.parametrize("header", [ZONE_IX, ZONE_IX.replace(',AUTHORITY["EPSG","6677"]', "")])
def test_an_obj_may_say_its_zone_and_name_no_groups(tmp_path, header):
    path = tmp_path / "bldg" / "block.obj"
    path.parent.mkdir()
    low = np.array((-6000.0, -35000, 0))
    boxes = box_obj(low, low + [20, 10, 12]) + box_obj(low + [50, 0, 0], low + [60, 10, 9], 9)
    path.write_text(f"# COORDINATE_SYSTEM:  OGC_DEF {header}\n{boxes}")
    (source,), _ = find_sources(tmp_path, EVERYWHERE)
    tile = read_obj_tile(source, EVERYWHERE)
    assert tile.epsg == 6677 and not tile.problems and len(tile.city_objects) == 2


@pytest.mark.parametrize("zipped", [False, True])
def test_textures_of_finer_obj_files_lie_beside_those(tmp_path, zipped):
    at = middle_of("53394611")
    for lod in ("lod1", "lod2"):
        (tmp_path / "bldg" / lod).mkdir(parents=True)
    (tmp_path / "bldg/lod1/53394611_bldg_6677.obj").write_text(box_obj(at + [90, 0, 0], at + [99, 9, 9]))
    wall_obj(tmp_path / "bldg/lod2", ["mtllib 53394611_bldg_6677.mtl"], "map_Kd tex/a.jpg")
    place = Path(shutil.make_archive(str(tmp_path / "city"), "zip", tmp_path, "bldg")) if zipped else tmp_path / "bldg"
    (source,), refused = find_sources(place, EVERYWHERE)
    assert not refused
    tile = read_obj_tile(source, EVERYWHERE)
    assert sorted(tile.page.tolist()) == [-1] * 12 + [0, 0] and not tile.problems
    assert import_city(place, tmp_path / "out", ONE).objects == 2


def test_an_area_of_an_obj_is_cut_at_the_border_of_a_region(tmp_path):
    from tokyo_city.plateau.meshcodes import mesh_box
    from tokyo_city.plateau.sources import Region

    at = middle_of("53394611")
    path = tmp_path / "tran" / "53394611_tran_6677.obj"
    path.parent.mkdir()
    corners = [(-2000, 0), (400, 0), (400, 10), (-2000, 10)]
    path.write_text("\n".join([*(f"v {at[0] + x} {at[1] + y} 3" for x, y in corners), "f 1 2 3 4"]))
    (source,), _ = find_sources(tmp_path, EVERYWHERE)
    box = mesh_box("53394611")
    tile = read_obj_tile(source, Region((box,)))
    half = (box.east - box.west) / 2 * 111_320 * np.cos(np.radians(35.68))
    assert area_of(tile) == pytest.approx(10 * (half + 400), rel=0.01)


def test_every_file_that_is_not_imported_counts_in_a_zip_too(citygml, tmp_path):
    citygml(NOT_READ["luse"], name="53394611_luse_6697_op.gml")
    citygml(building((0, 0, 0), (20, 10, 30)))
    archive = shutil.make_archive(str(tmp_path / "city"), "zip", tmp_path, "udx")
    (unread,) = find_unread(archive, EVERYWHERE)
    assert (unread.feature, unread.files, unread.elements) == ("luse", 1, {"LandUse": 1})


def test_a_square_that_is_nothing_but_links_to_another_file_says_so(tmp_path):
    core = 'xmlns:core="http://www.opengis.net/citygml/2.0" xmlns:xlink="http://www.w3.org/1999/xlink"'
    links = "".join(f'<core:cityObjectMember xlink:href="../53394611_bldg_6697_op.gml#b{n}"/>' for n in range(3))
    path = tmp_path / "udx/bldg/53394612_bldg_6697_op.gml"
    path.parent.mkdir(parents=True)
    path.write_text(f"<core:CityModel {core}>{links}</core:CityModel>")
    with pytest.raises(ImportProblem, match="3 city objects are links to another file"):
        read_tile(TileSource(path, "bldg"))


def test_an_area_of_the_gen_folder_that_has_no_height_lies_in_the_ground(citygml, tmp_path):
    name = f"gen:GenericCityObject {GEN}"
    area = f'<{name} gml:id="x">{shape("gen:lod0Geometry", sheet(30, 50, z=0))}</gen:GenericCityObject>'
    citygml(area, name="53394611_gen_6697_op.gml")
    citygml(building((0, 0, 40), (20, 10, 60)))
    report = import_city(tmp_path / "udx", tmp_path / "city", ONE)
    assert report.without_height == 1
    mesh = CityMap.load(tmp_path / "city")
    of_class = {semantic: mesh.triangles[mesh.classes == semantic][:, :, 2] for semantic in Semantic}
    ground, house = of_class[Semantic.TERRAIN], of_class[Semantic.BUILDING]
    assert np.ptp(ground) < 0.1 and ground.max() == pytest.approx(house.min(), abs=0.1)
