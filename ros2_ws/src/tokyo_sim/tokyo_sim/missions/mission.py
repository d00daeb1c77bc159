"""A mission: what a robot is to do, turned into commands as it goes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from occ_core.actors import Actor
from occ_core.citymap import CityMap
from occ_core.poses import Pose
from tokyo_sim.engine.robot import Kind
from tokyo_sim.missions import plans
from tokyo_sim.missions.follower import Command, PathFollower
from tokyo_sim.missions.obstacles import ObstacleMap
from tokyo_sim.missions.plans import Pattern
from tokyo_sim.traffic.lanes import street_network

_LOOKAHEAD_M = {Kind.ROVER: 3.0, Kind.DRONE: 6.0}
_GROUND_LEVEL = -1e6
_LOOK_AHEAD_FOR_ACTORS_M = 12.0
_HALF_WIDTH_M, _NOSE_M = 0.6, 0.6  # of the rover: its half width with a margin, and its front


@dataclass(frozen=True)
class MissionPlan:
    """speed: m/s. altitude: metres above the ground at the start. radius: metres. waypoints: JSON file."""

    kind: Kind
    pattern: Pattern
    speed: float
    altitude: float = 30.0
    radius: float = 40.0
    waypoints: Path | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        if self.kind is Kind.ROVER and self.pattern in (Pattern.SURVEY, Pattern.ORBIT):
            raise ValueError(f"parameter 'pattern': a rover can't do '{self.pattern.value}', it is for drones")
        if (self.pattern is Pattern.WAYPOINTS) != (self.waypoints is not None):
            raise ValueError("parameter 'waypoints': a file goes with pattern 'waypoints', and with no other")


class Mission:
    """Plans from where the robot is when it is first asked for a command."""

    def __init__(self, city: Path, plan: MissionPlan) -> None:
        self._city = CityMap.load(city)
        self._plan = plan
        self._follower: PathFollower | None = None
        self._height = 0.0

    def command(self, pose: Pose, actors: list[Actor]) -> Command:
        """What to do now. pose: base_link in map. actors: everything else that moves."""
        if self._follower is None:
            self._height = self._city.ground_height(*pose.position[:2]) + self._plan.altitude
            path = self._path(pose.position)
            self._follower = PathFollower(path, self._plan.speed, _LOOKAHEAD_M[self._plan.kind])
        if self._plan.kind is Kind.DRONE:
            return self._follower.fly(pose, self._height)
        return self._follower.drive(pose, free_ahead(pose, actors))

    def _path(self, start: np.ndarray) -> np.ndarray:
        plan = self._plan
        if plan.waypoints is not None:
            return plans.read_waypoints(plan.waypoints)
        rng = np.random.default_rng(plan.seed)
        if plan.pattern is Pattern.STREET and plan.kind is Kind.ROVER:
            return plans.street(street_network(self._city), start, rng)
        obstacles = ObstacleMap(self._city)
        if plan.pattern is Pattern.ROAM:
            # On the ground everything that stands is in the way, however low it is.
            height = _GROUND_LEVEL if plan.kind is Kind.ROVER else self._height
            return plans.roam(self._city, obstacles, start, height, rng)
        if plan.pattern is Pattern.STREET:
            drive = plans.street(street_network(self._city), start, rng)
            return plans.through(obstacles, [start[:2], *drive[::10]], self._height)
        if plan.pattern is Pattern.ORBIT:
            return plans.orbit(obstacles, start, start[:2] + [plan.radius, 0.0], plan.radius, self._height)
        return plans.survey(self._city, obstacles, start, self._height)


def free_ahead(pose: Pose, actors: list[Actor]) -> float:
    """Metres from a rover's front to the nearest actor in its way, inf where there is none."""
    nearest = np.inf
    for actor in actors:
        corners = (actor.corners() - pose.position) @ pose.rotation
        (back, right, low), (front, left, high) = corners.min(axis=0), corners.max(axis=0)
        in_the_way = right < _HALF_WIDTH_M and left > -_HALF_WIDTH_M and low < 2.0 and high > -0.3
        if in_the_way and front > 0 and back < _LOOK_AHEAD_FOR_ACTORS_M:
            nearest = min(nearest, back - _NOSE_M)
    return float(nearest)
