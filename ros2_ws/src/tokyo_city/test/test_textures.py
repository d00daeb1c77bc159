"""Textures come to the faces that they belong to, the right way round, from every form that PLATEAU has them in."""

from __future__ import annotations

import io

import numpy as np
import pytest
from gml_samples import CORNERS, METRES, WALL, picture, texture, wall
from PIL import Image

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from tokyo_city.plateau.atlas import PAGE_PIXELS
from tokyo_city.plateau.sources import TileSource
from tokyo_city.plateau.tile import Tile, read_tile
from tokyo_city.world.appearance import UNTEXTURED, Appearance, pages
from tokyo_city.world.city import Options, import_city


def read(path) -> Tile:
    return read_tile(TileSource(path, "bldg"))


def colour_at(tile: Tile, place: np.ndarray) -> np.ndarray:
    """(3,) what the tile's pages show at a point of its walls, metres in the zone; found by barycentric coordinates."""
    for corners, uv, page in zip(tile.triangles + tile.origin, tile.uv, tile.page, strict=True):
        edges = np.column_stack([corners[1] - corners[0], corners[2] - corners[0]])
        (a, b), *_ = np.linalg.lstsq(edges, place - corners[0], rcond=None)
        if min(a, b, 1 - a - b) >= -1e-9 and np.linalg.norm(edges @ [a, b] - (place - corners[0])) < 0.01:
            assert page >= 0
            u, v = uv[0] + a * (uv[1] - uv[0]) + b * (uv[2] - uv[0])
            image = np.asarray(Image.open(io.BytesIO(tile.pages[page])).convert("RGB")).astype(int)
            assert image.shape == (PAGE_PIXELS, PAGE_PIXELS, 3)
            return image[int((1 - v) * PAGE_PIXELS), int(u * PAGE_PIXELS)]
    raise AssertionError(f"no triangle at {place}")


PLACES = {"lower left": (1, 1), "lower right": (7, 1), "upper left": (1, 3), "upper right": (7, 3)}


def on_wall(x: float, z: float) -> np.ndarray:
    return METRES[0] + [x, 0, z]


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.jpeg", "写真.jpg"])
@pytest.mark.parametrize("size", [32, 2000])
def test_each_corner_of_a_wall_has_the_colour_of_its_corner_of_the_picture(textured, name, size):
    path = textured(texture(f"images/{name}"))
    picture(size).save(path.parent / "images" / name)
    tile = read(path)
    assert (tile.page == 0).all() and len(tile.pages) == 1 and not tile.problems
    for corner, (x, z) in PLACES.items():
        assert colour_at(tile, on_wall(x, z)) == pytest.approx(CORNERS[corner], abs=12), corner
    assert tile.colour[0] == pytest.approx(np.mean(list(CORNERS.values()), axis=0), abs=4)
    assert ((tile.uv >= 0) & (tile.uv <= 1)).all()


@pytest.mark.parametrize("mode", ["RGBA", "L", "P", "CMYK"])
def test_pictures_of_other_modes_are_read(textured, mode):
    path = textured(texture("images/a.tif"))
    picture().convert(mode).save(path.parent / "images/a.tif")
    assert (read(path).page == 0).all()


def test_a_picture_that_repeats_is_baked_and_whole_repeats_are_taken_off(textured):
    three = [(u * 3 - 7, v * 2 + 5) for u, v in WALL]
    path = textured(texture("images/a.png", three))
    picture().save(path.parent / "images/a.png")
    tile = read(path)
    for column in range(3):
        for row in range(2):
            for corner, (x, z) in PLACES.items():
                place = on_wall((column + x / 8) * 8 / 3, (row + z / 4) * 4 / 2)
                assert colour_at(tile, place) == pytest.approx(CORNERS[corner], abs=12), (column, row, corner)


def test_a_mirrored_picture_turns_at_its_edge(textured):
    path = textured(texture("images/a.png", [(u * 2, v) for u, v in WALL], wrap="mirror"))
    picture().save(path.parent / "images/a.png")
    tile = read(path)
    for x, corner in ((1, "left"), (3, "right"), (5, "right"), (7, "left")):
        assert colour_at(tile, on_wall(x, 1)) == pytest.approx(CORNERS[f"lower {corner}"], abs=12), x


@pytest.mark.parametrize("wrap", ["clamp", "border", "none"])
def test_a_picture_that_is_not_to_repeat_keeps_its_edge(textured, wrap):
    path = textured(texture("images/a.png", [(u * 2, v) for u, v in WALL], wrap=wrap))
    picture().save(path.parent / "images/a.png")
    tile = read(path)
    assert ((tile.uv >= 0) & (tile.uv <= 1)).all() and tile.uv[:, :, 0].max() > 0


def test_walls_share_a_page_and_do_not_bleed_into_each_other(textured):
    rng = np.random.default_rng(5)
    colours = rng.integers(0, 256, (40, 3))
    walls = [wall(METRES + [0, 9.0 * n, 0], f"ring_{n}", f"b{n}") for n in range(40)]
    path = textured(*(texture(f"images/{n}.png", ring=f"ring_{n}") for n in range(40)), walls=walls)
    for n, colour in enumerate(colours):
        size = (int(rng.integers(1, 200)), int(rng.integers(1, 200)))
        Image.new("RGB", size, tuple(colour.tolist())).save(path.parent / f"images/{n}.png")
    tile = read(path)
    assert len(tile.pages) == 1
    for n, colour in enumerate(colours):
        for x, z in ((0.05, 0.05), (7.95, 3.95), (4, 2)):
            assert colour_at(tile, on_wall(x, z) + [0, 9.0 * n, 0]) == pytest.approx(colour, abs=10)


