"""Stamps of ROS messages, read by attribute alone. Apart from `messages`, which loads what reads sensor data."""

from __future__ import annotations

from typing import Any


def from_stamp(stamp: Any) -> float:
    """A builtin_interfaces/Time to seconds."""
    return stamp.sec + stamp.nanosec * 1e-9
