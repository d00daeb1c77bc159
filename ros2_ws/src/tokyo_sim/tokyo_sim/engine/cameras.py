"""Cameras by OpenGL off screen (moderngl on EGL), exact to the CameraInfo that goes with them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import moderngl
import numpy as np

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.poses import Pose
from tokyo_city.world.appearance import Appearance, pages
from tokyo_sim.engine import shaders
from tokyo_sim.engine.atlas import upload_pages
from tokyo_sim.engine.culling import LEAST_PIXELS, Chunks, chunked
from tokyo_sim.engine.meshes import city_vertices
from tokyo_sim.engine.robot import CameraSpec
from tokyo_sim.engine.sun import TO_SUN, SunShadows

_LAYOUT = ("3f 3f 3f 1f 3f", "position", "normal", "colour", "semantic", "texel")
# Trees, poles and lamps are half of a city's triangles, and a few pixels each when they are far away.
_SMALL_CLASSES, _SMALL_M = (Semantic.VEGETATION, Semantic.FURNITURE), 8.0
_CLASS_COLUMN = 9
_MOVABLE_M = 6.0
_MULTISAMPLED_PIXELS = 640 * 480  # in software, four samples double the time of a 1600 x 900 view
# OpenGL cameras look along -z with y up; optical frames along +z with y down (REP 103).
_OPTICAL_TO_GL = np.diag([1.0, -1.0, -1.0, 1.0])

MISSING_GL = (
    "no OpenGL: cameras are off. Install the system libraries, on Debian and Ubuntu: "
    "apt install libegl1 libgl1 libgl1-mesa-dri"
)


class CamerasUnavailable(Exception):
    """There is no OpenGL here; the sentence says what to install."""


@dataclass(frozen=True)
class Movable:
    """Something drawn at a pose in map. key: a mesh is uploaded once per key. vertices: `meshes.shaded` rows."""

    key: str
    vertices: np.ndarray
    pose: Pose

    @cached_property
    def model(self) -> bytes:
        """The model matrix as OpenGL reads it; six views of an instant share it."""
        return _column_major(self.pose.matrix)


@dataclass(frozen=True)
class _Part:
    """Some of the city's triangles. one_sided: those turned away from the eye can be left out."""

    array: moderngl.VertexArray
    chunks: Chunks
    one_sided: bool


