"""Where robots start: rovers on streets, drones above them, apart from each other and clear of everything."""

from __future__ import annotations

import numpy as np

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.poses import Pose
from tokyo_sim.engine.robot import Kind, Robot
from tokyo_sim.missions.obstacles import ObstacleMap
from tokyo_sim.missions.plans import keep_left
from tokyo_sim.traffic.lanes import StreetNetwork

_APART_M = 6.0
_ROVER_CLEARANCE_M = 0.05


def spawn_poses(
    robots: list[Robot],
    city: CityMap,
    streets: StreetNetwork,
    obstacles: ObstacleMap,
    altitude: float,
    rng: np.random.Generator,
) -> list[Pose]:
    """A pose in map of base_link for each robot; drones at an altitude above the ground, metres.

    ValueError where the city has no free place left.
    """
    places = _street_places(streets, rng) if streets.edges else _open_places(city, obstacles, rng)
    poses: list[Pose] = []
    for robot in robots:
        pose = next(
            (p for p in (_pose(robot, place, city, altitude) for place in places) if _free(p, robot, poses, obstacles)),
            None,
        )
        if pose is None:
            raise ValueError(f"no free place to spawn {robot.name}: {len(poses)} robots are in this city already")
        poses.append(pose)
    return poses


def _street_places(streets: StreetNetwork, rng: np.random.Generator) -> list[np.ndarray]:
    """(x, y, yaw) along all streets that are wide enough, on the left, nearest to the middle of the city first."""
    places = []
    for edge in streets.edges:
        line = keep_left(streets.line(edge, edge[0]), streets.width(edge))
        if streets.width(edge) < 3.0 or len(line) < 4:
            continue
        steps = np.diff(line, axis=0)
        places.extend(np.column_stack([line[:-1], np.arctan2(steps[:, 1], steps[:, 0])])[1:-1:2])
    return _central_first(places, rng)


def _open_places(city: CityMap, obstacles: ObstacleMap, rng: np.random.Generator) -> list[np.ndarray]:
    """(x, y, yaw) on open ground where nothing stands, for a city without roads."""
    built = city.triangles[city.classes == Semantic.BUILDING]
    xy = (built if len(built) else city.triangles)[:, :, :2].reshape(-1, 2)
    low, high = np.percentile(xy, [5, 95], axis=0)
    tries = rng.uniform(low - 20, high + 20, (2000, 2))
    clear = [place for place in tries if obstacles.standing_height(place) == -np.inf]
    return _central_first([np.array([*place, rng.uniform(-np.pi, np.pi)]) for place in clear], rng)


def _central_first(places: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Near the middle first, with a seeded jitter so that seeds start in different streets."""
    if not places:
        return []
    array = np.array(places)
    distance = np.linalg.norm(array[:, :2] - np.median(array[:, :2], axis=0), axis=1)
    return [array[i] for i in np.argsort(distance + rng.uniform(0, 120, len(array)), kind="stable")]


def _pose(robot: Robot, place: np.ndarray, city: CityMap, altitude: float) -> Pose:
    x, y, yaw = place
    above = altitude if robot.kind is Kind.DRONE else robot.size[2] / 2 - robot.centre[2] + _ROVER_CLEARANCE_M
    return Pose(np.array([x, y, city.ground_height(x, y) + above]), np.array([np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]))


def _free(pose: Pose, robot: Robot, others: list[Pose], obstacles: ObstacleMap) -> bool:
    apart = all(np.linalg.norm(pose.position - other.position) > _APART_M for other in others)
    return apart and (robot.kind is Kind.ROVER or bool(obstacles.free(pose.position[None, :2], pose.position[2])[0]))
