"""What is imported of a folder, a zip, a region; and what is refused."""

from __future__ import annotations

import shutil
import zipfile

import numpy as np
import pytest
from gml_samples import building, picture, texture
from hypothesis import given
from hypothesis import strategies as st

from occ_core.actors import BOX_FACES
from tokyo_city.plateau.meshcodes import DegreeBox, code_of, mesh_box
from tokyo_city.plateau.model import ImportProblem
from tokyo_city.plateau.obj_tile import read_obj_tile
from tokyo_city.plateau.projection import to_metres
from tokyo_city.plateau.sources import Region, TileSource, find_sources
from tokyo_city.plateau.tile import read_tile
from tokyo_city.sample_city.georeference import mesh_code


@given(st.floats(24, 45), st.floats(123, 150))
def test_a_place_is_in_the_square_of_its_mesh_code(latitude, longitude):
    code = mesh_code(latitude, longitude)
    for digits in (4, 6, 8):
        box = mesh_box(code[:digits])
        assert box.south - 1e-9 <= latitude <= box.north + 1e-9 and box.west - 1e-9 <= longitude <= box.east + 1e-9
    box = mesh_box(code)
    quarters = [mesh_box(f"{code}{digit}") for digit in "1234"]
    assert sum((q.north - q.south) * (q.east - q.west) for q in quarters) == pytest.approx(
        (box.north - box.south) * (box.east - box.west)
    )


def test_tokyo_station_is_in_53394611():
    # Japan Meteorological and statistics offices print this square for Tokyo station, 35.681 N 139.767 E.
    assert mesh_code(35.6812, 139.7671) == "53394611"
    assert mesh_box("53394611").touches(DegreeBox(35.681, 139.766, 35.682, 139.768))


@pytest.mark.parametrize("code", ["", "5339", "53394611x", "539946", "53398611", "533946115", "1234567"])
def test_names_have_a_code_or_none(code):
    if code in ("5339",):
        assert code_of(f"{code}_bldg.gml") == code
    else:
        assert code_of(f"{code}_bldg.gml") == ""


@pytest.mark.parametrize("code", ["", "53", "abc", "533996", "5339461", "533946115"])
def test_a_mesh_code_that_is_none_is_an_error_that_names_it(code):
    with pytest.raises(ValueError, match=f"'{code}'"):
        Region.of(None, (code,))


def test_a_bounding_box_has_its_order():
    with pytest.raises(ValueError, match="south,west,north,east"):
        DegreeBox(139.0, 35.0, 140.0, 36.0 - 2)


def test_a_region_takes_the_tiles_that_touch_it_and_of_those_the_buildings_in_it(citygml, tmp_path):
    citygml(building((0, 0, 0), (20, 10, 30), "here"), building((900, 0, 0), (920, 10, 30), "there"))
    citygml(building((0, 0, 0), (20, 10, 30), "elsewhere"), name="64413325_bldg_6697_op.gml")
    folder = tmp_path / "udx"
    everything, _ = find_sources(folder, Region())
    assert len(everything) == 2
    box = Region.of(DegreeBox(35.68, 139.75, 35.69, 139.768), ())
    (tile,), _ = find_sources(folder, box)
    found = read_tile(tile, box)
    assert [entry.gml_id for entry in found.city_objects] == ["here"] and not found.skipped
    (tile,), _ = find_sources(folder, Region.of(None, ("533946",)))
    assert tile.name.startswith("53394611")
    with pytest.raises(ImportProblem, match="none of its 2 tiles"):
        find_sources(folder, Region.of(None, ("5235",)))


def zipped(folder, archive, prefix: str = "13100_tokyo/"):
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as content:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                content.write(path, prefix + path.relative_to(folder).as_posix())
    return archive


def test_a_zip_gives_the_same_tile_as_its_folder_textures_included(textured, tmp_path):
    path = textured(texture("images/a.png"))
    picture().save(path.parent / "images/a.png")
    archive = zipped(tmp_path / "udx", tmp_path / "city.zip", "13100_tokyo/udx/")
    (inside,), refused = find_sources(archive, Region())
    assert not refused and inside.feature == "bldg" and inside.name == path.stem
    ours, theirs = read_tile(TileSource(path, "bldg")), read_tile(inside)
    for name in ("triangles", "uv", "page", "colour", "origin"):
        assert (getattr(ours, name) == getattr(theirs, name)).all(), name
    assert ours.pages == theirs.pages
    assert sorted(p.name for p in tmp_path.iterdir()) == ["city.zip", "udx"]  # nothing was unpacked