def test_pages_are_added_when_one_is_full_and_nothing_is_finer_than_it_can_be_seen(textured):
    walls = [wall(METRES * [1, 1, 1] + [0, 9.0 * n, 0], f"ring_{n}", f"b{n}") for n in range(3)]
    path = textured(*(texture(f"images/{n}.png", ring=f"ring_{n}") for n in range(3)), walls=walls)
    for n in range(3):
        picture(1024).save(path.parent / f"images/{n}.png")
    tile = read(path)
    extent = np.ptp(tile.uv[tile.objects == 0], axis=(0, 1)) * PAGE_PIXELS
    # 1024 x 1024 pixels on 8 m x 4 m are 181 to the metre; 16 are kept.
    assert extent.prod() == pytest.approx(16**2 * 32, rel=0.05)
    large = METRES[0] + (METRES - METRES[0]) * 100  # 800 m x 400 m
    path = textured(
        *(texture(f"images/{n}.png", ring=f"ring_{n}") for n in range(5)),
        walls=[wall(large, f"ring_{n}", f"b{n}") for n in range(5)],
    )
    for n in range(5):
        picture(1024).save(path.parent / f"images/{n}.png")
    assert len(read(path).pages) == 5  # 1024 pixels and their padding: only one fits on a page of 2048


NO_PICTURE = {
    "../secret.png": "beside",
    "/etc/secret.png": "beside",
    "http://127.0.0.1:9/a.png": "beside",
    "file:///etc/passwd": "beside",
    "C:\\a.png": "beside",
    "": "beside",
    "images/away.jpg": "No such file",
    "images/text.png": "not a JPEG",
    "images/huge.png": "too many",
}


@pytest.mark.parametrize("uri", NO_PICTURE)
def test_a_wall_whose_picture_cannot_be_used_gets_its_material_and_it_is_said(textured, uri):
    path = textured(texture(uri))
    (path.parent / "images/text.png").write_text("not an image")
    picture().save(path.parent.parent / "secret.png")
    if "huge" in uri:
        Image.new("1", (16_000, 16_000)).save(path.parent / uri)
    tile = read(path)
    assert (tile.page == UNTEXTURED).all() and tile.pages == ()
    assert len(tile.triangles) == 2
    assert any(NO_PICTURE[uri] in problem for problem in tile.problems), tile.problems


def test_a_link_out_of_the_folder_is_not_followed(textured, tmp_path_factory):
    path = textured(texture("images/link.png"))
    outside = tmp_path_factory.mktemp("outside") / "a.png"
    picture().save(outside)
    (path.parent / "images/link.png").symlink_to(outside)
    assert "leads out" in read(path).problems[0]


@pytest.mark.parametrize("coordinates", ["0 0 1 0 1 1", "0 0 1 0 1 1 0 x 0 0", "nan 0 1 0 1 1 0 1 0 0", ""])
def test_coordinates_that_do_not_fit_their_ring_are_left_out_and_said(textured, coordinates):
    whole = " ".join(f"{u} {v}" for u, v in WALL)
    path = textured(texture("images/a.png").replace(whole, coordinates))
    picture().save(path.parent / "images/a.png")
    tile = read(path)
    assert (tile.page == UNTEXTURED).all() and "texture coordinates" in tile.problems[0]


def test_a_picture_cut_short_leaves_the_wall_and_the_import_goes_on(textured):
    path = textured(texture("images/a.jpg"))
    whole = path.parent / "images/whole.jpg"
    picture(512).save(whole)
    (path.parent / "images/a.jpg").write_bytes(whole.read_bytes()[:2000])
    assert len(read(path).triangles) == 2


def test_the_world_the_semantic_mesh_and_the_appearance_show_the_same_textures(textured, tmp_path):
    far = METRES + [0, 5, 0]
    path = textured(texture("images/a.png"), walls=(wall(), wall(far, "ring_2", "plain")))
    picture().save(path.parent / "images/a.png")
    city = import_city(path, tmp_path / "city", Options(workers=1)).folder
    seen, mesh = Appearance.load(city), CityMap.load(city)
    assert len(seen.page) == len(mesh.faces)
    building = mesh.classes == Semantic.BUILDING
    assert sorted(seen.page[building].tolist()) == [-1, -1, 0, 0]
    south = mesh.triangles[:, :, 1].mean(axis=1) < mesh.triangles[building][:, :, 1].mean()
    assert (seen.page[building & south] == 0).all()
    assert [page.name for page in pages(city)] == ["page_000.jpg"]
    (model,) = (city / "meshes").glob("*_building.obj")
    lines = model.read_text().splitlines()
    material = model.with_suffix(".mtl").read_text()
    assert lines[0] == f"mtllib {model.stem}.mtl" and "usemtl page_000" in lines
    assert (model.parent / material.partition("map_Kd ")[2].split()[0]).is_file()
    # OBJ counts texture coordinates in the order in which they stand.
    written = np.array([line.split()[1:] for line in lines if line.startswith("vt ")], dtype=float)
    assert written[:-1] == pytest.approx(seen.uv[seen.page >= 0].reshape(-1, 2), abs=1e-5)
    assert written[-1].tolist() == [0, 0]  # where faces have no texture
    assert sum(line.startswith("f ") for line in lines) == 4
    assert "<material>" not in (city / "city.sdf").read_text().partition(model.name)[2].partition("</visual>")[0]


def test_real_textures_of_haneda_are_on_its_buildings(plateau_data):
    path = plateau_data / "haneda/udx/bldg/53392642_bldg_6697_op2.gml"
    tile = read(path)
    assert (tile.page >= 0).mean() > 0.9 and not tile.problems
    # Wide roofs are pale there, and no page is a flat colour.
    assert all(np.asarray(Image.open(io.BytesIO(page))).std() > 20 for page in tile.pages)
