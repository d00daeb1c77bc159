"""Regular positions along both sides of a street, for trees, lights, poles and machines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .streets import Street


@dataclass(frozen=True, eq=False)
class Spot:
    """A position beside a street: ``point (2,)`` metres, unit vectors along the street and towards its middle."""

    point: np.ndarray
    along: np.ndarray
    to_road: np.ndarray


def spots(
    street: Street, offset_m: float, spacing_m: float, phase_m: float, sides: tuple[int, ...] = (-1, 1)
) -> list[Spot]:
    """Spots every ``spacing_m`` at ``offset_m`` from the middle line, within the length of the right of way.

    ``sides``: 1 is left of the street's direction, -1 is right.
    """
    left = np.array([-street.along[1], street.along[0]])
    reach = (np.asarray(street.area.exterior.coords) - street.origin) @ street.along
    stations = np.arange(reach.min() + phase_m, reach.max(), spacing_m)
    return [
        Spot(street.origin + station * street.along + side * offset_m * left, street.along, -side * left)
        for side in sides
        for station in stations
    ]
