#!/usr/bin/env bash
# rclpy's Publisher.wait_for_all_acked takes two to three seconds for one small message to a listener that has had it
# after a millisecond: Fast DDS's writer asks its readers only with the next heartbeat, each 3 s, and nothing asks sooner.
# Exits 0 while that is so: the message and the reply to it take less than 0.2 s, the acknowledgement more than 1 s.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 pyyaml==6.0.3 typing_extensions==4.16.0 \
  ros-rclpy==9.1.2 ros-rmw-fastrtps-cpp==9.3.3 ros-std-msgs==5.5.1
cat > "$work/both.py" <<'PY'
import os
import sys
import time
from importlib.metadata import version

import rclpy
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import String

role = sys.argv[1]
rclpy.init()
node = rclpy.create_node(role)
executor = SingleThreadedExecutor()
executor.add_node(node)
if role == "echo":
    publisher = node.create_publisher(String, "back", 10)
    node.create_subscription(String, "there", publisher.publish, 10)
    executor.spin()
else:
    publisher, replies = node.create_publisher(String, "there", 10), []
    node.create_subscription(String, "back", replies.append, 10)
    end = time.monotonic() + 60
    while not replies and time.monotonic() < end:  # until both directions are discovered
        publisher.publish(String(data="hello"))
        executor.spin_once(timeout_sec=0.5)
    time.sleep(4.0)
    trips, acks = [], []
    for number in range(4):
        executor.spin_once(timeout_sec=0.1)
        replies.clear()
        began = time.monotonic()
        publisher.publish(String(data=str(number)))
        while not replies:
            executor.spin_once(timeout_sec=1.0)
        trips.append(time.monotonic() - began)
        assert publisher.wait_for_all_acked(Duration(seconds=10))
        acks.append(time.monotonic() - began)
    trip, ack = sorted(trips)[1], max(acks)
    print(f"rclpy {version('ros-rclpy')}, {os.environ['RMW_IMPLEMENTATION']} {version('ros-rmw-fastrtps-cpp')}")
    print(f"there and back: {1e3 * trip:.1f} ms; acknowledged after: {', '.join(f'{1e3 * a:.0f}' for a in acks)} ms", flush=True)
    os._exit(0 if trip < 0.2 and ack > 1.0 else 1)
PY
export RMW_IMPLEMENTATION=rmw_fastrtps_cpp ROS_DOMAIN_ID=$((1 + RANDOM % 100)) ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST
"$work/venv/bin/python" "$work/both.py" echo & echo=$!
trap 'kill -9 $echo; rm -rf "$work"' EXIT
timeout 120 "$work/venv/bin/python" "$work/both.py" ask
