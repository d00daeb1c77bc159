"""Start and stop of a node's process: one sentence and exit code 2 for bad parameters, 1 for a job that failed."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import Event
from typing import Any

import rclpy
from rclpy._rclpy_pybind11 import RCLError
from rclpy.signals import SignalHandlerOptions

from occ_ros.guard import Guarded, NodeFailed
from occ_ros.parameters import ParameterError
from occ_ros.start import wait_for_release

try:  # a third of the processor time for each message: it builds no wait set of all entities anew
    from rclpy.experimental import EventsExecutor as Executor
except ImportError:  # rclpy before Kilted
    from rclpy.executors import SingleThreadedExecutor as Executor

BadInput = (ParameterError, ValueError, FileNotFoundError)


def run(make: Callable[[], Guarded], spin: Callable[[Any, Event], None] | None = None) -> int:
    """Make a node and spin it until SIGINT or SIGTERM; returns the exit code.

    spin: instead of an executor's loop; it returns soon after the event is set. The context lives until the node is
    destroyed, so that a node can finish its work, log and publish on the way out. A node that is still being made,
    which takes as long as numba compiles, has nothing to finish: it is given up, exit code 0.
    """
    stop, given_up, node = Event(), Event(), None

    def give_up(*_: object) -> None:
        _on_stop(signal.SIG_IGN)  # a second signal must not interrupt the end
        given_up.set()
        raise _GivenUp

    try:
        _on_stop(give_up)
        wait_for_release()
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        try:
            node = make()
            if given_up.is_set():  # and somebody's library has swallowed it
                raise _GivenUp
            gc.enable()  # which `occ_ros.start` has switched off
        except BadInput as error:
            if given_up.is_set():
                raise
            print(f"error: {error}", file=sys.stderr)
            return 2
        _on_stop(lambda *_: stop.set())
        (spin or _spin)(node, stop)
    except BaseException as error:
        if given_up.is_set():  # whatever became of it on its way through somebody's library
            with suppress(Exception):  # rclpy destroys all nodes, of which one that is half made may lack what it ends
                rclpy.try_shutdown()
            os._exit(0)  # what is half made may have threads that nobody would end
        if not isinstance(error, NodeFailed):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


class _GivenUp(BaseException):
    """A signal came before there was a node."""


def _on_stop(handler: Callable[..., object] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def _spin(node: Guarded, stop: Event) -> None:
    executor = Executor()
    executor.add_node(node)
    try:
        while not stop.is_set():
            spin_once(node, executor, 0.2)
    finally:  # before the node goes, whatever ended it: an events executor must not outlive what it watches
        executor.shutdown()


def spin_once(node: Guarded, executor: Any, timeout_s: float) -> None:
    """Let an executor do what waits. Bytes that are no message of their topic's type don't end it."""
    try:
        executor.spin_once(timeout_sec=timeout_s)
    except RCLError as error:
        node.faults.unusable("message", error)
