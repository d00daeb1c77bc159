"""Triangles for the renderer: the city with a colour per face, and the shapes of things that move."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from occ_core.actors import BOX_FACES, Actor
from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from tokyo_city.world.appearance import UNTEXTURED, Appearance
from tokyo_sim.engine.foliage import Foliage
from tokyo_sim.engine.robot import Primitive
from tokyo_sim.engine.shaders import Surface

CLASS_COLUMN = 9
"""Of `shaded` rows."""
_UPRIGHT = 0.3  # of a wall's normal: how much it may look up or down
_CYLINDER_SIDES = 16
_UNIT_BOX = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])


def shaded(
    triangles: np.ndarray,
    colours: np.ndarray,
    semantics: np.ndarray,
    uv: np.ndarray | None = None,
    page: ArrayLike = -1,
) -> np.ndarray:
    """Vertex buffer rows: position, face normal, colour 0-1, class, u, v, page.

    triangles: (n, 3, 3) metres. colours: (n, 3) uint8. semantics: (n,). uv, page: as in `Appearance`; without
    them there is no texture. Returns (3 n, 13) float32.
    """
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    rows = np.empty((len(triangles), 3, 13), dtype=np.float32)
    rows[:, :, 0:3] = triangles
    rows[:, :, 3:6] = normals[:, None]
    rows[:, :, 6:9] = (np.asarray(colours) / 255.0)[:, None]
    rows[:, :, 9] = np.asarray(semantics)[:, None]
    rows[:, :, 10:12] = 0.0 if uv is None else uv
    rows[:, :, 12] = np.asarray(page).reshape(-1, 1)
    return rows.reshape(-1, 13)


def surfaces(rows: np.ndarray, foliage: Foliage) -> np.ndarray:
    """(n,) `Surface` of a city's `shaded` rows: a texture where there is one, else by class and how a face looks."""
    semantic, page, up = rows[:, CLASS_COLUMN], rows[:, 12], np.abs(rows[:, 5])
    return np.select(
        [
            page >= 0,
            (semantic == Semantic.BUILDING) & (up < _UPRIGHT),
            semantic == Semantic.ROAD,
            semantic == Semantic.SIDEWALK,
            np.repeat(foliage.crown, 3),
            np.repeat(foliage.bark, 3),
            np.isin(semantic, (Semantic.TERRAIN, Semantic.VEGETATION)),
        ],
        [
            Surface.TEXTURED, Surface.FACADE, Surface.ASPHALT, Surface.PAVING, Surface.LEAVES, Surface.PLAIN,
            Surface.GRASS,
        ],
        Surface.PLAIN,
    )  # fmt: skip


def city_vertices(
    city: CityMap, appearance: Appearance, sides: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The whole city as `shaded` rows; for which rows the other side of the face can't be seen (bool); their `Surface`.

    sides: of `one_sided`.
    """
    single, turned = sides
    corners, uv = city.triangles.copy(), appearance.uv.copy()
    corners[turned], uv[turned] = corners[turned, ::-1], uv[turned, ::-1]
    rows = shaded(corners, appearance.colour, city.classes, uv, appearance.page)
    foliage = Foliage.of(city, appearance.page == UNTEXTURED, sides)
    foliage.paint(rows)
    return rows, np.repeat(single, 3), surfaces(rows, foliage)


def actor_vertices(actor: Actor) -> np.ndarray:
    """A vehicle as body and cabin, a walker as legs and head, in its own frame; `shaded` rows."""
    size, colour = np.asarray(actor.size), _actor_colour(actor)
    if actor.semantic in (Semantic.CAR, Semantic.TRUCK_BUS):
        parts = [((1, 1, 0.55), (0, 0, -0.15), colour), ((0.55, 0.88, 0.4), (-0.05, 0, 0.3), (40, 46, 54))]
        if actor.semantic is Semantic.TRUCK_BUS:
            parts = [((1, 1, 0.85), (0, 0, 0.05), colour), ((1.002, 1.01, 0.25), (0, 0, 0.15), (50, 60, 70))]
    else:
        parts = [((0.8, 0.8, 0.8), (0, 0, -0.1), colour), ((0.45, 0.45, 0.16), (0, 0, 0.4), (224, 180, 150))]
    rows = []
    for scale, offset, part_colour in parts:
        triangles = ((_UNIT_BOX * scale + offset) * size)[BOX_FACES]
        rows.append(shaded(triangles, np.tile(part_colour, (12, 1)), np.full(12, actor.semantic)))
    return np.concatenate(rows)


def _actor_colour(actor: Actor) -> np.ndarray:
    palette = np.array([(235, 235, 238), (40, 42, 48), (150, 155, 160), (170, 30, 35), (30, 70, 150), (60, 110, 80)])
    return palette[actor.instance % len(palette)]


def robot_vertices(visuals: tuple[Primitive, ...], semantic: Semantic) -> np.ndarray:
    """A robot's URDF visuals in base_link; `shaded` rows."""
    rows = []
    for part in visuals:
        if part.shape == "box":
            local = (_UNIT_BOX * part.size)[BOX_FACES]
        else:
            local = _cylinder(*part.size)
        triangles = part.pose.apply(local.reshape(-1, 3)).reshape(-1, 3, 3)
        colour = np.tile(np.array(part.rgba[:3]) * 255, (len(triangles), 1))
        rows.append(shaded(triangles, colour, np.full(len(triangles), semantic)))
    return np.concatenate(rows)


def _cylinder(radius: float, length: float) -> np.ndarray:
    """(n, 3, 3) triangles of a cylinder along z about the origin."""
    angles = np.linspace(0, 2 * np.pi, _CYLINDER_SIDES, endpoint=False)
    ring = np.stack([radius * np.cos(angles), radius * np.sin(angles), np.full(_CYLINDER_SIDES, length / 2)], axis=1)
    low, nxt = ring * [1, 1, -1], np.roll(ring, -1, axis=0)
    nxt_low, top = nxt * [1, 1, -1], np.broadcast_to([0, 0, length / 2], ring.shape)
    sides = [np.stack([low, nxt_low, nxt], axis=1), np.stack([low, nxt, ring], axis=1)]
    caps = [np.stack([top, ring, nxt], axis=1), np.stack([-top, nxt_low, low], axis=1)]
    return np.concatenate(sides + caps)
