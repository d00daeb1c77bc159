"""`--inspect` says what a bag holds, and the config that it writes gives the right voxels without a hand on it."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from drive import MOUNT, SPEED, Drive, Said, base_pose, wall, write_bag
from PIL import Image
from scene import EPOCH, Car, arc, expected, misses, rigid, seen
from scene import MOUNT as WHERE

from occ_core.grid import TOKYO_GRID
from occ_core.poses import Pose, footprint
from occ_core.session import Session, find_sessions
from occ_recorder.bags.config import BagConfig, GroundSource, read_config
from occ_recorder.bags.convert import Conversion, convert
from occ_recorder.bags.inspecting import _meaning_of_time, inspected, report
from occ_recorder.bags.proposing import proposal
from occ_recorder.bags.reading import Bag
from tokyo_occworld.cli.main import main

TENTHS = [k / 10 for k in range(21)]
GROUND = -0.3  # metres, of the street in the frame of the odometry


def sight(t: float, yaw: float = 0.0) -> np.ndarray:
    """The wall of the drive and a street under it, as the LiDAR sees them."""
    x, y = np.meshgrid(np.arange(2.27, 11, 0.37), np.arange(-3.91, 4, 0.37))
    street = np.zeros(x.size, wall(t).dtype)
    street["x"], street["y"] = x.ravel(), y.ravel()
    street["z"] = GROUND - (base_pose(t) @ MOUNT).position[2]
    both = np.concatenate([wall(t), street])
    c, s = np.cos(yaw), np.sin(yaw)
    both["x"], both["y"] = c * both["x"] + s * both["y"], c * both["y"] - s * both["x"]
    return both


def shuttle(drive: Drive, mounts: list[tuple[str, str, Pose]], turned: float = 0.0) -> list[Said]:
    """A drive under somebody else's names, with a camera, a bad camera, and a cloud in the map besides."""
    picture = io.BytesIO()
    Image.new("RGB", (32, 18), (200, 20, 20)).save(picture, "JPEG")
    out = []
    if mounts:
        out.append(Said("/tf_static", "tf2_msgs/msg/TFMessage", 0.0, drive.transforms(0.0, *mounts)))
    for k in range(101):
        t = k / 50
        out.append(Said("/odometry/filtered", "nav_msgs/msg/Odometry", t, drive.odometry(t, "odom", "base_link")))
        if k % 5:
            continue
        cloud = drive.cloud(t, "velodyne", sight(t, turned))
        out.append(Said("/velodyne_points", "sensor_msgs/msg/PointCloud2", t, cloud))
        seen = np.concatenate([sight(t)] * 2)
        out.append(Said("/cloud_registered", "sensor_msgs/msg/PointCloud2", t, drive.cloud(t, "odom", seen)))
        data = np.frombuffer(picture.getvalue(), np.uint8)
        content = drive.make("sensor_msgs/msg/CompressedImage", header=drive.header(t, "cam"), format="jpeg", data=data)
        out.append(Said("/zed/left/image/compressed", "sensor_msgs/msg/CompressedImage", t, content))
        bad = replace(drive.image(t, "cam", 5), encoding="bayer_rggb8")
        out.append(Said("/rear/image_raw", "sensor_msgs/msg/Image", t, bad))
    return out


