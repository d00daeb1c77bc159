"""Bags as people record them become the voxels, poses and velocities that plain numpy says they hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drive import Said
from scene import (
    EPOCH,
    MOUNT,
    SPEED,
    TURN,
    WORLD,
    Car,
    arc,
    expected,
    footprint,
    misses,
    rigid,
    seen,
    still,
    times,
    visible,
)  # fmt: skip

from occ_core.point_filters import VehicleBox
from occ_core.poses import Pose
from occ_core.session import SessionError
from occ_recorder.bags.config import Stamps, read_config
from occ_recorder.bags.reading import BagError
from occ_recorder.sessions.check import check_session

TENTHS = [k / 10 for k in range(21)]
IMU = rigid([1.2, 0.4, -0.2], [0, 0, 0.5])
SPIN = 2.0
TWIST = (SPEED, 0, 0), (0, 0, TURN)


def imu_way(t: float) -> np.ndarray:
    return arc(t) @ IMU


def imu_twist(t: float) -> tuple:
    back = IMU[:3, :3].T
    linear = np.array([SPEED, 0, 0]) + np.cross([0, 0, TURN], IMU[:3, 3])
    return back @ linear, back @ np.array([0, 0, TURN])


def urdf(*joints: tuple[str, str, str, np.ndarray], body: str = "") -> str:
    """joints: (type, parent, child, pose without roll)."""
    text = "".join(
        f'<link name="{child}"/><joint name="{child}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>'
        f'<origin xyz="{" ".join(map(str, pose[:3, 3]))}" rpy="{" ".join(map(str, Pose.from_matrix(pose).rpy()))}"/>'
        "</joint>"
        for kind, parent, child, pose in joints
    )
    return f'<robot name="car"><link name="base_link">{body}</link>{text}</robot>'


# -- frames


@pytest.mark.parametrize("source", ["config", "URDF", "URDF below a prefix", "/tf_static", "/tf", "all of them"])
def test_the_child_of_the_odometry_is_found_whoever_says_where_it_is(tmp_path: Path, source: str) -> None:
    car, config = Car(), {"base_frame": "base_link"}
    prefix = "shuttle/" if source == "URDF below a prefix" else ""
    if prefix:
        config["base_frame"] = "shuttle/base_link"
    car.say_odometry(2.0, imu_way, f"{prefix}imu_link", imu_twist)
    car.say_clouds(TENTHS, lambda t: car.cloud(t, seen(t), f"{prefix}lidar"))
    wrong = rigid([9, 9, 9])
    if source in ("config", "all of them"):
        config["extrinsics"] = {"imu_link": Pose.from_matrix(IMU), "lidar": Pose.from_matrix(MOUNT)}
    if source.startswith("URDF"):
        car.say_description(urdf(("fixed", "base_link", "imu_link", IMU), ("fixed", "base_link", "lidar", MOUNT)))
        config |= {"description": "/robot_description", "extrinsics": {}}
    if source == "all of them":  # the config is believed before the others
        car.say_description(urdf(("fixed", "base_link", "imu_link", wrong)))
        car.say_fixed("base_link", "lidar", wrong)
        config["description"] = "/robot_description"
    if source == "/tf_static":
        car.say_fixed("base_link", "imu_link", IMU).say_fixed("base_link", "lidar", MOUNT)
        config["extrinsics"] = {}
    if source == "/tf":
        car.say_transforms(2.0, "base_link", "imu_link", still(IMU))
    _, session = car.sessions(tmp_path, config)
    assert misses(session, TENTHS) == [] and times(session) == pytest.approx([0, 0.5, 1, 1.5, 2], abs=1e-6)
    for number in session.numbers:
        assert session.state(number).linear == pytest.approx([SPEED, 0, 0], abs=1e-3)
        assert session.state(number).angular == pytest.approx([0, 0, TURN], abs=1e-3)


def test_a_chain_of_frames_from_three_sources_is_one_tree(tmp_path: Path) -> None:
    """base_link to a rack by URDF, from there to a plate and to the LiDAR by /tf_static, all of them turned."""
    rack, plate = rigid([0.1, 0.2, 0.5], [0, 0, 1.0]), rigid([0.3, 0, 0.1], [0.2, 0, 0])
    lidar = np.linalg.inv(rack @ plate) @ MOUNT
    car = Car().say_odometry(2.0).say_clouds(TENTHS)
    car.say_description(urdf(("fixed", "base_link", "rack", rack))).say_fixed("rack", "plate", plate)
    car.say_fixed("plate", "lidar", lidar)
    _, session = car.sessions(tmp_path, {"extrinsics": {}, "description": "/robot_description"})
    assert misses(session, TENTHS) == [] and len(session) == 5


def test_odometry_of_a_frame_that_nobody_places_is_refused_with_what_to_do(tmp_path: Path) -> None:
    car = Car().say_odometry(1.0, child="imu_link").say_clouds(TENTHS[:10])
    with pytest.raises(BagError, match="'imu_link', and nothing says where that is in 'base_link'"):
        car.sessions(tmp_path, {"base_frame": "base_link"})


def spinning(t: float) -> np.ndarray:
    return MOUNT @ rigid([0, 0, 0], [0, 0, SPIN * t])


@pytest.mark.parametrize("late", [0.0, 0.4])
@pytest.mark.parametrize("described", [False, True])
def test_a_lidar_on_a_turntable_is_where_tf_says_at_each_sweep(tmp_path: Path, late: float, described: bool) -> None:
    """/tf_static to the turntable's foot, /tf to its plate; a URDF, where there is one, has the joint at zero."""
    car = Car().say_odometry(2.6)
    car.say_clouds(TENTHS, lambda t: car.cloud(t, seen(t, mount=spinning)))
    config = {"extrinsics": {}}
    if described:
        joints = ("fixed", "base_link", "foot", MOUNT), ("continuous", "foot", "lidar", np.eye(4))
        car.say_description(urdf(*joints))
        config["description"] = "/robot_description"
    else:
        car.say_fixed("base_link", "foot", MOUNT)
    car.say_transforms(2.2, "foot", "lidar", lambda t: rigid([0, 0, 0], [0, 0, SPIN * t]), late=late)
    report, session = car.sessions(tmp_path, config)
    assert misses(session, TENTHS, mount=spinning) == [] and len(session) == 5, report


