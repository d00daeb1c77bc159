"""A stranger on the network: rclpy and message packages alone. Counts messages per topic and prints JSON.

Usage: listener.py SECONDS LEAST TOPIC=TYPE[:best_effort|:latched] ...   (LEAST messages of each, 1 of what is latched)
"""

import json
import sys
import time
from importlib import import_module

import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy


def message_class(name):
    package, kind, message = name.split("/")
    return getattr(import_module(f"{package}.{kind}"), message)


def main():
    seconds, least, topics = float(sys.argv[1]), int(sys.argv[2]), [word.split("=", 1) for word in sys.argv[3:]]
    rclpy.init()
    node = rclpy.create_node("stranger")
    stamps = {name: [] for name, _ in topics}
    said = {name: [] for name, _ in topics}
    clock = [0.0]

    def hear(name, message):
        own = message.clock if name == "/clock" else getattr(getattr(message, "header", None), "stamp", None)
        if own is not None:
            said[name].append(own.sec * 10**9 + own.nanosec)
        if name == "/clock":
            clock[0] = message.clock.sec + message.clock.nanosec * 1e-9
        stamps[name].append(clock[0])

    for name, spec in topics:
        kind, _, policy = spec.partition(":")
        qos = QoSProfile(depth=200 if policy != "latched" else 1)
        if policy == "best_effort":
            qos.reliability = ReliabilityPolicy.BEST_EFFORT
        if policy == "latched":
            qos.durability = DurabilityPolicy.TRANSIENT_LOCAL
        node.create_subscription(message_class(kind), name, lambda m, name=name: hear(name, m), qos)

    def enough():
        wanted = {name: 1 if spec.endswith(":latched") else least for name, spec in topics}
        return clock[0] >= seconds and all(len(stamps[name]) >= count for name, count in wanted.items())

    # Silence is what ends it, not slowness: a busy machine may take long to start, and longer for each second.
    heard, before = time.monotonic(), 0
    while not enough() and time.monotonic() - heard < 240:
        now = sum(map(len, stamps.values()))
        heard, before = (time.monotonic() if now > before else heard), now
        rclpy.spin_once(node, timeout_sec=0.1)
    ours = [m for m in sys.modules if m.split(".")[0] in ("occ_core", "occ_ros", "tokyo_city", "tokyo_sim", "occworld")]
    offered = {
        name: [info.qos_profile.reliability.name for info in node.get_publishers_info_by_topic(name)] for name in stamps
    }
    print(json.dumps({"clock": clock[0], "stamps": stamps, "said": said, "ours": ours, "offered": offered}))


main()
