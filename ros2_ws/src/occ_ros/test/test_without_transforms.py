"""tf2_msgs has no wheel: where it was not built, robots are recorded all the same, by their descriptions."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
sys.modules["tf2_msgs"] = None  # as where it is not installed
import rclpy
from occ_core.sync import SweepSynchronizer
from occ_ros.guard import GuardedNode
from occ_ros.sensor_subscriptions import ActorSubscription, SensorSubscriptions
import occ_recorder.nodes.recorder
rclpy.init()
node = GuardedNode("listener")
heard = SensorSubscriptions(node, "rover_0", SweepSynchronizer(0.5), lambda sweep: None, ActorSubscription(node))
heard._listen_to_transforms()
"""


def test_a_missing_tf2_msgs_is_a_warning_and_ends_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "rover_0: no /tf and /tf_static: tf2_msgs is not installed" in done.stderr