def test_the_config_that_is_written_gives_the_right_voxels(tmp_path, monkeypatch, capsys):
    drive = Drive()
    turned = 0.3
    mount = MOUNT @ Pose.from_xyz_rpy([0, 0, 0], [0, 0, turned])
    mast = Pose.from_xyz_rpy([0, 0, 0.6], [0, 0, 0])
    steps = [("base_link", "mast", mast), ("mast", "velodyne", mast.inverse() @ mount)]
    bag = write_bag(tmp_path / "drive 1", drive, shuttle(drive, steps, turned))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["bag2sessions", "--inspect", str(bag)])
    said = capsys.readouterr().out
    assert not ended.value.code and "drive 1.yaml fits it;" in said
    config = read_config(tmp_path / "drive 1.yaml")
    (robot,) = config.robots
    assert robot.lidar == "/velodyne_points" and robot.odometry == "/odometry/filtered"
    assert robot.cameras == {"front": "/zed/left/image/compressed"}
    assert robot.base_height == pytest.approx(base_pose(0).position[2] - GROUND, abs=0.03)

    convert(bag, tmp_path / "out", Conversion(config), progress=False)
    (session,) = find_sessions(tmp_path / "out")
    assert len(session) == 5
    level = footprint(base_pose(2.0), base_pose(0).position[2] - robot.base_height).inverse()
    sure, possible = set(), set()
    for t in np.arange(21) / 10:
        points = sight(t)
        points = points[np.isfinite(points["x"])]
        seen = (level @ base_pose(t) @ MOUNT).apply(np.column_stack([points[a] for a in "xyz"]))
        # A millimetre beside: a point on a face of a voxel may be rounded to either side of it.
        corners = np.stack([seen + 1e-3 * np.array(side) for side in product((-1, 1), repeat=3)])
        cells = np.floor((corners - TOKYO_GRID.lower) / TOKYO_GRID.voxel).astype(int)
        possible |= set(map(tuple, cells.reshape(-1, 3)))
        sure |= set(map(tuple, cells[0][(cells == cells[0]).all(axis=(0, 2))]))
    got = set(map(tuple, np.argwhere(session.classes(5))))
    assert sure <= got <= possible and len(sure) > 200


def test_what_is_printed(tmp_path):
    drive = Drive()
    messages = shuttle(drive, [("base_link", "velodyne", MOUNT)])
    for said in messages:
        if said.topic == "/velodyne_points":
            points = sight(said.stamp)
            points["x"][:40], points["y"][:40], points["z"][:40] = 0, 0, 0
            said.content.data = np.frombuffer(points.tobytes(), np.uint8)
    kind = "tf2_msgs/msg/TFMessage"
    for k in range(20):
        entries = ("map", "odom", MOUNT), ("odom", "base_link", base_pose(k / 10))
        messages.append(Said("/tf", kind, k / 10, drive.transforms(k / 10, *entries)))
    with Bag(write_bag(tmp_path / "bag", drive, messages)) as bag:
        lines = report(inspected(bag, BagConfig()))
    text = "\n".join(lines)
    assert lines[0].startswith("2.0 s, ")
    where = lines.index("frames:")
    assert lines[where + 1 : where + 5] == [
        "  map", "      odom  (moves, 10 Hz)", "          base_link  (moves, 10 Hz)", "              velodyne  (fixed)"
    ]  # fmt: skip
    assert any("/velodyne_points" in one and "10.0 Hz" in one for one in lines)
    share, blank = 40 / len(sight(0.0)), 2 / len(sight(0.0))
    assert f"{share:.1%} are (0, 0, 0), {blank:.1%} are NaN" in text
    assert "twist agrees with the poses" in text and f"at {np.hypot(SPEED, 0.1):.2f} m/s" in text
    assert "stamps of another clock: 1,700,000,000.0 s behind" in text


@pytest.mark.parametrize(
    "linear, words",
    [
        ((0, 0, 0), "twist is zero, though the poses move at 2.00 m/s"), ((0, 2, 0), "in the frame 'odom' and not in"),
        ((2, 0, 0), "agrees"), ((-2, 0, 0), "4.00 m/s off"),
        ((float("nan"),) * 3, "twist is no numbers"),
    ],
)  # fmt: skip
def test_a_twist_is_held_against_what_the_poses_do(tmp_path, linear, words):
    drive, messages = Drive(), []
    for k in range(101):
        content = drive.odometry(k / 50, "odom", "base_link")
        content.pose.pose = drive.pose(Pose.from_xyz_rpy([0, 2 * k / 50, 0], [0, 0, np.pi / 2]))
        content.twist.twist.linear = drive.vector(linear)
        messages.append(Said("/odom", "nav_msgs/msg/Odometry", k / 50, content))
    with Bag(write_bag(tmp_path / "bag", drive, messages)) as bag:
        assert words in inspected(bag, BagConfig()).odometry["/odom"].twist


