"""Closed building solids: extrusions, terraced flat roofs, gables, hips, pyramids and sheds.

Every edge is shared by exactly two faces that run it in opposite directions, and every face is planar, as PLATEAU
demands of bldg:lod1Solid and bldg:lod2Solid. Rings are anticlockwise ``(n, 2)`` metres; heights are metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .faces import Face, lift, walls


@dataclass(frozen=True, eq=False)
class Solid:
    """A closed outward-facing shell, sorted into the surfaces that bound a bldg:Building."""

    ground: tuple[Face, ...]
    walls: tuple[Face, ...]
    roofs: tuple[Face, ...]

    @property
    def faces(self) -> tuple[Face, ...]:
        """All faces: ground, walls, roofs."""
        return (*self.ground, *self.walls, *self.roofs)


def extrusion(ring: np.ndarray, base: float, top: float) -> Solid:
    """Vertical prism."""
    return terraced(base, [(ring, top)])


def terraced(base: float, terraces: list[tuple[np.ndarray, float]]) -> Solid:
    """Vertical walls over each ring in turn up or down to its height, flat between one ring and the next.

    Each ring lies strictly inside the one before. A ring that goes down makes a parapet, one that goes up a set-back
    storey or a penthouse.
    """
    upright: list[Face] = []
    roofs: list[Face] = []
    floor = base
    for number, (ring, height) in enumerate(terraces):
        upright += walls(ring, floor, height) if height > floor else walls(ring[::-1], height, floor)
        inner = terraces[number + 1 : number + 2]
        roofs.append(Face(lift(ring, height), tuple(lift(hole[::-1], height) for hole, _ in inner)))
        floor = height
    return Solid(_ground(terraces[0][0], base), tuple(upright), tuple(roofs))


def gable(rectangle: np.ndarray, base: float, eaves: float, ridge: float) -> Solid:
    """Two slopes that meet at a ridge along the rectangle's longer sides."""
    ring = _long_side_first(rectangle)
    a, b, c, d = lift(ring, eaves)
    start, end = _ridge(ring, ridge)
    side_walls = walls(ring, base, eaves)
    side_walls[1] = Face(np.insert(side_walls[1].ring, 3, end, axis=0))
    side_walls[3] = Face(np.insert(side_walls[3].ring, 3, start, axis=0))
    slopes = (Face(np.stack([a, b, end, start])), Face(np.stack([c, d, start, end])))
    return Solid(_ground(ring, base), tuple(side_walls), slopes)


def hip(rectangle: np.ndarray, base: float, eaves: float, ridge: float) -> Solid:
    """Four slopes of the same pitch: the ridge stops half the shorter side short of both ends."""
    ring = _long_side_first(rectangle)
    a, b, c, d = lift(ring, eaves)
    start, end = _ridge(ring, ridge)
    length, width = np.linalg.norm(b - a), np.linalg.norm(c - b)
    inset = (end - start) * 0.5 * width / length
    start, end = start + inset, end - inset
    slopes = tuple(
        Face(np.stack(corners)) for corners in ([a, b, end, start], [b, c, end], [c, d, start, end], [d, a, start])
    )
    return Solid(_ground(ring, base), tuple(walls(ring, base, eaves)), slopes)


def pyramid(rectangle: np.ndarray, base: float, eaves: float, apex: float) -> Solid:
    """Four triangles that meet over the middle."""
    corners = lift(rectangle, eaves)
    tip = np.append(rectangle.mean(axis=0), apex)
    slopes = tuple(Face(np.stack([corners[i], corners[(i + 1) % 4], tip])) for i in range(4))
    return Solid(_ground(rectangle, base), tuple(walls(rectangle, base, eaves)), slopes)


def shed(rectangle: np.ndarray, base: float, low: float, high: float) -> Solid:
    """One slope, up from the first of the longer sides to the other."""
    ring = _long_side_first(rectangle)
    top = np.array([low, low, high, high])
    return Solid(_ground(ring, base), tuple(walls(ring, base, top)), (Face(lift(ring, top)),))


def _ground(ring: np.ndarray, base: float) -> tuple[Face, ...]:
    return (Face(lift(ring[::-1], base)),)


def _long_side_first(rectangle: np.ndarray) -> np.ndarray:
    sides = np.linalg.norm(np.diff(rectangle[:3], axis=0), axis=1)
    return rectangle if sides[0] >= sides[1] else np.roll(rectangle, -1, axis=0)


def _ridge(ring: np.ndarray, height: float) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the ridge over the middles of the shorter sides, at the first and at the second vertex's end."""
    return np.append((ring[3] + ring[0]) / 2, height), np.append((ring[1] + ring[2]) / 2, height)
