"""ROS messages to plain data, read by attribute alone: those of rclpy and those that rosbags decodes. No ROS."""

from __future__ import annotations

import io
import math
import struct
import zlib
from typing import Any, Literal

import numpy as np
from PIL import Image as Picture

from occ_core.actors import Actor
from occ_core.classes import Semantic, class_id
from occ_core.loops import compiled
from occ_core.poses import Pose
from occ_core.stamps import from_stamp
from occ_core.sync import Odometry

DTYPES: dict[int, np.dtype] = {
    1: np.dtype("int8"),
    2: np.dtype("uint8"),
    3: np.dtype("int16"),
    4: np.dtype("uint16"),
    5: np.dtype("int32"),
    6: np.dtype("uint32"),
    7: np.dtype("float32"),
    8: np.dtype("float64"),
}
"""sensor_msgs/PointField datatypes."""
_FLOAT32 = np.dtype("<f4")
_FURTHEST_M = 1e8  # a plane or geocentric coordinate is below 1e7
VELOCITY = "velocity"
"""Namespace of the arrows beside actors."""
_ROUNDED = 2e-3  # squared lengths that are off by less are rounding's
_OFF_UNIT = 0.01  # tf2 takes quaternions up to here (buffer_core.cpp: QUATERNION_NORMALIZATION_TOLERANCE)
# Channels of the image encodings that are read, and which of them are red, green and blue.
_ENCODINGS = {
    "rgb8": (3, (0, 1, 2)),
    "bgr8": (3, (2, 1, 0)),
    "8UC3": (3, (2, 1, 0)),  # OpenCV's order
    "rgba8": (4, (0, 1, 2)),
    "bgra8": (4, (2, 1, 0)),
    "mono8": (1, (0, 0, 0)),
    "8UC1": (1, (0, 0, 0)),
}


def from_pose(message: Any) -> Pose:
    """A geometry_msgs/Pose. ValueError for a place that is nowhere on Earth, and for a quaternion whose squared length
    is not 1 within 0.01, as tf2 has it."""
    p = message.position
    if not max(abs(p.x), abs(p.y), abs(p.z)) < _FURTHEST_M:
        raise ValueError(f"a position of {p.x:g}, {p.y:g}, {p.z:g} m")
    return Pose(np.array([p.x, p.y, p.z]), _unit(message.orientation))


def from_transform(message: Any) -> Pose:
    """A geometry_msgs/Transform: the child frame in its parent. ValueError as in `from_pose`."""
    t = message.translation
    return Pose(np.array([t.x, t.y, t.z]), _unit(message.rotation))


def off_unit(quaternion: Any) -> bool:
    """Whether a quaternion is brought to unit length since it is further from it than rounding takes it."""
    return _ROUNDED < abs(_squared(quaternion) - 1) < _OFF_UNIT


def _squared(q: Any) -> float:
    return q.w * q.w + q.x * q.x + q.y * q.y + q.z * q.z


def _unit(q: Any) -> np.ndarray:
    """(4,) w, x, y, z of a quaternion, brought to unit length where it is near it, else as it is."""
    quaternion = np.array([q.w, q.x, q.y, q.z])
    return quaternion / np.sqrt(_squared(q)) if off_unit(q) else quaternion


def vector(message: Any) -> np.ndarray:
    """(3,) float64 of a Vector3 or Point."""
    return np.array([message.x, message.y, message.z])


def from_twist(message: Any) -> tuple[np.ndarray, np.ndarray]:
    """A geometry_msgs/Twist: (3,) linear, m/s, and (3,) angular, rad/s. ValueError for numbers that are not finite."""
    linear, angular = vector(message.linear), vector(message.angular)
    if not np.isfinite([linear, angular]).all():
        raise ValueError(f"velocities {linear} m/s, {angular} rad/s")
    return linear, angular


def from_odometry(message: Any) -> Odometry:
    """A nav_msgs/Odometry, whose velocities may be no numbers. ValueError as in `from_pose`."""
    twist = message.twist.twist
    pose = from_pose(message.pose.pose)
    return Odometry(from_stamp(message.header.stamp), pose, vector(twist.linear), vector(twist.angular))


