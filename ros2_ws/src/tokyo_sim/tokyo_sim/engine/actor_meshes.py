"""Shapes of traffic for cameras: a car has wheels and windows, a walker legs. LiDAR and physics meet an actor's box."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from occ_core.actors import Actor
from occ_core.classes import Semantic
from tokyo_sim.engine.meshes import shaded

Colour = tuple[int, int, int]

_PAINTS: tuple[Colour, ...] = (
    (235, 235, 238), (40, 42, 48), (150, 155, 160), (170, 30, 35), (30, 70, 150), (96, 112, 104),
)  # fmt: skip
_CLOTHES: tuple[Colour, ...] = ((58, 66, 92), (196, 190, 178), (120, 52, 58), (52, 58, 56), (108, 128, 150))
_TROUSERS: Colour = (46, 48, 56)
_SKIN: Colour = (224, 180, 150)
_HAIR: Colour = (38, 32, 30)
_GLASS: Colour = (44, 52, 60)
_TYRE: Colour = (34, 34, 36)
_RIM: Colour = (128, 130, 134)
_UNDERSIDE: Colour = (42, 42, 44)
_HEADLIGHT: Colour = (250, 246, 228)
_TAIL_LIGHT: Colour = (150, 20, 22)
_CARGO: Colour = (216, 218, 214)
_WHEEL_SIDES = 10
_BUS_M = 7.5  # a heavy vehicle that is longer has windows all along


class _Mesh:
    """Convex solids about the middle of an actor's box: x ahead, y left, z up, metres."""

    def __init__(self) -> None:
        self.triangles: list[np.ndarray] = []
        self.colours: list[np.ndarray] = []

    def add(self, triangles: np.ndarray, colour: Colour) -> None:
        """triangles: (n, 3, 3)."""
        self.triangles.append(triangles)
        self.colours.append(np.tile(colour, (len(triangles), 1)))

    def band(self, right: np.ndarray, left: np.ndarray, colour: Colour) -> None:
        """Between two rings, (k, 3) each."""
        after_right, after_left = np.roll(right, -1, axis=0), np.roll(left, -1, axis=0)
        self.add(np.stack([right, after_left, after_right], axis=1), colour)
        self.add(np.stack([right, left, after_left], axis=1), colour)

    def solid(
        self, outline: Sequence[tuple[float, float]] | np.ndarray, widths: float | Sequence[float], colour: Colour,
        y: float = 0.0,
    ) -> None:  # fmt: skip
        """outline: (k, 2) x and z of a convex outline seen from the right, counter-clockwise. widths: of the solid
        at its corners. y: of its middle."""
        x, z = np.asarray(outline, float).T
        half = np.broadcast_to(np.asarray(widths, float) / 2, x.shape)
        right, left = np.stack([x, y - half, z], axis=1), np.stack([x, y + half, z], axis=1)
        self.band(right, left, colour)
        self.add(right[_fan(len(x))], colour)
        self.add(left[_fan(len(x))], colour)

    def box(self, x: tuple[float, float], z: tuple[float, float], width: float, colour: Colour, y: float = 0.0) -> None:
        """From x[0] to x[1] and z[0] to z[1]."""
        self.solid([(x[0], z[0]), (x[1], z[0]), (x[1], z[1]), (x[0], z[1])], width, colour, y)

    def bar(
        self, start: tuple[float, float], end: tuple[float, float], thick: tuple[float, float], width: float,
        colour: Colour, y: float = 0.0,
    ) -> None:  # fmt: skip
        """From x and z to x and z, so thick at either end."""
        a, b = np.array(start), np.array(end)
        across = np.array([a[1] - b[1], b[0] - a[0]]) / np.linalg.norm(b - a) / 2
        outline = [a - thick[0] * across, b - thick[1] * across, b + thick[1] * across, a + thick[0] * across]
        self.solid(np.array(outline), width, colour, y)

    def wheel(
        self, x: float, z: float, radius: float, width: float, y: float, rim: float, sides: tuple[int, ...]
    ) -> None:
        """About its axle at x, y, z. rim: its radius, of the wheel's. sides: those that show it, -1 right, 1 left."""
        angle = np.arange(_WHEEL_SIDES) * (2 * np.pi / _WHEEL_SIDES) - np.pi / 2  # it stands on a corner
        circle = np.stack([np.cos(angle), np.zeros(_WHEEL_SIDES), np.sin(angle)], axis=1)
        ring, fan = [x, y, z] + radius * circle, _fan(_WHEEL_SIDES)
        flank = np.array([0, width / 2 - 0.005, 0])  # behind the rim
        self.band(ring - flank, ring + flank, _TYRE)
        for side in sides:
            self.add((ring + side * flank)[fan], _TYRE)
            self.add(([x, y + side * width / 2, z] + rim * radius * circle)[fan], _RIM)

    def axle(self, x: float, ground: float, radius: float, width: float, track: float) -> None:
        """Two wheels, whose outer sides lie `track` apart."""
        for side in (-1, 1):
            self.wheel(x, ground + radius, radius, width, side * (track - width) / 2, 0.55, (side,))


