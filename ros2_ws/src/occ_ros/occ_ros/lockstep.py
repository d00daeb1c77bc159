"""A simulation that waits for those who asked for its data, so that none is lost and commands come at fixed times.

Two topics of std_msgs/Header, both latched. On `/lockstep/granted` a node says in `frame_id` who it is (its full name,
with `:` and a robot where it speaks for each of several) and in `stamp` up to which simulated time, that time included,
the simulation may publish before it waits for this node again. On `/lockstep/reached` the simulator says up to where
everything is published, and in `frame_id` its full name and how many topics it publishes, as `/simulator:40`: on a busy
machine a node hears of some of them seconds after others, in any order. A node counts from its first grant until it is
gone from the ROS graph; the simulator does not begin before those it was told to expect have granted.

Commands bring their grant with them, as TwistStamped on `<robot>/lockstep/cmd_vel`: of two messages on two topics
nobody knows which comes first, and waiting for a publisher's messages to be acknowledged takes Fast DDS seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from threading import Condition, Event

import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.node import Node, NodeNameNonExistentError
from rclpy.publisher import Publisher
from std_msgs.msg import Header

from occ_core.stamps import from_stamp
from occ_core.topics import LOCKSTEP_GRANTED, LOCKSTEP_REACHED, Topic, absolute, participant_name
from occ_ros.diagnostics import to_stamp
from occ_ros.qos import create_publisher, create_subscription

LOCKSTEP_PERIOD_S = 0.1
"""Between two words of the simulator about how far it has come: with each sweep."""
_SAME_INSTANT_S = 1e-6
_LOOK_S = 1.0  # of wall clock, between two looks at who is still there
_NEVER_SEEN_S = 30.0
_SAY_AFTER_S, _SAY_EVERY_S = 10.0, 30.0
_GRANTS = 1000  # of all nodes that wait to be read: one that is lost would be waited for without end


def depth(topic: Topic, seconds: float = 0.2) -> int:
    """Messages that a publisher in lock step must keep: of two periods between grants, and two at least."""
    return max(2, int(np.ceil(topic.rate_hz * seconds)))


def _topics_of(node: Node, name: str) -> int:
    """How many topics of another node, by its full name, are known to a node."""
    namespace, _, own = name.rpartition("/")
    try:
        return len(node.get_publisher_names_and_types_by_node(own, namespace or "/"))
    except NodeNameNonExistentError:
        return 0


class Participant:
    """The side of a node that is waited for.

    granted: simulated time that it has granted, seconds; reached: up to where the simulator says that it has published.
    on_reached: called, with this, when `reached` has changed.
    """

    def __init__(
        self, node: Node, on_reached: Callable[[Participant], None] = lambda participant: None, robot: str = ""
    ) -> None:
        self._tell = on_reached
        self._name = participant_name(node.get_fully_qualified_name(), robot)
        self._publisher: Publisher | None = None
        self._node = node
        self._simulator, self._topics = "", 0
        self.granted = self.reached = -np.inf
        create_subscription(node, LOCKSTEP_REACHED, self._on_reached, depth=1)

    def grant(self, until: float) -> None:
        """Let the simulation go on up to a time, which is included. The first call makes it wait for this node."""
        if until <= self.granted + _SAME_INSTANT_S:
            return
        if self._publisher is None:
            self._publisher = create_publisher(self._node, LOCKSTEP_GRANTED, depth=1)
        self._publisher.publish(self.header(until))

    def header(self, until: float) -> Header:
        """The same grant, for a message that goes out with it."""
        self.granted = until
        return Header(stamp=to_stamp(until), frame_id=self._name)

    @property
    def waited_for(self) -> bool:
        """True where the simulation stands still, or is about to, for want of a grant."""
        return self.reached >= self.granted - _SAME_INSTANT_S

    @property
    def knows_all(self) -> bool:
        """True once the simulator has been heard, and every topic that it publishes is known here."""
        return self._topics > 0 and _topics_of(self._node, self._simulator) >= self._topics

    def _on_reached(self, message: Header) -> None:
        simulator, topics = message.frame_id.rsplit(":", 1)
        self._simulator, self._topics = simulator, int(topics)
        self.reached = from_stamp(message.stamp)
        self._tell(self)


class Overdue:
    """Notices that what a node waits for does not come, although the simulation waits for the node.

    Nothing is lost in lock step; but what nobody sends, as images of a camera that is slower than the frames, would be
    waited for without end. seconds: of wall clock without a message. heard: counts messages. give_up: called then.
    """

    def __init__(
        self,
        node: Node,
        participant: Participant,
        heard: Callable[[], int],
        give_up: Callable[[], None],
        seconds: float = 20.0,
    ) -> None:
        self._participant, self._heard, self._give_up, self._seconds = participant, heard, give_up, seconds
        self._count, self._since = -1, time.monotonic()
        node.create_timer(1.0, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _look(self) -> None:
        count, now = self._heard(), time.monotonic()
        if count != self._count or not self._participant.waited_for:
            self._count, self._since = count, now
        elif now - self._since > self._seconds:
            self._since = now
            self._give_up()


class Conductor:
    """The simulator's side: who is waited for, and until when the simulation may run.

    expected: full names of nodes without whose first grant it does not begin. Grants arrive on the executor's thread,
    `wait` is called on the simulation's.
    """

    def __init__(self, node: Node, expected: Iterable[str]) -> None:
        self._node = node
        self._granted = {name: -np.inf for name in expected}
        self._absent: dict[str, float] = {}  # wall clock since when a node that has granted is not in the graph
        self._seen: set[str] = set()
        self._changed = Condition()
        self._looked = time.monotonic()
        self._reached: Publisher | None = None
        self._said_with = ""
        create_subscription(node, LOCKSTEP_GRANTED, self.granted, depth=_GRANTS)

    def reached(self, stamp: float) -> None:
        """Say that everything up to a simulated time is published; first at 0, when all other topics are there."""
        if self._reached is None:
            self._reached = create_publisher(self._node, LOCKSTEP_REACHED, depth=1)
            name = self._node.get_fully_qualified_name()
            self._said_with = f"{name}:{_topics_of(self._node, name)}"
        self._reached.publish(Header(stamp=to_stamp(stamp), frame_id=self._said_with))

    def wait(self, stamp: float, stop: Event) -> None:
        """Block until everybody has granted a simulated time, or has gone, or `stop` is set."""
        began = time.monotonic()
        say_at = began + _SAY_AFTER_S
        while (missing := self._missing(stamp)) and not stop.is_set():
            now = time.monotonic()
            if now - self._looked >= _LOOK_S:
                self._looked = now
                self._forget_gone()
            if now >= say_at:
                say_at = now + _SAY_EVERY_S
                names = ", ".join(missing)
                self._node.get_logger().warning(
                    f"lock step, {stamp:.2f} s: waits for {names} since {now - began:.0f} s"
                )
            with self._changed:
                self._changed.wait_for(lambda: not self._missing(stamp), timeout=0.2)

    def _missing(self, stamp: float) -> list[str]:
        return [name for name, until in list(self._granted.items()) if until < stamp - _SAME_INSTANT_S]

    def granted(self, message: Header) -> None:
        """Take a grant."""
        with self._changed:
            self._granted[message.frame_id] = from_stamp(message.stamp)
            self._changed.notify()

    def _forget_gone(self) -> None:
        """Wait no more for a node that was in the ROS graph and is not now, or has granted and never gets there."""
        topic = absolute(LOCKSTEP_GRANTED, "")
        there = {
            f"{info.node_namespace.rstrip('/')}/{info.node_name}"
            for info in self._node.get_publishers_info_by_topic(topic)
        }
        now = time.monotonic()
        with self._changed:
            for name, until in list(self._granted.items()):
                member = name.split(":")[0]
                since = now if member in there or until == -np.inf else self._absent.get(name, now)
                self._absent[name] = since
                if member in self._seen - there or now - since > _NEVER_SEEN_S:
                    del self._granted[name], self._absent[name]
                    self._node.get_logger().warning(f"lock step: {name} has gone, the simulation goes on without it")
        self._seen = there
