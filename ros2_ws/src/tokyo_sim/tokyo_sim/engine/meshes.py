"""Triangles for the renderer: the city with a colour per face, and the shapes of things that move."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from occ_core.actors import BOX_FACES
from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.loops import compiled
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


@compiled
def placed(vertices, starts, rotations, positions):
    """(n, 9) float32: vertices of things in map. vertices: (n, 9) float32, each thing's in its own frame: position,
    normal, colour. starts: (k + 1,) where each thing's begin. rotations: (k, 3, 3) and positions: (k, 3) to map."""
    rows = np.empty(vertices.shape, np.float32)
    for thing in range(len(positions)):
        turn, place = rotations[thing], positions[thing]
        for n in range(starts[thing], starts[thing + 1]):
            for k in range(3):
                rows[n, k], rows[n, 3 + k], rows[n, 6 + k] = place[k], 0.0, vertices[n, 6 + k]
                for axis in range(3):
                    rows[n, k] += turn[k, axis] * vertices[n, axis]
                    rows[n, 3 + k] += turn[k, axis] * vertices[n, 3 + axis]
    return rows


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
