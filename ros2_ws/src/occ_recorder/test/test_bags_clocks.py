"""Times and units as people have them in bags: the values that plain numpy expects, or a sentence that says what is."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drive import Drive, Said, write_bag
from scene import EPOCH, MOUNT, SPEED, TURN, WORLD, Car, arc, expected, misses, seen, times, visible

from occ_core.poses import Pose
from occ_core.session import Session
from occ_recorder.bags.config import BagConfig, GroundSource, RobotConfig, Stamps
from occ_recorder.bags.convert import Conversion, convert
from occ_recorder.bags.reading import BagError

TENTHS = [k / 10 for k in range(21)]
STILL = (0, 0, 0), (0, 0, 0)


def velocities(session: Session, within: float = 2e-3) -> bool:
    """Whether each frame has those of the arc."""
    states = [session.state(number) for number in session.numbers]
    return all(
        np.allclose(state.linear, [SPEED, 0, 0], atol=within) and np.allclose(state.angular, [0, 0, TURN], atol=within)
        for state in states
    )


# -- odometry that is seldom or late


@pytest.mark.parametrize("twist", ["right", "zero"])
@pytest.mark.parametrize("rate", [0.8, 1.0, 1.5])
def test_seldom_odometry_is_gone_along_evenly_and_its_twist_checked(tmp_path: Path, rate: float, twist: str) -> None:
    seconds = round(6 * rate) / rate
    stamps = [k / 10 for k in range(round(seconds * 10 - 0.5) + 1)]
    says = STILL if twist == "zero" else ((SPEED, 0, 0), (0, 0, TURN))
    car = Car().say_clouds(stamps).say_odometry(seconds, rate=rate, twist=lambda t: says)
    report, session = car.sessions(tmp_path)
    assert misses(session, stamps) == [] and times(session) == pytest.approx(np.arange(len(session)) * 0.5)
    assert len(session) == len([t for t in stamps if round(t * 10) % 5 == 0]) and velocities(session)
    assert f"/odom comes only every {1 / rate:.1f} s" in report.problems[0]
    assert len(report.problems) == (2 if twist == "zero" else 1)


def test_odometry_that_is_too_seldom_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BagError, match=r"/odom comes only every 3\.0 s.*10 Hz"):
        Car().say_odometry(12.0, rate=1 / 3).say_clouds([k / 10 for k in range(121)]).sessions(tmp_path)


@pytest.mark.parametrize("late, rate", [(0.7, 50.0), (1.5, 50.0), (4.0, 50.0), (1.5, 1.0)])
def test_odometry_that_is_recorded_late_is_waited_for(tmp_path: Path, late: float, rate: float) -> None:
    """As of an estimator that takes so long: its stamps are those of the sweeps, its messages come after them."""
    stamps = [k / 10 for k in range(round(10 * (late + 3)) + 1)]
    car = Car().say_odometry(np.ceil(stamps[-1]), rate=rate)
    car.messages = [replace(said, stamp=said.stamp + late) for said in car.messages]
    report, session = car.say_clouds(stamps).sessions(tmp_path)
    assert misses(session, stamps) == [] and len(session) == int(stamps[-1] * 2) + 1 and velocities(session)
    (said,) = (problem for problem in report.problems if "only every" not in problem)
    assert f"/odom is recorded {late:.1f} s after /points" in said and "stamps: log" in said


def test_sweeps_that_are_recorded_late_are_said_too(tmp_path: Path) -> None:
    report, session = Car().say_odometry(4.0).say_clouds([k / 10 for k in range(31)], late=0.8).sessions(tmp_path)
    assert misses(session, [k / 10 for k in range(31)]) == [] and len(session) == 7
    assert len(report.problems) == 1 and "/points is recorded 0.8 s after /odom" in report.problems[0]


def test_odometry_that_is_recorded_in_bursts_is_waited_for(tmp_path: Path) -> None:
    """As by a bridge that hands over once a second what has come since."""
    car = Car().say_odometry(4.0)
    car.messages = [replace(said, stamp=float(np.ceil(said.stamp) + 0.05)) for said in car.messages]
    stamps = [k / 10 for k in range(41)]
    report, session = car.say_clouds(stamps).sessions(tmp_path)
    assert misses(session, stamps) == [] and len(session) == 9 and velocities(session)
    assert all("recorded" in said for said in report.problems)


@pytest.mark.parametrize("factor", [0.02, 0.3, 5.0, 30.0])
def test_a_simulator_s_clock_may_go_slower_or_faster_than_that_of_recording(tmp_path: Path, factor: float) -> None:
    """Stamps since the simulation's start, recorded at times of day."""
    car = Car().say_odometry(4.0).say_clouds([k / 10 for k in range(41)])
    for said in car.messages:
        said.content.header = car.drive.header(said.stamp, said.content.header.frame_id)
    car.messages = [replace(said, stamp=said.stamp / factor) for said in car.messages]
    report, session = car.sessions(tmp_path)
    assert [session.state(number).stamp for number in session.numbers] == pytest.approx(np.arange(9) * 0.5)
    for number in session.numbers:
        state = session.state(number)
        assert np.allclose(state.base_link.matrix, arc(state.stamp), atol=1e-6)
        occupied = set(np.flatnonzero(session.classes(number).ravel()).tolist())
        must, may = expected(state.stamp, [k / 10 for k in range(41)])
        assert must <= occupied <= may
    assert report.problems == [] and velocities(session)


