"""Files as other programs write them: MCAP of any writer, bags of ROS 1, Livox's messages, and what is no bag."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drive import EPOCH_NS, MOUNT, Drive, Said, base_pose, renamed, wall, write_bag
from mcap.writer import CompressionType, IndexType, Writer
from rosbags.rosbag1 import Reader as Ros1Reader
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import StoragePlugin
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from occ_core.grid import TOKYO_GRID
from occ_core.poses import footprint
from occ_core.session import Session, find_sessions
from occ_recorder.bags.config import BagConfig, GroundSource, RobotConfig, read_config
from occ_recorder.bags.convert import BagReport, Conversion, convert
from occ_recorder.bags.reading import Bag, BagError

CONSTANT = Conversion(ground=GroundSource.CONSTANT)


def result(bag: Path, conversion: Conversion = CONSTANT) -> tuple[BagReport, list[Session]]:
    output = bag.parent / f"{bag.name}_out"
    report = convert(bag, output, conversion, progress=False)
    return report, find_sessions(output) if report.sessions else []


def stamps(session: Session) -> list[float]:
    return [round(session.state(number).stamp, 3) for number in session.numbers]


def walls(session: Session, number: int) -> tuple[set[tuple[int, ...]], set[tuple[int, ...]]]:
    """The voxels that are occupied in a frame, and those that the wall of the drive lies in, by numpy alone."""
    got = set(map(tuple, np.argwhere(session.classes(number))))
    now = session.state(number).stamp
    level = footprint(base_pose(now), 0.0).inverse()
    wanted = set()
    for stamp in np.arange(max(0, round((now - 3.0) * 10)), round(now * 10) + 1) / 10:
        points = wall(stamp)[:-2]
        seen = np.column_stack([points[axis] for axis in "xyz"]).astype(float)
        cells = (level @ base_pose(stamp) @ MOUNT).apply(seen)
        wanted |= set(map(tuple, np.floor((cells - TOKYO_GRID.lower) / TOKYO_GRID.voxel).astype(int)))
    return got, wanted


def write_mcap(
    path: Path,
    messages: list[Said],
    drive: Drive,
    indexes: Callable[[int], IndexType] = lambda _: IndexType.ALL,
    others: tuple[str, ...] = (),
    named: Callable[[str], str] = lambda kind: kind,
    **options: object,
) -> Path:
    """A file by MCAP's own writer. indexes: which ones the message of a number is written with.

    others: encodings of channels that are not ROS's, with a message each.
    """
    options = {"compression": CompressionType.LZ4, "chunk_size": 100_000, "index_types": IndexType.ALL} | options
    profile = str(options.pop("profile", "ros2"))
    with open(path, "wb") as file:
        writer = Writer(file, **options)
        writer.start(profile=profile, library="somebody")
        (which,) = (name for name in vars(writer) if name.endswith("index_types"))
        for encoding in others:
            schema = writer.register_schema("somebody.Thing", encoding, b"{}")
            channel = writer.register_channel(f"/their/{encoding}", encoding, schema)
            writer.add_message(channel, EPOCH_NS, b"{}", EPOCH_NS)
        channels: dict[str, int] = {}
        for k, said in enumerate(messages):
            if said.topic not in channels:
                definition = drive.store.generate_msgdef(said.type, ros_version=2)[0].encode()
                schema = writer.register_schema(named(said.type), "ros2msg", definition)
                channels[said.topic] = writer.register_channel(said.topic, "cdr", schema)
            setattr(writer, which, indexes(k))
            at = EPOCH_NS + round(said.stamp * 1e9)
            writer.add_message(channels[said.topic], at, bytes(drive.store.serialize_cdr(said.content, said.type)), at)
        writer.finish()
    return path


WITHOUT_MESSAGES = IndexType.ALL & ~IndexType.MESSAGE
KINDS: dict[str, dict] = {
    "as usual": {},
    "every second run of messages without an index": {
        "indexes": lambda k: WITHOUT_MESSAGES if k // 60 % 2 else IndexType.ALL
    },
    "no message indexes": {"indexes": lambda _: WITHOUT_MESSAGES},
    "no chunk indexes": {"indexes": lambda _: IndexType.ALL & ~IndexType.CHUNK},
    "no index of any kind": {"indexes": lambda _: IndexType.NONE},
    "channels not repeated": {"repeat_channels": False},
    "schemas not repeated": {"repeat_schemas": False},
    "no statistics": {"use_statistics": False},
    "nothing behind the data": {
        "repeat_channels": False, "repeat_schemas": False, "use_statistics": False, "use_summary_offsets": False,
        "indexes": lambda _: IndexType.NONE,
    },
    "no chunks": {"use_chunking": False},
    "zstd": {"compression": CompressionType.ZSTD},
    "not compressed": {"compression": CompressionType.NONE},
    "protobuf beside": {"others": ("protobuf",)},
    "JSON, flatbuffers and something beside": {"others": ("jsonschema", "flatbuffer", "x-mine")},
    "an empty profile": {"profile": ""},
    "a profile of somebody": {"profile": "vehicle"},
    "types without msg": {"named": lambda kind: kind.replace("/msg/", "/")},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_mcap_of_any_writer_gives_every_frame(tmp_path, kind):
    file = write_mcap(tmp_path / "a.mcap", Drive().messages(3.0), Drive(), **KINDS[kind])
    report, (session,) = result(file)
    assert report.problems == [] and stamps(session) == [0.5 * k for k in range(7)]
    for number in (session.numbers[0], session.numbers[-1]):
        got, wanted = walls(session, number)
        assert got == wanted and len(got) > 50


def test_chunks_that_overlap_in_time_are_read_in_order_of_time(tmp_path):
    messages = Drive().messages(3.0)
    by_topic = sorted(messages, key=lambda said: said.topic)
    file = write_mcap(tmp_path / "a.mcap", by_topic, Drive(), chunk_size=2000)
    with Bag(file) as bag:
        logged = [message.logged for message in bag.messages(bag.topics)]
        assert len(logged) == len(messages) == bag.count and logged == sorted(logged)
    report, (session,) = result(file)
    assert report.problems == [] and len(session) == 7


def test_a_record_that_hides_the_rest_of_the_file_is_stepped_over_by_the_index(tmp_path):
    file = write_mcap(tmp_path / "a.mcap", Drive().messages(3.0), Drive(), compression=CompressionType.NONE)
    data = bytearray(file.read_bytes())
    with Bag(file) as bag:
        spans = bag._files[0]._format._spans
    middle = spans[len(spans) // 2]
    data[middle.offset + 1 : middle.offset + 9] = struct.pack("<Q", 2**60)  # its length
    file.write_bytes(data)
    report, (session,) = result(file)
    assert any("damaged at byte" in problem for problem in report.problems)
    assert stamps(session)[-1] == 3.0 and len(session) >= 5


def test_statistics_that_are_not_true_are_not_believed(tmp_path):
    whole = write_mcap(tmp_path / "whole.mcap", Drive().messages(3.0), Drive())
    data = whole.read_bytes()
    with Bag(whole) as bag:
        count = bag.count
    lied = data.replace(struct.pack("<QH", count, 4), struct.pack("<QH", count // 2, 4))
    assert lied != data
    (tmp_path / "lied.mcap").write_bytes(lied)
    with Bag(tmp_path / "lied.mcap") as bag:
        assert bag.count == count == sum(1 for _ in bag.messages(bag.topics))


def test_a_channel_in_another_language_is_named_where_it_was_wanted(tmp_path):
    messages = [said for said in Drive().messages(1.0) if "points" not in said.topic]
    file = tmp_path / "a.mcap"
    drive = Drive()
    with open(file, "wb") as out:
        writer = Writer(out)
        writer.start(profile="ros2", library="x")
        schema = writer.register_schema("foxglove.PointCloud", "protobuf", b"x")
        channel = writer.register_channel("/points", "protobuf", schema)
        writer.add_message(channel, EPOCH_NS, b"x", EPOCH_NS)
        for said in messages:
            schema = writer.register_schema(said.type, "ros2msg", b"")
            number = writer.register_channel(said.topic, "cdr", schema)
            data = bytes(drive.store.serialize_cdr(said.content, said.type))
            writer.add_message(number, EPOCH_NS, data, EPOCH_NS)
        writer.finish()
    with pytest.raises(BagError, match="protobuf foxglove.PointCloud, not a ROS message"):
        result(file, Conversion(BagConfig((RobotConfig("rover_0", lidar="/points"),))))
    with pytest.raises(BagError, match="/points is protobuf"):
        result(file)


def test_definitions_that_nobody_needs_are_not_complained_of(tmp_path):
    file, drive = tmp_path / "a.mcap", Drive()
    with open(file, "wb") as out:
        writer = Writer(out)
        writer.start(profile="ros2", library="x")
        definition = b"int64 a\nint64 b\n---\nint64 sum\n"
        schema = writer.register_schema("example_interfaces/srv/AddTwoInts_Event", "ros2msg", definition)
        writer.add_message(writer.register_channel("/add/_service_event", "cdr", schema), EPOCH_NS, b"\0\1\0\0", 1)
        schema = writer.register_schema("somebody_msgs/msg/Thing", "ros2msg", b"")
        writer.add_message(writer.register_channel("/thing", "cdr", schema), EPOCH_NS, b"\0\1\0\0", 1)
        for said in drive.messages(1.0):
            text = drive.store.generate_msgdef(said.type, ros_version=2)[0].encode()
            if said.topic.endswith("odom"):
                text = b"somebody_msgs/Unknown what"
            number = writer.register_channel(said.topic, "cdr", writer.register_schema(said.type, "ros2msg", text))
            at = EPOCH_NS + round(said.stamp * 1e9)
            writer.add_message(number, at, bytes(drive.store.serialize_cdr(said.content, said.type)), at)
        writer.finish()
    report, (session,) = result(file)
    assert len(session) == 3 and len(report.problems) == 2
    assert "the definition of nav_msgs/msg/Odometry can't be used" in report.problems[0]
    assert "no definition of nav_msgs/msg/Odometry, those of humble are used" in report.problems[1]


def write_ros1(path: Path, messages: list[Said]) -> Path:
    """The messages as ROS 1 has them."""
    store = get_typestore(Stores.ROS1_NOETIC)
    store.register(get_types_from_msg("geometry_msgs/TransformStamped[] transforms", "tf2_msgs/msg/TFMessage"))

    def older(content: object) -> object:
        """A message of ROS 2 as one of ROS 1: headers there are numbered."""
        kind = content.__msgtype__
        if kind not in store.types:
            return content
        values = {name: getattr(content, name) for name in content.__dataclass_fields__ if name != "__msgtype__"}
        for name, value in values.items():
            if hasattr(value, "__msgtype__"):
                values[name] = older(value)
            elif isinstance(value, list):
                values[name] = [older(one) if hasattr(one, "__msgtype__") else one for one in value]
        if kind == "std_msgs/msg/Header":
            values["seq"] = 0
        return store.types[kind](**values)

    with Ros1Writer(path) as writer:
        connections = {}
        for said in messages:
            if said.topic not in connections:
                connections[said.topic] = writer.add_connection(said.topic, said.type, typestore=store)
            data = store.serialize_ros1(older(said.content), said.type)
            writer.write(connections[said.topic], EPOCH_NS + round(said.stamp * 1e9), data)
    return path


def test_a_bag_of_ros_1_is_converted_on_the_way(tmp_path):
    drive = Drive()
    moved = [
        Said("/tf", "tf2_msgs/msg/TFMessage", said.stamp, drive.transforms(said.stamp, ("/map", "/odom", MOUNT)))
        for said in drive.messages(2.0) if "odom" in said.topic
    ]  # fmt: skip
    messages = sorted(drive.messages(2.0) + moved, key=lambda said: said.stamp)
    report, (session,) = result(write_ros1(tmp_path / "old.bag", messages))
    assert report.problems == [] and stamps(session) == [0, 0.5, 1, 1.5, 2]
    got, wanted = walls(session, 5)
    assert got == wanted
    (tmp_path / "folder").mkdir()
    shutil.copy(tmp_path / "old.bag", tmp_path / "folder")
    assert result(tmp_path / "folder")[0].frames == {"rover_0": 5}


def test_mcap_with_messages_of_ros_1_is_read(tmp_path):
    old = write_ros1(tmp_path / "old.bag", Drive().messages(2.0))
    with Ros1Reader(old) as reader, open(tmp_path / "new.mcap", "wb") as out:
        writer = Writer(out)
        writer.start(profile="ros1", library="x")
        channels = {}
        for connection in reader.connections:
            name, text = connection.msgtype.replace("/msg/", "/"), connection.msgdef.data.encode()
            schema = writer.register_schema(name, "ros1msg", text)
            channels[connection.id] = writer.register_channel(connection.topic, "ros1", schema)
        for connection, at, data in reader.messages():
            writer.add_message(channels[connection.id], at, bytes(data), at)
        writer.finish()
    report, (session,) = result(tmp_path / "new.mcap")
    assert report.problems == [] and stamps(session) == [0, 0.5, 1, 1.5, 2]
    got, wanted = walls(session, 5)
    assert got == wanted


def livox_store() -> tuple[object, type, type]:
    store = get_typestore(Stores.ROS2_HUMBLE)
    point = "uint32 offset_time\nfloat32 x\nfloat32 y\nfloat32 z\nuint8 reflectivity\nuint8 tag\nuint8 line\n"
    sweep = (
        "std_msgs/Header header\nuint64 timebase\nuint32 point_num\nuint8 lidar_id\nuint8[3] rsvd\n"
        "livox_ros_driver2/CustomPoint[] points\n"
    )
    store.register(get_types_from_msg(point, "livox_ros_driver2/msg/CustomPoint"))
    store.register(get_types_from_msg(sweep, "livox_ros_driver2/msg/CustomMsg"))
    return store, store.types["livox_ros_driver2/msg/CustomPoint"], store.types["livox_ros_driver2/msg/CustomMsg"]


@pytest.mark.parametrize("frame", ["rover_0/lidar_link", "lidar_link", "l"])
def test_livox_s_own_message_is_read_as_the_cloud_that_it_is(tmp_path, frame):
    drive = Drive("humble")
    drive.store, point, sweep = livox_store()
    messages = []
    for said in drive.messages(2.0):
        if said.topic.endswith("points"):
            rows = [point(k, *(float(p[a]) for a in "xyz"), 7, 16, 0) for k, p in enumerate(wall(said.stamp))]
            header = drive.header(said.stamp, frame)
            content = sweep(header, 5, len(rows), 1, np.zeros(3, np.uint8), rows)
            said = replace(said, topic="/livox/lidar", type="livox_ros_driver2/msg/CustomMsg", content=content)
        messages.append(said)
    bag = write_bag(tmp_path / "bag", drive, messages)
    extrinsics = {"l": MOUNT} if frame == "l" else {}
    config = BagConfig((RobotConfig("rover_0", lidar="/livox/lidar", extrinsics=extrinsics),))
    report, (session,) = result(bag, Conversion(config, ground=GroundSource.CONSTANT))
    assert report.problems == [] and len(session) == 5
    got, wanted = walls(session, 5)
    assert got == wanted and set(session.points(5)[:, 3]) == {7.0}
    with Bag(bag) as read:
        cloud = next(read.messages({"/livox/lidar"})).content
        dtype = {f.name: (f.offset, f.datatype) for f in cloud.fields}
    assert dtype["offset_time"] == (0, 6) and cloud.width == len(wall(0.0)) and cloud.header.frame_id == frame


@pytest.mark.parametrize("storage", [StoragePlugin.SQLITE3, StoragePlugin.MCAP])
@pytest.mark.parametrize("name", ["a#1", "what?", "50%", "50%41", "a b&c=d", "büro"])
def test_folders_may_be_named_as_their_owners_like(tmp_path, name, storage):
    (tmp_path / name).mkdir()
    bag = write_bag(tmp_path / "bag", Drive(), Drive().messages(1.0), storage)
    theirs = tmp_path / name / name
    bag.rename(theirs)
    ending = storage.name.lower().replace("sqlite3", "db3")
    (theirs / f"bag.{ending}").rename(theirs / f"{name}.{ending}")
    (theirs / "metadata.yaml").write_text(
        (theirs / "metadata.yaml").read_text().replace(f"bag.{ending}", f"{name}.{ending}")
    )
    report, (session,) = result(theirs)
    assert report.problems == [] and len(session) == 3


@pytest.mark.parametrize("name", ["..", ".", "../x", "a/b", "/rover_0", ".hidden", "_x", "a b", "", "a\\b", "*", "-r"])
def test_a_robot_s_name_can_not_lead_out_of_the_output_folder(tmp_path, name):
    with pytest.raises(ValueError, match="one word"):
        RobotConfig(name)
    (tmp_path / "c.yaml").write_text(f"robots: [{{name: '{name}'}}]")
    with pytest.raises(BagError, match="c.yaml"):
        read_config(tmp_path / "c.yaml")


def test_what_is_no_bag_of_ros_2_is_called_what_it_is(tmp_path):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 990\n"
    for ending in ("mcap", "db3", "bag"):
        (tmp_path / f"lfs.{ending}").write_bytes(pointer)
        with pytest.raises(BagError, match="git lfs pull"):
            result(tmp_path / f"lfs.{ending}")
    (tmp_path / "cut.bag").write_bytes(b"#ROSBAG V2.0\n" + bytes(4096))
    with pytest.raises(BagError, match="ROS 1.*reindex"):
        result(tmp_path / "cut.bag")
    many = tmp_path / "many"
    many.mkdir()
    for k in range(5):
        write_bag(many / f"drive_{k}", Drive(), Drive().messages(0.2))
    with pytest.raises(BagError, match=r"folder of 5 bags .*drive_0.*, \.\.\..*many/\*"):
        result(many)
    older = tmp_path / "older"
    older.mkdir()
    for k in range(2):
        write_ros1(older / f"drive_{k}.bag", Drive().messages(0.2))
    with pytest.raises(BagError, match="2 bags .*of ROS 1"):
        result(older)


def instead(kind: str, definition: str, topic: str) -> list[Said]:
    """Odometry, and messages of a type that the drive's store gets to know."""
    return [replace(said, topic=topic, type=kind) if "points" in said.topic else said for said in Drive().messages(1.0)]


