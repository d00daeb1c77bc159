"""The recorder as a node: every robot's topics into sessions."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rclpy.node import Node
from std_msgs.msg import String

from occ_core.citymap import CityMap
from occ_core.grid import FRAME_PERIOD_S, TOKYO_GRID
from occ_core.keyframes import DEFAULT_WINDOW_S, KeyframeBuilder, OccupancySource
from occ_core.session import SessionInfo
from occ_core.sync import SweepSynchronizer
from occ_core.topics import CAMERAS, DIAGNOSTICS, ROBOT_DESCRIPTION, image_topic
from occ_core.tracker import FrameTracker
from occ_core.urdf import link_poses
from occ_recorder.recording import RobotRecording
from occ_ros.convert import to_diagnostics
from occ_ros.intake import RobotIntake
from occ_ros.parameters import Parameter, read
from occ_ros.qos import absolute, publish, subscribe
from occ_ros.run import run

PARAMETERS = (
    Parameter("robots", ["rover_0"], "namespaces of the robots to record"),
    Parameter("output", "data/tokyo_gazebo", "folder that sessions go to"),
    Parameter("city", "", "folder of the imported city, for labels and ground; empty: all is `other`"),
    Parameter("occupancy", "accumulated", "how grids are made", choices=tuple(s.value for s in OccupancySource)),
    Parameter("window", DEFAULT_WINDOW_S, "seconds of sweeps that an accumulated grid holds", 0.1, 10.0),
    Parameter("session_seconds", 0.0, "start a new session after so many seconds; 0: never", 0.0, 1e6),
    Parameter("cameras", True, "record the cameras that are published; a keyframe that lacks an image is dropped"),
    Parameter("jpeg_quality", 90, "of camera images", 1, 100),
    Parameter("ground_height", 0.0, "height of the ground in map, metres, where no city is given", -1e4, 1e4),
    Parameter("seed", 0, "seed of the simulation, for session.json", 0, 2**31 - 1),
)


class RecorderNode(Node):
    """One recording per robot; it begins when the robot's description has come."""

    def __init__(self) -> None:
        super().__init__("recorder")
        self._values = read(self, PARAMETERS)
        city = self._values["city"]
        self._city = CityMap.load(Path(city)) if city else None
        Path(self._values["output"]).mkdir(parents=True, exist_ok=True)
        self._recordings: dict[str, RobotRecording] = {}
        self._synchronizers: dict[str, SweepSynchronizer] = {}
        self._diagnostics = publish(self, DIAGNOSTICS)
        for robot in self._values["robots"]:
            subscribe(self, ROBOT_DESCRIPTION, lambda m, robot=robot: self._begin(robot, m), robot, depth=1)
        self.create_timer(1.0, self._report)

    def _begin(self, robot: str, description: String) -> None:
        if robot in self._recordings:
            return
        links = link_poses(description.data)
        city, values = self._city, self._values
        source = OccupancySource(values["occupancy"])
        builder = KeyframeBuilder(TOKYO_GRID, source, values["window"], city)
        ground = city.ground_height if city else lambda x, y: values["ground_height"]
        info = SessionInfo(
            agent=robot,
            grid=TOKYO_GRID,
            frame_period=FRAME_PERIOD_S,
            occupancy=source.value,
            city=values["city"],
            seed=values["seed"],
            sensors={name: _extrinsics(pose) for name, pose in links.items() if "optical" in name or "lidar" in name},
            versions=_versions(),
        )
        recording = RobotRecording(
            FrameTracker(robot, builder, links, ground), info, Path(values["output"]), values["session_seconds"],
            values["jpeg_quality"],
        )  # fmt: skip
        cameras = self._cameras(robot) if values["cameras"] else frozenset()
        synchronizer = SweepSynchronizer(FRAME_PERIOD_S, cameras, needs_actors=city is not None)
        self._recordings[robot], self._synchronizers[robot] = recording, synchronizer
        RobotIntake(self, robot, synchronizer, recording.add, cameras)
        self.get_logger().info(f"recording {robot} into {values['output']}")

    def _cameras(self, robot: str) -> frozenset[str]:
        """The cameras that somebody publishes; a robot's description comes after its other topics."""
        found = frozenset(name for name in CAMERAS if self.count_publishers(absolute(image_topic(name), robot)))
        if missing := CAMERAS.keys() - found:
            self.get_logger().warning(f"{robot}: nobody publishes images of {', '.join(sorted(missing))}, left out")
        return found

    def _report(self) -> None:
        for robot, recording in self._recordings.items():
            status, dropped = recording.status, self._synchronizers[robot].dropped
            problem = status.problem or "; ".join(f"{reason}: {count}" for reason, count in dropped.items())
            values = {k: v for k, v in vars(status).items() if k != "problem"}
            stamp = self.get_clock().now().nanoseconds * 1e-9
            self._diagnostics.publish(to_diagnostics(f"recorder {robot}", problem, values, stamp))

    def destroy_node(self) -> None:
        """Write what is queued before the node goes."""
        for robot, recording in self._recordings.items():
            recording.close()
            status, dropped = recording.status, self._synchronizers[robot].dropped
            self.get_logger().info(f"{robot}: {status.frames} frames, {status.dropped_frames} dropped, {dropped}")
        super().destroy_node()


def _extrinsics(pose) -> dict[str, list[float]]:
    return {"position": pose.position.tolist(), "orientation_wxyz": pose.orientation.tolist()}


def _versions() -> dict[str, str]:
    found = {}
    for package in ("occ_core", "occ_recorder", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "source"
    return found


def main() -> None:
    """Entry point."""
    sys.exit(run(RecorderNode))


if __name__ == "__main__":
    main()
