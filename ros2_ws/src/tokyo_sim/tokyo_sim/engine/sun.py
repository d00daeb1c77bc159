"""Shadows of the static city: depth maps from the sun, drawn where somebody looks and kept."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import moderngl
import numpy as np

from tokyo_sim.engine import shaders
from tokyo_sim.engine.culling import Chunks

_PIXELS = 3072
_HALF_M = 400.0  # half the width of a map: 0.26 m per pixel
_EVERY_M = 300.0  # maps stand this far apart, so that there are shadows 250 m around every eye
_DEPTH_M = 1500.0
_KEPT = 6


@dataclass(frozen=True)
class ShadowMap:
    """depth: a depth texture to compare with; projection: (4, 4) clip matrix from map that it was drawn with."""

    depth: moderngl.Texture
    projection: np.ndarray


class SunShadows:
    """Shadow maps on a lattice over the city, each drawn when first needed; the least recently used one is dropped."""

    def __init__(self, context: moderngl.Context, city: list[tuple[np.ndarray, Chunks]], to_sun: np.ndarray) -> None:
        """city: parts of it as positions (n, 3), metres, map, with their chunks. to_sun: (3,) unit vector, map."""
        self._context, self._to_sun = context, to_sun
        self._program = context.program(shaders.DEPTH_VERTEX, shaders.DEPTH_FRAGMENT)
        self._city = []
        for positions, chunks in city:
            buffer = context.buffer(np.ascontiguousarray(positions, dtype=np.float32).tobytes())
            self._city.append((context.vertex_array(self._program, [(buffer, "3f", "position")]), chunks))
        self._maps: OrderedDict[tuple[int, int, int], ShadowMap] = OrderedDict()

    def around(self, eye: np.ndarray) -> ShadowMap:
        """The map for an eye (3,) in map."""
        x, y, z = (int(cell) for cell in np.round(eye / _EVERY_M))
        shadow = self._maps.pop((x, y, z), None) or self._draw(np.array([x, y, z]) * _EVERY_M)
        self._maps[x, y, z] = shadow
        if len(self._maps) > _KEPT:
            self._maps.popitem(last=False)[1].depth.release()
        return shadow

    def _draw(self, middle: np.ndarray) -> ShadowMap:
        projection = _orthographic(middle, self._to_sun)
        depth = self._context.depth_texture((_PIXELS, _PIXELS))
        depth.compare_func = "<="
        depth.repeat_x = depth.repeat_y = False
        target = self._context.framebuffer(depth_attachment=depth)
        target.use()
        target.clear(depth=1.0)
        self._context.disable(moderngl.CULL_FACE)
        self._program["view_projection"].write(np.ascontiguousarray(projection.T, dtype=np.float32))
        for array, chunks in self._city:
            for first, count in chunks.visible(projection, np.inf):
                array.render(first=first, vertices=count)
        target.release()
        return ShadowMap(depth, projection)


def _orthographic(middle: np.ndarray, to_sun: np.ndarray) -> np.ndarray:
    """Clip matrix along the sun's rays about a place in map."""
    side = np.cross([0.0, 0.0, 1.0], to_sun)
    side /= np.linalg.norm(side)
    axes = np.stack([side, np.cross(to_sun, side), to_sun])
    view = np.eye(4)
    view[:3, :3] = axes
    view[:3, 3] = -axes @ middle
    return np.diag([1 / _HALF_M, 1 / _HALF_M, -1 / _DEPTH_M, 1.0]) @ view
