"""Cubes, meshes and text to visualization_msgs."""

from __future__ import annotations

from struct import calcsize, pack

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from occworld_infer.city_mesh import ClassMesh
from occworld_infer.markers import MarkerUpdate

_TEXT_ABOVE_M, _TEXT_HEIGHT_M = 3.0, 0.7
_CITY_ALPHA = 0.3


def to_update(update: MarkerUpdate, text: Marker) -> bytes:
    """What has changed, deletions first, and the text: a serialized visualization_msgs/MarkerArray."""
    out = _Cdr()
    out.numbers("I", update.anew + len(update.gone) + len(update.changed) + 1)
    if update.anew:
        _write(out, Marker(action=Marker.DELETEALL))
    for namespace, number in update.gone:
        _write(out, Marker(ns=namespace, id=number, action=Marker.DELETE))
    blank = _marker(Marker.CUBE_LIST, "", 0, (0.0, 0.0, 0.0, 0.0))
    for cubes in update.changed:
        blank.ns, blank.id = cubes.namespace, cubes.number
        blank.scale.x, blank.scale.y, blank.scale.z = cubes.scale.tolist()
        blank.color.r, blank.color.g, blank.color.b, blank.color.a = (float(channel) for channel in cubes.colour)
        _write(out, blank, cubes.centres)
    _write(out, text)
    return bytes(out.data)


def to_text(robot: str, text: str) -> Marker:
    """Words that float above a robot and move with it."""
    marker = _marker(Marker.TEXT_VIEW_FACING, f"{robot}/text", 0, (1.0, 1.0, 1.0, 1.0), frame=f"{robot}/base_link")
    marker.frame_locked = True
    marker.pose.position.z = _TEXT_ABOVE_M
    marker.scale.z = _TEXT_HEIGHT_M
    marker.text = text
    return marker


def to_city(meshes: list[ClassMesh]) -> MarkerArray:
    """The city, a namespace for each class; transparent, so that it does not hide the robots and what they see."""
    markers = []
    for mesh in meshes:
        colour = (*(channel / 255 for channel in mesh.colour), _CITY_ALPHA)
        marker = _marker(Marker.TRIANGLE_LIST, f"city/{mesh.name}", 0, colour)
        marker.scale.x = marker.scale.y = marker.scale.z = 1.0
        marker.points = _points(mesh.triangles.reshape(-1, 3))
        markers.append(marker)
    return MarkerArray(markers=markers)


def _marker(kind: int, namespace: str, number: int, colour: np.ndarray | tuple, frame: str = "map") -> Marker:
    """Stamped 0: shown wherever its frame is at the newest transform, so that no transform is waited for."""
    marker = Marker(ns=namespace, id=number, type=kind, action=Marker.ADD)
    marker.header.frame_id = frame
    marker.header.stamp = Time()
    marker.pose.orientation.w = 1.0
    red, green, blue, alpha = (float(channel) for channel in colour)
    marker.color = ColorRGBA(r=red, g=green, b=blue, a=alpha)
    return marker


def _points(positions: np.ndarray) -> list[Point]:
    return [Point(x=x, y=y, z=z) for x, y, z in positions.astype(np.float64).tolist()]


class _Cdr:
    """A message in the bytes that DDS sends. Source: OMG, Common Object Request Broker Architecture 3.3, 9.3: a number
    begins at a multiple of its size, counted after four bytes that say how they are written."""

    def __init__(self) -> None:
        self.data = bytearray(b"\0\1\0\0")  # plain CDR, little endian

    def numbers(self, formats: str, *values: float) -> None:
        """Numbers of one size each, as of `struct`."""
        self.align(calcsize(formats[-1]))
        self.data += pack(f"<{formats}", *values)

    def text(self, text: str) -> None:
        """A string."""
        raw = text.encode()
        self.numbers("I", len(raw) + 1)
        self.data += raw + b"\0"

    def align(self, size: int) -> None:
        """Fill up to a multiple of a size."""
        self.data += bytes(-(len(self.data) - 4) % size)


def _write(out: _Cdr, marker: Marker, points: np.ndarray | None = None) -> None:
    """A marker without per-point colours and textures. points: (n, 3) metres, in the place of its own, none.

    Thousands of geometry_msgs/Point take longer to make and to serialize than all else.
    """
    position, turn, scale, colour = marker.pose.position, marker.pose.orientation, marker.scale, marker.color
    out.numbers("iI", marker.header.stamp.sec, marker.header.stamp.nanosec)
    out.text(marker.header.frame_id)
    out.text(marker.ns)
    out.numbers("3i", marker.id, marker.type, marker.action)
    out.numbers("10d", position.x, position.y, position.z, turn.x, turn.y, turn.z, turn.w, scale.x, scale.y, scale.z)
    out.numbers("4f", colour.r, colour.g, colour.b, colour.a)
    out.numbers("iI", marker.lifetime.sec, marker.lifetime.nanosec)
    out.numbers("B", marker.frame_locked)
    count = 0 if points is None else len(points)
    out.numbers("I", count)
    if count:
        out.align(8)
        out.data += np.ascontiguousarray(points, "<f8").tobytes()
    out.numbers("I", 0)  # colors
    out.text("")  # texture_resource
    out.numbers("iI", 0, 0)  # texture
    out.text("")
    out.text("")
    out.numbers("II", 0, 0)  # its data, uv_coordinates
    out.text(marker.text)
    out.text("")  # mesh_resource
    out.text("")  # mesh_file
    out.numbers("I", 0)
    out.numbers("B", 0)  # mesh_use_embedded_materials