def from_cloud(message: Any) -> np.ndarray:
    """A cloud to a structured array (n,), as sensor_msgs_py reads it: organised ones row by row.

    Fields that are padding (no name, or one that is there twice), of a type that is none, or that do not lie within a
    point are left out, unless they are x, y or z. ValueError for those, and where the size of the data disagrees.
    """
    order: Literal[">", "<"] = ">" if message.is_bigendian else "<"
    names = [field.name for field in message.fields]
    size = message.point_step
    fields = [f for f in message.fields if f.name and names.count(f.name) == 1 and _readable(f, size)]
    count = message.width * message.height
    formats = [(DTYPES[f.datatype].newbyteorder(order), (f.count,) if f.count > 1 else ()) for f in fields]
    layout: Any = {"names": [f.name for f in fields], "formats": formats, "offsets": [f.offset for f in fields]}
    if size or count:  # An empty cloud may not say how large its points would be.
        layout["itemsize"] = size
    dtype = np.dtype(layout)
    if count == 0:
        return np.zeros(0, dtype)
    if size == 0:
        raise ValueError(f"cloud of {count} points of no bytes")
    row, step = message.width * size, _row_step(message)
    needed = step * (message.height - 1) + row
    if step < row:
        raise ValueError(f"cloud with rows of {step} bytes for {message.width} points of {size} bytes")
    if needed > len(message.data):
        raise ValueError(f"cloud of {count} points needs {needed} bytes and has only {len(message.data)}")
    data = np.frombuffer(message.data, np.uint8)
    if step > row:
        padded = np.zeros(step * message.height, np.uint8)
        padded[:needed] = data[:needed]
        data = padded.reshape(message.height, step)[:, :row].ravel()
    return np.frombuffer(data, dtype=dtype, count=count)


def _readable(field: Any, point_step: int) -> bool:
    """Is a field of a known type, and within a point? ValueError where it is not, and no cloud can do without it."""
    if field.datatype not in DTYPES:
        why = f"is of the unknown datatype {field.datatype}"
    else:
        end = field.offset + DTYPES[field.datatype].itemsize * max(field.count, 1)
        if not point_step or end <= point_step:  # An empty cloud may have points of 0 bytes.
            return True
        why = f"ends at byte {end}, behind the itemsize of a point: point_step is {point_step}"
    if field.name in ("x", "y", "z"):
        raise ValueError(f"cloud field {field.name} {why}")
    return False


def _row_step(message: Any) -> int:
    """Bytes from row to row, of what row_step says or the data allow: drivers leave it at 0, or count points or all."""
    row, rows, size = message.width * message.point_step, message.height, len(message.data)
    if rows == 1:
        return row
    fits = row <= message.row_step and message.row_step * (rows - 1) + row <= size
    if fits or message.row_step not in (0, message.width, row, row * rows):
        return message.row_step
    return size // rows if size % rows == 0 and size >= row * rows else row


def cloud_xyz(points: np.ndarray) -> np.ndarray:
    """(n, 3) float32 of a structured array with x, y, z; ValueError where one is missing."""
    out = np.empty((len(points), 3), np.float32)
    _put_xyz(points, out)
    return out


def _put_xyz(points: np.ndarray, out: np.ndarray) -> None:
    """x, y, z of a structured array into the first columns of another array."""
    if missing := [axis for axis in "xyz" if axis not in (points.dtype.names or ())]:
        there = ", ".join(points.dtype.names or ()) or "no fields"
        raise ValueError(f"a cloud needs x, y and z, this one has {there}; missing: {', '.join(missing)}")
    for column, axis in enumerate("xyz"):
        out[:, column] = points[axis]


def cloud_points(message: Any, unit: float = 1.0) -> np.ndarray:
    """(n, 4) float32 x y z intensity in the sensor's frame; intensity is zero where the cloud has none.

    unit: metres of 1 in x, y and z.
    """
    return returns_of(from_cloud(message), unit) if message.width * message.height else np.zeros((0, 4), np.float32)