@pytest.mark.parametrize(
    "kind, topic, words",
    [
        ("sensor_msgs/msg/LaserScan", "/scan", "/scan is a LaserScan, one plane of a 2D LiDAR"),
        ("ouster_sensor_msgs/msg/PacketMsg", "/ouster/lidar_packets", "Ouster.*replay"),
        ("velodyne_msgs/msg/VelodyneScan", "/velodyne_packets", "Velodyne.*velodyne_transform_node"),
        ("hesai_ros_driver/msg/UdpFrame", "/lidar_packets", "Hesai"),
        ("rslidar_msg/msg/RslidarPacket", "/rslidar_packets", "Robosense"),
        ("nebula_msgs/msg/NebulaPackets", "/packets", "nebula"),
        ("sensor_msgs/msg/PointCloud", "/old", "before PointCloud2"),
        ("sensor_msgs/msg/Image", "/camera/depth/image_raw", "depth_image_proc"),
    ],
)
def test_a_bag_without_clouds_is_told_what_its_sensor_sent_and_how_clouds_come_of_it(tmp_path, kind, topic, words):
    file, drive = tmp_path / "a.mcap", Drive()
    with open(file, "wb") as out:
        writer = Writer(out)
        writer.start(profile="ros2", library="x")
        schema = writer.register_schema(kind, "ros2msg", b"uint8[] data")
        writer.add_message(writer.register_channel(topic, "cdr", schema), EPOCH_NS, b"\0\1\0\0", EPOCH_NS)
        schema = writer.register_schema("nav_msgs/msg/Odometry", "ros2msg", b"")
        odometry = drive.store.serialize_cdr(drive.odometry(0.0, "odom", "base"), "nav_msgs/msg/Odometry")
        writer.add_message(writer.register_channel("/odom", "cdr", schema), EPOCH_NS, bytes(odometry), EPOCH_NS)
        writer.finish()
    with pytest.raises(BagError, match=f"no PointCloud2.*{words}"):
        result(file)


