"""One robot's forecasts as others hear them: the typed message where somebody publishes it, else clouds and numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from rclpy.subscription import Subscription

from occ_core.stamps import from_stamp
from occ_core.topics import FORECAST, PREDICTION, Topic, absolute
from occ_ros.guard import Guarded
from occ_ros.qos import create_subscription
from occworld_infer.forecast_message import lacking

_LOOK_S = 1.0
Heard = TypeVar("Heard")


class ForecastTopics(Generic[Heard]):
    """Subscribes to what is there, and changes over when that changes. Which it is, is said in the log.

    read: what is wanted of a message, such as `from_forecast_message`. hear: takes stamp in seconds and what was read.
    plain: callbacks by topic, for where nobody publishes typed forecasts.
    """

    def __init__(
        self, node: Guarded, robot: str, read: Callable[[Any], Heard], hear: Callable[[float, Heard], None],
        plain: dict[Topic, Callable[[Any], None]],
    ) -> None:  # fmt: skip
        self._node, self._robot, self._read, self._hear, self._plain = node, robot, read, hear, plain
        self._subscriptions: list[Subscription] = []
        self.typed: bool | None = None
        """Whether typed forecasts are listened to; None before anybody publishes any."""
        self._lacking = lacking()
        self._look()
        node.create_timer(_LOOK_S, self._look)

    def _look(self) -> None:
        """Take the typed message where it is published and can be read, the cloud where only that is."""
        if not self._lacking and self._node.count_publishers(absolute(FORECAST, self._robot)):
            self._listen(typed=True, why="typed")
        elif self._node.count_publishers(absolute(PREDICTION, self._robot)):
            why = self._lacking or f"nobody publishes {absolute(FORECAST, self._robot)}"
            self._listen(typed=False, why=f"from clouds, since {why}")

    def _listen(self, typed: bool, why: str) -> None:
        if typed is self.typed:
            return
        self.typed = typed
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        wanted = {FORECAST: self._on_forecast} if typed else self._plain
        self._subscriptions = [
            create_subscription(self._node, topic, callback, self._robot, depth=2) for topic, callback in wanted.items()
        ]
        self._node.get_logger().info(f"forecasts of {self._robot} are read {why}")

    def _on_forecast(self, message: Any) -> None:
        self._hear(from_stamp(message.header.stamp), self._read(message))
