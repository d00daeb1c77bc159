"""Plain data to ROS messages: poses, point clouds, images, actors.

The way back is `occ_core.messages`, which needs no ROS; its functions are here too.
"""

from __future__ import annotations

from array import array

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point
from geometry_msgs.msg import Pose as PoseMsg
from sensor_msgs.msg import Image, PointCloud2, PointField
from visualization_msgs.msg import Marker, MarkerArray

from occ_core.actors import Actor
from occ_core.classes import CLASSES
from occ_core.messages import (
    DTYPES,
    VELOCITY,
    cloud_points,
    cloud_xyz,
    from_actors,
    from_cloud,
    from_image,
    from_odometry,
    from_pose,
    from_twist,
    vector,
)  # fmt: skip
from occ_core.poses import Pose
from occ_ros.diagnostics import to_stamp

__all__ = [
    "cloud_points", "cloud_xyz", "from_actors", "from_cloud", "from_image", "from_odometry", "from_pose", "from_twist",
    "to_actors", "to_cloud", "to_image", "to_pose", "vector",
]  # fmt: skip

_DATATYPES = {dtype: code for code, dtype in DTYPES.items()}


def to_pose(pose: Pose) -> PoseMsg:
    """A pose to its message; quaternions change from w, x, y, z to x, y, z, w."""
    message = PoseMsg()
    message.position.x, message.position.y, message.position.z = map(float, pose.position)
    rotation = message.orientation
    rotation.w, rotation.x, rotation.y, rotation.z = map(float, pose.orientation)
    return message


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


def to_image(pixels: np.ndarray, frame: str, stamp: float) -> Image:
    """(height, width, 3) uint8 RGB to an rgb8 image."""
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding="rgb8", step=pixels.shape[1] * 3)
    message.header.frame_id = frame
    message.header.stamp = to_stamp(stamp)
    message.data = array("B", pixels.tobytes())
    return message


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
    marker = _marker(Marker.ARROW, VELOCITY, actor, stamp)
    marker.points = [_point(actor.pose.position), _point(actor.pose.position + actor.velocity)]
    # Of an arrow between two points, x is the width of the shaft and y that of the head, metres.
    marker.scale.x, marker.scale.y = 0.15, 0.4
    return marker


def _point(xyz: np.ndarray) -> Point:
    x, y, z = map(float, xyz)
    return Point(x=x, y=y, z=z)
