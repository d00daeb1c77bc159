"""Plain data to ROS messages and back: stamps, poses, point clouds, images, actors, diagnostics."""

from __future__ import annotations

from array import array

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import Point
from geometry_msgs.msg import Pose as PoseMsg
from sensor_msgs.msg import Image, PointCloud2, PointField
from visualization_msgs.msg import Marker, MarkerArray

from occ_core.actors import Actor
from occ_core.classes import CLASSES, Semantic, class_id
from occ_core.poses import Pose

_DATATYPES = {
    np.dtype("int8"): PointField.INT8,
    np.dtype("uint8"): PointField.UINT8,
    np.dtype("int16"): PointField.INT16,
    np.dtype("uint16"): PointField.UINT16,
    np.dtype("int32"): PointField.INT32,
    np.dtype("uint32"): PointField.UINT32,
    np.dtype("float32"): PointField.FLOAT32,
    np.dtype("float64"): PointField.FLOAT64,
}
_DTYPES = {code: dtype for dtype, code in _DATATYPES.items()}
_VELOCITY = "velocity"  # namespace of the arrows beside actors


def to_stamp(seconds: float) -> Time:
    """Seconds to a message stamp."""
    nanoseconds = round(seconds * 1e9)
    return Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


def from_stamp(stamp: Time) -> float:
    """A message stamp to seconds."""
    return stamp.sec + stamp.nanosec * 1e-9


def to_pose(pose: Pose) -> PoseMsg:
    """A pose to its message; quaternions change from w, x, y, z to x, y, z, w."""
    message = PoseMsg()
    message.position.x, message.position.y, message.position.z = map(float, pose.position)
    rotation = message.orientation
    rotation.w, rotation.x, rotation.y, rotation.z = map(float, pose.orientation)
    return message


def from_pose(message: PoseMsg) -> Pose:
    """The inverse of `to_pose`; ValueError for a quaternion that is not of unit length."""
    p, q = message.position, message.orientation
    return Pose(np.array([p.x, p.y, p.z]), np.array([q.w, q.x, q.y, q.z]))


def vector(message) -> np.ndarray:
    """(3,) float64 of a Vector3 or Point."""
    return np.array([message.x, message.y, message.z])


def to_cloud(points: np.ndarray, frame: str, stamp: float, height: int = 1) -> PointCloud2:
    """A structured array (n,) to a cloud, field for field. height: rows of an organised cloud."""
    fields = [
        PointField(name=name, offset=points.dtype.fields[name][1], datatype=_DATATYPES[points.dtype[name]], count=1)
        for name in points.dtype.names
    ]
    message = PointCloud2(
        height=height,
        width=len(points) // height,
        fields=fields,
        is_bigendian=False,
        point_step=points.dtype.itemsize,
        row_step=points.dtype.itemsize * (len(points) // height),
        is_dense=False,
    )
    message.header.frame_id = frame
    message.header.stamp = to_stamp(stamp)
    message.data = array("B", points.tobytes())
    return message


def from_cloud(message: PointCloud2) -> np.ndarray:
    """A cloud to a structured array (n,), as sensor_msgs_py reads it. ValueError where fields and data disagree."""
    order = ">" if message.is_bigendian else "<"
    if unknown := [field.name for field in message.fields if field.datatype not in _DTYPES]:
        raise ValueError(f"cloud fields of unknown datatype: {', '.join(unknown)}")
    dtype = np.dtype(
        {
            "names": [field.name for field in message.fields],
            "formats": [_DTYPES[field.datatype].newbyteorder(order) for field in message.fields],
            "offsets": [field.offset for field in message.fields],
            "itemsize": message.point_step,
        }
    )
    count = message.width * message.height
    if count * message.point_step > len(message.data):
        raise ValueError(f"cloud of {count} points of {message.point_step} bytes has only {len(message.data)} bytes")
    if message.height > 1 and message.row_step != message.width * message.point_step:
        raise ValueError("clouds with padded rows are not supported")
    return np.frombuffer(message.data, dtype=dtype, count=count)


def cloud_xyz(points: np.ndarray) -> np.ndarray:
    """(n, 3) float32 of a structured array with x, y, z; ValueError where one is missing."""
    try:
        return np.column_stack([points["x"], points["y"], points["z"]]).astype(np.float32, copy=False)
    except ValueError as error:
        raise ValueError(f"a cloud needs x, y and z, this one has {', '.join(points.dtype.names)}") from error


def to_image(pixels: np.ndarray, frame: str, stamp: float) -> Image:
    """(height, width, 3) uint8 RGB to an rgb8 image."""
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding="rgb8", step=pixels.shape[1] * 3)
    message.header.frame_id = frame
    message.header.stamp = to_stamp(stamp)
    message.data = array("B", pixels.tobytes())
    return message


