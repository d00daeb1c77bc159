"""A stranger that drives a rover and flies a drone by hand, and prints what it heard as JSON. rclpy and messages alone.

From two seconds after the first odometry on: the rover 3 s straight on at 2 m/s, then 6 s as tightly as it can at
1 m/s; the drone 5 s forwards at 4 m/s, then 6 s upwards at 1 m/s. Both stop at the end.
"""

import json
import time

import rclpy
from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from rclpy.qos import qos_profile_sensor_data
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import PointCloud2

PLANS = {
    "rover_0": [(2.0, (0, 0, 0, 0)), (3.0, (2.0, 0, 0, 0)), (6.0, (1.0, 0, 0, 2.0)), (0.5, (0, 0, 0, 0))],
    "drone_0": [(2.0, (0, 0, 0, 0)), (5.0, (4.0, 0, 0, 0)), (6.0, (0, 0, 1.0, 0)), (0.5, (0, 0, 0, 0))],
}
"""Seconds, and velocity forward, left, up and about z."""
PATIENCE_S, SILENCE_S = 240, 60


class Driver:
    def __init__(self, node, name):
        self.name, self.rows, self.cloud = name, [], None
        self.commands = node.create_publisher(Twist, f"/{name}/cmd_vel", 10)
        node.create_subscription(Odometry, f"/{name}/odom", self.hear, 50)
        node.create_subscription(PointCloud2, f"/{name}/lidar/points", self.see, qos_profile_sensor_data)

    def hear(self, message):
        p, q, v = message.pose.pose.position, message.pose.pose.orientation, message.twist.twist
        stamp = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
        self.rows.append(
            [stamp, p.x, p.y, p.z, q.w, q.x, q.y, q.z, v.linear.x, v.linear.y, v.linear.z]
            + [v.angular.x, v.angular.y, v.angular.z]
        )
        self.frames = message.header.frame_id, message.child_frame_id

    def see(self, message):
        if self.cloud is None:
            self.cloud = {
                "size": [message.height, message.width],
                "step": message.point_step,
                "fields": {field.name: [field.offset, field.datatype] for field in message.fields},
                "frame": message.header.frame_id,
                "data": bytes(message.data).hex(),
            }

    def command(self, now):
        """Command what the plan says; true while it lasts."""
        if not self.rows:
            return True
        left = now - self.rows[0][0]
        for seconds, (x, y, z, turn) in PLANS[self.name]:
            if left < seconds:
                twist = Twist()
                twist.linear.x, twist.linear.y, twist.linear.z, twist.angular.z = map(float, (x, y, z, turn))
                self.commands.publish(twist)
                return True
            left -= seconds
        return False


def main():
    rclpy.init()
    node = rclpy.create_node("driver")
    drivers = [Driver(node, name) for name in PLANS]
    clock, ticked = [0.0, 0.0], [time.monotonic()]

    def tick(message):
        clock[0], ticked[0] = message.clock.sec + message.clock.nanosec * 1e-9, time.monotonic()

    node.create_subscription(Clock, "/clock", tick, qos_profile_sensor_data)
    began = time.monotonic()
    while time.monotonic() < min(began + PATIENCE_S, ticked[0] + SILENCE_S):
        rclpy.spin_once(node, timeout_sec=0.05)
        if clock[0] >= clock[1] + 0.05:
            clock[1] = clock[0]
            if not any([driver.command(clock[0]) for driver in drivers]):
                break
    heard = {d.name: {"rows": d.rows, "cloud": d.cloud, "frames": getattr(d, "frames", None)} for d in drivers}
    print(json.dumps(heard))


main()
