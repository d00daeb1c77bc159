"""Planar polygons in space and the simple shapes made of them.

Points are local metres (x east, y north, z up). A face is seen from outside with its ring anticlockwise and its holes
clockwise, so normals of closed shapes point outwards. Plan rings are ``(n, 2)`` float64, anticlockwise from above, and
no ring repeats its first vertex.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from shapely import Polygon
from shapely.geometry.polygon import orient


@dataclass(frozen=True, eq=False)
class Face:
    """One planar polygon: ``ring`` and each of ``holes`` are ``(n, 3)`` float64 local metres."""

    ring: np.ndarray
    holes: tuple[np.ndarray, ...] = ()

    @property
    def rings(self) -> tuple[np.ndarray, ...]:
        """Exterior, then holes, each (n, 3)."""
        return (self.ring, *self.holes)


def plan_ring(polygon: Polygon) -> np.ndarray:
    """Exterior of a polygon as an anticlockwise open ring, ``(n, 2)`` metres."""
    return np.asarray(orient(polygon).exterior.coords)[:-1, :2]


def lift(ring: np.ndarray, z: float | np.ndarray) -> np.ndarray:
    """``(n, 2)`` plan ring at height ``z`` (one value or one a vertex) as ``(n, 3)``."""
    return np.column_stack([ring, np.broadcast_to(z, len(ring))])


def walls(ring: np.ndarray, low: float | np.ndarray, high: float | np.ndarray) -> list[Face]:
    """One vertical quadrilateral an edge, facing right of the ring's direction: out, where it is anticlockwise.

    ``low`` and ``high`` are one height in metres, or one a vertex.
    """
    foot, head = lift(ring, low), lift(ring, high)
    after = np.roll(np.arange(len(ring)), -1)
    return [Face(np.stack([foot[i], foot[j], head[j], head[i]])) for i, j in enumerate(after)]


def prism(ring: np.ndarray, low: float, high: float) -> list[Face]:
    """Closed vertical prism over a plan ring between two heights."""
    return [Face(lift(ring[::-1], low)), *walls(ring, low, high), Face(lift(ring, high))]


def rectangle(centre: np.ndarray, along: np.ndarray, length: float, width: float) -> np.ndarray:
    """Plan ring ``(4, 2)`` about ``centre`` with its ``length`` along the unit vector ``along``."""
    half_length, half_width = along * length / 2, np.array([-along[1], along[0]]) * width / 2
    return np.stack(
        [
            centre - half_length - half_width,
            centre + half_length - half_width,
            centre + half_length + half_width,
            centre - half_length + half_width,
        ]
    )


def revolution(centre: np.ndarray, profile: list[tuple[float, float]], sides: int) -> list[Face]:
    """Closed faceted solid of revolution about a vertical axis.

    ``profile`` lists (radius, height) from the bottom up, in metres; a radius of 0 at an end is an apex.
    """
    angles = 2 * np.pi * np.arange(sides) / sides
    circle = np.column_stack([np.cos(angles), np.sin(angles)])
    loops = [lift(centre + radius * circle, z) for radius, z in profile]
    faces = []
    for (lower_radius, _), (upper_radius, _), lower, upper in zip(profile, profile[1:], loops, loops[1:], strict=False):
        for i in range(sides):
            j = (i + 1) % sides
            corners = [lower[i]] if lower_radius == 0 else [lower[i], lower[j]]
            corners += [upper[j]] if upper_radius == 0 else [upper[j], upper[i]]
            faces.append(Face(np.stack(corners)))
    if profile[0][0] > 0:
        faces.append(Face(loops[0][::-1]))
    if profile[-1][0] > 0:
        faces.append(Face(loops[-1]))
    return faces
