"""Local metres to EPSG:6697 (JGD2011 latitude, longitude, height above sea level), by way of plane zone 9."""

from __future__ import annotations

import numpy as np
from pyproj import Transformer

from .mesh import LATITUDE_STEP, LONGITUDE_STEP, mesh_code, mesh_south_west

HOME_MESH = "53394611"
PLANE_EPSG = 6677
GEODETIC_EPSG = 6697


class Georeference:
    """Puts the origin of the local frame (x east, y north) in the middle of the home mesh."""

    def __init__(self) -> None:
        latitude, longitude = mesh_south_west(HOME_MESH)
        to_plane = Transformer.from_crs(6668, PLANE_EPSG, always_xy=True)
        self._anchor = np.array(to_plane.transform(longitude + LONGITUDE_STEP / 2, latitude + LATITUDE_STEP / 2))
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