HOSTILE = [
    "../../udx/bldg/1_bldg_6697.gml",
    "/udx/bldg/1_bldg_6697.gml",
    "..\\udx\\bldg\\1_bldg_6697.gml",
    "C:/bldg/1_bldg_6697.gml",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_zip_member_that_leads_elsewhere_is_refused_and_the_others_are_read(citygml, tmp_path, name):
    good = citygml(building((0, 0, 0), (20, 10, 30)))
    archive = tmp_path / "city.zip"
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr(name, good.read_text())
        content.writestr("udx/bldg/2_bldg_6697.gml", good.read_text())
    found, refused = find_sources(archive, Region())
    assert [tile.name for tile in found] == ["2_bldg_6697"]
    assert len(refused) == 1 and "leads out" in refused[0]


def test_a_zip_bomb_is_refused_by_its_size_before_it_is_read(tmp_path):
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as content:
        content.writestr("udx/bldg/1_bldg_6697.gml", b"<a>" + bytes(50_000_000))
    with pytest.raises(ImportProblem, match="would unpack to 50000003 bytes"):
        find_sources(archive, Region())


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"not a zip"])
def test_what_is_no_zip_is_named(tmp_path, content):
    archive = tmp_path / "city.zip"
    archive.write_bytes(content)
    with pytest.raises(ImportProblem, match=r"city\.zip"):
        find_sources(archive, Region())


def test_a_damaged_zip_member_is_a_problem_of_its_tile(citygml, tmp_path):
    citygml(building((0, 0, 0), (20, 10, 30)))
    archive = zipped(tmp_path / "udx", tmp_path / "city.zip")
    damaged = bytearray(archive.read_bytes())
    damaged[100:140] = bytes(40)
    archive.write_bytes(damaged)
    (tile,), _ = find_sources(archive, Region())
    with pytest.raises(ImportProblem, match="bldg_6697"):
        read_tile(tile)


def box_obj(low, high, first: int = 1, y_up: bool = False) -> str:
    corners = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    metres = np.asarray(low) + corners * (np.asarray(high, dtype=float) - low)
    if y_up:
        metres = metres[:, [0, 2, 1]] * [1, 1, -1]
    lines = [f"v {x:.3f} {y:.3f} {z:.3f}" for x, y, z in metres]
    return "\n".join(lines + [f"f {a + first} {b + first} {c + first}" for a, b, c in BOX_FACES]) + "\n"


def middle_of(code: str) -> np.ndarray:
    box = mesh_box(code)
    return to_metres(np.array([[(box.south + box.north) / 2, (box.west + box.east) / 2, 0.0]]), 6677)[0]


AXES = ["z up", "y up", "z up about the middle", "y up about the middle"]


@pytest.mark.parametrize("axes", AXES)
def test_an_obj_tile_stands_where_its_mesh_code_says_whatever_its_axes(tmp_path, axes):
    centre = np.zeros(3) if "middle" in axes else middle_of("53394611")
    low = np.array([(40, 80, 3), (-200, -90, 2)]) + centre
    text = "".join(box_obj(at, at + [20, 10, 30], 1 + 8 * n, "y up" in axes) for n, at in enumerate(low))
    path = tmp_path / "bldg/lod1/53394611_bldg_6677.obj"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    (source,), _ = find_sources(tmp_path, Region())
    tile = read_obj_tile(source, Region())
    assert tile.epsg == 6677 and len(tile.city_objects) == 2 and tile.lods == {1: 2} and not tile.problems
    points = (tile.triangles + tile.origin).reshape(-1, 3) - middle_of("53394611")
    assert points.min(axis=0) == pytest.approx([-200, -90, 2], abs=0.01)
    assert points.max(axis=0) == pytest.approx([60, 90, 33], abs=0.01)
    normals = np.cross(tile.triangles[:, 1] - tile.triangles[:, 0], tile.triangles[:, 2] - tile.triangles[:, 0])
    away = tile.triangles.mean(axis=1) - np.array(
        [tile.triangles[tile.objects == n].mean(axis=(0, 1)) for n in tile.objects]
    )
    assert ((normals * away).sum(axis=1) > 0).all()


