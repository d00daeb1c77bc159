"""Cameras by OpenGL off screen (moderngl on EGL), exact to the CameraInfo that goes with them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import moderngl
import numpy as np

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.poses import Pose
from tokyo_city.world.appearance import Appearance, pages
from tokyo_sim.engine import shaders
from tokyo_sim.engine.cast_shadows import COLUMNS, ROWS, shadow_rows
from tokyo_sim.engine.culling import Chunks, boxes, chunked
from tokyo_sim.engine.daylight import Daylight
from tokyo_sim.engine.meshes import CLASS_COLUMN, city_vertices, placed
from tokyo_sim.engine.movables import Joined, Movable, poses_of
from tokyo_sim.engine.occlusion import Cover, Occluders
from tokyo_sim.engine.robot import CameraSpec
from tokyo_sim.engine.shaders import Surface
from tokyo_sim.engine.sun import SunShadows
from tokyo_sim.engine.textures import upload_detail, upload_pages
from tokyo_sim.engine.winding import one_sided

# Trees, poles and lamps are half of a city's triangles, and a few pixels each when they are far away.
_SMALL_CLASSES, _SMALL_M = (Semantic.VEGETATION, Semantic.FURNITURE), 8.0
_MOVABLE_M, _SHADOW_M = 6.0, 2.0
_NEARER = (-1.0, -4.0)  # polygon offset of shadows, which lie on what they darken
_MULTISAMPLED_PIXELS = 640 * 480  # in software, four samples double the time of a 1600 x 900 view
_DRAWN = (
    Surface.FACADE, Surface.TEXTURED, Surface.PLAIN, Surface.ASPHALT, Surface.PAVING, Surface.GRASS, Surface.LEAVES,
)  # fmt: skip
# OpenGL cameras look along -z with y up; optical frames along +z with y down (REP 103).
_OPTICAL_TO_GL = np.diag([1.0, -1.0, -1.0, 1.0])

MISSING_GL = (
    "no OpenGL: cameras are off. Install the system libraries, on Debian and Ubuntu: "
    "apt install libegl1 libgl1 libgl1-mesa-dri"
)


class CamerasUnavailable(Exception):
    """There is no OpenGL here; the sentence says what to install."""


@dataclass(frozen=True)
class _Part:
    """Some of the city's triangles. one_sided: those turned away from the eye can be left out."""

    array: moderngl.VertexArray
    chunks: Chunks
    one_sided: bool