def test_odometry_of_a_camera_on_a_turntable_gives_the_way_of_the_base(tmp_path: Path) -> None:
    turret = lambda t: rigid([0.4, 0.1, 0.6], [0, 0, SPIN * t])  # noqa: E731
    car = Car().say_clouds(TENTHS).say_transforms(2.2, "base_link", "turret", turret)
    car.say_odometry(2.2, lambda t: arc(t) @ turret(t), "turret", lambda t: ((0, 0, 0), (0, 0, 0)))
    _, session = car.sessions(tmp_path, {"base_frame": "base_link"})
    assert misses(session, TENTHS) == [] and len(session) == 5
    assert session.state(3).linear == pytest.approx([SPEED, 0, 0], abs=0.01)


@pytest.mark.parametrize("child", ["base_link", "camera"])
def test_two_senders_on_the_topic_of_odometry_are_named(tmp_path: Path, child: str) -> None:
    """The second says where another frame is, or has an opinion of its own on the same one."""
    car = Car().say_odometry(2.0).say_clouds(TENTHS)
    car.say_odometry(2.0, lambda t: rigid([0, 9.0, 0]) @ arc(t), child=child, rate=31.0)
    report, session = car.sessions(tmp_path)
    assert len(report.problems) == (1 if child == "camera" else 2)
    if child == "camera":
        assert misses(session, TENTHS) == [] and len(session) == 5
        assert (
            "odometry of 'camera': 63 messages left out (it is of 'camera', and that of 'base_link'"
            in report.problems[0]
        )
    else:
        assert "do two senders share the topic" in report.problems[1]


# -- map and odom


def jump(t: float) -> np.ndarray:
    """odom in map, corrected each half second by decimetres and degrees."""
    step = int(t * 2 + 1e-6)
    return rigid([0.4 * (step % 4), 0.3 * (step % 3), 0.0], [0, 0, np.radians(2 * (step % 3))])


