"""Small cities for tests: made of boxes and sheets, as a mesh or as CityGML."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gml_samples import wall
from isolation import made_once
from paths import TOKYO

from occ_core.actors import BOX_FACES
from occ_core.citymap import CityMap
from occ_core.classes import Semantic

GML = """<?xml version="1.0" encoding="UTF-8"?>
<core:CityModel xmlns:core="http://www.opengis.net/citygml/2.0" xmlns:gml="http://www.opengis.net/gml"
 xmlns:bldg="http://www.opengis.net/citygml/building/2.0" xmlns:tran="http://www.opengis.net/citygml/transportation/2.0"
 xmlns:dem="http://www.opengis.net/citygml/relief/2.0" xmlns:xlink="http://www.w3.org/1999/xlink"
 xmlns:brid="http://www.opengis.net/citygml/bridge/2.0" xmlns:wtr="http://www.opengis.net/citygml/waterbody/2.0"
 xmlns:veg="http://www.opengis.net/citygml/vegetation/2.0" xmlns:frn="http://www.opengis.net/citygml/cityfurniture/2.0"
 xmlns:app="http://www.opengis.net/citygml/appearance/2.0">
{members}
</core:CityModel>
"""


def box_triangles(low, high) -> np.ndarray:
    """(12, 3, 3) outward triangles of an axis-aligned box, metres."""
    corners = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=float)
    return (np.asarray(low) + corners * (np.asarray(high) - low))[BOX_FACES]


def sheet_triangles(x0, x1, y0, y1, z=0.0) -> np.ndarray:
    """(2, 3, 3) upward triangles of a level rectangle, metres."""
    a, b, c, d = (x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)
    return np.array([(a, b, c), (a, c, d)], dtype=float)


def city_of(*parts: tuple[Semantic, np.ndarray]) -> CityMap:
    """A city of classes and their triangles."""
    triangles = np.concatenate([triangles for _, triangles in parts])
    classes = np.concatenate([np.full(len(triangles), semantic, np.uint8) for semantic, triangles in parts])
    faces = np.arange(3 * len(triangles), dtype=np.int32).reshape(-1, 3)
    return CityMap(triangles.reshape(-1, 3).astype(np.float32), faces, classes)


def small_sample_city(factory: pytest.TempPathFactory) -> Path:
    """The smallest sample city, imported by the command line, once for all workers of a run."""
    from tokyo_city.sample_city import write_sample_city

    def make(folder: Path) -> None:
        udx = write_sample_city(folder / "citygml", seed=3, size_m=320.0)
        subprocess.run([TOKYO, "city", str(udx), "--out", str(folder / "city")], check=True)

    return made_once(factory, "small_sample_city", make) / "city"


@pytest.fixture(scope="session")
def box() -> Callable[..., np.ndarray]:
    return box_triangles


@pytest.fixture(scope="session")
def sheet() -> Callable[..., np.ndarray]:
    return sheet_triangles


@pytest.fixture(scope="session")
def city() -> Callable[..., CityMap]:
    return city_of


@pytest.fixture
def citygml(tmp_path) -> Callable[..., Path]:
    """Writes city object members into a CityGML file and returns its path."""

    def write(*members: str, name: str = "53394611_bldg_6697_op.gml") -> Path:
        path = tmp_path / "udx" / name.split("_")[1] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        body = "\n".join(f"<core:cityObjectMember>{member}</core:cityObjectMember>" for member in members)
        path.write_text(GML.format(members=body))
        return path

    return write


@pytest.fixture
def textured(citygml) -> Callable[..., Path]:
    """Writes a CityGML file with walls and textures as PLATEAU has it: the appearance after the members."""

    def write(*textures: str, walls: tuple[str, ...] = ()):
        path = citygml(*(walls or (wall(),)))
        members = "".join(textures)
        appearance = f"<app:Appearance><app:theme>rgbTexture</app:theme>{members}</app:Appearance>"
        end = f"<app:appearanceMember>{appearance}</app:appearanceMember></core:CityModel>"
        path.write_text(path.read_text().replace("</core:CityModel>", end))
        (path.parent / "images").mkdir(exist_ok=True)
        return path

    return write


@pytest.fixture(scope="session")
def plateau_data() -> Path:
    """Real PLATEAU files: PLATEAU_DATA, or `shared/data/plateau` in or beside the checkout."""
    named = os.environ.get("PLATEAU_DATA")
    parents = Path(__file__).resolve().parents
    places = [Path(named)] if named else [parent / "shared/data/plateau" for parent in parents]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        pytest.skip("no PLATEAU data: set PLATEAU_DATA to a folder that holds haneda, sapporo and yokosuka")
    return found
