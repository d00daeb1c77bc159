"""Bags of every kind become the sessions that live messages would; nothing here imports ROS."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from drive import MOUNT, Drive, Said, base_pose, renamed, wall, write_bag
from PIL import Image
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.grid import FRAME_PERIOD_S, TOKYO_GRID
from occ_core.keyframes import KeyframeBuilder, OccupancySource
from occ_core.poses import Pose
from occ_core.sensor_handlers import SensorHandlers
from occ_core.session import Session, SessionInfo, find_sessions
from occ_core.sync import SweepSynchronizer
from occ_core.tracker import FrameTracker
from occ_recorder.bags.config import BagConfig, GroundSource, RobotConfig, read_config
from occ_recorder.bags.convert import BagReport, Conversion, convert
from occ_recorder.bags.reading import BagError
from occ_recorder.recording import RobotRecording

CONSTANT = Conversion(ground=GroundSource.CONSTANT)


def frames(session: Session) -> dict[str, bytes]:
    """Every file of the frames of a session, by its name."""
    names = ("occupancy", "poses", "lidar", "images")
    return {
        str(p.relative_to(session.folder)): p.read_bytes() for name in names for p in (session.folder / name).iterdir()
    }


def converted(bag: Path, output: Path, conversion: Conversion = CONSTANT) -> tuple[BagReport, list[Session]]:
    report = convert(bag, output, conversion, progress=False)
    return report, find_sessions(output) if report.sessions else []


def live(messages: list[Said], output: Path) -> Session:
    """What the live recorder does with the same messages, without DDS between."""
    builder = KeyframeBuilder(TOKYO_GRID, OccupancySource.ACCUMULATED)
    tracker = FrameTracker("rover_0", builder, {"lidar_link": MOUNT}, lambda x, y: 0.0)
    info = SessionInfo("rover_0", TOKYO_GRID, FRAME_PERIOD_S, "accumulated")
    recording = RobotRecording(tracker, info, output, 0.0, 90)
    handlers = SensorHandlers(SweepSynchronizer(FRAME_PERIOD_S, frozenset({"front"})), recording.add, pytest.fail)
    for said in messages:
        if said.topic.endswith("odom"):
            handlers.odometry(said.content)
        elif said.topic.endswith("points"):
            handlers.sweep(said.content)
        elif said.topic.endswith("image_raw"):
            handlers.image("front", said.content)
    recording.close()
    (session,) = find_sessions(output)
    return session


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return frames(live(Drive().messages(2.0), tmp_path_factory.mktemp("live")))


@pytest.mark.parametrize("distro", ["humble", "iron", "jazzy", "kilted", "lyrical"])
@pytest.mark.parametrize(
    "storage, compression",
    [
        (StoragePlugin.MCAP, CompressionMode.NONE), (StoragePlugin.MCAP, CompressionMode.STORAGE),
        (StoragePlugin.MCAP, CompressionMode.FILE), (StoragePlugin.MCAP, CompressionMode.MESSAGE),
        (StoragePlugin.SQLITE3, CompressionMode.NONE), (StoragePlugin.SQLITE3, CompressionMode.FILE),
        (StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
    ],
)  # fmt: skip
def test_a_bag_of_any_kind_is_byte_for_byte_what_live_recording_gives(tmp_path, expected, distro, storage, compression):
    drive = Drive(distro)
    bag = write_bag(tmp_path / "bag", drive, drive.messages(2.0), storage, compression)
    report, (session,) = converted(bag, tmp_path / "out")
    assert frames(session) == expected and len(session) == 5
    assert report.problems == [] and report.frames == {"rover_0": 5}


def test_a_session_says_where_it_comes_from_and_is_named_after_the_bag_s_date(tmp_path):
    bag = write_bag(tmp_path / "morning", Drive(), Drive().messages(1.0))
    _, (session,) = converted(bag, tmp_path / "out")
    assert "morning" in session.info.source and session.info.agent == "rover_0"
    assert session.name.startswith("rover_0_2023111")  # 2023-11-14 22:13 UTC, in any time zone
    with pytest.raises(BagError, match="already"):
        convert(bag, tmp_path / "out", CONSTANT, progress=False)
    assert len(find_sessions(tmp_path / "out")) == 1


def test_a_humble_database_without_definitions_is_read_with_those_of_the_distro_that_is_named(tmp_path, expected):
    drive = Drive("humble")
    bag = write_bag(tmp_path / "bag", drive, drive.messages(2.0), StoragePlugin.SQLITE3)
    database = sqlite3.connect(bag / "bag.db3")
    database.executescript("DROP TABLE message_definitions; DROP TABLE schema;")
    database.close()
    conversion = Conversion(BagConfig(ros_distro="humble"), ground=GroundSource.CONSTANT)
    report, (session,) = converted(bag, tmp_path / "out", conversion)
    assert frames(session) == expected and report.problems == []
    report, _ = converted(bag, tmp_path / "again")
    assert any("no message definitions" in problem and "--ros-distro" in problem for problem in report.problems)


@pytest.mark.parametrize("metadata", [True, False])
def test_split_bags_are_read_in_order(tmp_path, expected, metadata):
    drive, whole = Drive(), Drive().messages(2.0)
    folder = tmp_path / "bag"
    folder.mkdir()
    cuts = [0, len(whole) // 3, len(whole) // 2, len(whole)]
    # Ten sorts before two by name, and after it by number.
    numbers = (2, 9, 10)
    for number, first, last in zip(numbers, cuts, cuts[1:], strict=False):
        part = write_bag(tmp_path / f"part{number}", drive, whole[first:last])
        shutil.copy(part / f"part{number}.mcap", folder / f"bag_{number}.mcap")
    if metadata:
        files = [f"bag_{number}.mcap" for number in numbers]
        text = json.dumps({"rosbag2_bagfile_information": {"relative_file_paths": files, "version": 8}})
        (folder / "metadata.yaml").write_text(text)
    report, (session,) = converted(folder, tmp_path / "out")
    assert frames(session) == expected
    assert bool(report.problems) is not metadata


def test_one_file_of_a_bag_is_enough(tmp_path, expected):
    bag = write_bag(tmp_path / "bag", Drive(), Drive().messages(2.0))
    _, (session,) = converted(bag / "bag.mcap", tmp_path / "out")
    assert frames(session) == expected


NAMES = {
    "/rover_0/robot_description": "/robot_description",
    "/rover_0/odom": "/odometry/filtered",
    "/rover_0/lidar/points": "/velodyne_points",
    "/rover_0/camera/front/image_raw": "/zed/left",
}


def test_remapped_topics_are_named_on_the_command_line(tmp_path, expected):
    drive = Drive()
    bag = write_bag(tmp_path / "bag", drive, renamed(drive.messages(2.0), NAMES))
    back = {theirs: ours for ours, theirs in NAMES.items()}
    _, (session,) = converted(bag, tmp_path / "out", Conversion(BagConfig(remap=back), ground=GroundSource.CONSTANT))
    assert frames(session) == expected


OWN = """
robots:
  - name: rover_0
    lidar: /velodyne_points
    odometry: /odometry/filtered
    cameras: {front: /zed/left}
    extrinsics: {velodyne: {xyz: [0.1, 0, 1], rpy: [0, 0, 0]}}
    ground: constant
    ground_height: 0
