"""Livox's own message into a cloud: a sweep as a list of points, which its drivers send unless told otherwise.

Source: livox_ros_driver2, msg/CustomMsg.msg and msg/CustomPoint.msg; livox_ros_driver of ROS 1 has the same.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

LIVOX = tuple(f"{package}/msg/CustomMsg" for package in ("livox_ros_driver2", "livox_ros_driver", "livox_interfaces"))
_POINT = np.dtype(
    [
        ("offset_time", "<u4"), ("x", "<f4"), ("y", "<f4"), ("z", "<f4"),
        ("reflectivity", "u1"), ("tag", "u1"), ("line", "u1"),
    ]
)  # fmt: skip
_CODES = {"<u4": 6, "<f4": 7, "|u1": 2}


@dataclass(frozen=True)
class Stamp:
    """As builtin_interfaces/Time."""

    sec: int
    nanosec: int


@dataclass(frozen=True)
class Header:
    """As std_msgs/Header."""

    stamp: Stamp
    frame_id: str


@dataclass(frozen=True)
class Field:
    """As sensor_msgs/PointField."""

    name: str
    offset: int
    datatype: int
    count: int = 1


@dataclass(frozen=True)
class Cloud:
    """As sensor_msgs/PointCloud2. data: (n,) uint8."""

    header: Header
    height: int
    width: int
    fields: tuple[Field, ...]
    is_bigendian: bool
    point_step: int
    row_step: int
    data: np.ndarray
    is_dense: bool


def livox_cloud(data: bytes | memoryview, ros1: bool) -> Cloud:
    """A serialized CustomMsg; intensity is its reflectivity, offset_time is in nanoseconds from the header's stamp.

    ValueError and struct.error where the bytes are not all there.
    """
    if ros1:
        _, sec, nanosec, length = struct.unpack_from("<IIII", data)
        at, text = 16 + length, bytes(data[16 : 16 + length])
        start, order, stride = at + 8, "<", _POINT.itemsize  # timebase; everything lies densely
    else:
        order = "<" if data[1] & 1 else ">"
        body = memoryview(data)[4:]
        sec, nanosec, length = struct.unpack_from(f"{order}iII", body)
        text = bytes(body[12 : 12 + length]).rstrip(b"\0")
        start = -(-(12 + length) // 8) * 8 + 8  # aligned to 8, behind it the timebase
        data, stride = bytes(body), -(-_POINT.itemsize // 4) * 4
    (count,) = struct.unpack_from(f"{order}I", data, start + 8)  # behind point_num, lidar_id and three reserved bytes
    first = start + 12
    needed = first + stride * (count - 1) + _POINT.itemsize if count else first
    if needed > len(data):
        raise ValueError(f"CustomMsg of {count} points needs {needed} bytes and has only {len(data)}")
    # The last point lacks the padding that the others have.
    padded = np.zeros(stride * count, np.uint8)
    found = np.frombuffer(data, np.uint8, min(len(data) - first, stride * count), first)
    padded[: len(found)] = found
    offsets = [(_RENAMED.get(name, name), _POINT.fields[name]) for name in _POINT.names]  # type: ignore[index, union-attr]
    fields = tuple(Field(name, int(field[1]), _CODES[field[0].str]) for name, field in offsets)
    header = Header(Stamp(sec, nanosec), text.decode(errors="replace"))
    return Cloud(header, 1, count, fields, order == ">", stride, stride * count, padded, False)


_RENAMED = {"reflectivity": "intensity"}
