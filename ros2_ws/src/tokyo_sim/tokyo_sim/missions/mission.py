"""A mission: what a robot is to do, turned into commands as it goes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from occ_core.actors import Actor, corners
from occ_core.citymap import CityMap
from occ_core.poses import Pose
from tokyo_sim.engine.robot import RobotKind
from tokyo_sim.missions import plans
from tokyo_sim.missions.follower import Command, PathFollower
from tokyo_sim.missions.obstacles import ObstacleMap
from tokyo_sim.missions.plans import Pattern
from tokyo_sim.missions.watchdog import STOPS_SHORT_M, RoverWatchdog
from tokyo_sim.missions.waypoint_file import read_waypoints
from tokyo_sim.traffic.lane_graph import LaneGraph
from tokyo_sim.traffic.stored import lane_graph

_LOOKAHEAD_M = {RobotKind.ROVER: 3.0, RobotKind.DRONE: 6.0}
_GROUND_LEVEL = -1e6
_FAR_M = 1000.0  # from the city: no robot of it gets there
_STREET_STRIDE = 40  # points of a drive, 0.5 m apart, from one place that a drone flies by to the next
_LOOK_AHEAD_FOR_ACTORS_M = 12.0
_HALF_WIDTH_M, _NOSE_M = 0.6, 0.6  # of the rover: its half width with a margin, and its front


@dataclass(frozen=True)
class MissionPlan:
    """speed: m/s. altitude: metres above the ground at the start. waypoints: file. loop: begin again at the end.

    radius, centre: of an orbit, metres and (x, y) in map; area: of a survey, (x0, y0, x1, y1) in map. Without them an
    orbit goes round the tallest building and a survey covers the city.
    """

    kind: RobotKind
    pattern: Pattern
    speed: float
    altitude: float = 30.0
    radius: float = 40.0
    centre: tuple[float, ...] = ()
    area: tuple[float, ...] = ()
    waypoints: Path | None = None
    loop: bool = True
    seed: int = 1

    def __post_init__(self) -> None:
        if self.kind is RobotKind.ROVER and self.pattern in (Pattern.SURVEY, Pattern.ORBIT):
            raise ValueError(f"parameter 'pattern': a rover can't do '{self.pattern.value}', it is for drones")
        if (self.pattern is Pattern.WAYPOINTS) != (self.waypoints is not None):
            raise ValueError("parameter 'waypoints': a file goes with pattern 'waypoints', and with no other")
        for name, count, pattern in (("centre", 2, Pattern.ORBIT), ("area", 4, Pattern.SURVEY)):
            value = getattr(self, name)
            if value and (len(value) != count or self.pattern is not pattern):
                raise ValueError(f"parameter '{name}': {count} numbers go with pattern '{pattern.value}' alone")
        if self.area and not (self.area[0] < self.area[2] and self.area[1] < self.area[3]):
            raise ValueError(f"parameter 'area': x0, y0, x1, y1 with x0 < x1 and y0 < y1 are wanted, not {self.area}")


def numbers(name: str, text: str) -> tuple[float, ...]:
    """Numbers with commas between them; () for an empty text. ValueError that names the parameter."""
    try:
        values = tuple(float(part) for part in text.split(",")) if text.strip() else ()
    except ValueError as error:
        raise ValueError(f"parameter '{name}' is '{text}': numbers with commas between them are wanted") from error
    if not np.isfinite(values).all():
        raise ValueError(f"parameter '{name}' is '{text}': finite numbers are wanted")
    return values


class Surroundings:
    """A city as missions need it, read once for all robots of a process."""

    def __init__(self, folder: Path) -> None:
        self.city = CityMap.load(folder)
        self._folder = folder

    @cached_property
    def lanes(self) -> LaneGraph:
        """Where traffic drives."""
        return lane_graph(self._folder, self.city)

    @cached_property
    def obstacles(self) -> ObstacleMap:
        """What stands in the way of what flies."""
        return ObstacleMap(self.city)

    @cached_property
    def streets(self) -> bool:
        """Has the city streets from which there is something to see? Missions of a city without roam."""
        return plans.streets_in_sight(self.lanes, self.obstacles)

    @cached_property
    def driven(self) -> ObstacleMap:
        """What is in the way of wheels."""
        return ObstacleMap(self.city, wheels=True)

    def paved(self, path: np.ndarray) -> ObstacleMap:
        """What is in the way of wheels about a path (n, 2), with less room beside it, and evener than `driven`.

        So are streets that are narrow, or on a bank; and the bank is not.
        """
        return ObstacleMap(self.city, wheels=True, clearance=1.0, step=0.25, about=path)

    @cached_property
    def _bounds(self) -> tuple[np.ndarray, np.ndarray]:
        points = self.city.vertices.reshape(-1, 3)
        return points.min(axis=0) - _FAR_M, points.max(axis=0) + _FAR_M

    def hold(self, position: np.ndarray) -> bool:
        """Is a position (3,), metres in map, in the city or near it?"""
        low, high = self._bounds
        return bool((low <= position).all() and (position <= high).all())


class Mission:
    """Plans from where the robot is when it is told to, or first asked for a command.

    surroundings: of the city, where several missions share them.
    """

    def __init__(self, city: Path, plan: MissionPlan, surroundings: Surroundings | None = None) -> None:
        self._around = surroundings or Surroundings(city)
        self._plan = plan
        self._waypoints = read_waypoints(plan.waypoints) if plan.waypoints else None
        self._follower: PathFollower | None = None
        self._start: Approach | None = None
        self._height = 0.0
        self._look_at: np.ndarray | None = None
        self._watchdog = RoverWatchdog(self._around.city)

    @property
    def finished(self) -> bool:
        """True at the end of a mission that does not loop."""
        return self._follower is not None and self._follower.finished

    def plan(self, position: np.ndarray) -> None:
        """Find the way from a position of base_link (3,), metres in map. ValueError where there is none."""
        self._height = self._around.city.nearest_ground(*position[:2]) + self._plan.altitude
        path, loop_from = self._path(position)
        lookahead = _LOOKAHEAD_M[self._plan.kind]
        self._start = Approach(path[0], max(self._height, float(position[2])))
        self._follower = PathFollower(path, self._plan.speed, lookahead, self._plan.loop, loop_from)

    def command(self, pose: Pose, actors: list[Actor]) -> Command:
        """What to do now. pose: base_link in map. actors: everything else that moves."""
        if self._follower is None:
            self.plan(pose.position)
        assert self._follower is not None
        if self._plan.kind is RobotKind.ROVER:
            return self._drive(pose, actors)
        assert self._start is not None
        if not self._start.reached(pose):
            return self._start.command(pose, self._plan.speed)
        return self._follower.fly(pose, self._height, self._look_at)

    @property
    def problem(self) -> str:
        """Why a rover has given up, in words; '' while it has not."""
        return self._watchdog.problem

    def _drive(self, pose: Pose, actors: list[Actor]) -> Command:
        assert self._follower is not None
        free = free_ahead(pose, actors)
        if free < STOPS_SHORT_M + 1.0 or self._follower.finished:
            self._watchdog.waits()
        return self._watchdog.drive(pose, self._follower, free)

    def _path(self, start: np.ndarray) -> tuple[np.ndarray, int]:
        """A path from near the start, and the number of the point that its last one leads back to."""
        plan = self._plan
        rng = np.random.default_rng(plan.seed)
        here = start[:2]
        drive: np.ndarray | None = None
        if plan.pattern is Pattern.STREET:
            drive = plans.street(self._around.lanes, start, rng)
            if plan.kind is RobotKind.ROVER:
                if plans.drivable(self._around.city, drive):
                    return drive, 0
                # Streets of real tiles may end in the air, or be cut by an edge: as far as wheels get, and back.
                ways = plans.through(self._around.paved(drive), [here, *drive[::_STREET_STRIDE], here], _GROUND_LEVEL)
                return ways, 0
        city = self._around.city
        obstacles = self._around.driven if plan.kind is RobotKind.ROVER else self._around.obstacles
        # On the ground everything that stands is in the way, however low it is.
        height = _GROUND_LEVEL if plan.kind is RobotKind.ROVER else self._height
        if drive is not None:
            path = plans.through(obstacles, list(drive[::_STREET_STRIDE]), height)
        elif self._waypoints is not None:
            path = plans.waypoints(obstacles, self._waypoints, height)
        elif plan.pattern is Pattern.ROAM:
            path = plans.roam(city, obstacles, start, height, rng)
        elif plan.pattern is Pattern.ORBIT:
            self._look_at = np.array(plan.centre) if plan.centre else plans.tallest(city)
            path = plans.orbit(obstacles, start, self._look_at, plan.radius, height)
        else:
            area = (np.array(plan.area[:2]), np.array(plan.area[2:])) if plan.area else None
            path = plans.survey(city, obstacles, start, height, area)
        there = plans.through(obstacles, [here, path[0]], height)
        back = plans.through(obstacles, [path[-1], path[0]], height) if plan.loop else path[:0]
        return np.concatenate([there, path, back]), len(there)


class Approach:
    """The way from where a drone is to the start of its path: up first if it is lower, down last if it is higher."""

    def __init__(self, place: np.ndarray, height: float) -> None:
        self._place, self._height, self._done = place, height, False

    def reached(self, pose: Pose) -> bool:
        """Is it there, or has it been?"""
        self._done = self._done or float(np.linalg.norm(self._place - pose.position[:2])) < 1.0
        return self._done

    def command(self, pose: Pose, speed: float) -> Command:
        """Level flight to the place, at a height that is free there."""
        away = (self._place - pose.position[:2]) @ pose.rotation[:2, :2]
        low = self._height - pose.position[2]
        if abs(low) > 2.0:
            away = np.zeros(2)
        pace = min(speed, 0.6 * float(np.linalg.norm(away)) + 0.3) / max(float(np.linalg.norm(away)), 1e-6)
        return Command(np.array([*(pace * away), np.clip(0.8 * low, -2.0, 2.5)]), 0.0)


def free_ahead(pose: Pose, actors: list[Actor]) -> float:
    """Metres from a rover's front to the nearest actor in its way, inf where there is none."""
    if not actors:
        return np.inf
    boxes = (corners(actors) - pose.position) @ pose.rotation
    low, high = boxes.min(axis=1), boxes.max(axis=1)
    beside = (low[:, 1] < _HALF_WIDTH_M) & (high[:, 1] > -_HALF_WIDTH_M) & (low[:, 2] < 2.0) & (high[:, 2] > -0.3)
    ahead = (high[:, 0] > 0) & (low[:, 0] < _LOOK_AHEAD_FOR_ACTORS_M)
    return float((low[beside & ahead, 0] - _NOSE_M).min(initial=np.inf))