"""


def test_other_people_s_names_come_from_yaml_and_extrinsics_too_where_tf_static_is_missing(tmp_path, expected):
    drive = Drive()
    theirs = [
        said if said.topic != "/velodyne_points" else
        Said(said.topic, said.type, said.stamp, drive.cloud(said.stamp, "velodyne", wall(said.stamp)))
        for said in renamed(drive.messages(2.0), {k: v for k, v in NAMES.items() if "description" not in k})
    ]  # fmt: skip
    bag = write_bag(tmp_path / "bag", drive, theirs)
    (tmp_path / "own.yaml").write_text(OWN)
    _, (session,) = converted(bag, tmp_path / "out", Conversion(read_config(tmp_path / "own.yaml")))
    assert frames(session) == expected


@pytest.mark.parametrize(
    "text, said",
    [
        ("robots: [{name: a, lidr: /x}]", "did you mean 'lidar'"), ("robot: []", "did you mean 'robots'"),
        ("robots: [{lidar: /x}]", "no name"), ("robots: {name: a}", "list"), ("robots: [a]", "mapping"),
        ("robots: [{name: a}, {name: a}]", "two robots are named 'a'"), ("robots: [{name: a/b}]", "one word"),
        ("robots: [{name: a, ground: sea}]", "takeoff"), ("robots: [{name: a, ground: topic}]", "ground_topic"),
        ("robots: [{name: a, cameras: {nose: /x}}]", "front_left"), ("robots: [{name: a, lidar: 3}]", "text"),
        ("robots: [{name: a, ground_height: high}]", "number"), ("image_tolerance: 5", "image_tolerance"),
        ("robots: [{name: a, extrinsics: {l: {xyz: [1, 2]}}}]", "extrinsics of l"), ("ros_distro: noetic", "humble"),
        ("robots: [{name: a, extrinsics: {l: {xyz: [1, 2, 3], xyzw: [0, 0, 0, 2]}}}]", "quaternion"),
        ("robots: [", "own.yaml"), ("- 1", "mapping"),
    ],
)  # fmt: skip
def test_a_wrong_config_is_named_with_what_is_wanted(tmp_path, text, said):
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(BagError, match="own.yaml") as caught:
        read_config(tmp_path / "own.yaml")
    assert said in str(caught.value)


def with_transforms(drive: Drive, seconds: float, footprint: bool = False) -> list[Said]:
    """No odometry: map to odom at 2 Hz, odom to base_link at 50 Hz, and the sensor in /tf_static."""
    mount = drive.transforms(0.0, ("base_link", "velodyne", MOUNT))
    out = [Said("/tf_static", "tf2_msgs/msg/TFMessage", 0.0, mount)]
    slip = Pose.from_xyz_rpy([1.0, 0, 0], [0, 0, 0])
    for k in range(round(seconds * 50) + 1):
        t = k / 50
        if k % 25 == 0:
            out.append(Said("/tf", "tf2_msgs/msg/TFMessage", t, drive.transforms(t, ("map", "odom", slip))))
        entries = [("odom", "base_link", slip.inverse() @ base_pose(t))]
        if footprint:
            entries.append(("base_link", "base_footprint", Pose.from_xyz_rpy([0, 0, -0.4], [0, 0, 0])))
        out.append(Said("/tf", "tf2_msgs/msg/TFMessage", t, drive.transforms(t, *entries)))
        if k % 5 == 0:
            out.append(Said("/points", "sensor_msgs/msg/PointCloud2", t, drive.cloud(t, "/velodyne", wall(t))))
    return out


def test_transforms_alone_are_odometry_and_extrinsics_enough(tmp_path):
    drive = Drive()
    bag = write_bag(tmp_path / "bag", drive, with_transforms(drive, 3.0))
    robot = RobotConfig("car", lidar="/points", fixed_frame="map", base_frame="base_link")
    report, (session,) = converted(bag, tmp_path / "out", Conversion(BagConfig((robot,)), ground=GroundSource.CONSTANT))
    assert len(session) >= 5, report
    for number in session.numbers:
        state = session.state(number)
        assert state.base_link.position == pytest.approx(base_pose(state.stamp).position, abs=1e-6)
        assert state.linear == pytest.approx([2.0, 0, 0.1], abs=1e-6) and not state.angular.any()
        points = session.points(number)
        assert points[:, 0] == pytest.approx(np.full(len(points), 12.1 - 2 * state.stamp), abs=1e-4)


@pytest.mark.parametrize(
    "ground, height",
    [
        (dict(ground=GroundSource.CONSTANT, ground_height=-2.0), lambda t: -2.0),
        (dict(ground=GroundSource.TAKEOFF, base_height=0.4), lambda t: 0.0),
        (dict(ground=GroundSource.TAKEOFF), lambda t: 0.4),
        (dict(ground=GroundSource.FOOTPRINT), lambda t: 0.1 * t),
        (dict(), lambda t: 0.1 * t),
        (dict(ground=GroundSource.TOPIC, ground_topic="/sonar"), lambda t: 0.1 * t),
        (dict(ground=GroundSource.TOPIC, ground_topic="/survey"), lambda t: 0.1 * t),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_the_ground_is_where_the_config_says(tmp_path, ground, height):
    drive = Drive()
    messages = with_transforms(drive, 2.0, footprint=True)
    for k in range(21):  # at 10 Hz, between the sweeps' stamps
        t = 0.1 * k + 0.03
        sonar = drive.make(
            "sensor_msgs/msg/Range", header=drive.header(t, "base_link"), radiation_type=0, field_of_view=0.1,
            min_range=0.1, max_range=10.0, range=0.4, variance=0.0,
        )  # fmt: skip
        point = drive.make("geometry_msgs/msg/Point", x=0.0, y=0.0, z=0.1 * t)
        survey = drive.make("geometry_msgs/msg/PointStamped", header=drive.header(t, "map"), point=point)
        messages += [Said("/sonar", "sensor_msgs/msg/Range", t, sonar)]
        messages += [Said("/survey", "geometry_msgs/msg/PointStamped", t, survey)]
    bag = write_bag(tmp_path / "bag", drive, sorted(messages, key=lambda said: said.stamp))
    robot = RobotConfig("car", lidar="/points", fixed_frame="map", base_frame="base_link", **ground)
    _, (session,) = converted(bag, tmp_path / "out", Conversion(BagConfig((robot,))))
    assert len(session) >= 3
    for number in session.numbers[1:]:
        state = session.state(number)
        assert state.footprint.position[2] == pytest.approx(height(state.stamp), abs=5e-3)


def test_compressed_images_stay_the_jpegs_that_they_are_and_others_become_one(tmp_path):
    drive = Drive()
    red = np.full((18, 32, 3), (200, 20, 20), np.uint8)
    encoded = {}
    for kind in ("jpeg", "png"):
        buffer = io.BytesIO()
        Image.fromarray(red).save(buffer, kind)
        encoded[kind] = buffer.getvalue()
    for kind, data in encoded.items():
        messages = []
        for said in drive.messages(1.0):
            if said.topic.endswith("image_raw"):
                content = drive.make(
                    "sensor_msgs/msg/CompressedImage", header=drive.header(said.stamp + 0.013, "cam"), format=kind,
                    data=np.frombuffer(data, np.uint8),
                )  # fmt: skip
                said = Said(f"{said.topic}/compressed", "sensor_msgs/msg/CompressedImage", said.stamp, content)
            messages.append(said)
        bag = write_bag(tmp_path / kind, drive, messages)
        # The camera has a clock phase of its own, 13 ms after the sweeps.
        conversion = Conversion(BagConfig(image_tolerance=0.05), ground=GroundSource.CONSTANT)
        _, (session,) = converted(bag, tmp_path / f"{kind}_out", conversion)
        pictures = [session.image_path(number, "CAM_FRONT").read_bytes() for number in session.numbers]
        assert len(pictures) == 2 or len(pictures) == 3
        for picture in pictures:
            assert (picture == data) is (kind == "jpeg")
            assert np.abs(np.asarray(Image.open(io.BytesIO(picture))).mean((0, 1)) - [200, 20, 20]).max() < 4


def test_several_robots_of_one_bag_become_sessions_each(tmp_path, expected):
    drive, other = Drive(), Drive(robot="drone_0")
    both = sorted(drive.messages(2.0) + other.messages(2.0), key=lambda said: said.stamp)
    report, sessions = converted(write_bag(tmp_path / "bag", drive, both), tmp_path / "out")
    assert report.frames == {"drone_0": 5, "rover_0": 5} and len(sessions) == 2
    assert all(frames(session) == expected for session in sessions)
    conversion = Conversion(robots=("drone_0",), ground=GroundSource.CONSTANT)
    report, _ = converted(tmp_path / "bag", tmp_path / "one", conversion)
    assert report.frames == {"drone_0": 5}


def test_the_command_needs_no_ros(tmp_path):
    bag = write_bag(tmp_path / "bag", Drive(), Drive().messages(1.0))
    # Anything of ROS that is imported raises.
    blocked = """
