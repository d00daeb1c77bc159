"""Cameras by OpenGL off screen (moderngl on EGL), exact to the CameraInfo that goes with them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import moderngl
import numpy as np

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.poses import Pose
from tokyo_sim.engine import shaders
from tokyo_sim.engine.culling import LEAST_PIXELS, Chunks, chunked
from tokyo_sim.engine.meshes import city_vertices
from tokyo_sim.engine.robot import CameraSpec

TO_SUN = np.array([0.45, -0.35, 0.82]) / np.linalg.norm([0.45, -0.35, 0.82])
_LAYOUT = ("3f 3f 3f 1f", "position", "normal", "colour", "semantic")
_SHADOW_PIXELS = 4096
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


class CameraRenderer:
    """Draws views of a city and of what moves in it. CamerasUnavailable where OpenGL's libraries are missing."""

    def __init__(self, city: CityMap) -> None:
        try:
            self._context = moderngl.create_standalone_context(backend="egl")
        except Exception as error:  # moderngl raises bare Exception, and OSError for missing libraries.
            raise CamerasUnavailable(f"{MISSING_GL} ({error})") from error
        self._context.enable(moderngl.DEPTH_TEST)
        self._program = self._context.program(shaders.VERTEX, shaders.FRAGMENT)
        self._sky_program = self._context.program(shaders.SKY_VERTEX, shaders.SKY_FRAGMENT)
        self._sky = self._context.vertex_array(self._sky_program, [])
        vertices = city_vertices(city)
        small = np.isin(vertices[:, _CLASS_COLUMN], _SMALL_CLASSES)
        parts = ((vertices[~small], np.inf), (vertices[small], _SMALL_M))
        self._city = [self._upload_chunks(part, size) for part, size in parts if len(part)]
        self._movables: dict[str, moderngl.VertexArray] = {}
        self._targets: dict[tuple[int, int], tuple[moderngl.Framebuffer, moderngl.Framebuffer]] = {}
        self._sun_projection = _sun_projection(vertices[:, :3])
        self._shadow = self._draw_shadow(vertices[:, :3])

    @property
    def renderer(self) -> str:
        """What draws: the driver's own name."""
        return self._context.info["GL_RENDERER"]

    def _upload(self, vertices: np.ndarray) -> moderngl.VertexArray:
        buffer = self._context.buffer(np.ascontiguousarray(vertices, dtype=np.float32).tobytes())
        return self._context.vertex_array(self._program, [(buffer, *_LAYOUT)])

    def _upload_chunks(self, vertices: np.ndarray, size: float) -> tuple[moderngl.VertexArray, Chunks]:
        ordered, chunks = chunked(vertices, size)
        return self._upload(ordered), chunks

    def _draw_shadow(self, points: np.ndarray) -> moderngl.Texture:
        """Depth of the static city from the sun, once."""
        depth = self._context.depth_texture((_SHADOW_PIXELS, _SHADOW_PIXELS))
        depth.compare_func = "<="
        depth.repeat_x = depth.repeat_y = False
        target = self._context.framebuffer(depth_attachment=depth)
        program = self._context.program(shaders.DEPTH_VERTEX, shaders.DEPTH_FRAGMENT)
        program["view_projection"].write(_column_major(self._sun_projection))
        target.use()
        target.clear(depth=1.0)
        buffer = self._context.buffer(np.ascontiguousarray(points, dtype=np.float32).tobytes())
        self._context.vertex_array(program, [(buffer, "3f", "position")]).render()
        return depth

    def render(self, spec: CameraSpec, optical: Pose, movables: list[Movable]) -> np.ndarray:
        """The view from an optical frame's pose in map. Returns (height, width, 3) uint8 RGB, top row first."""
        samples, resolved = self._target(spec.width, spec.height)
        projection = _projection(spec) @ _OPTICAL_TO_GL @ np.linalg.inv(optical.matrix)
        samples.use()
        samples.clear(0.7, 0.79, 0.88, 1.0, depth=1.0)
        self._sky_program["inverse_view_projection"].write(_column_major(np.linalg.inv(projection)))
        self._sky_program["to_sun"].value = tuple(TO_SUN)
        self._context.depth_mask = False
        self._sky.render(vertices=3)
        self._context.depth_mask = True
        self._shadow.use(0)
        self._program["shadow"].value = 0
        self._program["view_projection"].write(_column_major(projection))
        self._program["sun_projection"].write(_column_major(self._sun_projection))
        self._program["eye"].value = tuple(optical.position)
        self._program["to_sun"].value = tuple(TO_SUN)
        self._program["model"].write(_column_major(np.eye(4)))
        for array, chunks in self._city:
            for first, count in chunks.visible(projection, spec.focal):
                array.render(first=first, vertices=count)
        for movable in movables:
            distance = float(np.linalg.norm(movable.pose.position - optical.position))
            if distance > spec.focal * _MOVABLE_M / LEAST_PIXELS:
                continue
            if movable.key not in self._movables:
                self._movables[movable.key] = self._upload(movable.vertices)
            self._program["model"].write(movable.model)
            self._movables[movable.key].render()
        if samples is not resolved:
            self._context.copy_framebuffer(resolved, samples)
        pixels = np.frombuffer(resolved.read(components=3, alignment=1), dtype=np.uint8)
        return pixels.reshape(spec.height, spec.width, 3)[::-1]

    def _target(self, width: int, height: int) -> tuple[moderngl.Framebuffer, moderngl.Framebuffer]:
        """Where to draw and where to read; the same where a view has pixels enough to do without multisampling."""
        size = (width, height)
        if size not in self._targets:
            plain = self._framebuffer(size, 0)
            small = width * height <= _MULTISAMPLED_PIXELS
            drawn = self._framebuffer(size, min(4, self._context.max_samples)) if small else plain
            self._targets[size] = drawn, plain
        return self._targets[size]

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


def _projection(spec: CameraSpec) -> np.ndarray:
    """OpenGL clip matrix of a pinhole with square pixels and the principal point in the middle of the image."""
    near, far = spec.near, spec.far
    return np.array(
        [
            [2 * spec.focal / spec.width, 0, 0, 0],
            [0, 2 * spec.focal / spec.height, 0, 0],
            [0, 0, -(far + near) / (far - near), -2 * far * near / (far - near)],
            [0, 0, -1, 0],
        ]
    )


def _sun_projection(points: np.ndarray) -> np.ndarray:
    """Orthographic clip matrix along the sun's rays that holds the city, or its middle kilometre."""
    middle = np.median(points, axis=0)
    side = np.cross([0.0, 0.0, 1.0], TO_SUN)
    side /= np.linalg.norm(side)
    axes = np.stack([side, np.cross(TO_SUN, side), TO_SUN])
    local = (points - middle) @ axes.T
    half = np.minimum(np.abs(local).max(axis=0) + 1.0, [500.0, 500.0, 1500.0])
    scale = np.diag([1 / half[0], 1 / half[1], -1 / half[2], 1.0])
    view = np.eye(4)
    view[:3, :3] = axes
    view[:3, 3] = -axes @ middle
    return scale @ view
