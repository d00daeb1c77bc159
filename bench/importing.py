"""CityGML to triangles, beside parsing the same XML."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from lxml import etree

from bench.pairs import Row, paired, table
from tokyo_sim.plateau.tile import read_tile


def import_rate(udx: Path) -> Row:
    """Reading and triangulating the building tile beside parsing its XML and its numbers."""
    path = next((udx / "bldg").glob("*.gml"))

    def parse() -> None:
        for element in etree.parse(str(path)).iter("{http://www.opengis.net/gml}posList"):
            np.array(element.text.split(), dtype=float)

    return Row("import of the building tile", *paired(lambda: read_tile(path), parse, 3), "XML parse")


def run(udx: Path, city: Path) -> str:
    """The table. udx: the sample city's CityGML; city: the same imported."""
    return table([import_rate(udx)])
