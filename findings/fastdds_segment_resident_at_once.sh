#!/usr/bin/env bash
# A node that has sent nothing and will send nothing has all of its shared-memory segment in memory: with a profile of
# 64 MiB, as sensors need, each process of a system takes 64 MiB, those that only listen too. Fast DDS touches each page of
# the segment when it makes it. So a large segment belongs into the profile of who publishes what is large, and of no other.
# Exits 0 while that is so: more than 60 of 67 MB are resident before the first message.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 pyyaml==6.0.3 typing_extensions==4.16.0 \
  ros-rclpy==9.1.2 ros-rmw-fastrtps-cpp==9.3.3
cat > "$work/segment.xml" <<'XML'
<profiles xmlns="http://www.eprosima.com">
  <transport_descriptors>
    <transport_descriptor>
      <transport_id>memory</transport_id><type>SHM</type><segment_size>67108864</segment_size>
    </transport_descriptor>
  </transport_descriptors>
  <participant profile_name="memory" is_default_profile="true">
    <rtps>
      <userTransports><transport_id>memory</transport_id></userTransports>
      <useBuiltinTransports>false</useBuiltinTransports>
    </rtps>
  </participant>
</profiles>
XML
cat > "$work/node.py" <<'PY'
import os
import re
from importlib.metadata import version

import rclpy

rclpy.init()
node = rclpy.create_node("silent")
sizes, name = {}, ""
for line in open("/proc/self/smaps"):
    if found := re.match(r"[0-9a-f]+-[0-9a-f]+ .*?(/\S+)?$", line):
        name = found[1] or ""
    elif line.startswith("Rss:") and re.search(r"/dev/shm/fastdds_(?!port)", name):
        sizes[name] = sizes.get(name, 0) + int(line.split()[1]) * 1024 / 1e6
resident = max(sizes.values(), default=0.0)
node.destroy_node()
rclpy.shutdown()
print(f"rclpy {version('ros-rclpy')}, {os.environ['RMW_IMPLEMENTATION']} {version('ros-rmw-fastrtps-cpp')}")
print(f"a node that has sent nothing: {resident:.0f} MB of a segment of 67 MB are resident")
raise SystemExit(resident < 60)
PY
export RMW_IMPLEMENTATION=rmw_fastrtps_cpp ROS_DOMAIN_ID=$((1 + RANDOM % 100)) ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET
FASTDDS_DEFAULT_PROFILES_FILE="$work/segment.xml" "$work/venv/bin/python" "$work/node.py"