def from_image(message: Image) -> np.ndarray:
    """An rgb8 or bgr8 image to (height, width, 3) uint8 RGB; ValueError for another encoding."""
    if message.encoding not in ("rgb8", "bgr8"):
        raise ValueError(f"image encoding {message.encoding} is not supported, rgb8 or bgr8 is")
    rows = np.frombuffer(message.data, dtype=np.uint8).reshape(message.height, message.step)
    pixels = rows[:, : message.width * 3].reshape(message.height, message.width, 3)
    return pixels if message.encoding == "rgb8" else pixels[:, :, ::-1]


def to_actors(actors: list[Actor], stamp: float) -> MarkerArray:
    """Actors as pairs of markers with the same id, the instance.

    A CUBE, whose ns is the class and whose text the namespace of a robot; and an ARROW in the namespace `velocity`,
    from the centre to where the actor would be one second later, since markers carry no velocity.
    """
    time = to_stamp(stamp)
    return MarkerArray(markers=[marker for a in actors for marker in (_actor_marker(a, time), _arrow(a, time))])


def _marker(kind: int, namespace: str, actor: Actor, stamp: Time) -> Marker:
    marker = Marker(ns=namespace, id=actor.instance, type=kind)
    marker.header.frame_id = "map"
    marker.header.stamp = stamp
    red, green, blue = CLASSES[actor.semantic].colour
    marker.color.r, marker.color.g, marker.color.b, marker.color.a = red / 255, green / 255, blue / 255, 0.8
    return marker


def _actor_marker(actor: Actor, stamp: Time) -> Marker:
    marker = _marker(Marker.CUBE, actor.semantic.name.lower(), actor, stamp)
    marker.text = actor.name
    marker.pose = to_pose(actor.pose)
    marker.scale.x, marker.scale.y, marker.scale.z = map(float, actor.size)
    return marker


def _arrow(actor: Actor, stamp: Time) -> Marker:
    marker = _marker(Marker.ARROW, _VELOCITY, actor, stamp)
    marker.points = [_point(actor.pose.position), _point(actor.pose.position + actor.velocity)]
    # Of an arrow between two points, x is the width of the shaft and y that of the head, metres.
    marker.scale.x, marker.scale.y = 0.15, 0.4
    return marker


def _point(xyz: np.ndarray) -> Point:
    x, y, z = map(float, xyz)
    return Point(x=x, y=y, z=z)


def from_actors(message: MarkerArray) -> tuple[float, list[Actor]]:
    """The inverse of `to_actors`: the stamp in seconds, and the actors. (0, []) for an empty array.

    An actor without an arrow has velocity zero. ValueError for a class that is not in the table, and for an arrow that
    does not go from one point to another.
    """
    arrows = {marker.id: _velocity(marker) for marker in message.markers if marker.ns == _VELOCITY}
    actors = [
        Actor(
            instance=marker.id,
            semantic=Semantic(class_id(marker.ns)),
            pose=from_pose(marker.pose),
            size=vector(marker.scale),
            velocity=arrows.get(marker.id, np.zeros(3)),
            name=marker.text,
        )
        for marker in message.markers
        if marker.ns != _VELOCITY
    ]
    return (from_stamp(message.markers[0].header.stamp) if actors else 0.0), actors


def _velocity(arrow: Marker) -> np.ndarray:
    if len(arrow.points) != 2:
        raise ValueError(f"velocity of actor {arrow.id}: an arrow has two points, this one has {len(arrow.points)}")
    start, end = arrow.points
    return vector(end) - vector(start)


def to_diagnostics(name: str, problem: str, values: dict[str, object], stamp: float) -> DiagnosticArray:
    """One status: OK, or a warning with the problem in words; values as text."""
    level = DiagnosticStatus.WARN if problem else DiagnosticStatus.OK
    status = DiagnosticStatus(level=level, name=name, message=problem or "running", hardware_id="tokyo")
    status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    message = DiagnosticArray(status=[status])
    message.header.stamp = to_stamp(stamp)
    return message
