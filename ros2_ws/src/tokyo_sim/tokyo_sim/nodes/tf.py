"""Transforms, where tf2_msgs is installed; without it there is no /tf and a warning says so."""

from __future__ import annotations

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node

from occ_core.poses import Pose
from occ_core.topics import TF, TF_STATIC
from occ_ros.diagnostics import to_stamp
from occ_ros.qos import NO_TF, create_publisher, message_class


class TransformPublisher:
    """Publishes named poses."""

    def __init__(self, node: Node) -> None:
        self.problem = ""
        try:
            self._message = message_class(TF.type)
        except ImportError:
            self.problem = NO_TF
            node.get_logger().warning(NO_TF)
            return
        self._dynamic = create_publisher(node, TF, depth=100)
        self._static = create_publisher(node, TF_STATIC, depth=1)

    def send(self, transforms: list[tuple[str, str, Pose]], stamp: float, static: bool = False) -> None:
        """Publish (parent, child, pose of the child in the parent) at a time."""
        if not self.problem:
            publisher = self._static if static else self._dynamic
            publisher.publish(self._message(transforms=[_transform(*entry, stamp) for entry in transforms]))


def _transform(parent: str, child: str, pose: Pose, stamp: float) -> TransformStamped:
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    message.header.stamp = to_stamp(stamp)
    translation, rotation = message.transform.translation, message.transform.rotation
    translation.x, translation.y, translation.z = map(float, pose.position)
    rotation.w, rotation.x, rotation.y, rotation.z = map(float, pose.orientation)
    return message
