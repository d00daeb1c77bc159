"""What the overlay's markers look like, drawn off screen from the messages themselves.

python scripts/overlay_picture.py SESSION --city CITY --checkpoint CHECKPOINT --out overlay.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import moderngl
import numpy as np
from PIL import Image, ImageDraw
from rclpy.serialization import deserialize_message
from visualization_msgs.msg import Marker, MarkerArray

from occ_core.actors import BOX_FACES
from occ_core.citymap import CityMap
from occ_core.grid import TOKYO_GRID
from occ_core.poses import Pose
from occ_core.session import Session
from occworld.forecaster import Forecaster
from occworld_infer.city_mesh import class_meshes
from occworld_infer.grids import grid_points, moved
from occworld_infer.layers import RobotLayers
from occworld_infer.marker_messages import to_city, to_text, to_update
from occworld_infer.markers import SentMarkers, cube_lists

SIZE = (1000, 600)
_SAMPLES = 4
_VERTEX = """
#version 330
uniform mat4 clip;
in vec3 position;
in vec3 normal;
in vec4 colour;
out vec4 paint;
void main() {
    float light = 0.62 + 0.38 * abs(dot(normal, normalize(vec3(0.35, 0.25, 0.9))));
    paint = vec4(colour.rgb * light, colour.a);
    gl_Position = clip * vec4(position, 1.0);
}
"""
_FRAGMENT = "#version 330\nin vec4 paint; out vec4 colour; void main() { colour = paint; }"
_CORNERS = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])


def triangles(marker: Marker) -> np.ndarray:
    """(n, 3, 3) metres, map: a marker as RViz draws it."""
    points = np.array([(p.x, p.y, p.z) for p in marker.points])
    if marker.type == Marker.TRIANGLE_LIST:
        return points.reshape(-1, 3, 3)
    scale = [marker.scale.x, marker.scale.y, marker.scale.z]
    return (points[:, None] + _CORNERS * scale)[:, BOX_FACES].reshape(-1, 3, 3)


def vertices(marker: Marker) -> np.ndarray:
    """(n, 10) float32: position, normal, colour of each corner."""
    corners = triangles(marker)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    colour = marker.color.r, marker.color.g, marker.color.b, marker.color.a
    rows = np.concatenate(
        [corners, np.repeat(normal[:, None], 3, axis=1), np.broadcast_to(colour, (len(corners), 3, 4))], axis=2
    )
    return rows.reshape(-1, 10).astype(np.float32)


def clip_matrix(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(4, 4) from map to clip space, for a camera at `eye` that looks at `target`."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    view = np.eye(4)
    view[:3, :3] = np.stack([right, np.cross(right, forward), -forward])
    view[:3, 3] = -view[:3, :3] @ eye
    near, far, focal = 0.5, 500.0, 1.0 / np.tan(np.radians(50) / 2)
    lens = np.zeros((4, 4))
    lens[0, 0], lens[1, 1] = focal * SIZE[1] / SIZE[0], focal
    lens[2, 2:], lens[3, 2] = [(near + far) / (near - far), 2 * near * far / (near - far)], -1.0
    return lens @ view


def drawn(markers: list[Marker], eye: np.ndarray, target: np.ndarray) -> Image.Image:
    """Opaque markers first; then the others, which let through what is behind them."""
    context = moderngl.create_standalone_context(backend="egl")
    target_buffer = context.framebuffer(
        context.renderbuffer(SIZE, 4, samples=_SAMPLES), context.depth_renderbuffer(SIZE, samples=_SAMPLES)
    )
    target_buffer.use()
    target_buffer.clear(0.15, 0.165, 0.2)
    context.enable(moderngl.DEPTH_TEST | moderngl.BLEND)
    program = context.program(_VERTEX, _FRAGMENT)
    program["clip"].write(np.ascontiguousarray(clip_matrix(eye, target).T, np.float32))
    for marker in sorted(markers, key=lambda marker: -marker.color.a):
        target_buffer.depth_mask = marker.color.a > 0.8
        buffer = context.buffer(vertices(marker).tobytes())
        context.vertex_array(program, [(buffer, "3f 3f 4f", "position", "normal", "colour")]).render()
    flat = context.framebuffer(context.renderbuffer(SIZE, 4))
    context.copy_framebuffer(flat, target_buffer)
    return Image.frombytes("RGB", SIZE, flat.read(components=3, alignment=1)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)


def legend(picture: Image.Image, markers: list[Marker]) -> Image.Image:
    """Names of the layers of one colour each, in that colour.

    256 colours are enough for a document; chosen by coverage, so that small things keep theirs.
    """
    draw, top = ImageDraw.Draw(picture), 14
    names: dict[str, set[tuple[int, ...]]] = {}
    for marker in markers:
        colour = tuple(round(255 * value) for value in (marker.color.r, marker.color.g, marker.color.b))
        names.setdefault(marker.ns, set()).add(colour)
    for name, colours in names.items():
        if len(colours) == 1:
            draw.rectangle((14, top, 34, top + 14), fill=next(iter(colours)))
            draw.text((42, top), name, fill=(255, 255, 255), font_size=14)
            top += 22
    return picture.quantize(256, method=Image.Quantize.MAXCOVERAGE)


def overlay_markers(session: Session, forecaster: Forecaster, number: int, by_class: bool) -> tuple[list[Marker], Pose]:
    """The markers at a frame of a session, and the footprint there in map: forecasts of the last second came before."""
    layers = RobotLayers(by_class, check=1.0)
    for last in (number - 2, number):
        numbers = range(last - forecaster.history + 1, last + 1)
        states = [session.state(n) for n in numbers]
        now, result = states[-1], forecaster([session.classes(n) for n in numbers], states)
        ahead = [
            moved(grid_points(TOKYO_GRID, classes, horizon), x, y, z, yaw)
            for classes, horizon, (x, y, yaw), z in zip(
                result.classes, result.horizons_s, result.path, result.path_z, strict=True
            )
        ]
        layers.observe(now.stamp, grid_points(TOKYO_GRID, session.classes(last), 0.0), now.footprint)
        layers.expect(now.stamp, np.concatenate(ahead), now.footprint)
    robot = session.info.agent
    lists = [cubes for layer in layers.layers() for cubes in cube_lists(robot, layer)]
    update = deserialize_message(to_update(SentMarkers().update(lists), to_text(robot, "")), MarkerArray)
    return [marker for marker in update.markers if marker.type == Marker.CUBE_LIST and marker.points], now.footprint


def main() -> None:
    """Draw one frame from behind the robot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("session", type=Path, help="folder of a recorded session")
    parser.add_argument("--city", type=Path, required=True, help="folder of the imported city")
    parser.add_argument("--checkpoint", type=Path, required=True, help="checkpoint to forecast with")
    parser.add_argument("--frame", type=int, default=12, help="number of the frame (default: %(default)s)")
    parser.add_argument("--by-class", action="store_true", help="colours of classes instead of horizons")
    parser.add_argument("--out", type=Path, default=Path("out/overlay.png"), help="picture (default: %(default)s)")
    args = parser.parse_args()
    markers, footprint = overlay_markers(
        Session.open(args.session), Forecaster.load(args.checkpoint), args.frame, args.by_class
    )
    city = to_city(class_meshes(CityMap.load(args.city), 100_000)).markers
    eye, target = footprint.apply(np.array([[-24.0, 8.0, 36.0], [6.0, 0.0, 0.0]]))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    legend(drawn([*city, *markers], eye, target), markers).save(args.out, optimize=True)
    print(f"{args.out}: {sum(len(marker.points) for marker in markers)} cubes in {len(markers)} markers")


if __name__ == "__main__":
    main()