@pytest.mark.parametrize("by", ["tf", "topic"])
def test_sweeps_are_put_together_in_odom_and_frames_reported_in_map(tmp_path: Path, by: str) -> None:
    stamps = [k / 10 for k in range(31)]
    car = Car().say_clouds(stamps).say_transforms(3.2, "map", "odom", jump, rate=10.0)
    if by == "tf":
        car.say_transforms(3.2, "odom", "base_link", arc)
        _, session = car.sessions(tmp_path, {"odometry": "tf", "base_frame": "base_link"})
    else:
        car.say_odometry(3.2)
        _, session = car.sessions(tmp_path, {"fixed_frame": "map"})
    assert len(session) == 7
    in_map = lambda t: jump(t) @ arc(t)  # noqa: E731
    for number in session.numbers:
        t = session.state(number).stamp - EPOCH
        assert np.allclose(session.state(number).base_link.matrix, in_map(t), atol=1e-5)
        assert np.allclose(session.state(number).footprint.matrix, footprint(in_map(t)), atol=1e-5)
        must, may = expected(t, stamps)
        occupied = set(np.flatnonzero(session.classes(number).ravel()).tolist())
        assert not must - occupied and not occupied - may, t
        assert session.state(number).linear == pytest.approx([SPEED, 0, 0], abs=1e-3)


# -- velocities


TWISTS = {
    "zero": lambda t: ((0, 0, 0), (0, 0, 0)),
    "of the parent's frame": lambda t: ((SPEED * np.cos(TURN * t), SPEED * np.sin(TURN * t), 0), (0, 0, TURN)),
    "backwards": lambda t: ((-SPEED, 0, 0), (0, 0, TURN)),
    "km/h": lambda t: ((3.6 * SPEED, 0, 0), (0, 0, TURN)),
    "without turning": lambda t: ((SPEED, 0, 0), (0, 0, 0)),
}


@pytest.mark.parametrize("kind", TWISTS)
def test_a_twist_that_is_not_what_the_poses_do_is_replaced_and_said_once(tmp_path: Path, kind: str) -> None:
    stamps = [k / 10 for k in range(41)]
    report, session = Car().say_odometry(4.0, twist=TWISTS[kind]).say_clouds(stamps).sessions(tmp_path)
    for number in session.numbers:
        assert session.state(number).linear == pytest.approx([SPEED, 0, 0], abs=2e-3)
        assert session.state(number).angular == pytest.approx([0, 0, TURN], abs=1e-4)
    assert len([said for said in report.problems if "velocities" in said]) == 1 and len(report.problems) == 1


