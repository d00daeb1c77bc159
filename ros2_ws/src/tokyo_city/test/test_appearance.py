"""What a city looks like: a row for each face of its semantic mesh, colours by use and height."""

from __future__ import annotations

import numpy as np
import pytest

from occ_core.citymap import CityMap
from occ_core.classes import MATERIALS, Semantic
from tokyo_city.plateau.materials import building_colours
from tokyo_city.sample_city import write_sample_city
from tokyo_city.world.appearance import UNTEXTURED, Appearance, pages
from tokyo_city.world.city import Options, import_city


def test_an_appearance_survives_the_disk_in_the_order_of_its_parts(tmp_path):
    rng = np.random.default_rng(1)
    parts = [
        Appearance(
            rng.integers(0, 256, (n, 3), np.uint8), rng.random((n, 3, 2), np.float32), rng.integers(-1, 4, n, np.int16)
        )
        for n in (5, 1, 8)
    ]
    for name, part in zip(("b", "a", "c"), parts, strict=True):
        part.save(tmp_path, name)
    again = Appearance.load(tmp_path)
    for name in ("colour", "uv", "page"):
        expected = np.concatenate([getattr(parts[k], name) for k in (1, 0, 2)])
        assert getattr(again, name).dtype == expected.dtype
        assert (getattr(again, name) == expected).all()


def test_a_city_without_an_appearance_says_what_to_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="tokyo city"):
        Appearance.load(tmp_path)


def test_every_face_of_an_imported_city_has_a_colour_by_use_height_and_class(tmp_path):
    city = import_city(
        write_sample_city(tmp_path / "gml", seed=3, size_m=320.0), tmp_path / "city", Options(workers=1)
    ).folder
    mesh, seen = CityMap.load(city), Appearance.load(city)
    assert len(seen.colour) == len(seen.uv) == len(seen.page) == len(mesh.faces)
    assert (seen.page == UNTEXTURED).all() and pages(city) == []
    road = mesh.classes == Semantic.ROAD
    assert (seen.colour[road] == MATERIALS[Semantic.ROAD]).all()
    walls = mesh.classes == Semantic.BUILDING
    assert len(np.unique(seen.colour[walls], axis=0)) > 20


def test_use_and_height_change_a_building_s_colour_and_the_import_does_not():
    house = building_colours("b1", "411", 8.0)
    assert (house == building_colours("b1", "411", 8.0)).all()
    assert (house[0] != building_colours("b1", "441", 8.0)[0]).any()
    assert (house[0] != building_colours("b1", "411", 90.0)[0]).any()
