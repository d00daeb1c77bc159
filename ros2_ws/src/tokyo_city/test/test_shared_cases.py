"""Small inputs that once gave a wrong world: what each of them has to give."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_levels import area_of

from occ_core.classes import NAMES, Semantic
from tokyo_city.plateau.model import ImportProblem
from tokyo_city.plateau.obj_tile import read_obj_tile
from tokyo_city.plateau.sources import EVERYWHERE, find_sources
from tokyo_city.plateau.tile import read_tile

BOX = {"building": 560.0}  # 10 m by 10 m by 9 m
CASES: dict[str, tuple[dict[str, float], int, str]] = {
    "03_traffic_areas_of_mixed_lod": ({"road": 600, "sidewalk": 300}, 0, ""),
    "07_broken_lod2_good_lod1": (BOX, 0, "1 of 7 polygons at LOD2 broken"),
    "08_lod2_nan": (BOX, 0, "1 of 7 polygons at LOD2 broken"),
    "09_empty_polygon": (BOX, 0, "1 of 7 polygons at LOD1 broken"),
    "12_unread_classes": ({"building": 560 + 2080, "other": 664 + 664 + 1216, "terrain": 480}, 0, ""),
    "13_citygml3": (BOX, 0, ""),
    "16_japanese_name": (BOX, 1, ""),
    "17_x3d_material": (BOX, 0, ""),
    "18_lod0_z_9999": ({"building": 1120}, 0, ""),
    "20_zip_cp932_texture_name": (BOX, 1, ""),
    "22_bow_tie": ({"building": 534.5}, 0, ""),
    "23_percent20": (BOX, 1, ""),
    "26_solid_and_surfaces_both_full": (BOX, 0, ""),
    "27_space_in_name": (BOX, 1, ""),
    "28_obj_map_options": (BOX, 1, ""),
    "29_obj_bom_crlf": (BOX, 1, ""),
    "32_gzip": (BOX, 0, ""),
    "34_case": (BOX, 1, ""),
}


@pytest.fixture(scope="module")
def cases() -> Path:
    places = [parent / "shared/cases/plateau" for parent in Path(__file__).resolve().parents]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        pytest.skip("no shared/cases/plateau beside the checkout")
    return found


@pytest.mark.parametrize("name", CASES)
def test_each_case_gives_what_its_file_has(cases, name):
    areas, pages, said = CASES[name]
    sources, refused = find_sources(cases / name, EVERYWHERE)
    tiles = [(read_obj_tile if source.is_obj else read_tile)(source, EVERYWHERE) for source in sources]
    present = {NAMES[number] for tile in tiles for number in tile.classes}
    assert present == set(areas) and not refused
    for class_name, area in areas.items():
        semantic = Semantic(NAMES.index(class_name))
        assert sum(area_of(tile, semantic) for tile in tiles) == pytest.approx(area, rel=1e-3)
    assert sum(len(tile.pages) for tile in tiles) == pages
    problems = [problem for tile in tiles for problem in tile.problems]
    assert len(problems) == bool(said) and all(said in problem for problem in problems)
    assert not any(tile.skipped for tile in tiles)


def test_a_flood_is_named_and_not_imported(cases):
    with pytest.raises(ImportProblem, match=r"fld \(river flood risk\): 1 WaterBody in 1 file"):
        find_sources(cases / "25_flood_file", EVERYWHERE)