# -- stamps and times in other units


def divided(said: Said, by: int) -> Said:
    """The message with its nanoseconds in a coarser unit."""
    said.content.header.stamp.nanosec //= by
    return said


@pytest.mark.parametrize("by, unit", [(10**6, "milliseconds"), (10**3, "microseconds")])
@pytest.mark.parametrize("topics", [("/points",), ("/odom",), ("/points", "/odom")])
def test_nanoseconds_of_stamps_in_another_unit_are_named(tmp_path: Path, by: int, unit: str, topics) -> None:
    def car() -> Car:
        made = Car().say_odometry(2.2).say_clouds(TENTHS)
        made.messages = [divided(said, by) if said.topic in topics else said for said in made.messages]
        return made

    with pytest.raises(BagError, match=f"the stamps of {topics[0]} go on by .*{unit}.*stamps: log"):
        car().sessions(tmp_path)
    (tmp_path / "log").mkdir()
    report, session = car().sessions(tmp_path / "log", stamps=Stamps.LOG)
    assert misses(session, TENTHS) == [] and len(session) == 5 and report.problems == []


def test_a_stamp_in_milliseconds_that_is_read_as_nanoseconds_is_named(tmp_path: Path) -> None:
    car = Car().say_odometry(2.2).say_clouds(TENTHS)
    for said in car.messages:
        if said.topic == "/points":
            stamp = said.content.header.stamp
            stamp.sec, stamp.nanosec = divmod(round((EPOCH + said.stamp) * 1e3), 10**9)
    with pytest.raises(BagError, match=r"/points is stamped 1700\.000 s, as if milliseconds were nanoseconds"):
        car.sessions(tmp_path)


@pytest.mark.parametrize("kind", ["u4", "i4", "u2"])
def test_whole_milliseconds_of_points_put_them_to_a_centimetre(tmp_path: Path, kind: str) -> None:
    """At 10 m/s a turn of 0.1 s is a metre, and half a millisecond half a centimetre."""
    way = lambda t: arc(t, 10.0, 0.5)  # noqa: E731
    car = Car().say_odometry(1.3, way, twist=lambda t: ((10.0, 0, 0), (0, 0, 0.5)), rate=100.0)

    def cloud(t: float):
        chosen = WORLD[visible(t, way)]
        after = np.linspace(0, 0.1, len(chosen))
        sensors = [way(t + at) @ MOUNT for at in after]
        points = np.array([s[:3, :3].T @ (p - s[:3, 3]) for s, p in zip(sensors, chosen, strict=True)])
        return car.cloud(t, points, t=np.round(after * 1e3).astype(kind))

    _, session = car.say_clouds(TENTHS[:11], cloud).sessions(tmp_path)
    assert len(session) == 3
    for number in session.numbers:
        t = times(session)[number - 1]
        state = session.state(number)
        local = state.footprint.inverse().apply(WORLD[visible(t, way)])
        assert np.abs(session.points(number)[:, :3] - local).max() < 0.015


@pytest.mark.parametrize("kind, scale", [("<i4", 1000), ("<f4", 1000), ("<i2", 100)])
def test_coordinates_that_are_no_metres_are_read_by_the_unit_that_the_config_says(tmp_path: Path, kind, scale) -> None:
    def car() -> Car:
        made = Car().say_odometry(2.0)

        def cloud(t: float):
            points = np.round(seen(t) * scale)
            fields = np.zeros(len(points), [(axis, kind) for axis in "xyz"])
            for axis, column in zip("xyz", points.T, strict=True):
                fields[axis] = column
            return made.drive.cloud(EPOCH + t, "lidar", fields)

        return made.say_clouds(TENTHS, cloud)

    with pytest.raises(BagError, match=r"half.* lie beyond [\d,]+.*point_unit: 0\.001"):
        car().sessions(tmp_path)
    (tmp_path / "said").mkdir()
    report, session = car().sessions(tmp_path / "said", {"point_unit": 1 / scale})
    assert report.problems == [] and len(session) == 5
    if scale == 1000:  # centimetres are less than the walls are sure of
        assert misses(session, TENTHS) == []
    local = session.state(3).footprint.inverse().apply(WORLD[visible(1.0)])
    assert np.abs(session.points(3)[:, :3] - local).max() < 1.0 / scale


