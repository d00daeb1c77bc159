"""Places that a user names for robots to start at, and whether a robot can be there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from occ_core.classes import Semantic

if TYPE_CHECKING:  # the command line looks at places before it loads what takes seconds
    from occ_core.citymap import CityMap

_ENTRY = "NAME:X,Y or NAME:X,Y,YAW, metres and radians in map, such as 'rover_0:12,-30,1.57 drone_0:0,5'"


def parse_start_poses(text: str) -> dict[str, tuple[float, float, float]]:
    """x, y, yaw by robot from 'rover_0:12,-30,1.57 drone_0:0,5'. ValueError with the entry that is no place."""
    places: dict[str, tuple[float, float, float]] = {}
    for entry in text.split():
        name, _, numbers = entry.partition(":")
        try:
            values = [float(number) for number in numbers.split(",")]
        except ValueError:
            values = []
        if not name or len(values) not in (2, 3) or not np.isfinite(values).all():
            raise ValueError(f"'{entry}' is no place to start at: {_ENTRY}")
        if name in places:
            raise ValueError(f"{name} has two places to start at")
        places[name] = values[0], values[1], values[2] if len(values) == 3 else 0.0
    return places


def check_names(places: Mapping[str, object], robots: list[str]) -> None:
    """ValueError for a place of a robot that there is not."""
    if unknown := sorted(set(places) - set(robots)):
        there = f"the robots are {', '.join(robots)}" if robots else "there are no robots"
        raise ValueError(f"a place to start at is given for {', '.join(unknown)}, and {there}")


def in_city(city: CityMap, xy: np.ndarray) -> bool:
    """Whether a place (2,) in map is within the city's bounds."""
    low, high = city.vertices[:, :2].min(axis=0), city.vertices[:, :2].max(axis=0)
    return bool(((xy >= low) & (xy <= high)).all())


def ground_within(city: CityMap, xy: np.ndarray, radius: float) -> bool:
    """Whether there is ground everywhere within a radius, metres, of a place (2,) in map: what wheels need."""
    steps = np.linspace(-radius, radius, max(int(4 * radius), 2) + 1)
    return bool(np.isfinite(city.ground_heights(xy[0] + steps, xy[1] + steps)).all())


def building_within(city: CityMap, xy: np.ndarray, radius: float) -> bool:
    """Whether any part of a building is above or beside a place (2,) in map, closer than a radius, metres."""
    near = city.faces_near(xy, radius)
    triangles = city.triangles[near[city.classes[near] == Semantic.BUILDING]][:, :, :2] - xy
    if not len(triangles):
        return False
    sides = np.roll(triangles, -1, axis=1) - triangles
    # Inside where the place is on the same side of all three edges; a wall seen from above has no inside.
    turns = triangles[:, :, 0] * sides[:, :, 1] - triangles[:, :, 1] * sides[:, :, 0]
    inside = ((turns > 0).all(axis=1)) | ((turns < 0).all(axis=1))
    lengths = np.maximum((sides**2).sum(axis=2), 1e-12)
    along = np.clip(-(triangles * sides).sum(axis=2) / lengths, 0, 1)
    distances = np.linalg.norm(triangles + along[:, :, None] * sides, axis=2)
    return bool(inside.any() or (distances < radius).any())
