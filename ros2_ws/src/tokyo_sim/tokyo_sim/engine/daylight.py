"""What light a clear day gives at an hour: from where the sun shines, and how much comes from sun, sky and ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DEFAULT_HOUR = 10.0
_NORTH = np.radians(35.7)  # Tokyo; in Sapporo the sun is 7 degrees lower
_DECLINATION = np.radians(12.0)  # of a day late in April or August
_LOWEST = np.radians(4.0)  # of the sun: below, streets are in the shade, and soon dark
# Above the atmosphere, as red, green and blue; what a vertical path through a clear one takes of each, as an exponent.
_SUN = 3.3
_DEPTH = np.array([0.11, 0.16, 0.26])
_SKY = np.array([0.86, 0.95, 1.12])  # of a high sun
_REFLECTED = np.array([0.22, 0.21, 0.195])  # what streets and walls send back of what comes from above
_EXPOSED = 1.45  # of what lies in the sun: a street's exposure, half of which is in the shade


@dataclass(frozen=True)
class Daylight:
    """to_sun: (3,) unit vector, map (east, north, up).

    sun, sky, ground: (3,) red, green, blue irradiance of a face that looks at the sun, straight up, and straight down,
    as a camera has exposed it.
    """

    to_sun: np.ndarray
    sun: np.ndarray
    sky: np.ndarray
    ground: np.ndarray

    @classmethod
    def at(cls, hour: float = DEFAULT_HOUR) -> Daylight:
        """hour: solar time, 12 when the sun is in the south. ValueError where the sun is not up."""
        angle, north = np.radians(15 * (hour - 12)), _NORTH
        to_sun = np.array(
            [
                -np.cos(_DECLINATION) * np.sin(angle),
                np.sin(_DECLINATION) * np.cos(north) - np.cos(_DECLINATION) * np.cos(angle) * np.sin(north),
                np.sin(_DECLINATION) * np.sin(north) + np.cos(_DECLINATION) * np.cos(angle) * np.cos(north),
            ]
        )
        height = float(to_sun[2])
        if height < np.sin(_LOWEST):
            raise ValueError(f"at {hour:g} h the sun is not up: cameras want 6 to 18")
        sun = _SUN * np.exp(-_air_mass(height) * _DEPTH)
        sky = _SKY * (0.3 + 0.7 * height)
        exposure = _EXPOSED / float(np.mean(sun * height + sky))
        return cls(to_sun, exposure * sun, exposure * sky, exposure * _REFLECTED * (sun * height + sky))


def _air_mass(height: float) -> float:
    """Air on the way of the sun's light, in vertical paths: Kasten and Young (1989). height: the sun's, as a sine."""
    degrees = np.degrees(np.arcsin(height))
    return float(1 / (height + 0.50572 * (degrees + 6.07995) ** -1.6364))