# -- velocities that are no numbers


@pytest.mark.parametrize("part", ["all", "angular", "one in ten"])
def test_velocities_that_are_no_numbers_cost_no_pose(tmp_path: Path, part: str) -> None:
    nan = (np.nan, np.nan, np.nan)
    right = (SPEED, 0, 0), (0, 0, TURN)
    twists = {
        "all": lambda t: (nan, nan),
        "angular": lambda t: (right[0], nan),
        "one in ten": lambda t: (nan, nan) if round(t * 50) % 10 == 3 else right,
    }
    report, session = Car().say_odometry(2.0, twist=twists[part]).say_clouds(TENTHS).sessions(tmp_path)
    assert misses(session, TENTHS) == [] and len(session) == 5 and velocities(session)
    (said,) = report.problems
    assert ("impossible velocity" if part == "one in ten" else "velocities of the odometry are no numbers") in said


# -- messages twice, clocks that jump, sensors that fall silent


def test_what_was_recorded_twice_counts_once(tmp_path: Path) -> None:
    car = Car().say_odometry(2.0).say_clouds(TENTHS)
    car.messages = [said for said in car.messages for _ in range(2)]
    report, session = car.sessions(tmp_path)
    assert misses(session, TENTHS) == [] and len(session) == 5
    assert report.problems == ["car_0: sweep that came twice: 21 times"]


@pytest.mark.parametrize("order", ["by name", "as metadata lists them"])
def test_files_of_a_bag_that_overlap_in_time_are_read_as_one(tmp_path: Path, order: str) -> None:
    messages = sorted(Car().say_odometry(4.0).say_clouds([k / 10 for k in range(41)]).messages, key=lambda s: s.stamp)
    folder = tmp_path / "bag"
    folder.mkdir()
    for number, (begin, end) in enumerate(((0.0, 2.6), (1.4, 4.0))):
        part = write_bag(tmp_path / f"part_{number}", Drive(), [s for s in messages if begin <= s.stamp <= end])
        shutil.copy(part / f"part_{number}.mcap", folder / f"bag_{number}.mcap")
    if order != "by name":
        listed = "[bag_1.mcap, bag_0.mcap]"
        (folder / "metadata.yaml").write_text(f"rosbag2_bagfile_information: {{relative_file_paths: {listed}}}")
    extrinsics = {"lidar": Pose.from_matrix(MOUNT)}
    robot = RobotConfig("car_0", "/points", "/odom", ground=GroundSource.CONSTANT, extrinsics=extrinsics)
    report = convert(folder, tmp_path / "out", Conversion(BagConfig((robot,))), progress=False)
    (folder_of_session,) = (tmp_path / "out").iterdir()
    session = Session.open(folder_of_session)
    assert misses(session, [k / 10 for k in range(41)]) == [] and len(session) == 9
    assert "car_0: sweep that came twice: 13 times" in report.problems


def shifted(topic: str, after: float, by: float) -> Car:
    """3 s of a drive in which the stamps of a topic jump."""
    car = Car().say_odometry(3.2).say_clouds([k / 10 for k in range(31)])
    for said in car.messages:
        if said.topic == topic and said.stamp > after:
            said.content.header = car.drive.header(EPOCH + said.stamp + by, said.content.header.frame_id)
    return car


@pytest.mark.parametrize("by", [0.4, -0.43, 37.0, -5.0, -0.13])
@pytest.mark.parametrize("topic", ["/points", "/odom"])
def test_what_comes_after_a_clock_has_jumped_is_left_out_and_said(tmp_path: Path, topic: str, by: float) -> None:
    report, session = shifted(topic, 1.55, by).sessions(tmp_path)
    good = [k / 10 for k in range(16)]
    assert misses(session, good) == [] and times(session) == pytest.approx([0, 0.5, 1, 1.5])
    said = [problem for problem in report.problems if "jumps by" in problem]
    assert len(said) == 1 and f"the clock of {topic} jumps by {by:+.3f} s 1." in said[0] and "stamps: log" in said[0]
    assert not any("share the name" in problem for problem in report.problems)
    (tmp_path / "log").mkdir()
    report, session = shifted(topic, 1.55, by).sessions(tmp_path / "log", stamps=Stamps.LOG)
    assert misses(session, [k / 10 for k in range(31)]) == [] and len(session) == 7 and report.problems == []


