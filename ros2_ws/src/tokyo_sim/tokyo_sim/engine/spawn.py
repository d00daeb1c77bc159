"""Where robots start: rovers on streets, drones above them, apart from each other and clear of everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.poses import Pose
from tokyo_sim.engine.robot import Robot, RobotKind
from tokyo_sim.engine.start_poses import building_within, check_names, ground_within, in_city
from tokyo_sim.missions.obstacles import ObstacleMap
from tokyo_sim.missions.plans import keep_left
from tokyo_sim.traffic.curves import resample
from tokyo_sim.traffic.junctions import Section

_APART_M = 6.0
_STEP_M = 2.0  # between places on a street
_INSIDE_M = 60.0  # from the edge of the city: a grid reaches 40 m
_ROVER_CLEARANCE_M = 0.05
_ROOM_M = 2.0  # of ground around a rover


def spawn_poses(
    robots: list[Robot],
    city: CityMap,
    sections: Sequence[Section],
    obstacles: ObstacleMap,
    altitude: float,
    rng: np.random.Generator,
    named: Mapping[str, tuple[float, float, float]] | None = None,
) -> list[Pose]:
    """A pose in map of base_link for each robot; drones at an altitude above the ground, metres.

    named: x, y, yaw where a user wants some robots; they are never moved from there. ValueError where such a place is
    taken or a robot can't be there, and where the city has no free place left for the others.
    """
    named = named or {}
    check_names(named, [robot.name for robot in robots])
    poses: dict[str, Pose] = {}
    for robot in (robot for robot in robots if robot.name in named):
        pose = _pose(robot, np.array(named[robot.name]), city, altitude)
        if problem := _problem(pose, robot, poses, city, obstacles):
            x, y, _ = named[robot.name]
            raise ValueError(f"{robot.name} can't start at ({x:g}, {y:g}): {problem}; give it another place, or none")
        poses[robot.name] = pose
    places = _street_places(sections, rng) if sections else _open_places(city, obstacles, rng)
    for robot in (robot for robot in robots if robot.name not in named):
        tries = (_pose(robot, place, city, altitude) for place in places)
        pose = next((pose for pose in tries if not _problem(pose, robot, poses, city, obstacles)), None)
        if pose is None:
            raise ValueError(f"no free place to spawn {robot.name}: {len(poses)} robots are in this city already")
        poses[robot.name] = pose
    return [poses[robot.name] for robot in robots]


def _street_places(sections: Sequence[Section], rng: np.random.Generator) -> list[np.ndarray]:
    """(x, y, yaw) along all streets that are wide enough, on the left, in the order of `_together`."""
    places = []
    for section in sections:
        line = keep_left(resample(section.line, _STEP_M), section.width)
        if section.width < 3.0 or len(line) < 4:
            continue
        steps = np.diff(line, axis=0)
        places.extend(np.column_stack([line[:-1], np.arctan2(steps[:, 1], steps[:, 0])])[1:-1:2])
    return _together(places, rng)


def _open_places(city: CityMap, obstacles: ObstacleMap, rng: np.random.Generator) -> list[np.ndarray]:
    """(x, y, yaw) on open ground where nothing stands, for a city without roads."""
    built = city.triangles[city.classes == Semantic.BUILDING]
    xy = (built if len(built) else city.triangles)[:, :, :2].reshape(-1, 2)
    low, high = np.percentile(xy, [5, 95], axis=0)
    tries = rng.uniform(low - 20, high + 20, (2000, 2))
    clear = [place for place in tries if obstacles.standing_height(place) == -np.inf]
    return _together([np.array([*place, rng.uniform(-np.pi, np.pi)]) for place in clear], rng)


def _together(places: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Nearest first to one drawn from all that have city around them; jitter spreads robots over neighbouring streets.

    So a fleet starts where its robots see each other, and seeds start in different parts of the city.
    """
    if not places:
        return []
    array = np.array(places)
    low, high = array[:, :2].min(axis=0) + _INSIDE_M, array[:, :2].max(axis=0) - _INSIDE_M
    inside = np.flatnonzero(((array[:, :2] >= low) & (array[:, :2] <= high)).all(axis=1))
    first = array[rng.choice(inside if len(inside) else len(array)), :2]
    distance = np.linalg.norm(array[:, :2] - first, axis=1)
    return [array[i] for i in np.argsort(distance + rng.uniform(0, 60, len(array)), kind="stable")]


def _pose(robot: Robot, place: np.ndarray, city: CityMap, altitude: float) -> Pose:
    x, y, yaw = place
    above = altitude if robot.kind is RobotKind.DRONE else robot.size[2] / 2 - robot.centre[2] + _ROVER_CLEARANCE_M
    return Pose(np.array([x, y, city.nearest_ground(x, y) + above]), np.array([np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]))


def _problem(pose: Pose, robot: Robot, others: dict[str, Pose], city: CityMap, obstacles: ObstacleMap) -> str:
    """Why a robot can't start there; empty where it can. What costs least is looked at first."""
    xy, height = pose.position[:2], pose.position[2]
    for name, other in others.items():
        if np.linalg.norm(pose.position - other.position) <= _APART_M:
            return f"{name} is less than {_APART_M:g} m away"
    if not in_city(city, xy):
        return "that is outside the city"
    if not ground_within(city, xy, _ROOM_M if robot.kind is RobotKind.ROVER else 0.0):
        return "there is no ground there"
    if robot.kind is RobotKind.ROVER:
        return "a building is there" if building_within(city, xy, float(np.linalg.norm(robot.size[:2]) / 2)) else ""
    if obstacles.free(xy[None], height)[0]:
        return ""
    return f"things there reach up to {obstacles.standing_height(xy):.0f} m, and it would be at {height:.0f} m"