@pytest.mark.parametrize("kind", ["noise", "a jump", "standing still"])
def test_a_sound_twist_is_kept_whatever_the_poses_suffer(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(1)
    twist = (0.0 if kind == "standing still" else SPEED, 0.0, 0.0)

    def way(t: float) -> np.ndarray:
        if kind == "standing still":
            return arc(0)
        straight = rigid([SPEED * t, 0, 0.9])
        if kind == "noise":
            return straight @ rigid(rng.normal(0, 0.01, 3), rng.normal(0, 0.002, 3))
        return straight @ rigid([1.5 * (t > 1.0), 0, 0])

    car = Car()
    car.say_clouds(TENTHS, lambda t: car.cloud(t, np.ones((5, 3))))
    report, session = car.say_odometry(2.0, way, twist=lambda t: (twist, (0, 0, 0))).sessions(tmp_path)
    said = "car_0: the poses of /odom jump 1 times, by up to 1.5 m, first 1.0 s into the bag"
    assert [problem.partition(":")[0] + ":" + problem.split(":")[1] for problem in report.problems] == (
        [said] if kind == "a jump" else []
    )
    assert all((session.state(number).linear == twist).all() for number in session.numbers)


@pytest.mark.parametrize("rate", [5.0, 50.0, 400.0])
def test_velocities_of_poses_alone_are_of_the_arc_and_not_of_its_chord(tmp_path: Path, rate: float) -> None:
    """A tight turn, 1.5 rad/s at 4 m/s: differences of positions are off by 0.6 m/s at 5 Hz."""
    way = lambda t: arc(t, 4.0, 1.5)  # noqa: E731
    car = Car()
    for k in range(round(2.2 * rate) + 1):
        pose = car.drive.pose(Pose.from_matrix(way(k / rate)))
        header = car.drive.header(EPOCH + k / rate, "odom")
        content = car.drive.make("geometry_msgs/msg/PoseStamped", header=header, pose=pose)
        car.messages.append(Said("/pose", "geometry_msgs/msg/PoseStamped", k / rate, content))
    car.say_clouds(TENTHS, lambda t: car.cloud(t, np.ones((5, 3))))
    _, session = car.sessions(tmp_path, {"odometry": "/pose"})
    assert len(session) == 5
    for number in session.numbers:
        assert session.state(number).linear == pytest.approx([4.0, 0, 0], abs=1e-3)
        assert session.state(number).angular == pytest.approx([0, 0, 1.5], abs=1e-3)


# -- returns


def test_what_did_not_come_back_is_no_return_however_a_driver_writes_it(tmp_path: Path) -> None:
    def cloud(t: float):
        real = seen(t)
        nothing = np.array(
            [[0, 0, 0], [-0.0, 0, 0], [1e-3, -2e-3, 0], [3e38, 3e38, 3e38], [3.4e38, 0, 0], [1e9, 0, 0],
             [np.nan, 1, 1], [np.inf, 0, 0], [0, -np.inf, 5]]
        )  # fmt: skip
        return car.cloud(t, np.vstack([nothing, real, nothing]))

    car = Car().say_odometry(2.0)
    report, session = car.say_clouds(TENTHS, cloud).sessions(tmp_path)
    assert misses(session, TENTHS) == [] and report.problems == []
    assert len(session.points(3)) == len(visible(1.0)) and not check_session(session.folder).damage


ROOF = np.array([(x, y, 0.75) for x in np.arange(-2.2, 2.3, 0.3) for y in np.arange(-0.9, 1.0, 0.3)])
BODY = '<collision><origin xyz="0 0 0.2"/><geometry><box size="4.5 1.9 1.2"/></geometry></collision>'


def roof_seen() -> np.ndarray:
    back = np.linalg.inv(MOUNT)
    return ROOF @ back[:3, :3].T + back[:3, 3]


@pytest.mark.parametrize("source", ["description", "config", "neither", "kept"])
def test_the_vehicle_does_not_see_itself(tmp_path: Path, source: str) -> None:
    roof = roof_seen()
    car = Car().say_odometry(2.0)
    car.say_clouds(TENTHS, lambda t: car.cloud(t, np.vstack([seen(t), roof])))
    config = {}
    if source == "description":
        car.say_description(urdf(body=BODY))
        config["description"] = "/robot_description"
    if source == "config":
        config["self_filter"] = (VehicleBox(Pose.from_xyz_rpy([0, 0, 0.2], [0, 0, 0]), np.array([4.6, 2.0, 1.3])),)
    if source == "kept":
        config["self_filter"] = ()
    report, session = car.sessions(tmp_path, config)
    assert (misses(session, TENTHS) == []) is (source != "kept")
    said = [problem for problem in report.problems if "nothing says how large it is" in problem]
    assert len(said) == (source == "neither") and all(
        "self_filter: [{size: [4.40, 2.00, 0.20]" in problem for problem in said
    )


@pytest.mark.parametrize("beside", ["nothing", "wall", "standing", "somebody"])
def test_what_is_not_the_vehicle_is_not_taken_for_it(tmp_path: Path, beside: str) -> None:
    """Nothing near; a wall that it drives along at one distance; a robot that stands, for which nothing goes by;
    somebody who walks behind it."""
    way = still(arc(0.0)) if beside == "standing" else arc
    wall = np.array([(x, 1.5, z) for x in np.arange(-9, 9, 0.2) for z in np.arange(-0.4, 2, 0.2)])
    back = np.linalg.inv(MOUNT)
    near = roof_seen() if beside == "standing" else wall @ back[:3, :3].T + back[:3, 3]
    near = near[:0] if beside == "nothing" else near
    car = Car().say_odometry(2.0, way, twist=lambda t: ((0, 0, 0), (0, 0, 0)) if beside == "standing" else TWIST)
    walker = np.array([(-3 + x, y, z) for x in (-0.2, 0, 0.2) for y in (-0.2, 0, 0.2) for z in (-0.2, 0.4, 1.0)])

    def nearby(t: float) -> np.ndarray:
        if beside != "somebody":
            return near
        step = np.array([0.15 * np.sin(3 * t), 0.3 * np.sin(2 * t), 0])
        return (walker + step) @ back[:3, :3].T + back[:3, 3]

    car.say_clouds(TENTHS, lambda t: car.cloud(t, np.vstack([seen(t, way), nearby(t)])))
    report, session = car.sessions(tmp_path)
    assert report.problems == []
    assert (misses(session, TENTHS, way) == []) is (beside == "nothing")


def test_min_range_is_of_the_sensor(tmp_path: Path) -> None:
    car = Car().say_odometry(2.0)
    ring = 1.4 * np.array([(np.cos(a), np.sin(a), 0.0) for a in np.linspace(0, 6, 40)])
    car.say_clouds(TENTHS, lambda t: car.cloud(t, np.vstack([ring, seen(t)])))
    _, session = car.sessions(tmp_path, {"min_range": 1.5})
    assert misses(session, TENTHS) == []


# -- frames' times


@pytest.mark.parametrize("rate", [3, 5, 7, 9.7, 10, 20])
def test_frames_are_half_a_second_apart_at_any_rate_of_the_lidar(tmp_path: Path, rate: float) -> None:
    stamps = [k / rate for k in range(round(4 * rate) + 1)]
    report, session = Car().say_odometry(4.2).say_clouds(stamps).sessions(tmp_path)
    assert times(session) == pytest.approx(np.arange(len(session)) * 0.5, abs=1e-6)
    assert len(session) >= 8 and report.problems == []
    assert misses(session, stamps) == []
    for number in session.numbers:  # the newest sweep's points, in the frame's own footprint
        t = times(session)[number - 1]
        newest = max(stamp for stamp in stamps if stamp <= t + 1e-6)
        back = np.linalg.inv(footprint(arc(t)))
        local = WORLD[visible(newest)] @ back[:3, :3].T + back[:3, 3]
        assert np.abs(session.points(number)[:, :3] - local).max() < 1e-3


def test_frames_keep_their_times_when_stamps_tremble_and_sweeps_are_lost(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    stamps = [k / 10 + rng.uniform(-4e-3, 4e-3) for k in range(1, 41) if k not in (5, 17, 18, 30)]
    _, session = Car().say_odometry(4.2).say_clouds(stamps).sessions(tmp_path)
    assert times(session) == pytest.approx(np.arange(1, len(session) + 1) * 0.5, abs=1e-6)
    assert len(session) >= 7 and misses(session, stamps) == []


# -- points' times


def turned(t: float, stamp_at: float, way) -> tuple[np.ndarray, np.ndarray]:
    """A sweep of 0.1 s from t on, points in the frames of their own times. Returns points and seconds after t."""
    chosen = WORLD[visible(t + stamp_at, way)]
    rng = np.random.default_rng(round(t * 10))
    after = np.sort(rng.uniform(0, 0.1, len(chosen)))
    after[0], after[-1] = 0.0, 0.1
    points = np.empty_like(chosen)
    for n, (point, at) in enumerate(zip(chosen, after, strict=True)):
        sensor = way(t + at) @ MOUNT
        points[n] = sensor[:3, :3].T @ (point - sensor[:3, 3])
    return points, after


CLOCKS = {
    "time": lambda after, stamp: after.astype("<f4"),
    "t": lambda after, stamp: np.round(after * 1e9).astype("<u4"),
    "offset_time": lambda after, stamp: np.round(after * 1e9).astype("<u4"),
    "timestamp": lambda after, stamp: stamp + after,
    "timestamp, ns": lambda after, stamp: np.round((stamp + after) * 1e9),
    "timestamp, PTP": lambda after, stamp: stamp + after + 37.0,
    "t, us": lambda after, stamp: np.round(after * 1e6).astype("<u4"),
}


@pytest.mark.parametrize("clock", CLOCKS)
def test_points_are_put_where_they_were_measured(tmp_path: Path, clock: str) -> None:
    """At 10 m/s and 0.5 rad/s; what stands in the world is a sweep that was taken at once from anywhere on the way."""
    way = lambda t: arc(t, 10.0, 0.5)  # noqa: E731
    car = Car().say_odometry(1.3, way, twist=lambda t: ((10.0, 0, 0), (0, 0, 0.5)), rate=100.0)

    def cloud(t: float):
        points, after = turned(t, 0.0, way)
        return car.cloud(t, points, **{clock.split(",")[0]: CLOCKS[clock](after, EPOCH + t)})

    stamps = TENTHS[:11]
    report, session = car.say_clouds(stamps, cloud).sessions(tmp_path)
    assert misses(session, stamps, way) == [] and len(session) == 3
    assert bool(report.problems) is (clock == "timestamp, PTP")
    t = times(session)[1]
    back = np.linalg.inv(footprint(way(t)))
    local = WORLD[visible(t, way)] @ back[:3, :3].T + back[:3, 3]
    assert np.abs(session.points(2)[:, :3] - local).max() < 3e-3


def test_times_before_the_stamp_are_as_good_and_a_still_field_changes_nothing(tmp_path: Path) -> None:
    way = lambda t: arc(t, 10.0, 0.5)  # noqa: E731
    stamps = TENTHS[1:11]
    for name, ends in (("ends", True), ("still", False)):
        car = Car().say_odometry(1.1, way, twist=lambda t: ((10.0, 0, 0), (0, 0, 0.5)), rate=100.0)

        def cloud(t: float, car: Car = car, ends: bool = ends):
            if not ends:
                return car.cloud(t, seen(t, way), time=np.full(len(seen(t, way)), 0.05, "<f4"))
            points, after = turned(t - 0.1, 0.1, way)
            return car.cloud(t, points, time=(after - 0.1).astype("<f4"))

        (tmp_path / name).mkdir()
        _, session = car.say_clouds(stamps, cloud).sessions(tmp_path / name)
        assert misses(session, stamps, way) == [] and len(session) == 2


def test_a_turning_lidar_on_a_turntable_with_times_of_its_points(tmp_path: Path) -> None:
    car = Car().say_odometry(1.3, rate=100.0).say_fixed("base_link", "foot", MOUNT)
    car.say_transforms(1.3, "foot", "lidar", lambda t: rigid([0, 0, 0], [0, 0, SPIN * t]), rate=100.0)

    def cloud(t: float):
        chosen = WORLD[visible(t)]
        after = np.linspace(0, 0.1, len(chosen))
        points = np.empty_like(chosen)
        for n, at in enumerate(after):
            sensor = arc(t + at) @ spinning(t + at)
            points[n] = sensor[:3, :3].T @ (chosen[n] - sensor[:3, 3])
        return car.cloud(t, points, time=after.astype("<f4"))

    _, session = car.say_clouds(TENTHS[:11], cloud).sessions(tmp_path, {"extrinsics": {}})
    assert misses(session, TENTHS[:11]) == [] and len(session) == 3


@pytest.mark.parametrize("nothing", [np.nan, 0.0])
def test_times_of_zero_where_nothing_came_back_are_no_times(tmp_path: Path, nothing: float) -> None:
    """As of a driver that leaves the rest of such a point at zero, with times since 1970 for all others."""
    car = Car().say_odometry(1.3, rate=100.0)

    def cloud(t: float):
        points, after = turned(t, 0.0, arc)
        stamps = np.concatenate([np.zeros(9), EPOCH + t + after])
        return car.cloud(t, np.vstack([np.full((9, 3), nothing), points]), timestamp=stamps)

    report, session = car.say_clouds(TENTHS[:11], cloud).sessions(tmp_path)
    assert misses(session, TENTHS[:11]) == [] and len(session) == 3 and report.problems == []


@pytest.mark.parametrize("gap", [1.03, 1.2])
@pytest.mark.parametrize("ends", [False, True])
def test_a_sweep_at_the_edge_of_a_gap_of_odometry_has_the_points_that_a_pose_is_known_for(tmp_path, gap, ends) -> None:
    """Odometry stops at 0.5 s, in the middle of what sweeps need, which are stamped at their beginning or end."""
    car = Car().say_odometry(3.0)
    car.messages = [said for said in car.messages if not 0.51 < said.stamp < 0.5 + gap]

    def cloud(t: float):
        points, after = turned(t - 0.1 * ends, 0.1 * ends, arc)
        return car.cloud(t, points, time=(after - 0.1 * ends).astype("<f4"))

    report, session = car.say_clouds([k / 10 for k in range(1, 28)], cloud).sessions(tmp_path)
    got = times(session)
    assert got[0] == pytest.approx(0.5) and got[-1] == pytest.approx(2.5)
    assert len(report.problems) == 1 and "no odometry around a sweep" in report.problems[0]
    for number in session.numbers:
        occupied = set(np.flatnonzero(session.classes(number).ravel()).tolist())
        assert len(occupied) > 1000 and not occupied - expected(got[number - 1], [k / 10 for k in range(-1, 28)])[1]


def test_clouds_that_were_undistorted_already_are_left_alone(tmp_path: Path) -> None:
    car = Car().say_odometry(2.2)
    car.say_clouds(TENTHS, lambda t: car.cloud(t, seen(t), time=np.linspace(0, 0.1, len(seen(t))).astype("<f4")))
    _, session = car.sessions(tmp_path, {"undistort": False})
    assert misses(session, TENTHS) == [] and len(session) == 5


# -- quaternions and clocks


@pytest.mark.parametrize("scale, taken, said", [(1.0005, True, False), (1.004, True, True), (0.996, True, True),
                                                (1.006, False, True), (0.99, False, True)])  # fmt: skip
def test_quaternions_a_little_off_are_brought_to_unit_length_and_counted(tmp_path: Path, scale, taken, said) -> None:
    car = Car().say_odometry(2.0, scale=scale).say_clouds(TENTHS)
    if not taken:
        with pytest.raises(SessionError, match="no sessions"):
            car.sessions(tmp_path)
        return
    report, session = car.sessions(tmp_path)
    assert misses(session, TENTHS) == [] and bool(report.problems) is said
    assert not said or "unit length, which it was brought to: 101 times" in report.problems[0]


def restamped(shift: float | None) -> Car:
    """The clouds stamped zero, or by another clock than the odometry."""
    car = Car().say_odometry(2.2)
    for t in TENTHS:
        cloud = car.cloud(t if shift is None else t + shift, seen(t))
        if shift is None:
            cloud.header.stamp.sec = cloud.header.stamp.nanosec = 0
        car.messages.append(Said("/points", "sensor_msgs/msg/PointCloud2", t, cloud))
    return car


@pytest.mark.parametrize(
    "shift, words",
    [
        (None, ["s apart", "/points is stamped zero"]),
        (37.0, ["37.000 s apart", "/points", "/odom", "by the recorder's clock"]),
        (1234.5 - EPOCH, ["1699998765.500 s apart", "1234.500 s, as if since a start"]),
        (-3600.0, ["3600.000 s apart", "before it was recorded"]),
    ],
)
def test_two_clocks_are_named_with_their_offset_and_the_log_s_times_put_them_right(tmp_path, shift, words) -> None:
    with pytest.raises(BagError) as caught:
        restamped(shift).sessions(tmp_path)
    assert all(word in str(caught.value) for word in [*words, "stamps: log"])
    assert "share the name" not in str(caught.value)
    (tmp_path / "log").mkdir()
    report, session = restamped(shift).sessions(tmp_path / "log", stamps=Stamps.LOG)
    assert misses(session, TENTHS) == [] and len(session) == 5 and report.problems == []


def test_stamps_that_stand_still_everywhere_are_named_too(tmp_path: Path) -> None:
    car = Car().say_odometry(2.2).say_clouds(TENTHS)
    for said in car.messages:
        said.content.header.stamp.sec = said.content.header.stamp.nanosec = 0
    with pytest.raises(BagError, match="stand still at 0.000 s.*stamps: log"):
        car.sessions(tmp_path)


def test_the_config_says_all_of_it_in_yaml(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "stamps: log\nrobots:\n  - {name: a, min_range: 1, undistort: false, continuous_frame: vio,"
        " self_filter: [{size: [4, 2, 1.5], xyz: [1, 0, 0.5], rpy: [0, 0, 1.57]}]}\n"
    )
    config = read_config(tmp_path / "own.yaml")
    (robot,) = config.robots
    assert config.stamps is Stamps.LOG and robot.min_range == 1 and not robot.undistort
    assert robot.continuous_frame == "vio" and robot.self_filter[0].size.tolist() == [4, 2, 1.5]
    assert robot.self_filter[0].pose.yaw == pytest.approx(1.57)
    for wrong in ("stamps: clock", "robots: [{name: a, self_filter: [{xyz: [0, 0, 0]}]}]",
                  "robots: [{name: a, self_filter: [{size: [1, 0, 1]}]}]", "robots: [{name: a, min_range: -1}]",
                  "robots: [{name: a, undistort: maybe}]"):  # fmt: skip
        (tmp_path / "own.yaml").write_text(wrong)
        with pytest.raises(BagError, match="stamps|self_filter|min_range|undistort"):
            read_config(tmp_path / "own.yaml")