@pytest.mark.parametrize("topic", ["/points", "/odom"])
@pytest.mark.parametrize("by", [-EPOCH + 12.0, -37.0, 3.0])
def test_a_clock_that_is_set_after_the_start_is_right_from_there_on(tmp_path: Path, topic: str, by: float) -> None:
    """Of a device that counts from its start, or is off, for the first half of a second."""
    car = Car().say_odometry(4.0).say_clouds([k / 10 for k in range(41)])
    for said in car.messages:
        if said.topic == topic and said.stamp < 0.25:
            said.content.header = car.drive.header(EPOCH + said.stamp + by, said.content.header.frame_id)
    report, session = car.sessions(tmp_path)
    assert times(session)[-1] == pytest.approx(4.0) and len(session) >= 6 and velocities(session)
    assert not any("jumps by" in said for said in report.problems)
    for number in session.numbers:  # sweeps of before are of another time, or of none
        occupied = set(np.flatnonzero(session.classes(number).ravel()).tolist())
        assert (
            len(occupied) > 1000 and not occupied - expected(times(session)[number - 1], [k / 10 for k in range(41)])[1]
        )


def test_a_stalled_recorder_and_a_slow_lidar_are_no_jumps(tmp_path: Path) -> None:
    """At first sweeps come late, by 0.4 s and then less; everything of the third second is recorded at its end."""
    car = Car().say_odometry(4.0).say_clouds([k / 10 for k in range(41)])
    slow = [replace(s, stamp=s.stamp + 0.4 * max(1 - s.stamp, 0) * (s.topic == "/points")) for s in car.messages]
    car.messages = [replace(s, stamp=max(s.stamp, 3.0) if 2.0 < s.stamp < 3.0 else s.stamp) for s in slow]
    report, session = car.sessions(tmp_path)
    assert misses(session, [k / 10 for k in range(41)]) == [] and len(session) == 9 and report.problems == []


@pytest.mark.parametrize("when", ["ends", "begins", "pauses"])
def test_a_lidar_that_is_silent_for_a_part_of_the_bag_is_said(tmp_path: Path, when: str) -> None:
    silent = {"ends": lambda t: t > 2.05, "begins": lambda t: t < 2.95, "pauses": lambda t: 1.05 < t < 3.95}[when]
    stamps = [k / 10 for k in range(51) if not silent(k / 10)]
    report, session = Car().say_odometry(5.0).say_clouds(stamps).sessions(tmp_path)
    assert misses(session, stamps) == []
    wanted = {"ends": [0, 0.5, 1, 1.5, 2], "begins": [3, 3.5, 4, 4.5, 5], "pauses": [0, 0.5, 1, 4, 4.5, 5]}[when]
    words = {"ends": "/points ends 3.0 s before the bag", "begins": "/points begins 3.0 s after the bag",
             "pauses": "no sweep for longer than a frame's period"}[when]  # fmt: skip
    assert times(session) == pytest.approx(wanted) and len(report.problems) == 1 and words in report.problems[0]


# -- fixed transforms that are none


@pytest.mark.parametrize("frame", ["lidar", "camera"])
@pytest.mark.parametrize("wrong", ["zeros", "not finite"])
def test_a_fixed_transform_that_is_none_is_named(tmp_path: Path, frame: str, wrong: str) -> None:
    car = Car().say_odometry(2.0).say_clouds(TENTHS).say_fixed("base_link", frame, MOUNT)
    (transform,) = car.messages[-1].content.transforms
    if wrong == "zeros":
        rotation = transform.transform.rotation
        rotation.x = rotation.y = rotation.z = rotation.w = 0.0
    else:
        transform.transform.translation.x = float("nan")
    words = rf"/tf_static has 'base_link' to '{frame}', which is left out: .*(quaternion|finite)"
    if frame == "lidar":
        with pytest.raises(BagError, match=rf"nothing says where the LiDAR's frame 'lidar' is.*{words}"):
            car.sessions(tmp_path, {"extrinsics": {}})
        return
    report, session = car.sessions(tmp_path)
    assert misses(session, TENTHS) == [] and len(report.problems) == 1
    assert re.search(words, report.problems[0])