def test_a_lidar_that_nothing_places_is_refused_with_the_lines_that_would(tmp_path):
    bag = write_bag(
        tmp_path / "bag", Drive(), [said for said in Drive().messages(1.0) if "description" not in said.topic]
    )  # fmt: skip
    with pytest.raises(BagError, match=r'rover_0/lidar_link.*extrinsics: \{"rover_0/lidar_link": \{xyz'):
        result(bag)
    placed = RobotConfig("rover_0", extrinsics={"rover_0/lidar_link": MOUNT})
    report, (session,) = result(bag, Conversion(BagConfig((placed,)), ground=GroundSource.CONSTANT))
    assert len(session) == 3 and report.problems == []


@pytest.mark.parametrize("encoding", ["bayer_rggb8", "yuv422_yuy2", "16UC1", "mono16", "compressedDepth"])
@pytest.mark.parametrize("named", [True, False])
def test_a_camera_that_can_not_be_read_costs_itself_and_no_frame(tmp_path, encoding, named):
    drive, messages = Drive(), []
    for said in drive.messages(2.0):
        if "camera" in said.topic and encoding == "compressedDepth":
            data = np.frombuffer(bytes(12) + b"\x89PNG\r\n\x1a\n", np.uint8)
            content = drive.make(
                "sensor_msgs/msg/CompressedImage", header=drive.header(said.stamp, "cam"),
                format="16UC1; compressedDepth png", data=data,
            )  # fmt: skip
            said = replace(said, type="sensor_msgs/msg/CompressedImage", content=content)
        elif "camera" in said.topic:
            said.content.encoding = encoding
        messages.append(said)
    bag = write_bag(tmp_path / "bag", drive, messages)
    cameras = {"front": "/rover_0/camera/front/image_raw"} if named else None
    conversion = Conversion(BagConfig((RobotConfig("rover_0", cameras=cameras),)), ground=GroundSource.CONSTANT)
    report, (session,) = result(bag, conversion)
    assert len(session) == 5 and len(report.problems) == 1
    assert "camera front is left out" in report.problems[0] and encoding in report.problems[0]
    assert result(bag.rename(tmp_path / "b"), replace(conversion, cameras=False))[0].problems == []


