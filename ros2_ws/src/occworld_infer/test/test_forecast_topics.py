"""A robot's topics where the middleware takes no more messages."""

from __future__ import annotations

import numpy as np
import pytest
from rclpy._rclpy_pybind11 import RCLError
from rclpy.context import Context
from rclpy.publisher import Publisher

from occ_core.frame import Frame, Occupancy, VehicleState
from occ_core.grid import FRAME_PERIOD_S, TOKYO_GRID
from occ_core.keyframes import KeyframeBuilder
from occ_core.poses import Pose
from occ_core.tracker import FrameTracker
from occ_ros.guard import UNSENT, GuardedNode
from occ_ros.sensor_subscriptions import ActorSubscription
from occworld_infer.history import History
from occworld_infer.live_track import Seen
from occworld_infer.pace import Pace
from occworld_infer.prediction import PublishedPart
from occworld_infer.robot_forecaster import RobotForecaster


class NoForecasts:
    """A loop that nobody asks."""

    def __init__(self) -> None:
        self.made: dict[str, int] = {}
        self.skipped: dict[str, int] = {}


def full(publisher: Publisher, message: object) -> None:
    """Of a middleware whose buffers are full, which can't be brought about at will."""
    raise RCLError("Failed to publish")


def test_messages_that_can_not_be_published_are_counted_and_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    context = Context()
    context.init()
    node = GuardedNode("listener_gone", context=context)
    tracker = FrameTracker("rover_0", KeyframeBuilder(TOKYO_GRID), {}, lambda x, y: 0.0)
    period = FRAME_PERIOD_S
    topics = RobotForecaster(
        node,
        "rover_0",
        TOKYO_GRID,
        tracker,
        NoForecasts(),
        History(4, period),
        Pace(period, 2.0),
        PublishedPart((), 0.0, ()),
        ActorSubscription(node),
        needs_actors=False,
    )
    empty = np.zeros(TOKYO_GRID.shape, np.uint8)
    occupancy = Occupancy(empty, empty.astype(bool), empty.astype(np.uint16))
    level = Pose.identity()
    state = VehicleState(1.0, level, np.zeros(3), np.zeros(3), level)
    seen = Seen(Frame(state, np.zeros((0, 4)), occupancy), True, None)
    try:
        topics._on_frame(seen)
        assert topics.status() == ("", topics.status()[1]) and topics.status()[1]["lost_messages"] == 0
        monkeypatch.setattr(Publisher, "publish", full)
        topics._on_frame(seen)
        problem, values = topics.status()
        assert "1 messages could not be published" in problem and values["lost_messages"] == 1
        assert topics.status()[0] == "" and node.faults.values()[UNSENT] == 1
    finally:
        topics.close()
        node.destroy_node()
        context.shutdown()
