"""All topics, or some, into a rosbag2: subscribes to what is published, as raw bytes."""

from __future__ import annotations

import sys
import time
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

from occ_core.topics import WORLD_TOPICS
from occ_recorder.bags.definitions import Definitions
from occ_recorder.bags.reading import BagError
from occ_recorder.bags.writing import BagWriter, TopicHeader
from occ_ros.guard import GuardedNode, NodeFailed
from occ_ros.lockstep import LOCKSTEP_PERIOD_S, Participant
from occ_ros.parameters import Parameter, read
from occ_ros.qos import message_class
from occ_ros.run import run

PARAMETERS = (
    Parameter("bag", "", "folder to write; it must not be there yet"),
    Parameter("robots", [""], "namespaces to record, with the world's topics; empty: every namespace"),
    Parameter("topics", [""], "topics to record, * and ? as in file names; empty: those of `robots`"),
    Parameter("lockstep", False, "the simulator is in lock step: it waits until its messages are in the bag's queue"),
)
_LOOK_S = 0.2
_DISCOVERY_S = 2.0
_DEPTH = 1000
_WORLD = tuple(topic.name for topic in WORLD_TOPICS)


class BagNode(GuardedNode):
    """Finds topics as they appear. A topic that can't be recorded is warned of once, and left out."""

    def __init__(self) -> None:
        super().__init__("bag_recorder")
        values = read(self, PARAMETERS)
        self._robots, self._patterns = ([text for text in values[name] if text] for name in ("robots", "topics"))
        if not values["bag"]:
            raise ValueError("parameter 'bag': which folder is to be written?")
        try:
            self._writer = BagWriter(Path(values["bag"]))
        except BagError as error:
            raise ValueError(str(error)) from error
        self._definitions = Definitions(_share)
        self._seen: set[str] = set()
        self._lost = 0
        self._said = 0
        self._participant = Participant(self, self._on_reached) if values["lockstep"] else None
        self._found = time.monotonic()
        wall = Clock(clock_type=ClockType.STEADY_TIME)  # simulated time may stand still
        self.create_timer(_LOOK_S, self._look, clock=wall)
        self.create_timer(1.0, self._report)
        self.get_logger().info(f"recording a bag into {values['bag']}")

    def _wanted(self, topic: str) -> bool:
        if self._patterns:
            return any(fnmatchcase(topic, pattern) for pattern in self._patterns)
        return not self._robots or topic in _WORLD or topic.split("/")[1] in self._robots

    def _look(self) -> None:
        waiting = self._participant if self._participant and self._participant.granted < 0 else None
        known = waiting is not None and waiting.knows_all  # asked first: what is known is found
        for topic, kinds in self.get_topic_names_and_types():
            publishers = self.get_publishers_info_by_topic(topic) if topic not in self._seen else []
            if publishers and self._wanted(topic):
                self._seen.add(topic)
                self._found = time.monotonic()
                try:
                    self._begin(topic, kinds, publishers)
                except (LookupError, ImportError, AttributeError, ValueError) as error:
                    self.get_logger().warning(f"{topic} is not recorded: {error}")

        if waiting and known and time.monotonic() > self._found + _DISCOVERY_S:
            self._grant(waiting)

    def _on_reached(self, participant: Participant) -> None:
        """In lock step: go on, where all topics of the simulator are recorded and no more of others were found."""
        if participant.granted >= 0:
            self._grant(participant)

    @staticmethod
    def _grant(participant: Participant) -> None:
        participant.grant(participant.reached + LOCKSTEP_PERIOD_S)

    def _begin(self, topic: str, kinds: list[str], publishers: list[TopicEndpointInfo]) -> None:
        if len(kinds) > 1:
            raise ValueError(f"it is published as {' and '.join(kinds)}")
        digest = publishers[0].topic_type_hash
        announced = f"RIHS{digest.version:02}_{bytes(digest.value).hex()}" if digest.version > 0 else ""
        definition, hashed = self._definitions.of(kinds[0], announced)
        offered = tuple(_qos(publisher.qos_profile) for publisher in publishers)
        self._writer.begin(TopicHeader(topic, kinds[0], definition, hashed, offered))
        self.create_subscription(
            message_class(kinds[0]), topic, partial(self._take, topic), _requested(publishers), raw=True,
            event_callbacks=SubscriptionEventCallbacks(message_lost=partial(self._on_lost, topic)),
        )  # fmt: skip

    def _take(self, topic: str, data: bytes) -> None:
        self._writer.add(topic, time.time_ns(), data)

    def _on_lost(self, topic: str, event) -> None:
        self._lost += event.total_count_change
        self._writer.dropped[topic] += event.total_count_change

    def _problem(self) -> str:
        dropped = sum(self._writer.dropped.values())
        new, self._said = dropped - self._said, dropped
        if self._writer.problem:
            return self._writer.problem
        return f"{new} messages lost in the last second: disk, CPU or network are too slow" if new else ""

    def _report(self) -> None:
        problem = self._problem()
        if problem:
            self.get_logger().warning(problem)
        values = {"topics": len(self._seen), "messages": sum(self._writer.written.values()), "lost": self._said}
        self.diagnose("bag_recorder", problem, values)
        if self._writer.problem:
            raise NodeFailed(f"recording the bag ends: {self._writer.problem}; what was written is whole")

    def destroy_node(self) -> None:
        """Finish the bag before the node goes."""
        try:
            self._writer.close()
        except BagError as error:
            self.get_logger().error(str(error))
        lost = ", ".join(f"{count} of {topic}" for topic, count in self._writer.dropped.items() if count)
        written = sum(self._writer.written.values())
        self.get_logger().info(f"{written} messages of {len(self._seen)} topics; lost: {lost or 'none'}")
        super().destroy_node()


def _share(package: str) -> str:
    try:
        return get_package_share_directory(package)
    except (OSError, LookupError):  # ament has no prefix to look in where ROS came as Python packages
        return str(Path(sys.prefix) / "share" / package)


def _requested(publishers: list[TopicEndpointInfo]) -> QoSProfile:
    """What every publisher of a topic can serve, as `ros2 bag record` asks for it."""
    offered = [publisher.qos_profile for publisher in publishers]
    reliable = all(profile.reliability == ReliabilityPolicy.RELIABLE for profile in offered)
    latched = all(profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for profile in offered)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=_DEPTH,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def _qos(profile: QoSProfile) -> Qos:
    """A profile as bags keep it, for players to offer the same."""
    history = profile.history.name if profile.history.name in QosHistory.__members__ else "KEEP_LAST"
    return Qos(
        QosHistory["KEEP_LAST" if history == "UNKNOWN" else history],
        max(profile.depth, 1),
        QosReliability[profile.reliability.name],
        QosDurability[profile.durability.name],
        _time(profile.deadline),
        _time(profile.lifespan),
        QosLiveliness[profile.liveliness.name],
        _time(profile.liveliness_lease_duration),
        profile.avoid_ros_namespace_conventions,
    )


def _time(duration: Duration) -> QosTime:
    return QosTime(*divmod(duration.nanoseconds, 10**9))


def main() -> None:
    """Entry point."""
    sys.exit(run(BagNode))


if __name__ == "__main__":
    main()
