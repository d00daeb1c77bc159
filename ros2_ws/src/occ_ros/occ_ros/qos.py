"""Publishers and subscriptions by the topic table: names, types and quality of service in one place; raw messages."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from rclpy._rclpy_pybind11 import RMWError
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription

from occ_core.topics import Topic, absolute

NO_TF = "no /tf and /tf_static: tf2_msgs is not installed; `make` builds it where there are cmake and a C compiler"


def message_class(name: str) -> type:
    """The Python class of a message type such as `sensor_msgs/msg/Image`; ImportError where it is not installed."""
    package, kind, message = name.split("/")
    return getattr(import_module(f"{package}.{kind}"), message)


def from_raw(raw: bytes, kind: type) -> Any:
    """The message that a raw subscription was given; ValueError for bytes that are none of its type."""
    try:
        return deserialize_message(raw, kind)
    except RMWError as error:
        raise ValueError(str(error)) from error


def profile(topic: Topic, depth: int = 10, lockstep: bool = False) -> QoSProfile:
    """Quality of service of a topic: sensor data best effort, latched things transient local.

    lockstep: nothing may be lost, not even what was sent before the listener was discovered.
    """
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if topic.reliable or lockstep else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if topic.latched or lockstep else DurabilityPolicy.VOLATILE,
    )


def create_publisher(node: Node, topic: Topic, robot: str = "", depth: int = 10, lockstep: bool = False) -> Publisher:
    """A publisher of a topic of the table. lockstep: as in `profile`."""
    return node.create_publisher(message_class(topic.type), absolute(topic, robot), profile(topic, depth, lockstep))


def create_subscription(
    node: Node,
    topic: Topic,
    callback: Callable[[Any], None],
    robot: str = "",
    depth: int = 10,
    lockstep: bool = False,
) -> Subscription:
    """A subscription to a topic of the table. lockstep: as in `profile`; it hears publishers in lock step alone."""
    quality = profile(topic, depth, lockstep)
    return node.create_subscription(message_class(topic.type), absolute(topic, robot), callback, quality)
