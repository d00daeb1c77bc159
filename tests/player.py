"""Plays a bag over DDS as `ros2 bag play` does: the raw messages, offered as they were, paced by their log times.

Usage: player.py BAG RATE LISTENERS TOPIC ...   (topics that must have so many listeners before it begins)
"""

import sys
import time

import rclpy
from processes import PATIENCE_S
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosbags.rosbag2 import Reader

from occ_ros.qos import message_class


def profile(connection):
    """The first profile that the topic was offered with."""
    offered = connection.ext.offered_qos_profiles[0]
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=max(offered.depth, 100),
        reliability=ReliabilityPolicy(offered.reliability.value),
        durability=DurabilityPolicy(offered.durability.value),
    )


def wait_for(condition, what):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"player: {what} did not come")
        time.sleep(0.05)


def heard_by(listeners, publishers):
    return all(publisher.get_subscription_count() >= listeners for publisher in publishers)


def main():
    path, rate, listeners, heard = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
    rclpy.init()
    node = rclpy.create_node("player")
    with Reader(path) as reader:
        wanted = [c for c in reader.connections if c.topic not in ("/rosout", "/parameter_events", "/diagnostics")]
        publishers = {c.id: node.create_publisher(message_class(c.msgtype), c.topic, profile(c)) for c in wanted}
        descriptions = [c for c in wanted if c.topic.endswith("/robot_description")]
        listening = [publishers[c.id] for c in descriptions if f"/{c.topic.split('/')[1]}/lidar/points" in heard]
        wait_for(lambda: heard_by(listeners, listening), "a listener to the descriptions")
        time.sleep(2.0)
        for connection, _, data in reader.messages(descriptions):
            publishers[connection.id].publish(data)
        sources = [publishers[c.id] for c in wanted if c.topic in heard]
        wait_for(lambda: heard_by(listeners, sources), f"a listener to each of {heard}")
        time.sleep(2.0)
        began, first = time.monotonic(), reader.start_time
        for connection, logged, data in reader.messages([c for c in wanted if c not in descriptions]):
            time.sleep(max(0.0, began + (logged - first) * 1e-9 / rate - time.monotonic()))
            publishers[connection.id].publish(data)
    time.sleep(3.0)
    node.destroy_node()
    rclpy.shutdown()


main()
