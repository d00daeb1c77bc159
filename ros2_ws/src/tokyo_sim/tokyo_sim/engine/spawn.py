"""Where robots start: rovers on streets, drones above them, apart from each other and clear of everything.

And in sight of something that stands there: where no street is, between the buildings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import numpy as np

from occ_core.citymap import CityMap
from occ_core.poses import Pose
from tokyo_sim.engine.robot import Robot, RobotKind
from tokyo_sim.engine.start_poses import building_within, check_names, ground_within, in_city
from tokyo_sim.missions.obstacles import ObstacleMap
from tokyo_sim.missions.plans import keep_left
from tokyo_sim.missions.watchdog import drivable_ahead
from tokyo_sim.traffic.curves import resample
from tokyo_sim.traffic.junctions import Section

_APART_M = 6.0
_STEP_M = 2.0  # between places on a street
_INSIDE_M = 60.0  # from the edge of the city: a grid reaches 40 m
_ROVER_CLEARANCE_M = 0.05
_TRIES = 2000  # of places on open ground
_ROOM_M = 2.0  # of ground around a rover
_MOST_ROUGH = 100
_EVEN = 0.8  # of the steps and slopes that a rover gets over


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
    places = _places(city, sections, obstacles, rng)
    for robot in (robot for robot in robots if robot.name not in named):
        # Lazily: the ground of a large city is made where it is looked at.
        tries = (_pose(robot, place, city, altitude) for place in places)
        free = (pose for pose in tries if not _problem(pose, robot, poses, city, obstacles))
        pose = _first_even(city, free) if robot.kind is RobotKind.ROVER else next(free, None)
        if pose is None:
            raise ValueError(f"no free place to spawn {robot.name}: {len(poses)} robots are in this city already")
        poses[robot.name] = pose
    return [poses[robot.name] for robot in robots]


def _first_even(city: CityMap, poses: Iterable[Pose]) -> Pose | None:
    """The first that a rover can drive away from, ahead and back: streets of real tiles may lie across a bank.

    Where all of a hundred are rough, the first of them.
    """
    some = []
    for pose in islice(poses, _MOST_ROUGH):
        if all(drivable_ahead(city, pose, back=back, part=_EVEN) == np.inf for back in (False, True)):
            return pose
        some.append(pose)
    return some[0] if some else None


def _places(
    city: CityMap, sections: Sequence[Section], obstacles: ObstacleMap, rng: np.random.Generator
) -> list[np.ndarray]:
    """(x, y, yaw) on streets, else on open ground, in the order of `_together`: those that see what stands in the city,
    and all of them where none does."""
    on_streets = _street_places(sections)
    seeing = _in_sight(on_streets, obstacles)
    if not seeing and (obstacles.anything or not on_streets):
        on_ground = _open_places(city, obstacles, rng)
        seeing = _in_sight(on_ground, obstacles) or on_streets or on_ground
    return _together(seeing or on_streets, rng)


def _in_sight(places: list[np.ndarray], obstacles: ObstacleMap) -> list[np.ndarray]:
    if not places:
        return []
    seen = obstacles.in_sight(np.array(places)[:, :2])
    return [place for place, sees in zip(places, seen, strict=True) if sees]


def _street_places(sections: Sequence[Section]) -> list[np.ndarray]:
    """(x, y, yaw) along all streets that are wide enough, on the left."""
    places = []
    for section in sections:
        line = keep_left(resample(section.line, _STEP_M), section.width)
        if section.width < 3.0 or len(line) < 4:
            continue
        steps = np.diff(line, axis=0)
        places.extend(np.column_stack([line[:-1], np.arctan2(steps[:, 1], steps[:, 0])])[1:-1:2])
    return places


def _open_places(city: CityMap, obstacles: ObstacleMap, rng: np.random.Generator) -> list[np.ndarray]:
    """(x, y, yaw) on open ground where nothing stands: by what does, or anywhere in a city where nothing does."""
    tries = obstacles.near_things(_TRIES, rng)
    if not len(tries):
        low, high = np.percentile(city.triangles[:, :, :2].reshape(-1, 2), [5, 95], axis=0)
        tries = rng.uniform(low - 20, high + 20, (_TRIES, 2))
    clear = [place for place in tries if obstacles.standing_height(place) == -np.inf]
    return [np.array([*place, rng.uniform(-np.pi, np.pi)]) for place in clear]


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
