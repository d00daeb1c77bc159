"""The forecast in lock step: the simulation goes on when each sweep is taken and each forecast that is due is made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
from rclpy.node import Node

from occ_core.sync import PATIENCE_S
from occ_core.topics import LIDAR
from occ_ros.lockstep import Overdue, Participant


@dataclass
class _Robot:
    """Stamps, seconds: of the newest sweep that was delivered or given up, delivered, and made part of the grids.

    due: of histories whose forecast is not made yet.
    """

    settled: float = 0.0
    delivered: float = -np.inf
    tracked: float = -np.inf
    due: set[float] = field(default_factory=set)

    @property
    def idle(self) -> bool:
        return self.tracked >= self.delivered and not self.due


class ForecastStep:
    """Told, from any thread, what becomes of each robot's sweeps; begins when every robot is heard of."""

    def __init__(self, node: Node, robots: Iterable[str]) -> None:
        self._expected = set(robots)
        self._robots: dict[str, _Robot] = {}
        self._lock = Lock()
        self._heard = 0
        self._node, self._participant = node, Participant(node)
        self._patience = Overdue(node, self._participant, lambda: self._heard, self._go_without)

    def begin(self, robot: str) -> None:
        """Its topics are subscribed to."""
        self._note(robot, lambda state: None)

    def settled(self, robot: str, stamp: float) -> None:
        """A sweep was delivered, or given up."""
        self._note(robot, lambda state: setattr(state, "settled", stamp))

    def delivered(self, robot: str, stamp: float) -> None:
        """A sweep is on its way into the grids."""
        self._note(robot, lambda state: setattr(state, "delivered", stamp))

    def tracked(self, robot: str, stamp: float) -> None:
        """It is in them; what is due after it has been said."""
        self._note(robot, lambda state: setattr(state, "tracked", stamp))

    def due(self, robot: str, stamp: float) -> None:
        """A forecast is asked for."""
        self._note(robot, lambda state: state.due.add(stamp))

    def forecast(self, robot: str, stamp: float) -> None:
        """It is made, or will not be."""
        self._note(robot, lambda state: state.due.discard(stamp))

    def _note(self, robot: str, change) -> None:
        with self._lock:
            self._heard += 1
            change(self._robots.setdefault(robot, _Robot()))
            if self._robots.keys() == self._expected and all(state.idle for state in self._robots.values()):
                settled = min(state.settled for state in self._robots.values())
                self._participant.grant(settled + 1 / LIDAR.rate_hz)

    def _go_without(self) -> None:
        if self._participant.granted >= 0 and all(state.idle for state in self._robots.values()):
            self._node.get_logger().warning("lock step: what a sweep needs does not come, it is given up")
            self._participant.grant(self._participant.granted + PATIENCE_S + 1 / LIDAR.rate_hz)
