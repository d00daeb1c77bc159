"""Reading simulated time from outside a node."""

from __future__ import annotations

from threading import Thread
from types import TracebackType

import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rosgraph_msgs.msg import Clock

from occ_core.topics import CLOCK
from occ_ros.convert import from_stamp
from occ_ros.guard import GuardedNode
from occ_ros.qos import create_subscription


class SimulatedTime:
    """Follows /clock on a thread while the context lasts. seconds: the newest time, 0 before the first message."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> SimulatedTime:
        self._context = Context()
        rclpy.init(context=self._context)
        self._node = GuardedNode("tokyo_clock_reader", context=self._context)
        create_subscription(self._node, CLOCK, self._on_clock, depth=1)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = Thread(target=self._spin, daemon=True)
        self._thread.start()
        return self

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass

    def _on_clock(self, message: Clock) -> None:
        self.seconds = from_stamp(message.clock)

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._context.try_shutdown()
        self._thread.join(timeout=2.0)
        self._node.destroy_node()
