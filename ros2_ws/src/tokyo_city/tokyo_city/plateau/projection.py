"""From EPSG:6697 (JGD2011 latitude, longitude, height) to metres in the Japanese plane rectangular zones."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from pyproj import Transformer

# Origins (latitude, longitude) of zones I to XIX, Ministry of Land notification 9 of 2002; EPSG:6669 is zone I.
_ZONE_ORIGINS = np.array(
    [
        (33, 129.5), (33, 131), (36, 132.1667), (33, 133.5), (36, 134.3333), (36, 136), (36, 137.1667), (36, 138.5),
        (36, 139.8333), (40, 140.8333), (44, 140.25), (44, 142.25), (44, 144.25), (26, 142), (26, 127.5), (26, 124),
        (26, 131), (20, 136), (26, 154),
    ]
)  # fmt: skip
_ZONE_I_EPSG = 6669
_ZONE_HALF_HEIGHT = 2.2  # degrees of latitude that every zone covers


def zone_epsg(latitude: float, longitude: float) -> int:
    """EPSG code of the zone to use at a place: the one whose central meridian is nearest, near its latitude.

    The official zones follow prefectures; a neighbouring zone differs only in scale, by less than 1e-4.
    """
    far = np.maximum(np.abs(_ZONE_ORIGINS[:, 0] - latitude) - _ZONE_HALF_HEIGHT, 0)
    # Hokkaido, north of the Tsugaru strait, has zones XI to XIII to itself.
    far[(_ZONE_ORIGINS[:, 0] == 44) != (latitude > 41.35)] = np.inf
    return _ZONE_I_EPSG + int(np.argmin(10 * far + np.abs(_ZONE_ORIGINS[:, 1] - longitude)))


@lru_cache(maxsize=32)
def _transformer(epsg: int) -> Transformer:
    return Transformer.from_crs(6668, epsg, always_xy=True)


def to_metres(points: np.ndarray, epsg: int) -> np.ndarray:
    """points: (n, 3) float64 latitude, longitude, height. Returns (n, 3) east, north, up in the zone, metres."""
    east, north = _transformer(epsg).transform(points[:, 1], points[:, 0], errcheck=True)
    return np.column_stack([east, north, points[:, 2]])


def to_degrees(points: np.ndarray, epsg: int) -> np.ndarray:
    """The inverse of `to_metres`."""
    longitude, latitude = _transformer(epsg).transform(points[:, 0], points[:, 1], direction="INVERSE", errcheck=True)
    return np.column_stack([latitude, longitude, points[:, 2]])
