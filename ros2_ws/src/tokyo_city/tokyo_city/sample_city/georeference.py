"""Local metres to EPSG:6697 (JGD2011 latitude, longitude, height above sea level), by way of plane zone 9, and Japanese
standard grid squares (JIS X 0410): 8-digit third-level codes of 30 seconds by 45 seconds."""

from __future__ import annotations

import math

import numpy as np
from pyproj import Transformer

HOME_MESH = "53394611"
PLANE_EPSG = 6677
GEODETIC_EPSG = 6697
_LATITUDE_STEP = 30 / 3600
_LONGITUDE_STEP = 45 / 3600


class Georeference:
    """Puts the origin of the local frame (x east, y north) in the middle of the home mesh."""

    def __init__(self) -> None:
        latitude, longitude = mesh_south_west(HOME_MESH)
        to_plane = Transformer.from_crs(6668, PLANE_EPSG, always_xy=True)
        self._anchor = np.array(to_plane.transform(longitude + _LONGITUDE_STEP / 2, latitude + _LATITUDE_STEP / 2))
        self._to_geodetic = Transformer.from_crs(PLANE_EPSG, GEODETIC_EPSG, always_xy=True)

    def to_geodetic(self, points: np.ndarray) -> np.ndarray:
        """Local metres ``(n, 3)`` to degrees, degrees, metres ``(n, 3)`` in the order of EPSG:6697."""
        east, north = (points[:, :2] + self._anchor).T
        longitude, latitude, height = self._to_geodetic.transform(east, north, points[:, 2])
        return np.column_stack([latitude, longitude, height])

    def mesh_at(self, points: np.ndarray) -> str:
        """Code of the mesh that holds the middle of ``points (n, 2 or more)`` local metres."""
        middle = (points[:, :2].min(axis=0) + points[:, :2].max(axis=0)) / 2
        latitude, longitude, _ = self.to_geodetic(np.array([[*middle, 0.0]]))[0]
        return mesh_code(latitude, longitude)


def mesh_code(latitude: float, longitude: float) -> str:
    """Third-level code of the square that holds a point in degrees."""
    row = math.floor(latitude / _LATITUDE_STEP)
    column = math.floor((longitude - 100) / _LONGITUDE_STEP)
    first_row, first_column = row // 80, column // 80
    second_row, second_column = row // 10 % 8, column // 10 % 8
    return f"{first_row:02d}{first_column:02d}{second_row}{second_column}{row % 10}{column % 10}"


def mesh_south_west(code: str) -> tuple[float, float]:
    """Latitude and longitude (degrees) of a third-level square's south-west corner."""
    if len(code) != 8 or not code.isdecimal():
        raise ValueError(f"mesh code {code!r}: a third-level code has 8 digits")
    row = int(code[0:2]) * 80 + int(code[4]) * 10 + int(code[6])
    column = int(code[2:4]) * 80 + int(code[5]) * 10 + int(code[7])
    return row * _LATITUDE_STEP, 100 + column * _LONGITUDE_STEP
