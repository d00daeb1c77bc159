"""Moving things: boxes with a class, a pose and a velocity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occ_core.classes import Semantic
from occ_core.poses import Pose

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

    def contains(self, points: np.ndarray) -> np.ndarray:
        """points: (n, 3) metres, map. Returns (n,) bool: inside the box, its margin included."""
        local = np.abs((points - self.pose.position) @ self.pose.rotation)
        return np.all(local <= np.asarray(self.size) / 2 + BOX_MARGIN_M, axis=1)

    def corners(self) -> np.ndarray:
        """(8, 3) float64, metres, map."""
        signs = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
        return self.pose.apply(signs * np.asarray(self.size) / 2)


BOX_FACES = np.array(
    [
        (0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1),
        (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3),
    ],
    dtype=np.int32,
)  # fmt: skip
"""(12, 3) int32: outward triangles over the rows of `Actor.corners`."""
