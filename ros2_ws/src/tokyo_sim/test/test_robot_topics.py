"""What a robot's topics carry, over a real DDS: covariances, columns' times, drifting odometry and its transform."""

from __future__ import annotations

import time

import numpy as np
import pytest
from processes import PATIENCE_S

rclpy = pytest.importorskip("rclpy")

from std_msgs.msg import Float32  # noqa: E402

from occ_core.poses import Pose  # noqa: E402
from occ_core.topics import CAMERAS, DRIFTING_ODOM, IMAGE_PERIOD, IMU, LIDAR, ODOM, image_topic  # noqa: E402
from occ_ros.convert import from_cloud, from_pose  # noqa: E402
from occ_ros.qos import create_publisher, create_subscription  # noqa: E402
from tokyo_sim.engine.drifting_odometry import DriftingOdometry  # noqa: E402
from tokyo_sim.engine.imu import ImuReading  # noqa: E402
from tokyo_sim.engine.lidar import Sweep  # noqa: E402
from tokyo_sim.engine.physics import Motion  # noqa: E402
from tokyo_sim.engine.robot import RobotKind, load_robot  # noqa: E402
from tokyo_sim.nodes.robot_publishers import RobotPublishers  # noqa: E402

ROVER = load_robot(RobotKind.ROVER, "rover_0")


def hear(node, topic, create_publisher):
    """The first message on a topic, published again until it has come."""
    heard = []
    subscription = create_subscription(node, topic, heard.append, ROVER.name)
    executor = rclpy.executors.SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    deadline = time.monotonic() + PATIENCE_S
    while not heard and time.monotonic() < deadline:
        create_publisher()
        executor.spin_once(timeout_sec=0.1)
    executor.remove_node(node)
    node.destroy_subscription(subscription)
    assert heard, f"nothing on {topic.name}"
    return heard[0]


def motion(x: float) -> Motion:
    return Motion(Pose.from_xyz_rpy([x, 1, 0.4], [0, 0, 0.5]), np.array([2.0, 0, 0]), np.zeros(3), np.zeros(3))


def test_an_imu_message_says_how_sure_it_is(node):
    topics = RobotPublishers(node, ROVER, cameras=False)
    reading = ImuReading(np.array([0.1, 0.2, 0.3]), np.array([0, 0, 9.8]), 4e-6, 5e-4)
    message = hear(node, IMU, lambda: topics.publish_imu(reading, 1.25))
    assert message.header.frame_id == "rover_0/imu_link" and message.header.stamp.nanosec == 250_000_000
    assert np.reshape(message.angular_velocity_covariance, (3, 3)) == pytest.approx(np.diag([4e-6] * 3))
    assert np.reshape(message.linear_acceleration_covariance, (3, 3)) == pytest.approx(np.diag([5e-4] * 3))
    assert message.orientation_covariance[0] == -1


def test_a_cloud_carries_each_columns_time_and_each_beams_ring(node):
    topics = RobotPublishers(node, ROVER, cameras=False)
    shape = len(ROVER.lidar.elevations), len(ROVER.lidar.azimuths)
    times = np.linspace(-0.1, 0, shape[1]).astype(np.float32)
    ranges = np.random.default_rng(0).uniform(1, 9, shape).astype(np.float32)
    ranges[3, 7] = np.nan
    points = ROVER.lidar.directions * ranges[..., None]
    sweep = Sweep(ranges, points, ranges / 10, times, np.ones(shape, np.uint8))
    cloud = from_cloud(hear(node, LIDAR, lambda: topics.publish_sweep(sweep, 2.0))).reshape(shape)
    assert np.array_equal(cloud["time"], np.tile(times, (shape[0], 1)))
    assert np.array_equal(cloud["ring"], np.tile(np.arange(shape[0])[:, None], (1, shape[1])))
    assert np.array_equal(cloud["y"], points[..., 1], equal_nan=True) and np.isnan(cloud["x"][3, 7])
    assert np.array_equal(cloud["intensity"], sweep.intensity, equal_nan=True)


