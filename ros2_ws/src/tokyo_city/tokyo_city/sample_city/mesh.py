"""Japanese standard grid squares (JIS X 0410): 8-digit third-level codes of 30 seconds by 45 seconds."""

from __future__ import annotations

import math

LATITUDE_STEP = 30 / 3600
LONGITUDE_STEP = 45 / 3600


def mesh_code(latitude: float, longitude: float) -> str:
    """Third-level code of the square that holds a point in degrees."""
    row = math.floor(latitude / LATITUDE_STEP)
    column = math.floor((longitude - 100) / LONGITUDE_STEP)
    first_row, first_column = row // 80, column // 80
    second_row, second_column = row // 10 % 8, column // 10 % 8
    return f"{first_row:02d}{first_column:02d}{second_row}{second_column}{row % 10}{column % 10}"


def mesh_south_west(code: str) -> tuple[float, float]:
    """Latitude and longitude (degrees) of a third-level square's south-west corner."""
    if len(code) != 8 or not code.isdecimal():
        raise ValueError(f"mesh code {code!r}: a third-level code has 8 digits")
    row = int(code[0:2]) * 80 + int(code[4]) * 10 + int(code[6])
    column = int(code[2:4]) * 80 + int(code[5]) * 10 + int(code[7])
    return row * LATITUDE_STEP, 100 + column * LONGITUDE_STEP
