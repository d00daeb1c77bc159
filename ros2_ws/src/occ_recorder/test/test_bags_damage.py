"""Bags with something wrong: a sentence says what, and whatever is whole becomes frames."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drive import EPOCH_NS, Drive, Said, renamed, wall, write_bag
from rosbags.rosbag2 import CompressionMode, Reader, StoragePlugin

from occ_core.keyframes import OccupancySource
from occ_core.session import Session, find_sessions
from occ_recorder.bags.config import BagConfig, GroundSource, RobotConfig
from occ_recorder.bags.convert import BagReport, Conversion, convert
from occ_recorder.bags.reading import Bag, BagError

CONSTANT = Conversion(ground=GroundSource.CONSTANT)


def result(bag: Path, conversion: Conversion = CONSTANT) -> tuple[BagReport, list[Session]]:
    output = bag.parent / f"{bag.name}_out"
    report = convert(bag, output, conversion, progress=False)
    return report, find_sessions(output) if report.sessions else []


def said(report: BagReport, *words: str) -> bool:
    """One of the report's sentences has all these words."""
    return any(all(word in problem for word in words) for problem in report.problems)


def stamps(session: Session) -> list[float]:
    return [round(session.state(number).stamp, 3) for number in session.numbers]


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """3 s: seven frames. One chunk of MCAP is 1 MiB; the clouds are made to need several."""
    return write_bag(tmp_path / "bag", Drive(), large(Drive()))


def large(drive: Drive, seconds: float = 3.0) -> list[Said]:
    out = []
    for one in drive.messages(seconds):
        if one.topic.endswith("points"):
            cloud = drive.cloud(one.stamp, "rover_0/lidar_link", np.repeat(wall(one.stamp), 40))
            one = replace(one, content=cloud)
        out.append(one)
    return out


@pytest.mark.parametrize("keep", [0.95, 0.7, 0.4])
def test_a_bag_that_was_cut_is_read_up_to_there(whole, keep):
    file = whole / "bag.mcap"
    os.truncate(file, int(file.stat().st_size * keep))
    report, (session,) = result(whole)
    assert said(report, "bag.mcap", "not finished", "bytes are cut")
    assert stamps(session) == [0.5 * k for k in range(len(session))]
    assert 7 * keep - 3 <= len(session) <= 7


@pytest.mark.parametrize("ending", [8, 37, 60])
def test_a_bag_whose_footer_is_missing_loses_no_frame(whole, ending):
    file = whole / "bag.mcap"
    os.truncate(file, file.stat().st_size - ending)
    report, (session,) = result(whole)
    assert len(session) == 7 and said(report, "not finished")


@pytest.mark.parametrize("keep", [0.9, 0.5])
def test_a_database_that_was_cut_is_read_up_to_there(tmp_path, keep):
    bag = write_bag(tmp_path / "bag", Drive(), large(Drive()), StoragePlugin.SQLITE3)
    os.truncate(bag / "bag.db3", int((bag / "bag.db3").stat().st_size * keep))
    report, (session,) = result(bag)
    assert said(report, "bag.db3")
    assert stamps(session) == [0.5 * k for k in range(len(session))] and 7 * keep - 2 <= len(session) <= 7


