"""What tests of nodes share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture
def node(request: pytest.FixtureRequest) -> Iterator:
    """A node over a real DDS, in a context of its own, named after the tests' module."""
    rclpy = pytest.importorskip("rclpy")
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node(request.module.__name__, context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()
