"""Moving things: boxes with a class, a pose and a velocity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occ_core.classes import Semantic
from occ_core.loops import compiled
from occ_core.poses import Pose
from occ_core.rotations import matrices

# Range noise puts returns just outside a box: grow it by three standard deviations of a 2 cm range error.
BOX_MARGIN_M = 0.06


@dataclass(frozen=True)
class Actor:
    """A box that moves.

    instance: positive id, the same over a whole run. pose: box centre in `map`. size: (3,) full length, width,
    height, metres. velocity: (3,) m/s in `map`. name: the namespace of a robot, '' for traffic.
    """

    instance: int
    semantic: Semantic
    pose: Pose
    size: np.ndarray
    velocity: np.ndarray
    name: str = ""

    def corners(self) -> np.ndarray:
        """(8, 3) float64, metres, map."""
        return corners([self])[0]


def corners(actors: list[Actor]) -> np.ndarray:
    """(n, 8, 3) float64, metres, map: the corners of each box."""
    sizes = np.array([actor.size for actor in actors]).reshape(-1, 1, 3)
    centres = np.array([actor.pose.position for actor in actors]).reshape(-1, 1, 3)
    return (_CORNERS * sizes / 2) @ rotations(actors).transpose(0, 2, 1) + centres


_CORNERS = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
BOX_FACES = np.array(
    [
        (0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1),
        (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3),
    ],
    dtype=np.int32,
)  # fmt: skip
"""(12, 3) int32: outward triangles over the rows of `Actor.corners`."""


def owners(points: np.ndarray, actors: list[Actor]) -> np.ndarray:
    """Whose box each point lies in, margin included: (n,) uint16 instances, 0 for nobody's. points: (n, 3) m, map."""
    owner = np.zeros(len(points), dtype=np.uint16)
    if actors and len(points):
        _assign(
            np.ascontiguousarray(points, dtype=np.float64),
            np.array([actor.pose.position for actor in actors]),
            rotations(actors),
            np.array([np.asarray(actor.size) / 2 + BOX_MARGIN_M for actor in actors]),
            np.array([actor.instance for actor in actors], dtype=np.uint16),
            owner,
        )
    return owner


def rotations(actors: list[Actor]) -> np.ndarray:
    """(n, 3, 3) float64: box to map, of each."""
    return matrices(np.array([actor.pose.orientation for actor in actors]))


_SIDE = 256  # cells of a metre that repeat without end: a hash of places, wrong only towards looking too closely


@compiled
def _assign(points, centres, rotations, halves, instances, owner):
    """centres: (a, 3); rotations: (a, 3, 3) box to map; halves: (a, 3); instances: (a,)."""
    near = np.zeros((_SIDE, _SIDE), dtype=np.bool_)
    for a in range(len(centres)):
        radius = np.sqrt(halves[a, 0] ** 2 + halves[a, 1] ** 2 + halves[a, 2] ** 2)
        reach = min(int(np.ceil(2 * radius)) + 2, _SIDE)
        i, j = int(np.floor(centres[a, 0] - radius)), int(np.floor(centres[a, 1] - radius))
        for di in range(reach):
            for dj in range(reach):
                near[(i + di) % _SIDE, (j + dj) % _SIDE] = True
    for n in range(len(points)):
        if not near[int(np.floor(points[n, 0])) % _SIDE, int(np.floor(points[n, 1])) % _SIDE]:
            continue
        for a in range(len(centres)):
            x, y, z = points[n, 0] - centres[a, 0], points[n, 1] - centres[a, 1], points[n, 2] - centres[a, 2]
            inside = True
            for axis in range(3):
                along = x * rotations[a, 0, axis] + y * rotations[a, 1, axis] + z * rotations[a, 2, axis]
                inside = inside and abs(along) <= halves[a, axis]
            if inside:
                owner[n] = instances[a]