def test_lod2_replaces_the_lod1_buildings_that_stand_where_it_does(tmp_path):
    at = middle_of("53394611")
    for lod, name, text in (
        ("lod1", "53394611", box_obj(at, at + [20, 10, 30]) + box_obj(at + [50, 0, 0], at + [60, 10, 9], 9)),
        ("lod2", "533946113", box_obj(at + [1, 1, 0], at + [19, 9, 28])),
    ):
        path = tmp_path / f"bldg/{lod}/{name}_bldg_6677.obj"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    (source,), _ = find_sources(tmp_path, Region())
    tile = read_obj_tile(source, Region())
    assert tile.lods == {1: 1, 2: 1}
    assert np.ptp(tile.triangles[:, :, 2]) == pytest.approx(28)


def test_a_building_of_an_obj_with_nan_is_skipped_and_the_others_are_read(tmp_path):
    at = middle_of("53394611")
    bad = box_obj(at, at + [20, 10, 30]).replace("v ", "v nan ", 1)
    path = tmp_path / "53394611_bldg_6677.obj"
    path.write_text(bad + box_obj(at + [50, 0, 0], at + [60, 10, 9], 9))
    tile = read_obj_tile(TileSource(path, "bldg"), Region())
    assert len(tile.city_objects) == 1 and len(tile.skipped) == 1 and "finite" in tile.skipped[0].reason


BROKEN_OBJ = [
    "", "v 0 0 0\n", "v 0 0 0\nf 1 2 3\n", "v a 0 0\nf 1 1 1\n", "f 1 2 x\n", "v 1 2\nf 1 1 1\n",
    "v 0 0 0\nf 0 0 0\n",
]  # fmt: skip


@pytest.mark.parametrize("text", BROKEN_OBJ)
def test_an_obj_that_is_none_is_a_problem_that_names_it(tmp_path, text):
    path = tmp_path / "53394611_bldg_6677.obj"
    path.write_text(text)
    with pytest.raises(ImportProblem, match=r"53394611_bldg_6677"):
        read_obj_tile(TileSource(path, "bldg"), Region())


def test_an_obj_in_another_place_than_its_name_says_is_a_problem(tmp_path):
    at = middle_of("53394611") + [30_000, 0, 0]
    path = tmp_path / "53394611_bldg_6677.obj"
    path.write_text(box_obj(at, at + [20, 10, 30]))
    with pytest.raises(ImportProblem, match="neither in its mesh"):
        read_obj_tile(TileSource(path, "bldg"), Region())


def test_an_obj_without_a_code_in_its_name_says_what_it_was_taken_for(tmp_path):
    path = tmp_path / "bldg" / "block.obj"
    path.parent.mkdir()
    path.write_text(box_obj((-6000, -35000, 0), (-5980, -34990, 12)))
    (source,), _ = find_sources(tmp_path, Region())
    assert any("EPSG:6677" in problem for problem in read_obj_tile(source, Region()).problems)


def test_textures_of_an_obj_come_from_its_mtl(tmp_path):
    at = middle_of("53394611")
    picture().save(tmp_path / "wall.jpg")
    (tmp_path / "materials.mtl").write_text("newmtl m\nKd 1 1 1\nmap_Kd wall.jpg\n")
    corners = [(0, 0, 0), (8, 0, 0), (8, 0, 4), (0, 0, 4)]
    lines = ["mtllib materials.mtl", *(f"v {x + at[0]} {y + at[1]} {z}" for x, y, z in corners)]
    lines += ["vt 0 0", "vt 1 0", "vt 1 1", "vt 0 1", "usemtl m", "f 1/1 2/2 3/3 4/4", "usemtl none", "f -4 -3 -1"]
    path = tmp_path / "53394611_bldg_6677.obj"
    path.write_text("\n".join(lines))
    tile = read_obj_tile(TileSource(path, "bldg"), Region())
    assert sorted(tile.page.tolist()) == [-1, 0, 0] and len(tile.pages) == 1


def test_the_folders_of_the_distribution_are_found_by_what_they_hold(tmp_path):
    for name in ("bldg/lod1/53394611_bldg_6677.obj", "dem/533946_dem_6677.obj", "metadata/udx.obj"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("v 0 0 0\n")
    found, _ = find_sources(tmp_path, Region())
    assert [(tile.name, tile.feature) for tile in found] == [("53394611_bldg_6677", "bldg"), ("533946_dem_6677", "dem")]
    shutil.rmtree(tmp_path / "dem")
    shutil.rmtree(tmp_path / "bldg")
    with pytest.raises(ImportProblem, match="no CityGML or OBJ"):
        find_sources(tmp_path, Region())