def returns_of(cloud: np.ndarray, unit: float = 1.0) -> np.ndarray:
    """(n, 4) float32 x y z intensity of a structured cloud, as `cloud_points` gives them. unit: metres of its 1."""
    names = cloud.dtype.names or ()
    # SICK's driver calls it i.
    brightness = next((name for name in ("intensity", "i") if name in names), "")
    wanted = ["x", "y", "z", brightness] if brightness else ["x", "y", "z"]
    if unit == 1.0 and all(name in names and cloud.dtype[name] == _FLOAT32 for name in wanted):
        points = np.empty((len(cloud), 4), np.float32)
        _interleave(cloud["x"], cloud["y"], cloud["z"], cloud[wanted[-1]], bool(brightness), points)
        return points
    points = np.zeros((len(cloud), 4), np.float32)
    with np.errstate(over="ignore"):  # Doubles that stand for nothing become infinite, and are left out as such.
        _put_xyz(cloud, points)
        if unit != 1.0:
            points[:, :3] *= np.float32(unit)
        if brightness:
            points[:, 3] = cloud[brightness]
    return points


@compiled
def _interleave(x, y, z, brightness, known, out):
    """Columns (n,) float32 into rows (n, 4): NumPy copies one column after the other, in three times the time."""
    for n in range(len(out)):
        out[n, 0], out[n, 1], out[n, 2] = x[n], y[n], z[n]
        out[n, 3] = brightness[n] if known else np.float32(0)


def from_image(message: Any) -> np.ndarray:
    """A sensor_msgs/Image to (height, width, 3) uint8 RGB. ValueError for another encoding, and for missing bytes."""
    if message.encoding not in _ENCODINGS:
        raise ValueError(f"image encoding '{message.encoding}' is not supported, {', '.join(_ENCODINGS)} are")
    channels, order = _ENCODINGS[message.encoding]
    if len(message.data) != message.height * message.step or message.step < message.width * channels:
        raise ValueError(
            f"image of {message.width} x {message.height} with rows of {message.step} bytes has {len(message.data)}"
        )
    rows = np.frombuffer(message.data, dtype=np.uint8).reshape(message.height, message.step)
    pixels = rows[:, : message.width * channels].reshape(message.height, message.width, channels)
    return pixels if order == (0, 1, 2) and channels == 3 else pixels[:, :, list(order)]


def from_compressed_image(message: Any) -> np.ndarray | bytes:
    """A sensor_msgs/CompressedImage: the bytes of a JPEG in colour as they are, else (height, width, 3) uint8 RGB.

    ValueError where the bytes are no picture, and for depth images, which are not pictures.
    """
    data = bytes(message.data)
    try:
        with Picture.open(io.BytesIO(data)) as picture:
            if picture.format == "JPEG" and picture.mode == "RGB":
                return data
            if picture.mode.startswith(("I", "F")):
                raise ValueError(
                    f"compressed image of format '{message.format}' holds {picture.mode}, not 8-bit colours"
                )
            return np.asarray(picture.convert("RGB"))
    except Picture.DecompressionBombError as error:
        raise ValueError(f"compressed image of format '{message.format}' is refused: {error}") from error
    except (OSError, EOFError, SyntaxError, struct.error, zlib.error) as error:  # what PIL's readers raise
        raise ValueError(f"compressed image of format '{message.format}' can't be read: {error}") from error


def from_actors(message: Any) -> tuple[float, list[Actor]]:
    """A visualization_msgs/MarkerArray of actors: the stamp in seconds, and the actors. (0, []) for an empty array.

    An actor without an arrow has velocity zero. ValueError for a class that is not in the table, for an arrow that
    does not go from one point to another, and for sizes and velocities that are none.
    """
    arrows = {marker.id: _velocity(marker) for marker in message.markers if marker.ns == VELOCITY}
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
        if marker.ns != VELOCITY
    ]
    for actor in actors:
        if not (math.isfinite(actor.velocity.sum()) and 0 <= actor.size.min() and math.isfinite(actor.size.max())):
            raise ValueError(f"actor {actor.instance} with size {actor.size} m and velocity {actor.velocity} m/s")
    return (from_stamp(message.markers[0].header.stamp) if actors else 0.0), actors


def _velocity(arrow: Any) -> np.ndarray:
    if len(arrow.points) != 2:
        raise ValueError(f"velocity of actor {arrow.id}: an arrow has two points, this one has {len(arrow.points)}")
    start, end = arrow.points
    return vector(end) - vector(start)