class CameraRenderer:
    """Draws views of a city and of what moves in it. CamerasUnavailable where OpenGL's libraries are missing."""

    def __init__(
        self, city: CityMap, appearance: Appearance, atlas: list[Path], daylight: Daylight | None = None
    ) -> None:
        try:
            self._context = moderngl.create_standalone_context(backend="egl")
        except Exception as error:  # moderngl raises bare Exception, and OSError for missing libraries.
            raise CamerasUnavailable(f"{MISSING_GL} ({error})") from error
        light = self._light = daylight or Daylight.at()
        self._context.enable(moderngl.DEPTH_TEST)
        self._context.front_face = "cw"  # counter-clockwise faces, in views that are drawn upside down
        self._view = self._context.buffer(reserve=shaders.VIEW_BYTES, dynamic=True)
        self._programs: dict[Surface, moderngl.Program] = {}
        self._sky_program = self._context.program(shaders.SKY_VERTEX, shaders.SKY_FRAGMENT)
        self._sky = self._context.vertex_array(self._sky_program, [])
        sides = one_sided(city)
        vertices, single, painted = city_vertices(city, appearance, sides)
        small = np.isin(vertices[:, CLASS_COLUMN], _SMALL_CLASSES)
        self._city, static = [], []
        # What hides most comes first: pixels that are covered already cost little to draw over.
        for surface in _DRAWN:
            for size, of_size in ((np.inf, ~small), (_SMALL_M, small)):
                for of_side, cull in ((single, True), (~single, False)):
                    if (these := of_size & of_side & (painted == surface)).any():
                        rows, chunks = chunked(vertices[these], size)
                        self._city.append(_Part(self._upload(rows, surface), chunks, cull))
                        static.append((rows[:, :3], chunks))
        self._occluders = Occluders.of(city, sides)
        self._shadows = SunShadows(self._context, static, light.to_sun)
        plain, shade = self._program(Surface.PLAIN), self._lit(shaders.CAST_SHADOW)
        bodies = _Replaced(self._context, _MOVABLE_M, plain, "3f 3f 3f", "position", "normal", "colour")
        shadows = _Replaced(self._context, _SHADOW_M, shade, "3f 2f", "position", "kept_away")
        self._moving = _Moving(bodies, shadows, light.to_sun)
        self._targets: dict[tuple[int, int], list[tuple[moderngl.Framebuffer, moderngl.Framebuffer]]] = {}
        self._atlas = upload_pages(self._context, atlas)
        self._detail = upload_detail(self._context)

    @classmethod
    def load(cls, city: Path) -> CameraRenderer:
        """Of an imported city's folder; FileNotFoundError where it is none."""
        return cls(CityMap.load(city), Appearance.load(city), pages(city))

    @property
    def renderer(self) -> str:
        """What draws: the driver's own name."""
        return self._context.info["GL_RENDERER"]

    def _lit(self, sources: tuple[str, str]) -> moderngl.Program:
        """A program of vertex and fragment shader that knows the view and the sun's shadows."""
        made = self._context.program(*sources)
        made["View"].binding, made["shadow"].value = 0, 0
        return made

    def _program(self, surface: Surface) -> moderngl.Program:
        """The program that paints a surface."""
        if surface not in self._programs:
            made = self._lit(shaders.program(surface))
            if surface is Surface.TEXTURED:
                made["atlas"].value = 1
            if surface in shaders.DETAILED:
                made["detail"].value = 2
            self._programs[surface] = made
        return self._programs[surface]

    def _upload(self, rows: np.ndarray, surface: Surface) -> moderngl.VertexArray:
        """`meshes.shaded` rows, with what this surface is painted with alone."""
        columns, layout, names = {
            Surface.TEXTURED: (rows[:, 10:13], "3f", ("texel",)),
            Surface.LEAVES: (rows[:, [6, 7, 8, 10, 11]], "3f 2f", ("colour", "across")),
        }.get(surface, (rows[:, 6:9], "3f", ("colour",)))
        buffer = self._context.buffer(np.concatenate([rows[:, :6], columns], axis=1, dtype=np.float32).tobytes())
        attributes = (buffer, f"3f 3f {layout}", "position", "normal", *names)
        return self._context.vertex_array(self._program(surface), [attributes])

    def render(self, spec: CameraSpec, optical: Pose, movables: list[Movable]) -> np.ndarray:
        """The view from an optical frame's pose in map. Returns (height, width, 3) uint8 RGB, top row first."""
        return self.views([(spec, optical)], movables)[0]

    def views(self, cameras: Sequence[tuple[CameraSpec, Pose]], movables: list[Movable]) -> list[np.ndarray]:
        """Several views of one instant, each as from `render`: one is rasterized while the next is prepared."""
        with self._context:  # made current: there may be other renderers in the process
            return self._views(cameras, movables)

    def _views(self, cameras: Sequence[tuple[CameraSpec, Pose]], movables: list[Movable]) -> list[np.ndarray]:
        self._atlas.use(1)
        self._detail.use(2)
        self._view.bind_to_uniform_block(0)
        self._sky_program["to_sun"].value = tuple(self._light.to_sun)
        self._moving.place(movables)
        drawn: dict[tuple[int, int], int] = defaultdict(int)
        targets = []
        for spec, optical in cameras:
            size = (spec.width, spec.height)
            samples, resolved = self._target(size, drawn[size])
            drawn[size] += 1
            self._draw(spec, optical, samples)
            targets.append((samples, resolved))
        for samples, resolved in targets:  # not before all are drawn: copying waits for the view
            if samples is not resolved:
                self._context.copy_framebuffer(resolved, samples)
        return [
            np.frombuffer(target.read(components=3, alignment=1), np.uint8).reshape(target.height, target.width, 3)
            for _, target in targets
        ]

    def _draw(self, spec: CameraSpec, optical: Pose, target: moderngl.Framebuffer) -> None:
        projection = clip_matrix(spec, optical)
        cover = self._occluders.cover(projection, optical.position, spec.near)
        shadow = self._shadows.around(optical.position)
        shadow.depth.use(0)
        target.use()
        target.clear(depth=1.0)
        light = (self._light.to_sun, self._light.sun, self._light.sky, self._light.ground)
        rest = np.array([[*row, 0.0] for row in (optical.position, *light)], np.float32)
        self._view.write(_column_major(projection) + _column_major(shadow.projection) + rest.tobytes())
        self._context.disable(moderngl.CULL_FACE)
        self._moving.bodies.draw(projection, spec.focal, cover)
        for part in self._city:
            (self._context.enable if part.one_sided else self._context.disable)(moderngl.CULL_FACE)
            for first, count in part.chunks.visible(projection, spec.focal, cover):
                part.array.render(first=first, vertices=count)
        self._context.disable(moderngl.CULL_FACE)
        self._darken(target, projection, spec.focal, cover)
        # The sky comes last: it costs only the pixels that nothing else covers.
        self._sky_program["inverse_view_projection"].write(_column_major(np.linalg.inv(projection)))
        self._sky.render(vertices=3)

    def _darken(self, target: moderngl.Framebuffer, projection: np.ndarray, focal: float, cover: Cover) -> None:
        """What lies in the shadow of things that move: its colours are multiplied."""
        self._context.enable(moderngl.BLEND)
        self._context.blend_func = moderngl.ZERO, moderngl.SRC_COLOR
        self._context.polygon_offset = _NEARER
        target.depth_mask = False
        self._moving.shadows.draw(projection, focal, cover)
        target.depth_mask = True
        self._context.polygon_offset = 0.0, 0.0
        self._context.disable(moderngl.BLEND)

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