def test_where_odometry_drifts_map_to_odom_makes_up_for_it(node):
    topics = RobotPublishers(node, ROVER, False, DriftingOdometry(0.3, np.random.default_rng(0)))
    assert not [entry for entry in topics.static_transforms() if entry[0] == "map"]
    for x in np.arange(0, 40, 0.5):
        topics.publish_odometry(motion(x), 0.0)
    tree = {child: (parent, pose) for parent, child, pose in topics.transforms(motion(39.5), 0.0)}
    parent, correction = tree["rover_0/odom"]
    assert parent == "map" and np.linalg.norm(correction.position) > 0.1
    assert np.allclose((correction @ tree["rover_0/base_link"][1]).matrix, motion(39.5).pose.matrix)

    drifting = hear(node, DRIFTING_ODOM, lambda: topics.publish_odometry(motion(39.5), 3.0))
    truth = hear(node, ODOM, lambda: topics.publish_odometry(motion(39.5), 3.0))
    assert (truth.header.frame_id, drifting.header.frame_id) == ("map", "rover_0/odom")
    assert np.allclose(from_pose(truth.pose.pose).matrix, motion(39.5).pose.matrix)
    assert np.allclose(from_pose(drifting.pose.pose).matrix, tree["rover_0/base_link"][1].matrix)
    covariance = np.reshape(drifting.pose.covariance, (6, 6))
    assert covariance[0, 0] > 0.3**2 * 39 and covariance[5, 5] > 0 and not covariance[3].any()


def test_without_drift_odom_is_map_for_good(node):
    topics = RobotPublishers(node, ROVER, False)
    (entry,) = [entry for entry in topics.static_transforms() if entry[0] == "map"]
    assert entry[1] == "rover_0/odom" and np.array_equal(entry[2].matrix, np.eye(4))
    assert [child for _, child, _ in topics.transforms(motion(1.0), 0.0)] == [
        "rover_0/base_link",
        "rover_0/base_footprint",
    ]
    names = [name for name, _ in node.get_topic_names_and_types()]
    assert f"/rover_0/{DRIFTING_ODOM.name}" not in names


def becomes(node, holds) -> bool:
    """Does something hold before long?"""
    executor = rclpy.executors.SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    deadline = time.monotonic() + PATIENCE_S
    while not (held := holds()) and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.05)
    executor.remove_node(node)
    return held


def test_images_are_drawn_for_who_listens_and_when_they_are_wanted(node):
    topics = RobotPublishers(node, ROVER, cameras=True)
    assert topics.wanted(0.5) == []
    modest = create_subscription(node, image_topic("front"), lambda message: None, ROVER.name)
    assert becomes(node, lambda: topics.wanted(0.1) == ["front"])
    wish = create_publisher(node, IMAGE_PERIOD, ROVER.name, depth=1)
    wish.publish(Float32(data=0.5))
    assert becomes(node, lambda: topics.wanted(0.1) == [])
    assert "front" in topics.wanted(0.5) and "front" in topics.wanted(7.0) and topics.wanted(7.1) == []
    # Another listener, who has not said that it needs few, gets each image of its camera.
    greedy = create_subscription(node, image_topic("front"), lambda message: None, ROVER.name)
    assert becomes(node, lambda: topics.wanted(0.1) == ["front"])
    node.destroy_subscription(greedy)
    assert becomes(node, lambda: topics.wanted(0.1) == [])
    # A wish goes with the one whose it was: who listens then gets each.
    node.destroy_publisher(wish)
    assert becomes(node, lambda: topics.wanted(0.1) == ["front"])
    node.destroy_subscription(modest)
    assert becomes(node, lambda: topics.wanted(0.5) == [])


def test_in_lock_step_all_images_are_drawn_until_somebody_is_known_to_listen(node):
    topics = RobotPublishers(node, ROVER, cameras=True, granted=lambda header: None)
    assert topics.wanted(0.1) == list(CAMERAS)
    create_publisher(node, IMAGE_PERIOD, ROVER.name, depth=1).publish(Float32(data=0.5))
    assert becomes(node, lambda: topics.wanted(0.1) == [])
    assert topics.wanted(1.0) == list(CAMERAS)
