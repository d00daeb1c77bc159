"""Japanese standard grid squares (JIS X 0410): where a mesh code lies, and what a tile's name says of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Digits, and the sides of a square in degrees of latitude and longitude; the fourth level and on by halves.
_FIRST = (2 / 3, 1.0)
_LEADING = re.compile(r"^(\d{4,11})(?=_|\.|$)")


@dataclass(frozen=True)
class DegreeBox:
    """Degrees of latitude and longitude."""

    south: float
    west: float
    north: float
    east: float

    def __post_init__(self) -> None:
        if not (self.south < self.north and self.west < self.east):
            raise ValueError(
                f"bounding box {self.south:g},{self.west:g},{self.north:g},{self.east:g}: it is south,west,north,east"
            )

    def touches(self, other: DegreeBox) -> bool:
        """True where they have area in common."""
        return (
            self.south < other.north and other.south < self.north and self.west < other.east and other.west < self.east
        )


def mesh_box(code: str) -> DegreeBox:
    """The square of a code: 4 digits (80 km), 6 (10 km), 8 (1 km), or 9 to 11 (halves of it). ValueError for others."""
    if not re.fullmatch(r"\d{4}|\d{6}|\d{8,11}", code):
        raise ValueError(f"mesh code '{code}': it has 4, 6, or 8 to 11 digits")
    if not (30 <= int(code[:2]) <= 68 and 22 <= int(code[2:4]) <= 53):
        raise ValueError(f"mesh code '{code}': it is not in Japan, whose codes begin with 3022 to 6853")
    height, width = _FIRST
    south, west = int(code[:2]) * height, 100.0 + int(code[2:4])
    for at, parts in ((4, 8), (6, 10)):
        if len(code) >= at + 2:
            height, width = height / parts, width / parts
            row, column = int(code[at]), int(code[at + 1])
            if max(row, column) >= parts:
                raise ValueError(f"mesh code '{code}': digits {at + 1} and {at + 2} are 0 to {parts - 1}")
            south, west = south + row * height, west + column * width
    for digit in code[8:]:
        height, width = height / 2, width / 2
        if digit not in "1234":
            raise ValueError(f"mesh code '{code}': digits after the eighth are 1 to 4")
        south += height * (digit in "34")
        west += width * (digit in "24")
    return DegreeBox(south, west, south + height, west + width)


def code_of(name: str) -> str:
    """The mesh code that a file name begins with, '' for none."""
    found = _LEADING.match(name)
    if not found:
        return ""
    try:
        mesh_box(found[1])
    except ValueError:
        return ""
    return found[1]
