"""Cubes, meshes and text to visualization_msgs."""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from occworld_infer.city_mesh import ClassMesh
from occworld_infer.markers import CubeList, MarkerUpdate

_TEXT_ABOVE_M, _TEXT_HEIGHT_M = 3.0, 0.7
_CITY_ALPHA = 0.3


def to_update(update: MarkerUpdate, text: Marker) -> MarkerArray:
    """What has changed, deletions first, and the text."""
    markers = [Marker(action=Marker.DELETEALL)] if update.anew else []
    markers += [Marker(ns=namespace, id=number, action=Marker.DELETE) for namespace, number in update.gone]
    return MarkerArray(markers=[*markers, *(_cubes(cubes) for cubes in update.changed), text])


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


def _cubes(cubes: CubeList) -> Marker:
    marker = _marker(Marker.CUBE_LIST, cubes.namespace, cubes.number, cubes.colour)
    marker.scale.x, marker.scale.y, marker.scale.z = cubes.scale.tolist()
    marker.points = _points(cubes.centres)
    return marker


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