class _Replaced:
    """Parts of a vertex buffer that is written anew for each instant."""

    def __init__(
        self, context: moderngl.Context, size: float, program: moderngl.Program, layout: str, *names: str
    ) -> None:
        """size: as in Chunks. layout, names: of a row."""
        self._context, self._size, self._program, self._layout, self._names = context, size, program, layout, names
        self._buffer = context.buffer(reserve=4, dynamic=True)
        self._array: moderngl.VertexArray | None = None
        self._chunks: Chunks | None = None

    def place(self, rows: np.ndarray, starts: np.ndarray) -> None:
        """Take the place of what was there. rows: (n, c) float32, positions first. starts: of each part, and n."""
        self._chunks = None
        if not len(rows):
            return
        if self._array is None or self._buffer.size < rows.nbytes:
            self._buffer.orphan(rows.nbytes)
            self._array = self._context.vertex_array(self._program, [(self._buffer, self._layout, *self._names)])
        self._buffer.write(rows.tobytes())
        low, high = (ends.reduceat(rows[:, :3], starts[:-1]) for ends in (np.minimum, np.maximum))
        self._chunks = Chunks(starts, boxes(low, high), self._size)

    def draw(self, projection: np.ndarray, focal: float, cover: Cover) -> None:
        """Those that a view can see."""
        if self._array is not None and self._chunks is not None:
            for first, count in self._chunks.visible(projection, focal, cover):
                self._array.render(first=first, vertices=count)


class _Moving:
    """What moves, in map, and its shadows: put there once for all views of an instant."""

    def __init__(self, bodies: _Replaced, shadows: _Replaced, to_sun: np.ndarray) -> None:
        self.bodies, self.shadows, self._to_sun = bodies, shadows, to_sun
        self._vertices = Joined(lambda mesh: mesh[:, :9].astype(np.float32))
        self._corners = Joined(lambda mesh: np.unique(mesh[:, :3].astype(float), axis=0))

    def place(self, movables: Sequence[Movable]) -> None:
        """Take the place of what was there."""
        vertices, starts = self._vertices.of([thing.vertices for thing in movables])
        self.bodies.place(placed(vertices, starts, *poses_of(movables)), starts)
        standing = [thing for thing in movables if thing.stands]
        corners, starts = self._corners.of([thing.vertices for thing in standing])
        shadows = shadow_rows(corners, starts, *poses_of(standing), self._to_sun)
        self.shadows.place(shadows.reshape(-1, COLUMNS), np.arange(len(standing) + 1) * ROWS)


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
