"""Six views of a rover, textures, shadows and traffic included, beside the bare draw of the same triangles."""

from __future__ import annotations

from pathlib import Path

import moderngl
import numpy as np

from bench.pairs import Row, paired, table
from tokyo_sim.engine.cameras import clip_matrix
from tokyo_sim.engine.simulator import Fleet, Simulator

_VERTEX = """
#version 330
uniform mat4 view_projection;
in vec3 position;
in vec3 colour;
flat out vec3 paint;
void main() { paint = colour; gl_Position = view_projection * vec4(position, 1.0); }
"""
_FRAGMENT = """
#version 330
flat in vec3 paint;
out vec4 colour;
void main() { colour = vec4(paint, 1.0); }
"""


class BareDraw:
    """A city in plain colours: every triangle, one call, one depth test; then the pixels are read."""

    def __init__(self, simulator: Simulator, size: tuple[int, int]) -> None:
        self._context = moderngl.create_standalone_context(backend="egl")
        self._context.enable(moderngl.DEPTH_TEST)
        self._program = self._context.program(_VERTEX, _FRAGMENT)
        corners = simulator.city.triangles
        rows = np.concatenate([corners, np.repeat(np.abs(corners[:, :1]) % 1, 3, axis=1)], axis=2)
        buffer = self._context.buffer(rows.astype(np.float32).tobytes())
        self._city = self._context.vertex_array(self._program, [(buffer, "3f 3f", "position", "colour")])
        self._target = self._context.framebuffer(
            self._context.renderbuffer(size, 4), self._context.depth_renderbuffer(size)
        )

    def view(self, projection: np.ndarray) -> bytes:
        """Pixels of a view with a clip matrix from map."""
        with self._context:
            self._target.use()
            self._target.clear(depth=1.0)
            self._program["view_projection"].write(np.ascontiguousarray(projection.T, dtype=np.float32))
            self._city.render()
            return self._target.read(components=3, alignment=1)


def six_views(city: Path, size: tuple[int, int]) -> Row:
    """The views of a rover's cameras, at a size in pixels."""
    simulator = Simulator(city, Fleet(0, 1, 30, image_size=size), seed=1)
    if simulator.cameras_off:
        raise SystemExit(simulator.cameras_off)
    robot, pose = simulator.robots[0], simulator.motion(0).pose
    projections = [clip_matrix(spec, pose @ spec.mount) for spec in robot.cameras]
    bare = BareDraw(simulator, size)
    times = paired(lambda: simulator.images(0), lambda: [bare.view(projection) for projection in projections], 7)
    return Row(f"six {size[0]} x {size[1]} views, 30 actors", *times, "bare draw, static city")


def run(udx: Path, city: Path) -> str:
    """The table. udx: the sample city's CityGML; city: the same imported."""
    return table([six_views(city, size) for size in ((1600, 900), (320, 180))])
