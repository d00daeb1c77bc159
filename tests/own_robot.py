"""Somebody else's robot: bags of a shuttle that drives through a street, with topic and frame names that are not ours.

Its LiDAR is named `velodyne` and turns 1.1 m above `base_link`, which is 0.9 m above the ground; its odometry begins at
zero, so that the ground is at z = -0.9 m in `odom`. There is one camera, and no /tf.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from drive import EPOCH_NS, Drive
from PIL import Image
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer
from street import street

from occ_core.classes import NUM_CLASSES
from occ_core.poses import Pose
from tokyo_sim.engine.lidar import LidarCaster
from tokyo_sim.engine.lidar_returns import ReturnModel
from tokyo_sim.engine.robot import LidarSpec

BASE_HEIGHT = 0.9
MOUNT = Pose.from_xyz_rpy([0.0, 0.0, 1.1], [0, 0, 0])
URDF = """<robot name="shuttle"><link name="base_link"/><link name="velodyne"/><joint name="roof" type="fixed">
<parent link="base_link"/><child link="velodyne"/><origin xyz="0 0 1.1"/></joint></robot>"""
TOPICS = {
    "/robot_description": "std_msgs/msg/String",
    "/velodyne_points": "sensor_msgs/msg/PointCloud2",
    "/odometry/filtered": "nav_msgs/msg/Odometry",
    "/zed/left/image_raw/compressed": "sensor_msgs/msg/CompressedImage",
}
_NO_TIME, _COLUMNS, _BEAMS = QosTime(0, 0), 450, 16
_SPEED, _START_X = 4.0, -60.0


def _offered(topic: str) -> list[Qos]:
    """Drivers send sensor data best effort, robot_state_publisher its description latched."""
    sensor, latched = "velodyne" in topic or "zed" in topic, topic == "/robot_description"
    return [
        Qos(
            QosHistory.KEEP_LAST, 1 if latched else 10,
            QosReliability.BEST_EFFORT if sensor else QosReliability.RELIABLE,
            QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
            _NO_TIME, _NO_TIME, QosLiveliness.AUTOMATIC, _NO_TIME, False,
        )
    ]  # fmt: skip


@dataclass(frozen=True)
class Shuttle:
    """One street, and drives along it. seed: of the street and the noise."""

    seed: int

    @cached_property
    def _caster(self) -> LidarCaster:
        return LidarCaster(street(np.random.default_rng(self.seed), length=160.0), threads=1)

    def _where(self, t: float, lane: float) -> tuple[Pose, np.ndarray, np.ndarray]:
        """base_link in the street, and its velocities: a slow weave about a lane."""
        swing, rate = 0.1, 0.8
        yaw = swing * np.sin(rate * t)
        x, y = _START_X + _SPEED * t, lane + _SPEED * swing / rate * (1 - np.cos(rate * t))
        pose = Pose.from_xyz_rpy([x, y, BASE_HEIGHT], [0, 0, yaw])
        return pose, np.array([_SPEED, 0.0, 0.0]), np.array([0.0, 0.0, swing * rate * np.cos(rate * t)])

    def write_bag(self, folder: Path, seconds: float, number: int) -> Path:
        """Odometry at 50 Hz, a sweep and an image at 10 Hz, the description once. number: of the drive, one an hour."""
        drive, rng, spec = Drive("jazzy"), np.random.default_rng([self.seed, number]), _velodyne()
        lane, began = (-2.0, 2.0, 0.0)[number % 3], EPOCH_NS + number * 3600 * 10**9
        folder.parent.mkdir(parents=True, exist_ok=True)
        with Writer(folder, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
            connections = {
                topic: writer.add_connection(
                    topic, kind, typestore=drive.store, offered_qos_profiles=_offered(topic)
                )
                for topic, kind in TOPICS.items()
            }  # fmt: skip

            def write(topic: str, t: float, content: Any) -> None:
                data = drive.store.serialize_cdr(content, TOPICS[topic])
                writer.write(connections[topic], began + round(t * 1e9), data)

            write("/robot_description", 0.0, drive.make("std_msgs/msg/String", data=URDF))
            for tick in range(round(seconds * 50) + 1):
                t = tick / 50
                pose, linear, angular = self._where(t, lane)
                write("/odometry/filtered", t, _odometry(drive, t, pose, linear, angular))
                if tick % 5 == 0:
                    sweep = self._caster.cast(spec, pose @ MOUNT, [], rng)
                    write("/velodyne_points", t, drive.cloud(t, "velodyne", _points(sweep)))
                    write("/zed/left/image_raw/compressed", t, _jpeg(drive, t))
        return folder


def _velodyne() -> LidarSpec:
    """A Velodyne Puck: 16 beams from -15 to 15 degrees, to which every wall is equally bright."""
    returns = ReturnModel(np.full(NUM_CLASSES, 0.3, np.float32), half_signal=0.0, random_loss=0.01)
    around = np.linspace(-np.pi, np.pi, _COLUMNS, endpoint=False)
    return LidarSpec("velodyne", MOUNT, np.radians(np.linspace(-15, 15, _BEAMS)), around, 0.5, 100.0, 0.02, 10, returns)


def _points(sweep: Any) -> np.ndarray:
    """As the Velodyne driver lays points out: x y z intensity ring time, misses left out."""
    hit = np.isfinite(sweep.ranges)
    kind = [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4"), ("ring", "<u2"), ("time", "<f4")]
    points = np.zeros(int(hit.sum()), kind)
    for axis, name in enumerate("xyz"):
        points[name] = sweep.points[hit][:, axis]
    points["intensity"] = 255 * sweep.intensity[hit]
    points["ring"] = np.nonzero(hit)[0]
    return points


def _odometry(drive: Drive, t: float, pose: Pose, linear: np.ndarray, angular: np.ndarray) -> Any:
    """In `odom`, which begins at the height of base_link."""
    odom = Pose(pose.position - [0.0, 0.0, BASE_HEIGHT], pose.orientation)
    covariance = np.zeros(36)
    twist = drive.make("geometry_msgs/msg/Twist", linear=drive.vector(linear), angular=drive.vector(angular))
    return drive.make(
        TOPICS["/odometry/filtered"], header=drive.header(t, "odom"), child_frame_id="base_link",
        pose=drive.make("geometry_msgs/msg/PoseWithCovariance", pose=drive.pose(odom), covariance=covariance),
        twist=drive.make("geometry_msgs/msg/TwistWithCovariance", twist=twist, covariance=covariance),
    )  # fmt: skip


def _jpeg(drive: Drive, t: float) -> Any:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 36), (round(20 * t) % 256, 90, 120)).save(buffer, "JPEG")
    data = np.frombuffer(buffer.getvalue(), np.uint8)
    kind = TOPICS["/zed/left/image_raw/compressed"]
    return drive.make(kind, header=drive.header(t, "zed_left"), format="jpeg", data=data)