def _fan(corners: int) -> np.ndarray:
    """(corners - 2, 3): triangles of a convex outline."""
    return np.array([(0, k, k + 1) for k in range(1, corners - 1)])


def actor_vertices(actor: Actor) -> np.ndarray:
    """An actor in its own frame, within its box; `shaded` rows."""
    mesh = _Mesh()
    length, width, height = (float(side) for side in actor.size)
    if actor.semantic == Semantic.CAR:
        _car(mesh, length, width, height, _PAINTS[actor.instance % len(_PAINTS)])
    elif actor.semantic == Semantic.TRUCK_BUS:
        build = _bus if length > _BUS_M else _lorry
        build(mesh, length, width, height, _PAINTS[actor.instance % len(_PAINTS)])
    else:
        clothes = _CLOTHES[actor.instance % len(_CLOTHES)]
        if actor.semantic == Semantic.BICYCLE:
            _cyclist(mesh, length, width, height, clothes)
        else:
            _walker(mesh, length, width, height, clothes)
    triangles = np.concatenate(mesh.triangles)
    return shaded(triangles, np.concatenate(mesh.colours), np.full(len(triangles), actor.semantic))


def _car(mesh: _Mesh, length: float, width: float, height: float, paint: Colour) -> None:
    front, ground = length / 2, -height / 2
    sill, belt, top = ground + 0.17 * height, ground + 0.6 * height, ground + height
    nose = front - 0.02
    body = [
        (-nose, sill), (nose, sill), (nose, sill + 0.25 * height), (nose - 0.03 * length, belt - 0.06 * height),
        (0.2 * length, belt), (0.02 * length - nose, belt), (-nose, belt - 0.1 * height),
    ]  # fmt: skip
    mesh.solid(body, 0.96 * width, paint)
    mesh.box((-0.42 * length, 0.42 * length), (ground + 0.1 * height, sill), 0.8 * width, _UNDERSIDE)
    cabin = [(-0.45 * length, belt), (0.24 * length, belt), (0.06 * length, top), (-0.36 * length, top)]
    mesh.solid(cabin, [0.95 * width, 0.95 * width, 0.78 * width, 0.78 * width], _GLASS)
    mesh.box((-0.365 * length, 0.065 * length), (top - 0.03 * height, top), 0.8 * width, paint)
    for x in (-0.31, 0.31):
        mesh.axle(x * length, ground, 0.21 * height, 0.12 * width, width)
    ahead, behind = (sill + 0.16 * height, sill + 0.25 * height), (sill + 0.2 * height, sill + 0.3 * height)
    _lamps(mesh, front, 0.36 * width, 0.2 * width, ahead, behind)


def _lamps(
    mesh: _Mesh, front: float, y: float, width: float, ahead: tuple[float, float], behind: tuple[float, float]
) -> None:
    """y: of those on the left. ahead, behind: from where to where they reach up."""
    for side in (-1, 1):
        mesh.box((front - 0.02, front), ahead, width, _HEADLIGHT, side * y)
        mesh.box((-front, 0.02 - front), behind, width, _TAIL_LIGHT, side * y)


def _bus(mesh: _Mesh, length: float, width: float, height: float, paint: Colour) -> None:
    front, ground, inner = length / 2, -height / 2, 0.98 * width
    mesh.box((0.02 - front, front - 0.02), (ground + 0.1 * height, ground + height), inner, paint)
    mesh.box((0.04 * length - front, front - 0.06 * length), (0.02 * height, 0.32 * height), width, _GLASS)
    mesh.box((front - 0.1, front), (-0.08 * height, 0.36 * height), 0.92 * width, _GLASS)
    mesh.box((-front, 0.1 - front), (0.04 * height, 0.32 * height), 0.8 * width, _GLASS)
    low = ground + 0.2 * height
    _lamps(mesh, front, 0.38 * width, 0.14 * width, (low, low + 0.16), (low, low + 0.16))
    for x in (-0.28, 0.33):
        mesh.axle(x * length, ground, 0.48, 0.3, width)


