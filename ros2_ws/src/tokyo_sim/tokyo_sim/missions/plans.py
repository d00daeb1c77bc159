"""Plans: paths in map for a robot to follow, planned against the city so that none goes through a building."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path

import numpy as np

from occ_core.citymap import GROUND_CLASSES, CityMap
from tokyo_sim.missions.obstacles import ObstacleMap
from tokyo_sim.traffic.lanes import StreetNetwork

_STREET_LENGTH_M = 2000.0
_SURVEY_SPACING_M = 60.0
_ROVER_NARROWEST_M = 3.0
_ROAM_PLACES, _ROAM_MARGIN_M = 12, 15.0


class Pattern(str, Enum):
    """What a mission does."""

    STREET = "street"
    ROAM = "roam"
    SURVEY = "survey"
    ORBIT = "orbit"
    WAYPOINTS = "waypoints"


def street(streets: StreetNetwork, start: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A drive through the streets, on the left side, from the place nearest to a start. (n, 2) metres in map."""
    if not streets.edges:
        raise ValueError("a 'street' mission needs roads, and this city has none: use 'roam' or 'waypoints'")
    lines = [streets.line(edge, edge[0]) for edge in streets.edges]
    gaps = [np.linalg.norm(line - start[:2], axis=1) for line in lines]
    number = int(np.argmin([gap.min() for gap in gaps]))
    edge, node = streets.edges[number], streets.edges[number][0]
    path = [keep_left(lines[number][int(gaps[number].argmin()) :], streets.width(edge))]
    length = 0.0
    while length < _STREET_LENGTH_M:
        node = edge[1] if node == edge[0] else edge[0]
        edge = streets.next_street(edge, node, rng, _ROVER_NARROWEST_M)
        line = streets.line(edge, node)
        trim = 1 if len(line) > 4 else 0
        path.append(keep_left(line, streets.width(edge))[trim : len(line) - trim])
        length += 2.0 * len(line)
    return np.concatenate(path)


def keep_left(line: np.ndarray, width: float) -> np.ndarray:
    """A centre line (n, 2) moved a quarter of the street's width to the left."""
    if len(line) < 2:
        return line
    direction = np.gradient(line, axis=0)
    direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-9)
    return line + width / 4 * np.column_stack([-direction[:, 1], direction[:, 0]])


def roam(city: CityMap, obstacles: ObstacleMap, start: np.ndarray, height: float, rng: np.random.Generator):
    """From one random place to the next, round what stands higher than a height in map. (n, 2) metres in map."""
    low, high = _built_bounds(city)
    places = [rng.uniform(low - _ROAM_MARGIN_M, high + _ROAM_MARGIN_M) for _ in range(_ROAM_PLACES)]
    return through(obstacles, [start[:2], *places], height)


def survey(city: CityMap, obstacles: ObstacleMap, start: np.ndarray, height: float) -> np.ndarray:
    """A lawn-mower over the city at one height in map, round what stands higher. (n, 2) metres in map."""
    (x0, y0), (x1, y1) = _built_bounds(city)
    corners: list[np.ndarray] = []
    forward = True
    for x in np.arange(x0, x1 + 1, _SURVEY_SPACING_M):
        leg = [np.array([x, y]) for y in np.linspace(y0, y1, max(int((y1 - y0) / 40), 2))]
        corners.extend(leg if forward else leg[::-1])
        forward = not forward
    nearest = int(np.argmin(np.linalg.norm(np.array(corners) - start[:2], axis=1)))
    return through(obstacles, [start[:2], *corners[nearest:], *corners[:nearest]], height)


def orbit(obstacles: ObstacleMap, start: np.ndarray, centre: np.ndarray, radius: float, height: float) -> np.ndarray:
    """A circle about a point of interest, round what stands higher. (n, 2) metres in map."""
    begin = np.arctan2(*(start[:2] - centre[:2])[::-1])
    angles = begin + np.linspace(0, 2 * np.pi, 25)
    return through(
        obstacles, [start[:2], *(centre[:2] + radius * np.column_stack([np.cos(angles), np.sin(angles)]))], height
    )


def read_waypoints(path: Path) -> np.ndarray:
    """(n, 2) metres in map from a JSON list of [x, y]; ValueError that names the file."""
    try:
        points = np.array(json.loads(Path(path).read_text()), dtype=np.float64)
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"waypoints {path}: {error}") from error
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 2 or not np.isfinite(points).all():
        raise ValueError(f"waypoints {path}: a list of at least two [x, y] in metres is needed")
    return points


def through(obstacles: ObstacleMap, places: list[np.ndarray], height: float) -> np.ndarray:
    """The shortest free ways from place to place, each from where the last one ended. (n, 2) metres in map."""
    ways: list[np.ndarray] = []
    here = np.asarray(places[0])
    for place in places[1:]:
        ways.append(obstacles.way(here, np.asarray(place), height))
        here = ways[-1][-1]
    return np.concatenate(ways)


def _built_bounds(city: CityMap) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper (2,) metres in map of what stands there; outliers, the outer 2 per cent, are left out."""
    built = city.triangles[~np.isin(city.classes, GROUND_CLASSES)]
    low, high = np.percentile((built if len(built) else city.triangles)[:, :, :2].reshape(-1, 2), [2, 98], axis=0)
    return low, high
