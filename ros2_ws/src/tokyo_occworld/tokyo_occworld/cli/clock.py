"""Listening from outside a node: a thread that spins while a context lasts, and simulated time by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from types import TracebackType

import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rosgraph_msgs.msg import Clock

from occ_core.stamps import from_stamp
from occ_core.topics import CLOCK
from occ_ros.guard import GuardedNode
from occ_ros.qos import create_subscription


@contextmanager
def listening(name: str, subscribe: Callable[[GuardedNode], None], domain: int | None = None) -> Iterator[None]:
    """A node of a ROS context of its own, spun on a thread. subscribe: says what it hears. domain: of ROS."""
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node = GuardedNode(name, context=context, start_parameter_services=False)
    subscribe(node)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    thread = Thread(target=_spin, args=(executor,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        context.try_shutdown()
        thread.join(timeout=2.0)
        node.destroy_node()


def _spin(executor: SingleThreadedExecutor) -> None:
    try:
        executor.spin()
    except ExternalShutdownException:
        pass


class SimulatedTime:
    """Follows /clock on a thread while the context lasts. seconds: the newest time, 0 before the first message.

    domain: of ROS; None for what the environment says.
    """

    def __init__(self, domain: int | None = None) -> None:
        self.seconds = 0.0
        # A name for each domain: rcl keeps one log publisher of a name in a process.
        where = "" if domain is None else f"_{domain}"
        self._listening = listening(f"tokyo_clock_reader{where}", self._subscribe, domain)

    def __enter__(self) -> SimulatedTime:
        self._listening.__enter__()
        return self

    def _subscribe(self, node: GuardedNode) -> None:
        create_subscription(node, CLOCK, self._on_clock, depth=1)

    def _on_clock(self, message: Clock) -> None:
        self.seconds = from_stamp(message.clock)

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._listening.__exit__(kind, error, trace)
