"""PLATEAU's element names and code values, and the semantic classes that stand for them."""

from __future__ import annotations

from enum import IntEnum

from occ_core.classes import Semantic

FEATURES: dict[str, Semantic] = {
    "Building": Semantic.BUILDING,
    "Road": Semantic.ROAD,
    "Square": Semantic.SIDEWALK,
    "Track": Semantic.SIDEWALK,
    "ReliefFeature": Semantic.TERRAIN,
    "SolitaryVegetationObject": Semantic.VEGETATION,
    "PlantCover": Semantic.VEGETATION,
    "CityFurniture": Semantic.FURNITURE,
    "Bridge": Semantic.BRIDGE,
    "WaterBody": Semantic.WATER,
}
"""CityGML element of a city object -> class. (`Track` is PLATEAU's footpath.)"""

FOLDERS = ("bldg", "tran", "squr", "trk", "dem", "veg", "frn", "brid", "wtr")
"""Folders of `udx` that are imported."""

PARTS = {"BuildingPart", "BridgePart"}

NOT_SOLID = {"ClosureSurface", "WaterClosureSurface", "WaterGroundSurface", "interiorRoom", "interiorBridgeRoom"}
"""Elements whose geometry nobody can see or touch."""


class Kind(IntEnum):
    """What a polygon is on its object."""

    PLAIN = 0
    ROOF = 1
    WALL = 2
    FLOOR = 3


KINDS = {
    "RoofSurface": Kind.ROOF,
    "OuterFloorSurface": Kind.ROOF,
    "WallSurface": Kind.WALL,
    "Door": Kind.WALL,
    "Window": Kind.WALL,
    "GroundSurface": Kind.FLOOR,
    "OuterCeilingSurface": Kind.FLOOR,
}
"""Boundary surface -> kind; installations and everything else are plain."""

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