def test_what_a_killed_recorder_left_in_the_log_of_its_database_is_read(tmp_path):
    messages = Drive().messages(3.0)
    whole = write_bag(tmp_path / "whole", Drive(), messages, StoragePlugin.SQLITE3)
    half = write_bag(tmp_path / "half", Drive(), messages[: len(messages) // 2], StoragePlugin.SQLITE3)
    with closing(sqlite3.connect(half / "half.db3")) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA wal_autocheckpoint=0")
        database.execute("ATTACH ? AS whole", (str(whole / "whole.db3"),))
        database.execute("INSERT INTO messages SELECT * FROM whole.messages WHERE id > (SELECT max(id) FROM messages)")
        database.commit()
        left = tmp_path / "left"
        shutil.copytree(half, left)  # as it lies at this moment
    report, (session,) = result(left)
    assert stamps(session) == [0.5 * k for k in range(7)] and said(report, "half.db3-wal")


@pytest.mark.parametrize("compression", [CompressionMode.STORAGE, CompressionMode.NONE])
def test_a_damaged_chunk_is_stepped_over(tmp_path, compression):
    bag = write_bag(tmp_path / "bag", Drive(), large(Drive(), 6.0), compression=compression)
    with Reader(bag / "bag.mcap") as reader:
        chunks = sorted(reader.storage.chunks, key=lambda chunk: chunk.chunk_start_offset)
    middle = chunks[len(chunks) // 2]
    with open(bag / "bag.mcap", "r+b") as file:
        file.seek(middle.chunk_start_offset + 9 + 40 + len(middle.compression))
        file.write(b"\xff" * 2000)
    report, (session,) = result(bag)
    assert said(report, "bag.mcap", "damaged and left out")
    got = stamps(session)
    assert got[0] == 0.0 and got[-1] == 6.0 and len(got) >= 12  # four sweeps are in a chunk


def test_a_compressed_file_that_was_cut_is_read_up_to_there(tmp_path):
    bag = write_bag(tmp_path / "bag", Drive(), large(Drive()), compression=CompressionMode.FILE)
    file = bag / "bag.mcap.zstd"
    os.truncate(file, int(file.stat().st_size * 0.7))
    report, sessions = result(bag)
    assert said(report, "compression breaks off") and sessions and len(sessions[0]) >= 2


def test_without_metadata_the_files_are_read(whole):
    (whole / "metadata.yaml").unlink()
    report, (session,) = result(whole)
    assert len(session) == 7 and said(report, "metadata.yaml is missing")


@pytest.mark.parametrize("text", ["", "a: [", "rosbag2_bagfile_information: 3", "\x00"])
def test_metadata_that_can_not_be_used_is_done_without(whole, text):
    (whole / "metadata.yaml").write_text(text)
    report, (session,) = result(whole)
    assert len(session) == 7 and said(report, "metadata.yaml can't be used")


def test_a_file_of_a_split_bag_that_is_missing_is_named(whole):
    text = (whole / "metadata.yaml").read_text().replace("  - bag.mcap", "  - bag.mcap\n  - bag_1.mcap", 1)
    (whole / "metadata.yaml").write_text(text)
    report, (session,) = result(whole)
    assert len(session) == 7 and said(report, "bag_1.mcap")


def test_what_is_no_bag_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "zero.mcap").write_bytes(b"")
    (tmp_path / "text.mcap").write_text("hello, this is no recording")
    (tmp_path / "text.db3").write_text("hello, this is no recording")
    for name in ("empty", "notes.txt", "zero.mcap", "text.mcap", "text.db3", "nowhere"):
        with pytest.raises(BagError, match=name) as caught:
            convert(tmp_path / name, tmp_path / "out", CONSTANT, progress=False)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    assert not (tmp_path / "out").exists()


def test_an_empty_bag_says_so(tmp_path):
    with pytest.raises(BagError, match="has no messages"):
        result(write_bag(tmp_path / "bag", Drive(), []))


@pytest.mark.parametrize(
    "left_out, words",
    [
        ("lidar/points", "PointCloud2"), ("odom", "neither odometry nor /tf"),
    ],
)  # fmt: skip
def test_a_topic_that_is_missing_is_named_with_what_there_is(tmp_path, left_out, words):
    messages = [one for one in Drive().messages(1.0) if left_out not in one.topic]
    with pytest.raises(BagError, match=words):
        result(write_bag(tmp_path / "bag", Drive(), messages))


def test_a_cloud_on_another_topic_is_offered(tmp_path):
    bag = write_bag(tmp_path / "bag", Drive(), renamed(Drive().messages(1.0), {"/rover_0/lidar/points": "/velodyne"}))
    with pytest.raises(BagError, match="/velodyne"):
        result(bag)
    for robot, words in (
        (RobotConfig("a", lidar="/velo"), "/velo is not in it"),
        (RobotConfig("a", lidar="/velodyne", odometry="/velodyne"), "is a sensor_msgs/msg/PointCloud2"),
        (RobotConfig("a", lidar="/velodyne", odometry="tf"), "neither odometry nor /tf"),
    ):
        with pytest.raises(BagError, match=words):
            result(bag, Conversion(BagConfig((robot,))))


def test_a_robot_that_lacks_a_topic_costs_the_others_nothing(tmp_path):
    other = [one for one in Drive(robot="drone_0").messages(1.0) if "odom" not in one.topic]
    report, (session,) = result(write_bag(tmp_path / "bag", Drive(), Drive().messages(1.0) + other))
    assert len(session) == 3 and said(report, "drone_0", "neither odometry")


def swap(messages: list[Said], stamps: tuple[float, ...], make) -> list[Said]:
    """The clouds at some stamps made anew."""
    return [
        replace(one, content=make(one.stamp)) if one.topic.endswith("points") and round(one.stamp, 3) in stamps else one
        for one in messages
    ]


def test_clouds_without_points_are_sweeps_that_saw_nothing(tmp_path):
    drive = Drive()
    shapes = {0.5: dict(width=0), 1.0: dict(width=0, fields=[], point_step=0, row_step=0), 1.5: dict(height=0, width=0)}
    messages = swap(
        drive.messages(2.0), tuple(shapes),
        lambda t: drive.cloud(t, "rover_0/lidar_link", wall(t)[:0], **shapes[round(t, 3)]),
    )  # fmt: skip
    report, (session,) = result(write_bag(tmp_path / "bag", drive, messages))
    assert report.problems == [] and stamps(session) == [0, 0.5, 1, 1.5, 2]
    assert [len(session.points(number)) for number in session.numbers[1:4]] == [0, 0, 0]
    assert session.classes(3).any()  # of the sweeps before


def test_clouds_that_are_nan_throughout_or_contradict_themselves(tmp_path):
    drive = Drive()

    def odd(t: float):
        points = wall(t)
        if round(t, 3) == 0.5:
            points["x"] = np.nan
            return drive.cloud(t, "rover_0/lidar_link", points)
        return drive.cloud(t, "rover_0/lidar_link", points, width=10**6)

    report, (session,) = result(write_bag(tmp_path / "bag", drive, swap(drive.messages(2.0), (0.5, 1.0), odd)))
    assert said(report, "LiDAR: 1 messages left out", "bytes") and len(session.points(2)) == 0
    assert stamps(session) == [0.0, 0.5, 1.0, 1.5, 2.0]  # that of the lost sweep is made of those before it


def test_a_wrong_frame_id_is_named(tmp_path):
    drive = Drive()
    messages = swap(drive.messages(2.0), (1.0,), lambda t: drive.cloud(t, "livox", wall(t)))
    report, (session,) = result(write_bag(tmp_path / "bag", drive, messages))
    assert said(report, "livox") and stamps(session) == [0, 0.5, 1.5, 2]


@pytest.mark.parametrize("begin, again", [(0.0, 0.0), (100.0, 0.0), (5.0, 3.5)])
def test_a_simulator_that_was_started_again_begins_a_new_session(tmp_path, begin, again):
    drive = Drive()
    first, second = drive.messages(3.0, begin), drive.messages(2.0, again)
    later = [(one, begin + 3.5 + one.stamp - again) for one in second]
    bag = tmp_path / "bag"
    # Written in the order of wall time, whatever their stamps say.
    order = [(one, one.stamp) for one in first] + later
    write_with_log_times(bag, drive, order)
    report, sessions = result(bag)
    assert sorted(map(len, sessions)) == [5, 7] and said(report, "clock went back")
    assert sorted(stamps(session)[0] for session in sessions) == sorted([begin, again])


def write_with_log_times(folder: Path, drive: Drive, messages: list[tuple[Said, float]]) -> None:
    from rosbags.rosbag2 import Writer

    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {}
        for one, at in messages:
            if one.topic not in connections:
                connections[one.topic] = writer.add_connection(one.topic, one.type, typestore=drive.store)
            data = drive.store.serialize_cdr(one.content, one.type)
            writer.write(connections[one.topic], EPOCH_NS + round(at * 1e9), data)


def test_messages_that_are_there_twice_count_once(tmp_path):
    drive = Drive()
    doubled = [one for message in drive.messages(2.0) for one in (message, message)]
    report, (session,) = result(write_bag(tmp_path / "bag", drive, doubled))
    assert len(session) == 5 and said(report, "sweep that came twice: 21 times")


def test_two_robots_that_share_a_name_are_suspected(tmp_path):
    drive = Drive()
    mixed = [one for pair in zip(drive.messages(2.0, 0.0), drive.messages(2.0, 50.0), strict=True) for one in pair]
    bag = tmp_path / "bag"
    write_with_log_times(bag, drive, [(one, 0.01 * k) for k, one in enumerate(mixed)])
    report, _ = result(bag)
    assert said(report, "rover_0", "share the name")


def test_messages_that_are_no_cdr_are_counted(tmp_path):
    drive = Drive()
    bag = tmp_path / "bag"
    from rosbags.rosbag2 import Writer

    with Writer(bag, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {}
        for k, one in enumerate(drive.messages(2.0)):
            if one.topic not in connections:
                connections[one.topic] = writer.add_connection(one.topic, one.type, typestore=drive.store)
            data = bytes(drive.store.serialize_cdr(one.content, one.type))
            if one.topic.endswith("odom") and k % 7 == 0:
                data = [b"", data[:20], b"\x09" * 100][k % 3]
            writer.write(connections[one.topic], EPOCH_NS + round(one.stamp * 1e9), data)
    report, (session,) = result(bag)
    assert said(report, "/rover_0/odom", "can't be decoded") and len(session) >= 4


def test_odometry_with_a_quaternion_of_zeros_is_left_out(tmp_path):
    drive = Drive()
    messages = drive.messages(2.0)
    for one in messages:
        if one.topic.endswith("odom") and round(one.stamp, 3) == 0.52:
            one.content.pose.pose.orientation.w = 0.0
    report, (session,) = result(write_bag(tmp_path / "bag", drive, messages))
    assert said(report, "odometry: 1 messages", "quaternion") and len(session) == 5


def test_a_camera_that_is_silent_for_a_while_costs_the_frames_of_that_while(tmp_path):
    messages = [one for one in Drive().messages(4.0) if "camera" not in one.topic or not 0.9 < one.stamp < 2.1]
    report, (session,) = result(write_bag(tmp_path / "bag", Drive(), messages))
    assert stamps(session) == [0, 0.5, 2.5, 3, 3.5, 4] and said(report, "no image of front", "3 times")


def test_ground_truth_needs_the_city_and_the_actors(tmp_path):
    with pytest.raises(ValueError, match="--city"):
        Conversion(occupancy=OccupancySource.GROUND_TRUTH)
    from occ_core.citymap import CityMap

    plate = np.array([[-50, -50, 0], [50, -50, 0], [0, 50, 0]], np.float32)
    CityMap(plate, np.array([[0, 1, 2]], np.int32), np.array([2], np.uint8)).save(tmp_path)
    bag = write_bag(tmp_path / "bag", Drive(), Drive().messages(2.0))
    with pytest.raises(BagError, match="/city/actors"):
        result(bag, Conversion(city=str(tmp_path), occupancy=OccupancySource.GROUND_TRUTH))
    report, (session,) = result(bag, Conversion(city=str(tmp_path)))
    assert len(session) == 5 and said(report, "no /city/actors")


def test_the_command_says_one_sentence_a_bag_and_converts_the_others(tmp_path):
    good = write_bag(tmp_path / "good", Drive(), Drive().messages(1.0))
    (tmp_path / "bad.mcap").write_text("no")
    main = "import sys; from tokyo_occworld.cli.main import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", main, "bag2sessions", str(tmp_path / "bad.mcap"), str(good)]
    done = subprocess.run([*command, "--output", str(tmp_path / "out")], capture_output=True, text=True)
    assert done.returncode == 2 and "good: rover_0 3 frames, 1 sessions" in done.stdout
    assert sum("bad.mcap" in line for line in done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr


def test_the_progress_of_a_cut_bag_does_not_trip_over_missing_times(whole):
    os.truncate(whole / "bag.mcap", 3000)
    with pytest.raises(BagError, match="bag"), Bag(whole) as bag:
        assert bag.lasted is None
        result(whole)


KILLED = """
import sys, time
sys.path.insert(0, sys.argv[2])
from drive import Drive
from pathlib import Path
from occ_recorder.bags.definitions import Definitions
from occ_recorder.bags.writing import BagWriter, TopicHeader
drive = Drive()
writer = BagWriter(Path(sys.argv[1]))
definitions = Definitions(lambda package: "")
began = time.monotonic()
for message in drive.messages(60.0):
    if message.topic not in writer._topics:
        writer.begin(TopicHeader(message.topic, message.type, *definitions.of(message.type)))
    while time.monotonic() - began < message.stamp / 2:
        time.sleep(0.001)
    writer.add(message.topic, time.time_ns(), bytes(drive.store.serialize_cdr(message.content, message.type)))
    print(message.stamp, flush=True)
"""


def test_a_recorder_that_is_killed_loses_two_seconds_at_most(tmp_path):
    folder = tmp_path / "bag"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder), str(Path(__file__).parent)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    newest = 0.0
    while newest < 9.0:
        newest = float(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    report, (session,) = result(folder)
    assert said(report, "not finished") and said(report, "metadata.yaml is missing")
    # The messages came at twice their time: a second of the writer is two of theirs; and a keyframe is each half.
    assert stamps(session)[-1] >= newest - 2 * 1.5 - 0.5