class CameraRenderer:
    """Draws views of a city and of what moves in it. CamerasUnavailable where OpenGL's libraries are missing."""

    def __init__(self, city: CityMap, appearance: Appearance, atlas: list[Path]) -> None:
        try:
            self._context = moderngl.create_standalone_context(backend="egl")
        except Exception as error:  # moderngl raises bare Exception, and OSError for missing libraries.
            raise CamerasUnavailable(f"{MISSING_GL} ({error})") from error
        self._context.enable(moderngl.DEPTH_TEST)
        self._context.front_face = "cw"  # counter-clockwise faces, in views that are drawn upside down
        self._program = self._context.program(shaders.VERTEX, shaders.FRAGMENT)
        self._sky_program = self._context.program(shaders.SKY_VERTEX, shaders.SKY_FRAGMENT)
        self._sky = self._context.vertex_array(self._sky_program, [])
        vertices, one_sided = city_vertices(city, appearance)
        small = np.isin(vertices[:, _CLASS_COLUMN], _SMALL_CLASSES)
        groups = [
            (chunked(vertices[of_size & of_side], size), cull)
            for of_size, size in ((~small, np.inf), (small, _SMALL_M))
            for of_side, cull in ((one_sided, True), (~one_sided, False))
            if (of_size & of_side).any()
        ]
        self._city = [_Part(self._upload(rows), chunks, cull) for (rows, chunks), cull in groups]
        self._shadows = SunShadows(self._context, [(rows[:, :3], chunks) for (rows, chunks), _ in groups])
        self._movables: dict[str, moderngl.VertexArray] = {}
        self._targets: dict[tuple[int, int], list[tuple[moderngl.Framebuffer, moderngl.Framebuffer]]] = {}
        self._atlas = upload_pages(self._context, atlas)

    @classmethod
    def load(cls, city: Path) -> CameraRenderer:
        """Of an imported city's folder; FileNotFoundError where it is none."""
        return cls(CityMap.load(city), Appearance.load(city), pages(city))

    @property
    def renderer(self) -> str:
        """What draws: the driver's own name."""
        return self._context.info["GL_RENDERER"]

    def _upload(self, vertices: np.ndarray) -> moderngl.VertexArray:
        buffer = self._context.buffer(np.ascontiguousarray(vertices, dtype=np.float32).tobytes())
        return self._context.vertex_array(self._program, [(buffer, *_LAYOUT)])

    def render(self, spec: CameraSpec, optical: Pose, movables: list[Movable]) -> np.ndarray:
        """The view from an optical frame's pose in map. Returns (height, width, 3) uint8 RGB, top row first."""
        return self.views([(spec, optical)], movables)[0]

    def views(self, cameras: Sequence[tuple[CameraSpec, Pose]], movables: list[Movable]) -> list[np.ndarray]:
        """Several views of one instant, each as from `render`: one is rasterized while the next is prepared."""
        with self._context:  # made current: there may be other renderers in the process
            return self._views(cameras, movables)

    def _views(self, cameras: Sequence[tuple[CameraSpec, Pose]], movables: list[Movable]) -> list[np.ndarray]:
        self._atlas.use(1)
        self._program["shadow"].value, self._program["atlas"].value = 0, 1
        self._program["to_sun"].value = self._sky_program["to_sun"].value = tuple(TO_SUN)
        drawn: dict[tuple[int, int], int] = defaultdict(int)
        targets = []
        for spec, optical in cameras:
            size = (spec.width, spec.height)
            samples, resolved = self._target(size, drawn[size])
            drawn[size] += 1
            self._draw(spec, optical, movables, samples)
            if samples is not resolved:
                self._context.copy_framebuffer(resolved, samples)
            targets.append(resolved)
        return [
            np.frombuffer(target.read(components=3, alignment=1), np.uint8).reshape(target.height, target.width, 3)
            for target in targets
        ]

    def _draw(self, spec: CameraSpec, optical: Pose, movables: list[Movable], target: moderngl.Framebuffer) -> None:
        projection = clip_matrix(spec, optical)
        shadow = self._shadows.around(optical.position)
        shadow.depth.use(0)
        self._program["sun_projection"].write(_column_major(shadow.projection))
        target.use()
        target.clear(depth=1.0)
        self._program["view_projection"].write(_column_major(projection))
        self._program["eye"].value = tuple(optical.position)
        self._context.disable(moderngl.CULL_FACE)
        for movable in movables:
            distance = float(np.linalg.norm(movable.pose.position - optical.position))
            if distance > spec.focal * _MOVABLE_M / LEAST_PIXELS:
                continue
            if movable.key not in self._movables:
                self._movables[movable.key] = self._upload(movable.vertices)
            self._program["model"].write(movable.model)
            self._movables[movable.key].render()
        self._program["model"].write(_column_major(np.eye(4)))
        for part in self._city:
            (self._context.enable if part.one_sided else self._context.disable)(moderngl.CULL_FACE)
            for first, count in part.chunks.visible(projection, spec.focal):
                part.array.render(first=first, vertices=count)
        # The sky comes last: it costs only the pixels that nothing else covers.
        self._context.disable(moderngl.CULL_FACE)
        self._sky_program["inverse_view_projection"].write(_column_major(np.linalg.inv(projection)))
        self._sky.render(vertices=3)

    def _target(self, size: tuple[int, int], number: int) -> tuple[moderngl.Framebuffer, moderngl.Framebuffer]:
        """Where to draw and where to read; the same where a view has pixels enough to do without multisampling."""
        targets = self._targets.setdefault(size, [])
        if number == len(targets):
            plain = self._framebuffer(size, 0)
            small = size[0] * size[1] <= _MULTISAMPLED_PIXELS
            drawn = self._framebuffer(size, min(4, self._context.max_samples)) if small else plain
            targets.append((drawn, plain))
        return targets[number]

    def _framebuffer(self, size: tuple[int, int], samples: int) -> moderngl.Framebuffer:
        return self._context.framebuffer(
            self._context.renderbuffer(size, 4, samples=samples),
            self._context.depth_renderbuffer(size, samples=samples),
        )

    def close(self) -> None:
        """Give the OpenGL context back."""
        self._context.release()


def _column_major(matrix: np.ndarray) -> bytes:
    return np.ascontiguousarray(matrix.T, dtype=np.float32).tobytes()


def clip_matrix(spec: CameraSpec, optical: Pose) -> np.ndarray:
    """(4, 4) from map to OpenGL's clip space: square pixels, the principal point in the middle of the image.

    optical: pose of the optical frame in map. Upside down: OpenGL's rows go up, an image's go down.
    """
    near, far = spec.near, spec.far
    projection = np.array(
        [
            [2 * spec.focal / spec.width, 0, 0, 0],
            [0, -2 * spec.focal / spec.height, 0, 0],
            [0, 0, -(far + near) / (far - near), -2 * far * near / (far - near)],
            [0, 0, -1, 0],
        ]
    )
    return projection @ _OPTICAL_TO_GL @ np.linalg.inv(optical.matrix)
