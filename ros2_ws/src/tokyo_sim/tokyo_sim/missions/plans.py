"""Plans: paths in map for a robot to follow, planned against the city so that none goes through a building."""

from __future__ import annotations

from enum import Enum

import numpy as np

from occ_core.citymap import CityMap
from occ_core.classes import GROUND_CLASSES, Semantic
from tokyo_sim.missions.obstacles import ObstacleMap
from tokyo_sim.traffic.actor_types import BICYCLE
from tokyo_sim.traffic.lane_graph import LaneGraph

_STREET_LENGTH_M = 2000.0
_SURVEY_SPACING_M, _SURVEY_STEP_M = 60.0, 40.0
_ORBIT_POINTS = 25
_STEEPEST = 0.5  # of a rover's way: metres up per metre along
_ROAM_PLACES, _ROAM_TRIES = 12, 400
_ROAM_LEG_M = (40.0, 150.0)  # how far it is to the next place, where there is one


class Pattern(str, Enum):
    """What a mission does."""

    STREET = "street"
    ROAM = "roam"
    SURVEY = "survey"
    ORBIT = "orbit"
    WAYPOINTS = "waypoints"


def street(graph: LaneGraph, start: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A drive along lanes, with random turns and back to where it began, from the place nearest to a start.

    (n, 2) metres in map; its last point is beside its first. ValueError where there are no lanes.
    """
    if not graph.lanes:
        raise ValueError("a 'street' mission needs roads with room for a lane: use 'roam' or 'waypoints'")
    import networkx as nx  # takes a moment to load

    gaps = [float(np.linalg.norm(lane.line - start[:2], axis=1).min()) for lane in graph.lanes]
    first = int(np.argmin(gaps))
    kinds = graph.lanes[first].kinds
    # A rover is as wide as a bicycle: it goes where bicycles go, unless it begins on a lane that has none.
    kind = 1 << BICYCLE if kinds >> BICYCLE & 1 else kinds & -kinds
    ways = nx.DiGraph()
    for number, movement in enumerate(graph.movements):
        if movement.kinds & kind:
            ways.add_edge(movement.lane, movement.to, movement=number, length=graph.lanes[movement.to].length)
    route, length = [first], 0.0
    while length < _STREET_LENGTH_M:
        choices = sorted(ways[route[-1]])
        # Back only where there is no other way.
        onward = [to for to in choices if graph.lanes[to].section != graph.lanes[route[-1]].section] or choices
        route.append(int(onward[rng.integers(len(onward))]))
        length += graph.lanes[route[-1]].length
    route += nx.shortest_path(ways, route[-1], first, weight="length")[1:]
    pieces = [graph.lanes[first].line]
    for lane, to in zip(route, route[1:], strict=False):
        pieces += [graph.movements[ways[lane][to]["movement"]].line[1:-1], graph.lanes[to].line]
    path = np.concatenate(pieces[:-1])
    begin = int(np.linalg.norm(pieces[0] - start[:2], axis=1).argmin())
    return np.roll(path, -begin, axis=0)


def drivable(city: CityMap, path: np.ndarray) -> bool:
    """Whether the ground along a path (n, 2), metres in map, is all there and has no step that no wheel gets over."""
    heights = city.ground_at(path)
    away = np.linalg.norm(np.diff(path, axis=0), axis=1)
    return bool((np.abs(np.diff(heights)) <= _STEEPEST * np.maximum(away, 0.25)).all() and np.isfinite(heights).all())


def keep_left(line: np.ndarray, width: float) -> np.ndarray:
    """A centre line (n, 2) moved a quarter of the street's width to the left."""
    if len(line) < 2:
        return line
    direction = np.gradient(line, axis=0)
    direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-9)
    return line + width / 4 * np.column_stack([-direction[:, 1], direction[:, 0]])


def roam(city: CityMap, obstacles: ObstacleMap, start: np.ndarray, height: float, rng: np.random.Generator):
    """From one random place to the next, all with something in sight, round what stands higher than a height in map.

    Not far from each other, where a city allows it: across open ground there is little to see. Anywhere in a city in
    which nothing stands. (n, 2) metres in map.
    """
    low, high = city.vertices[:, :2].min(axis=0), city.vertices[:, :2].max(axis=0)
    tries = obstacles.near_things(_ROAM_TRIES, rng)
    tries = tries[((tries > low) & (tries < high)).all(axis=1)]
    free = tries[obstacles.free(tries, height)] if len(tries) else tries
    if not len(free):
        free = rng.uniform(*built_bounds(city), (_ROAM_PLACES, 2))
    places = [np.asarray(start[:2])]
    for _ in range(_ROAM_PLACES):
        away = np.linalg.norm(free - places[-1], axis=1)
        near = np.flatnonzero((away >= _ROAM_LEG_M[0]) & (away <= _ROAM_LEG_M[1]))
        # From a start far from everything the way leads to what is nearest.
        onward = near if len(near) else np.argsort(away, kind="stable")[:_ROAM_PLACES]
        places.append(free[onward[rng.integers(len(onward))]])
    return through(obstacles, places, height)


