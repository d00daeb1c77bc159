"""Start and stop of a node's process: one sentence and exit code 2 for bad parameters, quiet on Ctrl-C and SIGTERM."""

from __future__ import annotations

import sys
from collections.abc import Callable

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from occ_ros.parameters import ParameterError

BadInput = (ParameterError, ValueError, FileNotFoundError)


def run(make: Callable[[], Node], spin: Callable[[Node], None] | None = None) -> int:
    """Make a node and spin it until it is told to stop; returns the exit code. spin: instead of an executor's."""
    rclpy.init()
    node = None
    try:
        node = make()
        (spin or _spin)(node)
    except BadInput as error:
        if node is not None:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _spin(node: Node) -> None:
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    executor.spin()
