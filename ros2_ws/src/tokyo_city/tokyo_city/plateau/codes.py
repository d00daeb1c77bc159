"""PLATEAU's folders and code values, and what they stand for."""

from __future__ import annotations

from enum import IntEnum

from occ_core.classes import Semantic

FOLDERS = (
    "bldg", "ubld", "tran", "squr", "trk", "rwy", "wwy", "dem", "veg", "frn", "brid", "tun", "cons", "wtr", "area",
    "gen",
)  # fmt: skip
"""Folders of `udx` that are imported."""

UNREAD = {
    "luse": "land use", "urf": "urban planning decisions", "lsld": "landslide risk", "fld": "river flood risk",
    "htd": "storm surge risk", "tnm": "tsunami risk", "ifld": "inland flood risk", "rfld": "reservoir flood risk",
    "unf": "underground pipes and cables",
}  # fmt: skip
"""Folders of `udx` that are not, and what is in them: areas of a map, depths of imagined floods, what is buried."""

BELOW_GROUND = ("tun", "ubld")
"""Folders of what does not stand on the ground, which says nothing of where that is."""


class SurfaceType(IntEnum):
    """What a polygon is on its object."""

    PLAIN = 0
    ROOF = 1
    WALL = 2
    FLOOR = 3


# TrafficArea_function and AuxiliaryTrafficArea_function, code lists 3.2 of the standard product specification: 1xxx
# carriageway (1080 its central strip, 1100 its shoulder), 2xxx pavements, 3xxx islands and medians, 4000 tram stops,
# 5xxx planting, 6000 and 7000 parking. Longest prefix first.
_BY_FUNCTION = (
    ("1080", Semantic.SIDEWALK),
    ("1", Semantic.ROAD),
    ("2", Semantic.SIDEWALK),
    ("3", Semantic.SIDEWALK),
    ("4", Semantic.SIDEWALK),
    ("5", Semantic.VEGETATION),
)


def traffic_area_class(function: str) -> Semantic:
    """Carriageway, pavement or planting by a traffic area's function; a median is raised, so it is a pavement."""
    return next((semantic for prefix, semantic in _BY_FUNCTION if function.startswith(prefix)), Semantic.ROAD)
