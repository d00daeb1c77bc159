"""What moves in a city as cameras see it: robots and traffic, each a mesh at a pose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from occ_core.actors import Actor
from occ_core.classes import Semantic
from occ_core.poses import Pose
from occ_core.rotations import matrices
from tokyo_sim.engine.actor_meshes import actor_vertices
from tokyo_sim.engine.meshes import robot_vertices
from tokyo_sim.engine.robot import Robot


@dataclass(frozen=True)
class Movable:
    """Something drawn at a pose in map, without patterns or textures. vertices: `meshes.shaded` rows in its own frame.

    stands: on the ground, with the lowest of its vertices: it throws a shadow there.
    """

    vertices: np.ndarray
    pose: Pose
    stands: bool = False


class Movables:
    """The robots and the traffic of a simulation as they are drawn; each keeps its mesh."""

    def __init__(self, robots: Sequence[Robot]) -> None:
        self._robots = [
            (robot_vertices(robot.visuals, robot.kind.semantic), robot.kind.semantic == Semantic.ROVER)
            for robot in robots
        ]
        self._actors: dict[int, np.ndarray] = {}

    def at(self, actors: Sequence[Actor], poses: Sequence[Pose]) -> list[Movable]:
        """Traffic where it is, and the robots at poses of base_link in map."""
        movables = []
        for actor in actors:
            if actor.instance not in self._actors:
                self._actors[actor.instance] = actor_vertices(actor)
            movables.append(Movable(self._actors[actor.instance], actor.pose, stands=True))
        return movables + [
            Movable(vertices, pose, stands) for (vertices, stands), pose in zip(self._robots, poses, strict=True)
        ]


class Joined:
    """What is needed of meshes, one after the other, made anew only where they are not those of the last time."""

    def __init__(self, needed: Callable[[np.ndarray], np.ndarray]) -> None:
        """needed: rows of a mesh, whose `shaded` rows are (n, 13)."""
        self._needed, self._meshes = needed, [np.empty((0, 13), np.float32)]
        self._rows, self._starts = needed(self._meshes[0]), np.zeros(1, int)

    def of(self, meshes: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Rows of all meshes, and (k + 1,) where those of each begin."""
        nothing, *last = self._meshes
        if [id(mesh) for mesh in meshes] != [id(mesh) for mesh in last]:
            self._meshes = [nothing, *meshes]
            parts = [self._needed(mesh) for mesh in self._meshes]
            self._rows, self._starts = np.concatenate(parts), np.cumsum([len(part) for part in parts])
        return self._rows, self._starts


def poses_of(things: Sequence[Movable]) -> tuple[np.ndarray, np.ndarray]:
    """(n, 3, 3) rotations and (n, 3) positions."""
    rotations = matrices(np.array([thing.pose.orientation for thing in things]).reshape(-1, 4))
    return rotations, np.array([thing.pose.position for thing in things], float).reshape(-1, 3)
