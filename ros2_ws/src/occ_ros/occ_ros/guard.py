"""Nodes that no message ends: one guard around all that an executor calls, and around all that is published.

A message that can't be used raises ValueError where it is read: it is dropped and counted by its topic. Any other
exception is a mistake of the program: its traceback is logged once, it is counted apart, and the node goes on. A
message that the middleware does not take is lost, and counted. All counts are in /diagnostics.
"""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import wraps
from threading import Lock
from typing import Any

from rclpy._rclpy_pybind11 import RCLError
from rclpy.clock import Clock, ClockType
from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.lifecycle import LifecycleNode
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.service import Service
from rclpy.subscription import Subscription
from rclpy.timer import Timer

from occ_core.topics import DIAGNOSTICS
from occ_ros.diagnostics import to_diagnostics
from occ_ros.qos import create_publisher

UNUSABLE, ERRORS, UNSENT = "unusable messages", "callback errors", "unsent messages"
"""Keys of the counts in /diagnostics."""
_QUIET_S = 5.0
_WORDS = 300  # characters: what is said of a huge message is not


class NodeFailed(Exception):
    """A node that can't do its job any more: the sentence that its process ends with."""


class Faults:
    """Counts of what went wrong in one node, by topic, service or timer. Threads may share it.

    logger: gets a warning of each source at most once in 5 s, and a traceback once for each place that an error comes
    from.
    """

    def __init__(self, logger: RcutilsLogger) -> None:
        self.logger = logger
        self._lock = Lock()
        self._counts: dict[str, Counter[str]] = {kind: Counter() for kind in (UNUSABLE, ERRORS, UNSENT)}
        self._said: dict[tuple[str, str], tuple[float, int]] = {}
        self._places: set[tuple[str, int]] = set()
        self._told: dict[str, int] = {}

    def unusable(self, source: str, error: Exception) -> None:
        """A message was dropped since it can't be used."""
        self._count(UNUSABLE, source, f"{source}: {str(error)[:_WORDS]}")

    def unsent(self, source: str, error: Exception) -> None:
        """A message was lost since the middleware did not take it."""
        self._count(UNSENT, source, f"{source} could not be published: {error}")

    def error(self, source: str, error: Exception) -> None:
        """A callback failed by a mistake of the program."""
        frame = traceback.extract_tb(error.__traceback__)[-1]
        with self._lock:
            self._counts[ERRORS][source] += 1
            place = (frame.filename, frame.lineno or 0)
            new = place not in self._places
            self._places.add(place)
        if new:
            self.logger.error(f"{source}: {''.join(traceback.format_exception(error))}")

    def _count(self, kind: str, source: str, sentence: str) -> None:
        now = time.monotonic()
        with self._lock:
            self._counts[kind][source] += 1
            count = self._counts[kind][source]
            when, said = self._said.get((kind, source), (-_QUIET_S, 0))
            if now - when < _QUIET_S:
                return
            self._said[kind, source] = now, count
        more = f" ({count - said} messages since it was last said)" if count - said > 1 else ""
        self.logger.warning(f"{sentence}{more}")

    def values(self) -> dict[str, object]:
        """Totals, as they go into /diagnostics."""
        with self._lock:
            return {kind: counter.total() for kind, counter in self._counts.items()}

    def problem(self) -> str:
        """What is new since the last call, in words; '' for nothing."""
        with self._lock:
            parts = []
            for kind, counter in self._counts.items():
                total = counter.total()
                if new := total - self._told.get(kind, 0):
                    parts.append(f"{new} {kind} ({', '.join(sorted(counter))})")
                self._told[kind] = total
            return "; ".join(parts)


class GuardedPublisher(Publisher):
    """Counts what the middleware does not take, as when a slow listener fills its buffers. lost: how many."""

    faults: Faults | None = None
    lost = 0

    def publish(self, msg: Any) -> None:
        """Send a message, or its serialized bytes; never raises for a middleware that refuses it."""
        try:
            super().publish(msg)
        except RCLError as error:
            self.lost += 1
            if self.faults is not None:
                self.faults.unsent(self.topic, error)


class Guarded:
    """What a guarded node adds to rclpy's: every callback and every publisher is made here."""

    def __init__(self, name: str, **settings: Any) -> None:
        # Before rclpy's part, which subscribes to /clock and serves parameters by way of these methods. Nothing here
        # refers back to the node: one that refuses its parameters must go at once, before it is asked to finish.
        self.faults = Faults(get_logger(name))
        super().__init__(name, **settings)
        self.faults.logger = self.get_logger()
        self._status = create_publisher(self, DIAGNOSTICS)

    def guarded(self, source: str, callback: Callable[..., Any], failed: Callable[..., Any] | None = None) -> Any:
        """The callback, which raises nothing but NodeFailed. failed: gives its result where it could not."""
        faults = self.faults

        @wraps(callback)
        def call(*arguments: Any) -> Any:
            try:
                return callback(*arguments)
            except NodeFailed:
                raise
            except ValueError as error:
                faults.unusable(source, error)
                return failed(error, *arguments) if failed else None
            except Exception as error:
                faults.error(source, error)
                return failed(error, *arguments) if failed else None

        return call

    def create_subscription(
        self, msg_type: type, topic: str, callback: Callable, *rest: Any, **more: Any
    ) -> Subscription:
        """As rclpy's."""
        return super().create_subscription(msg_type, topic, self.guarded(topic, callback), *rest, **more)

    def create_service(self, srv_type: type, srv_name: str, callback: Callable, **more: Any) -> Service:
        """As rclpy's; the answer of a service that could not do its work says so where it has words."""
        return super().create_service(srv_type, srv_name, self.guarded(srv_name, callback, _refused), **more)

    def create_timer(self, timer_period_sec: float, callback: Callable | None, *rest: Any, **more: Any) -> Timer:
        """As rclpy's."""
        name = getattr(callback, "__name__", "timer")
        return super().create_timer(timer_period_sec, callback and self.guarded(name, callback), *rest, **more)

    def create_publisher(self, *arguments: Any, **more: Any) -> Publisher:
        """As rclpy's."""
        publisher = super().create_publisher(*arguments, **{"publisher_class": GuardedPublisher, **more})
        if isinstance(publisher, GuardedPublisher):
            publisher.faults = self.faults
        return publisher

    def diagnose(
        self, name: str, problem: str = "", values: dict[str, object] | None = None, stamp: float | None = None
    ) -> None:
        """Publish a status, with what the guard has counted. stamp: seconds, now where it is None."""
        at = self.get_clock().now().nanoseconds * 1e-9 if stamp is None else stamp
        problems = "; ".join(filter(None, (problem, self.faults.problem())))
        self._status.publish(to_diagnostics(name, problems, (values or {}) | self.faults.values(), at))

    def diagnose_each_second(self) -> None:
        """For a node that has nothing to say but what the guard has counted. Simulated time may stand still."""
        self.create_timer(1.0, lambda: self.diagnose(self.get_name()), clock=Clock(clock_type=ClockType.STEADY_TIME))


class GuardedNode(Guarded, Node):
    """What every node here is."""


class GuardedLifecycleNode(Guarded, LifecycleNode):
    """A managed one."""


def _refused(error: Exception, request: Any, response: Any) -> Any:
    if hasattr(response, "message"):
        response.message = str(error)
    return response