def streets_in_sight(graph: LaneGraph, obstacles: ObstacleMap) -> bool:
    """Is there a street from which something that stands can be seen? Where nothing stands at all, any street will do.

    PLATEAU cuts buildings and roads by squares of their own: a tile's roads may lie kilometres from its buildings.
    """
    if not graph.lanes:
        return False
    return not obstacles.anything or bool(obstacles.in_sight(np.concatenate([lane.line for lane in graph.lanes])).any())


def survey(
    city: CityMap,
    obstacles: ObstacleMap,
    start: np.ndarray,
    height: float,
    area: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """A lawn-mower at one height in map, round what stands higher. (n, 2) metres in map.

    area: lower and upper corner, (2,) each, metres in map; the built-up city where it is left out.
    """
    (x0, y0), (x1, y1) = area or built_bounds(city)
    corners: list[np.ndarray] = []
    forward = True
    for x in np.linspace(x0, x1, max(int(np.ceil((x1 - x0) / _SURVEY_SPACING_M)), 1) + 1):
        leg = [np.array([x, y]) for y in np.linspace(y0, y1, max(int((y1 - y0) / _SURVEY_STEP_M), 1) + 1)]
        corners.extend(leg if forward else leg[::-1])
        forward = not forward
    nearest = int(np.argmin(np.linalg.norm(np.array(corners) - start[:2], axis=1)))
    return through(obstacles, [start[:2], *corners[nearest:], *corners[:nearest]], height)


def orbit(obstacles: ObstacleMap, start: np.ndarray, centre: np.ndarray, radius: float, height: float) -> np.ndarray:
    """A circle about a point of interest, round what stands higher. (n, 2) metres in map."""
    begin = np.arctan2(*(start[:2] - centre[:2])[::-1])
    angles = begin + np.linspace(0, 2 * np.pi, _ORBIT_POINTS)
    circle = centre[:2] + radius * np.column_stack([np.cos(angles), np.sin(angles)])
    return through(obstacles, list(circle), height)


def tallest(city: CityMap) -> np.ndarray:
    """(2,) metres in map: the middle of the highest roof, what an orbit looks at where nothing is named."""
    built = city.triangles[city.classes == Semantic.BUILDING]
    if not len(built):
        return np.mean(built_bounds(city), axis=0)
    return built[int(built[:, :, 2].mean(axis=1).argmax()), :, :2].mean(axis=0)


def waypoints(obstacles: ObstacleMap, points: np.ndarray, height: float) -> np.ndarray:
    """From waypoint to waypoint (n, 2), round what stands higher than a height in map. (n, 2) metres in map.

    ValueError that names the first waypoint at which something stands.
    """
    blocked = np.flatnonzero(~obstacles.free(points, height))
    if len(blocked):
        x, y = points[blocked[0]]
        raise ValueError(
            f"waypoint {blocked[0] + 1} at ({x:g}, {y:g}) is inside or too near to something that stands there, or to "
            "where the ground ends: move it, or fly higher"
        )
    return through(obstacles, list(points), height)


def through(obstacles: ObstacleMap, places: list[np.ndarray], height: float) -> np.ndarray:
    """The shortest free ways from place to place, each from where the last one ended. (n, 2) metres in map."""
    ways: list[np.ndarray] = []
    here = np.asarray(places[0])
    for place in places[1:]:
        ways.append(obstacles.way(here, np.asarray(place), height))
        here = ways[-1][-1]
    return np.concatenate(ways)


def built_bounds(city: CityMap) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper (2,) metres in map of what stands there; outliers, the outer 2 per cent, are left out."""
    built = city.triangles[~np.isin(city.classes, GROUND_CLASSES)]
    low, high = np.percentile((built if len(built) else city.triangles)[:, :, :2].reshape(-1, 2), [2, 98], axis=0)
    return low, high
