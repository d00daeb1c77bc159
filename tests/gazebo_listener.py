"""A stranger that hears one IMU reading, calibration, list of actors and diagnosis of a rover, and prints JSON."""

import json
import time

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Imu
from visualization_msgs.msg import MarkerArray

found = {}


def hear_imu(message):
    q = message.orientation
    found["imu"] = {
        "frame": message.header.frame_id,
        "orientation": [q.x, q.y, q.z, q.w],
        "orientation_covariance": list(message.orientation_covariance),
        "gyro_variance": message.angular_velocity_covariance[0],
        "accel_variance": message.linear_acceleration_covariance[0],
        "up": message.linear_acceleration.z,
    }


def hear_camera_info(message):
    found["camera_info"] = {"frame": message.header.frame_id, "k": list(message.k)}


def hear_actors(message):
    robots = [[marker.id, marker.ns, marker.text] for marker in message.markers if marker.text]
    if len(robots) == 2:
        found["actors"] = robots


def hear_diagnostics(message):
    for status in message.status:
        if status.name == "simulator" and status.message == "running":
            found["diagnostics"] = {value.key: value.value for value in status.values}


def main():
    rclpy.init()
    node = rclpy.create_node("stranger")
    node.create_subscription(Imu, "/rover_0/imu", hear_imu, qos_profile_sensor_data)
    info = "/rover_0/camera/front/camera_info"
    node.create_subscription(CameraInfo, info, hear_camera_info, qos_profile_sensor_data)
    node.create_subscription(MarkerArray, "/city/actors", hear_actors, 10)
    node.create_subscription(DiagnosticArray, "/diagnostics", hear_diagnostics, 10)
    began = time.monotonic()
    while len(found) < 4 and time.monotonic() - began < 100:
        rclpy.spin_once(node, timeout_sec=0.1)
    print(json.dumps(found))


main()