def _lorry(mesh: _Mesh, length: float, width: float, height: float, paint: Colour) -> None:
    front, ground, cab = length / 2, -height / 2, 0.24 * length
    mesh.box((0.02 - front, front - 0.1), (ground + 0.2 * height, ground + 0.3 * height), 0.5 * width, _UNDERSIDE)
    mesh.box((0.02 - front, front - cab - 0.1), (ground + 0.3 * height, ground + height), width, _CARGO)
    roof, brow = ground + 0.82 * height, ground + 0.5 * height
    face = [(front - cab, ground + 0.16 * height), (front - 0.02, ground + 0.16 * height), (front - 0.02, brow)]
    mesh.solid([*face, (front - 0.14, roof), (front - cab, roof)], 0.96 * width, paint)
    pane = [(front - 0.3, brow), (front, brow), (front - 0.12, roof - 0.08), (front - 0.3, roof - 0.08)]
    mesh.solid(pane, 0.86 * width, _GLASS)
    mesh.box((front - 0.7 * cab, front - 0.25 * cab), (brow, roof - 0.12), 0.98 * width, _GLASS)
    low = ground + 0.22 * height
    _lamps(mesh, front, 0.38 * width, 0.14 * width, (low, low + 0.16), (low, low + 0.16))
    for x in (-0.3, 0.34):
        mesh.axle(x * length, ground, 0.4, 0.24, 0.98 * width)


def _walker(mesh: _Mesh, length: float, width: float, height: float, clothes: Colour) -> None:
    ground = -height / 2
    hip, shoulder, foot = ground + 0.48 * height, ground + 0.84 * height, ground + 0.03 * height
    for side in (-1, 1):  # in the middle of a step
        ankle = 0.34 * side * length
        mesh.bar((ankle, foot), (0.0, hip + 0.03), (0.09, 0.15), 0.2 * width, _TROUSERS, 0.14 * side * width)
        mesh.box((ankle - 0.05, ankle + 0.12 * length), (ground, foot), 0.17 * width, _TYRE, 0.14 * side * width)
        hand, sleeve = (-0.7 * ankle, hip), (0.0, shoulder - 0.04)
        mesh.bar(hand, sleeve, (0.06, 0.1), 0.14 * width, clothes, 0.43 * side * width)
    trunk = [(-0.2 * length, hip), (0.2 * length, hip), (0.24 * length, shoulder - 0.05), (0.1 * length, shoulder)]
    trunk += [(-0.14 * length, shoulder), (-0.24 * length, shoulder - 0.05)]
    mesh.solid(trunk, np.array([0.5, 0.5, 0.7, 0.5, 0.5, 0.7]) * width, clothes)
    _head(mesh, 0.0, shoulder, height / 2)


def _cyclist(mesh: _Mesh, length: float, width: float, height: float, clothes: Colour) -> None:
    ground, radius = -height / 2, 0.19 * height
    axle = ground + radius
    back, ahead, pedals = (radius - length / 2, axle), (length / 2 - radius, axle), (0.0, axle - 0.02)
    seat, bars = (-0.12 * length, ground + 0.5 * height), (0.23 * length, ground + 0.57 * height)
    stem, shoulder = (0.24 * length, bars[1] - 0.12), (0.06 * length, ground + 0.82 * height)
    for x, z in (back, ahead):
        mesh.wheel(x, z, radius, 0.05, 0.0, 0.86, (-1, 1))
    for ends in ((pedals, seat), (back, pedals), (back, seat), (pedals, stem), (seat, stem), (bars, ahead)):
        mesh.bar(*ends, (0.04, 0.04), 0.04, _UNDERSIDE)
    mesh.box((bars[0] - 0.02, bars[0] + 0.02), (bars[1] - 0.02, bars[1] + 0.02), 0.9 * width, _UNDERSIDE)
    for side in (-1, 1):
        foot, knee = (0.1 * side, axle - 0.12 * side + 0.04), (0.19 * length, ground + (0.43 - 0.05 * side) * height)
        mesh.bar(foot, knee, (0.09, 0.13), 0.12, _TROUSERS, 0.1 * side)
        mesh.bar(knee, seat, (0.13, 0.17), 0.14, _TROUSERS, 0.1 * side)
        mesh.bar(bars, (shoulder[0], shoulder[1] - 0.05), (0.07, 0.1), 0.1, clothes, 0.36 * side * width)
    mesh.bar(seat, shoulder, (0.26, 0.2), 0.62 * width, clothes)
    _head(mesh, shoulder[0] + 0.05, shoulder[1], height / 2)


def _head(mesh: _Mesh, x: float, low: float, top: float) -> None:
    half = 0.36 * (top - low)
    neck, chin, brow = low - 0.02, low + 0.3 * (top - low), low + 0.72 * (top - low)
    face = [(x - 0.5 * half, neck), (x + 0.4 * half, neck), (x + half, chin), (x + half, brow), (x - half, brow)]
    mesh.solid([*face, (x - half, chin)], np.array([0.9, 0.9, 1.5, 1.5, 1.5, 1.5]) * half, _SKIN)
    mesh.box((x - 1.1 * half, x - 0.35 * half), (chin, brow), 1.6 * half, _HAIR)
    crown = [(x - 1.1 * half, brow), (x + 1.05 * half, brow), (x + 0.6 * half, top), (x - 0.7 * half, top)]
    mesh.solid(crown, np.array([1.6, 1.6, 1.0, 1.0]) * half, _HAIR)
