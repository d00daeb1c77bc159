"""A bag into sessions: MB/s and times real time, beside a plain read of the same bag."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from bench.pairs import paired
from occ_core.poses import Pose
from occ_core.topics import CAMERAS
from occ_recorder.bags.config import GroundSource
from occ_recorder.bags.convert import Conversion, convert
from tokyo_sim.engine.simulator import Fleet, Simulator

_SECONDS = 6.0
_TYPES = {"sweep": "sensor_msgs/msg/PointCloud2", "odom": "nav_msgs/msg/Odometry", "image": "sensor_msgs/msg/Image"}


class _DriveBag:
    """A rover's sweeps of the sample city, its odometry and six cameras, in a bag."""

    def __init__(self, folder: Path, city: Path, image_rate: int) -> None:
        self._store = get_typestore(Stores.ROS2_KILTED)
        simulator = Simulator(city, Fleet(0, 1, 0, cameras=False), seed=1)
        simulator.command(0, np.array([3.0, 0, 0]), np.zeros(3))
        robot = simulator.robots[0]
        # Noise compresses as badly as a real street does well; what matters here is that no picture is free.
        pixels = np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8).repeat(10, 0).repeat(10, 1).ravel()
        with Writer(folder, version=8, storage_plugin=StoragePlugin.MCAP) as self._writer:
            self._connections: dict[str, object] = {}
            description = self._make("std_msgs/msg/String", data=robot.xml)
            self._write(f"/{robot.name}/robot_description", "std_msgs/msg/String", 0.0, description)
            for tick in range(round(_SECONDS * 50) + 1):
                t = tick / 50
                simulator.step(0.02)
                motion = simulator.motion(0)
                self._write(f"/{robot.name}/odom", _TYPES["odom"], t, self._odometry(t, motion.pose))
                if tick % 5 == 0:
                    points = simulator.sweep(0).points.reshape(-1, 3)
                    frame = f"{robot.name}/{robot.lidar.frame}"
                    self._write(f"/{robot.name}/lidar/points", _TYPES["sweep"], t, self._cloud(t, frame, points))
                if image_rate and tick % (50 // image_rate) == 0:
                    for camera in CAMERAS:
                        topic = f"/{robot.name}/camera/{camera}/image_raw"
                        self._write(topic, _TYPES["image"], t, self._image(t, pixels))

    def _make(self, kind: str, **values: object) -> object:
        return self._store.types[kind](**values)

    def _write(self, topic: str, kind: str, t: float, message: object) -> None:
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(topic, kind, typestore=self._store)
        self._writer.write(self._connections[topic], round((1e9 + t) * 1e9), self._store.serialize_cdr(message, kind))

    def _header(self, t: float, frame: str) -> object:
        stamp = self._make("builtin_interfaces/msg/Time", sec=int(t), nanosec=round(t % 1 * 1e9))
        return self._make("std_msgs/msg/Header", stamp=stamp, frame_id=frame)

    def _odometry(self, t: float, pose: Pose) -> object:
        w, x, y, z = map(float, pose.orientation)
        px, py, pz = map(float, pose.position)
        none = self._make("geometry_msgs/msg/Vector3", x=0.0, y=0.0, z=0.0)
        placed = self._make(
            "geometry_msgs/msg/Pose", position=self._make("geometry_msgs/msg/Point", x=px, y=py, z=pz),
            orientation=self._make("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w),
        )  # fmt: skip
        twist = self._make("geometry_msgs/msg/Twist", linear=none, angular=none)
        return self._make(
            _TYPES["odom"], header=self._header(t, "map"), child_frame_id="rover_0/base_link",
            pose=self._make("geometry_msgs/msg/PoseWithCovariance", pose=placed, covariance=np.zeros(36)),
            twist=self._make("geometry_msgs/msg/TwistWithCovariance", twist=twist, covariance=np.zeros(36)),
        )  # fmt: skip

    def _cloud(self, t: float, frame: str, points: np.ndarray) -> object:
        fields = [
            self._make("sensor_msgs/msg/PointField", name=name, offset=4 * k, datatype=7, count=1)
            for k, name in enumerate("xyz")
        ]
        data = np.ascontiguousarray(points, np.float32).view(np.uint8).ravel()
        return self._make(
            _TYPES["sweep"], header=self._header(t, frame), height=1, width=len(points), fields=fields,
            is_bigendian=False, point_step=12, row_step=12 * len(points), data=data, is_dense=False,
        )  # fmt: skip

    def _image(self, t: float, pixels: np.ndarray) -> object:
        return self._make(
            _TYPES["image"], header=self._header(t, "camera"), height=900, width=1600, encoding="rgb8",
            is_bigendian=0, step=4800, data=pixels,
        )  # fmt: skip


def row(name: str, rate: int, city: Path, folder: Path) -> str:
    """The line of a bag with images at so many Hz. folder: an empty one for the bag and its sessions."""
    bag, output = folder / "bag", folder / "out"
    _DriveBag(bag, city, rate)
    conversion = Conversion(city=str(city), ground=GroundSource.CITY)
    cores: list[float] = []

    def ours() -> None:
        shutil.rmtree(output, ignore_errors=True)
        began = time.process_time()
        convert(bag, output, conversion, progress=False)
        cores.append(time.process_time() - began)

    def plain() -> None:
        with Reader(bag) as reader:
            for _ in reader.messages():
                pass

    spent, read = paired(ours, plain, 3)
    megabytes = sum(path.stat().st_size for path in bag.iterdir()) / 1e6
    return (
        f"| {name} | {megabytes:.0f} | {megabytes / spent:.0f} MB/s | {_SECONDS / spent:.1f} |"
        f" {_SECONDS / np.median(cores[1:]):.1f} | {megabytes / read:.0f} MB/s | {read / spent:.3f} |"
    )


def run(udx: Path, city: Path) -> str:
    """The table. udx: the sample city's CityGML; city: the same imported."""
    lines = [
        "| bag of 6 s, one rover | MB | to sessions | x real time | x real time of one core | plain read | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, rate in (("LiDAR, odometry", 0), ("and six 1600 x 900 images at 10 Hz", 10)):
        with tempfile.TemporaryDirectory() as folder:
            lines.append(row(name, rate, city, Path(folder)))
    return "\n".join(lines)