@pytest.mark.parametrize("silent", ["imu", "camera"])
def test_the_end_of_a_bag_is_written_where_an_optional_topic_ends_before(tmp_path, silent):
    drive, messages = Drive(), Drive().messages(3.0)
    if silent == "imu":
        zeros = np.zeros(9)
        for k in range(241):
            t = k / 100
            content = drive.make(
                "sensor_msgs/msg/Imu", header=drive.header(t, "imu"), orientation=drive.quaternion(base_pose(0)),
                orientation_covariance=zeros, angular_velocity=drive.vector([0, 0, 0]),
                angular_velocity_covariance=zeros, linear_acceleration=drive.vector([0, 0, 9.8]),
                linear_acceleration_covariance=zeros,
            )  # fmt: skip
            messages.append(Said("/rover_0/imu", "sensor_msgs/msg/Imu", t, content))
        messages.sort(key=lambda said: said.stamp)
        report, (session,) = result(write_bag(tmp_path / "bag", drive, messages))
        assert stamps(session) == [0.5 * k for k in range(7)]
        assert report.problems == ["rover_0: IMU silent at a keyframe: 2 times"]
    else:
        messages = [said for said in messages if "camera" not in said.topic or said.stamp < 2.4]
        report, (session,) = result(write_bag(tmp_path / "bag", drive, messages))
        assert (
            stamps(session) == [0, 0.5, 1, 1.5, 2] and "no image of front at a keyframe: 2 times" in report.problems[0]
        )