import sys
class NoRos:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("rclpy", "rosgraph_msgs", "sensor_msgs", "nav_msgs", "std_msgs", "builtin_interfaces",
                                  "geometry_msgs", "visualization_msgs", "tf2_msgs", "ament_index_python", "occ_ros"):
            raise ModuleNotFoundError(f"blocked: {name}")
sys.meta_path.insert(0, NoRos())
from tokyo_occworld.cli.main import main
main(sys.argv[1:])
"""
    command = [sys.executable, "-c", blocked, "bag2sessions", str(bag), "--output", str(tmp_path / "out")]
    result = subprocess.run([*command, "--ground", "constant"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "rover_0 3 frames" in result.stdout and len(find_sessions(tmp_path / "out")[0]) == 3
    assert find_sessions(tmp_path / "out")[0].state(1).stamp == 0.0


def test_ground_truth_has_the_city_and_what_moves_in_it(tmp_path):
    drive = Drive()
    plate = np.array([[-90, -90, 0], [90, -90, 0], [0, 150, 0]], np.float32)
    CityMap(plate, np.array([[0, 1, 2]], np.int32), np.array([Semantic.ROAD], np.uint8)).save(tmp_path)

    def car(t: float) -> Said:
        """A car 10 m ahead of where the robot began, that drives off to its left at 2 m/s."""
        point = drive.make("geometry_msgs/msg/Point", x=0.0, y=0.0, z=0.0)
        turn = drive.make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0)
        centre = drive.make("geometry_msgs/msg/Point", x=10.0, y=2 * t, z=0.8)
        marker = drive.make(
            "visualization_msgs/msg/Marker", header=drive.header(t, "map"), ns="car", id=7, type=1, action=0,
            pose=drive.make("geometry_msgs/msg/Pose", position=centre, orientation=turn),
            scale=drive.vector([4.0, 2.0, 1.6]), color=drive.make("std_msgs/msg/ColorRGBA", r=1.0, g=0.0, b=0.0, a=1.0),
            lifetime=drive.make("builtin_interfaces/msg/Duration", sec=0, nanosec=0), frame_locked=False,
            points=[point],
            colors=[], texture_resource="", texture=drive.make(
                "sensor_msgs/msg/CompressedImage", header=drive.header(t, ""), format="", data=np.zeros(0, np.uint8)
            ), uv_coordinates=[], text="", mesh_resource="",
            mesh_file=drive.make("visualization_msgs/msg/MeshFile", filename="", data=np.zeros(0, np.uint8)),
            mesh_use_embedded_materials=False,
        )  # fmt: skip
        content = drive.make("visualization_msgs/msg/MarkerArray", markers=[marker])
        return Said("/city/actors", "visualization_msgs/msg/MarkerArray", t, content)

    messages = [one for said in drive.messages(2.0) for one in ([car(said.stamp)] * ("points" in said.topic) + [said])]
    bag = write_bag(tmp_path / "bag", drive, messages)
    conversion = Conversion(city=str(tmp_path), occupancy=OccupancySource.GROUND_TRUTH)
    report, (session,) = converted(bag, tmp_path / "out", conversion)
    assert report.problems == [] and len(session) == 5
    for number in session.numbers:
        truth, state = session.occupancy(number), session.state(number)
        assert (truth.classes == Semantic.ROAD).sum() > 10_000  # the plate, seen or not
        cells = TOKYO_GRID.centers(np.argwhere(truth.instance == 7))
        assert set(truth.classes[truth.instance == 7]) == {Semantic.CAR}
        middle = (cells.min(axis=0) + cells.max(axis=0))[:2] / 2
        assert middle == pytest.approx([10 - 2 * state.stamp, 2 * state.stamp], abs=0.41)
