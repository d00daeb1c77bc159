"""A stranger on the network: rclpy and nav_msgs alone. Waits for one grid on each topic and prints them as JSON.

Usage: map_listener.py TOPIC ...
"""

import json
import sys

import rclpy
from nav_msgs.msg import OccupancyGrid
from rclpy.qos import DurabilityPolicy, QoSProfile


def plain(grid):
    origin, turn = grid.info.origin.position, grid.info.origin.orientation
    return {
        "frame": grid.header.frame_id,
        "stamp": grid.header.stamp.sec + grid.header.stamp.nanosec * 1e-9,
        "of": grid.info.map_load_time.sec + grid.info.map_load_time.nanosec * 1e-9,
        "resolution": grid.info.resolution,
        "width": grid.info.width,
        "height": grid.info.height,
        "origin": [origin.x, origin.y, origin.z],
        "orientation": [turn.x, turn.y, turn.z, turn.w],
        "data": list(grid.data),
    }


def main():
    rclpy.init()
    node = rclpy.create_node("stranger")
    grids = {}
    qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    for topic in sys.argv[1:]:
        node.create_subscription(OccupancyGrid, topic, lambda m, topic=topic: grids.setdefault(topic, plain(m)), qos)
    while len(grids) < len(sys.argv) - 1:
        rclpy.spin_once(node, timeout_sec=0.1)
    ours = [m for m in sys.modules if m.split(".")[0] in ("occ_core", "occ_ros", "occworld", "occworld_infer")]
    print(json.dumps({"grids": grids, "ours": ours}))


main()
