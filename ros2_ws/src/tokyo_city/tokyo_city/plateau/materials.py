"""Colours of what has no texture: buildings by use and height, everything else by class."""

from __future__ import annotations

import zlib
from bisect import bisect_left

import numpy as np

# Metres up to which a building is a house, a mid-rise, a high-rise; towers are above.
_HEIGHTS = (12.0, 31.0, 60.0)
# By the code list Building_usage: walls of a low, middle, high building and of a tower.
_OFFICE = ((176, 168, 156), (168, 166, 162), (146, 152, 158), (112, 126, 140))
_SHOP = ((196, 178, 158), (186, 174, 160), (168, 164, 158), (136, 144, 152))
_HOUSE = ((206, 196, 180), (198, 190, 178), (184, 178, 168), (166, 166, 164))
_FLATS = ((190, 164, 142), (180, 158, 140), (188, 180, 170), (176, 176, 174))
_PUBLIC = ((192, 184, 168), (184, 180, 170), (172, 172, 168), (150, 154, 158))
_WORKS = ((150, 156, 158), (146, 152, 156), (140, 146, 150), (130, 138, 144))
_WALLS = {
    "401": _OFFICE, "402": _SHOP, "403": _SHOP, "404": _SHOP, "411": _HOUSE, "412": _FLATS, "413": _HOUSE,
    "414": _FLATS, "415": _HOUSE, "421": _PUBLIC, "422": _PUBLIC, "431": _WORKS, "441": _WORKS, "451": _WORKS,
    "452": _WORKS, "453": _WORKS,
}  # fmt: skip
_ROOFS = ((96, 98, 104), (128, 128, 126), (122, 124, 124), (112, 116, 120))
_STEPS, _STEP = 5, 6  # shades of a colour, and how far they are apart


def building_colours(gml_id: str, usage: str, height: float) -> np.ndarray:
    """(2, 3) uint8: wall and roof of a building. usage: code of the list Building_usage; height: metres."""
    band = bisect_left(_HEIGHTS, height)
    # Neighbours differ, and a building has the same colour in every import.
    shift = _STEP * (zlib.crc32(gml_id.encode()) % _STEPS - _STEPS // 2)
    wall, roof = _WALLS.get(usage, _OFFICE)[band], _ROOFS[band]
    return np.array([[min(max(part + shift, 0), 255) for part in colour] for colour in (wall, roof)], np.uint8)