def transforms_only(late: float, joints: int) -> list[Said]:
    """/tf alone: odom at 50 Hz, a wheel at so many Hz; map to odom once at a time, and never again."""
    drive, kind = Drive(), "tf2_msgs/msg/TFMessage"
    out = [Said("/tf_static", kind, 0.0, drive.transforms(0.0, ("base_link", "rover_0/lidar_link", MOUNT)))]
    out += [said for said in drive.messages(3.0) if "points" in said.topic]
    for k in range(151):
        t = k / 50
        out.append(Said("/tf", kind, t, drive.transforms(t, ("odom", "base_link", base_pose(t)))))
    for k in range(3 * joints):
        t = k / joints
        out.append(Said("/tf", kind, t, drive.transforms(t, ("base_link", "wheel", base_pose(0)))))
    still = replace(base_pose(0), position=np.zeros(3))
    out.append(Said("/tf", kind, late, drive.transforms(late, ("map", "odom", still))))
    return sorted(out, key=lambda said: said.stamp)


@pytest.mark.parametrize("late, joints", [(0.0, 0), (1.0, 500)])
def test_a_map_that_is_sent_once_or_late_places_all_that_comes_after(tmp_path, late, joints):
    bag = write_bag(tmp_path / "bag", Drive(), transforms_only(late, joints))
    config = BagConfig((RobotConfig("rover_0", odometry="tf", base_frame="base_link", fixed_frame="map"),))
    _, (session,) = result(bag, Conversion(config, ground=GroundSource.CONSTANT))
    got = stamps(session)
    assert got[-1] == 3.0 and set(got) >= {0.5 * k for k in range(round(late * 2) + 1, 7)}


def test_only_the_topics_that_are_named_are_decoded(tmp_path):
    bag = write_bag(tmp_path / "bag", Drive(), renamed(Drive().messages(1.0), {"/rover_0/odom": "/o"}))
    with Bag(bag) as read:
        assert read.counts == {"/o": 51} and list(read.messages(set())) == []