@pytest.mark.parametrize(
    "name, values, words",
    [
        ("time", np.linspace(0, 0.0995, 100).astype("f4"), "time: seconds from the stamp, +0.000 to +0.100 s"),
        ("time", np.linspace(-0.1, 0, 100).astype("f4"), "seconds from the stamp, -0.100 to +0.000 s"),
        ("t", np.linspace(0, 99_500_000, 100).astype("u4"), "t: nanoseconds from the stamp, +0.000 to +0.100 s"),
        ("offset_time", np.linspace(0, 1e8, 100).astype("u4"), "offset_time: nanoseconds from the stamp"),
        ("timestamp", 1.7e9 + np.linspace(0, 0.1, 100), "seconds since 1970, +0.000 to +0.100 s about"),
        ("timestamp", (1.7e9 + np.linspace(-0.1, 0, 100)) * 1e9, "nanoseconds since 1970, -0.100 to +0.000 s"),
        ("t", np.linspace(0, 100_000, 100).astype("u4"), "microseconds from the stamp"),
        ("time", np.zeros(100), "the same for all points"), ("time", np.linspace(0, 2000, 100), "no turn of a LiDAR"),
        ("x", np.zeros(100), ""),
    ],
)  # fmt: skip
def test_the_time_of_each_point_is_explained_by_how_long_a_turn_takes(name, values, words):
    cloud = np.zeros(100, [(name, values.dtype)])
    cloud[name] = values
    said = _meaning_of_time(cloud, 1.7e9)
    assert words in said and bool(words) == bool(said)


def test_a_config_that_is_there_stays(tmp_path, monkeypatch, capsys):
    drive = Drive()
    bag = write_bag(tmp_path / "bag", drive, shuttle(drive, []))
    (tmp_path / "mine.yaml").write_text("robots: []\n")
    monkeypatch.chdir(tmp_path)
    for config, kept in (("mine.yaml", True), ("new.yaml", False)):
        with pytest.raises(SystemExit):
            main(["bag2sessions", "--inspect", "bag", "--config", config])
        assert ("is there already" in capsys.readouterr().out) is kept
    assert Path("mine.yaml").read_text() == "robots: []\n"
    # Nothing says where the LiDAR is: that is left to be measured, and said.
    assert "measure it" in Path("new.yaml").read_text() and read_config(Path("new.yaml")).robots[0].extrinsics
    assert not list(tmp_path.glob("data*")) and bag.is_dir()


def test_transforms_alone_and_this_project_s_own_names(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    drive, kind = Drive(), "tf2_msgs/msg/TFMessage"
    messages = [one for one in shuttle(drive, [("base_link", "velodyne", MOUNT)]) if one.topic != "/odometry/filtered"]
    for k in range(101):
        t = k / 50
        entries = ("map", "odom", Pose.identity()), ("odom", "base_link", base_pose(t))
        messages.append(Said("/tf", kind, t, drive.transforms(t, *entries)))
    bag = write_bag(tmp_path / "moves", drive, sorted(messages, key=lambda one: one.stamp))
    write_bag(tmp_path / "ours", drive, drive.messages(1.0))
    for name in ("moves", "ours"):
        with pytest.raises(SystemExit) as ended:
            main(["bag2sessions", "--inspect", name])
        assert not ended.value.code
    assert "no --config is needed" in capsys.readouterr().out
    config = read_config(Path("moves.yaml"))
    assert (config.robots[0].odometry, config.robots[0].base_frame) == ("tf", "base_link")
    assert convert(bag, tmp_path / "out", Conversion(config), progress=False).frames["robot_0"] >= 4


def proposed(tmp_path, car: Car) -> tuple[str, Session, list[str]]:
    """The config that is proposed for a car's bag; the frames that come of it, and what is said."""
    bag = write_bag(tmp_path / "bag", car.drive, sorted(car.messages, key=lambda said: said.stamp))
    with Bag(bag) as opened:
        text = proposal(opened, inspected(opened, BagConfig()), BagConfig())
    path = tmp_path / "found.yaml"
    path.write_text(text)
    config = read_config(path)
    # Where the grid's ground is it can only estimate: what counts here is which sweeps are put together, and where.
    robot = replace(config.robots[0], ground=GroundSource.CONSTANT)
    report = convert(bag, tmp_path / "out", Conversion(replace(config, robots=(robot,))), progress=False)
    (session,) = find_sessions(tmp_path / "out")
    assert len(session) == 5
    return text, session, report.problems


@pytest.mark.parametrize("clock", ["the odometry's", "ahead", "zero"])
def test_the_times_of_recording_are_proposed_where_stamps_are_of_two_clocks(tmp_path, clock):
    car = Car().say_odometry(2.0).say_fixed("base_link", "lidar", WHERE)
    stamped = {"the odometry's": lambda t: t, "ahead": lambda t: t + 37, "zero": lambda t: -EPOCH}[clock]
    car.say_clouds(TENTHS, lambda t: car.cloud(stamped(t), seen(t)))
    text, session, problems = proposed(tmp_path, car)
    assert ("stamps: log" in text) is (clock != "the odometry's")
    assert misses(session, TENTHS) == [] and problems == []


def test_topics_of_one_namespace_are_put_together(tmp_path):
    """Two cars without /tf, of which the second drives another way and has the larger clouds."""
    ways = {"a": (arc, ((3, 0, 0), (0, 0, 0.2)), 1), "b": (lambda t: arc(t, 2.0, -0.3), ((2, 0, 0), (0, 0, -0.3)), 2)}
    car, messages = Car(), []
    for name, (way, twist, times) in ways.items():
        one = Car().say_odometry(2.0, way, twist=lambda t, twist=twist: twist)
        for t in TENTHS:
            points = np.vstack([seen(t, way)] * times)
            one.messages.append(Said("/points", "sensor_msgs/msg/PointCloud2", t, car.cloud(t, points, "base_link")))
            picture = car.drive.image(EPOCH + t, "camera", 5)
            one.messages.append(Said("/camera/image", "sensor_msgs/msg/Image", t, picture))
        messages += [replace(said, topic=f"/cars/{name}{said.topic}") for said in one.messages]
    bag = write_bag(tmp_path / "bag", car.drive, sorted(messages, key=lambda said: said.stamp))
    with Bag(bag) as opened:
        text = proposal(opened, inspected(opened, BagConfig()), BagConfig())
    (tmp_path / "found.yaml").write_text(text)
    (robot,) = read_config(tmp_path / "found.yaml").robots
    assert (robot.lidar, robot.odometry) == ("/cars/b/points", "/cars/b/odom")
    assert robot.cameras == {"front": "/cars/b/camera/image"}


@pytest.mark.parametrize("kind", ["<i4", "<f4"])
def test_a_unit_is_proposed_where_coordinates_are_no_metres(tmp_path, kind):
    car = Car().say_odometry(2.0).say_fixed("base_link", "lidar", WHERE)

    def cloud(t: float):
        fields = np.zeros(len(seen(t)), [(axis, kind) for axis in "xyz"])
        for axis, column in zip("xyz", np.round(1000 * seen(t)).T, strict=True):
            fields[axis] = column
        return car.drive.cloud(EPOCH + t, "lidar", fields)

    text, session, problems = proposed(tmp_path, car.say_clouds(TENTHS, cloud))
    assert "    point_unit: 0.001  # " in text and misses(session, TENTHS) == [] and problems == []


@pytest.mark.parametrize("jumps", [True, False])
def test_the_frame_that_does_not_jump_is_proposed(tmp_path, jumps):
    """A localiser corrects the place in `map` at 1 s; what is smooth is called `vio`, which no rule of names finds."""
    car = Car().say_fixed("base_link", "lidar", WHERE).say_clouds(TENTHS)
    wrong = rigid([1.4, -0.6, 0.0], [0, 0, 0.1])
    car.say_transforms(2.0, "vio", "base_link", arc)
    car.say_transforms(2.0, "map", "vio", lambda t: wrong if jumps and t < 0.95 else np.eye(4), rate=10)
    text, session, problems = proposed(tmp_path, car)
    said = "    continuous_frame: vio  # sweeps are put together in it: 'vio' jumps by up to 1.5 m in 'map'"
    assert (said in text) is jumps and problems == []
    for number in (4, 5):  # after the correction the report is of the true map, and so is what was seen before it
        occupied = set(np.flatnonzero(session.classes(number).ravel()).tolist())
        must, may = expected((number - 1) / 2, TENTHS)
        assert must <= occupied <= may
