"""Messages say what the data said, and odd ones are read or refused in words."""

from __future__ import annotations

from array import array

import numpy as np
import pytest
from geometry_msgs.msg import Pose as PoseMsg
from geometry_msgs.msg import Twist
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image, PointCloud2, PointField

from occ_core.actors import Actor
from occ_core.classes import Semantic
from occ_core.poses import Pose
from occ_core.stamps import from_stamp
from occ_ros.convert import (
    cloud_xyz,
    from_actors,
    from_cloud,
    from_image,
    from_pose,
    from_twist,
    to_actors,
    to_cloud,
    to_image,
    to_pose,
)
from occ_ros.diagnostics import to_diagnostics, to_stamp
from occ_ros.qos import from_raw

POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4"), ("ring", "<u2"), ("time", "<f8")])


def points(count: int, dtype: np.dtype = POINT) -> np.ndarray:
    rng = np.random.default_rng(count)
    out = np.zeros(count, dtype)
    for name in dtype.names:
        out[name] = rng.uniform(0, 250, count)
    return out


@pytest.mark.parametrize("count, height", [(0, 1), (1, 1), (12, 1), (12, 4)])
@pytest.mark.parametrize("dtype", [POINT, np.dtype(POINT.descr, align=True)], ids=["packed", "padded"])
def test_a_cloud_comes_back_field_for_field(dtype, count, height):
    sent = points(count, dtype)
    message = to_cloud(sent, "rover_0/lidar_link", 12.25, height)
    assert (message.height, message.width, message.row_step) == (
        height,
        count // height,
        count // height * dtype.itemsize,
    )
    assert (message.header.frame_id, from_stamp(message.header.stamp)) == ("rover_0/lidar_link", 12.25)
    got = from_cloud(message)
    assert got.dtype.names == dtype.names
    for name in dtype.names:
        assert (got[name] == sent[name]).all()


def test_every_number_type_survives():
    dtype = np.dtype([(t, t) for t in ("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8")])
    sent = points(7, dtype)
    got = from_cloud(to_cloud(sent, "f", 0.0))
    assert all((got[name] == sent[name]).all() and got.dtype[name] == dtype[name] for name in dtype.names)


def test_big_endian_clouds_are_read():
    sent = points(9)
    message = to_cloud(sent, "f", 0.0)
    message.is_bigendian = True
    message.data = array("B", sent.astype(POINT.newbyteorder(">")).tobytes())
    got = from_cloud(message)
    assert all((got[name] == sent[name]).all() for name in POINT.names)


def test_gaps_between_fields_and_after_a_point_are_skipped():
    dtype = np.dtype({"names": ["z", "x", "y"], "formats": ["<f4"] * 3, "offsets": [20, 0, 8], "itemsize": 32})
    sent = points(5, dtype)
    got = cloud_xyz(from_cloud(to_cloud(sent, "f", 0.0)))
    assert got.dtype == np.float32 and (got == np.column_stack([sent["x"], sent["y"], sent["z"]])).all()


def test_clouds_that_contradict_themselves_are_refused():
    message = to_cloud(points(6), "f", 0.0, height=2)
    short = to_cloud(points(6), "f", 0.0)
    short.data = short.data[:-1]
    with pytest.raises(ValueError, match="bytes"):
        from_cloud(short)
    message.row_step -= 4
    with pytest.raises(ValueError, match="rows of"):
        from_cloud(message)
    beyond = to_cloud(points(6), "f", 0.0)
    beyond.point_step = 4
    with pytest.raises(ValueError):
        from_cloud(beyond)


def test_an_unknown_number_type_is_refused():
    message = PointCloud2(height=1, width=0, point_step=4, fields=[PointField(name="x", datatype=77, count=1)])
    with pytest.raises(ValueError):
        from_cloud(message)


def test_a_cloud_without_z_is_refused():
    with pytest.raises(ValueError, match="x, y and z.*x, y"):
        cloud_xyz(np.zeros(3, np.dtype([("x", "f4"), ("y", "f4")])))


@given(st.floats(0, 2e9))
def test_stamps_are_right_to_the_nanosecond(seconds):
    stamp = to_stamp(seconds)
    assert 0 <= stamp.nanosec < 10**9
    assert abs(stamp.sec * 10**9 + stamp.nanosec - seconds * 1e9) <= 1 + seconds * 1e9 * 2e-16
    assert from_stamp(stamp) == pytest.approx(seconds, abs=5e-7)


@given(st.tuples(*(st.floats(-1e5, 1e5),) * 3), st.tuples(*(st.floats(-3, 3),) * 3))
def test_a_pose_comes_back_and_quaternions_are_in_the_order_of_their_names(xyz, rpy):
    pose = Pose.from_xyz_rpy(np.array(xyz), np.array(rpy) / 2.1)
    message = to_pose(pose)
    assert (message.orientation.w, message.orientation.x) == (pose.orientation[0], pose.orientation[1])
    again = from_pose(message)
    assert (again.position == pose.position).all() and np.allclose(again.orientation, pose.orientation, atol=1e-15)


def test_a_quaternion_of_zeros_is_refused():
    message = to_pose(Pose.identity())
    message.orientation.w = 0.0
    with pytest.raises(ValueError, match="unit quaternion"):
        from_pose(message)


def test_an_image_comes_back_and_padded_or_bgr_ones_are_read():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    message = to_image(pixels, "camera", 3.5)
    assert (message.height, message.width, message.step, message.encoding) == (5, 7, 21, "rgb8")
    assert (from_image(message) == pixels).all()
    message.encoding = "bgr8"
    assert (from_image(message) == pixels[:, :, ::-1]).all()
    padded = np.zeros((5, 24), np.uint8)
    padded[:, :21] = pixels.reshape(5, 21)
    wide = Image(height=5, width=7, step=24, encoding="rgb8", data=array("B", padded.tobytes()))
    assert (from_image(wide) == pixels).all()


def test_images_that_can_not_be_read_are_refused():
    message = to_image(np.zeros((5, 7, 3), np.uint8), "camera", 0.0)
    message.encoding = "bayer_rggb8"
    with pytest.raises(ValueError, match="bayer_rggb8"):
        from_image(message)
    message.encoding, message.data = "rgb8", message.data[:-1]
    with pytest.raises(ValueError):
        from_image(message)


ACTORS = [
    Actor(
        1,
        Semantic.ROVER,
        Pose.from_xyz_rpy([1, 2, 3], [0, 0, 1]),
        np.array([1.0, 2, 3]),
        np.array([0.3, -4.0, 0.02]),
        "rover_0",
    ),
    Actor(107, Semantic.TRUCK_BUS, Pose.from_xyz_rpy([4, 5, 6], [0, 0, -2]), np.array([8.0, 2, 3]), np.zeros(3)),
]


def test_actors_come_back_with_class_size_velocity_and_name():
    stamp, got = from_actors(to_actors(ACTORS, 7.5))
    assert stamp == 7.5
    for a, b in zip(ACTORS, got, strict=True):
        assert (a.instance, a.semantic, a.name) == (b.instance, b.semantic, b.name)
        assert np.allclose(a.pose.matrix, b.pose.matrix) and (a.size == b.size).all()
        assert b.velocity == pytest.approx(a.velocity, abs=1e-12)
    assert from_actors(to_actors([], 7.5)) == (0.0, [])


def test_each_actor_is_a_cube_and_an_arrow_to_where_it_is_in_a_second():
    cube, arrow, *_ = to_actors(ACTORS, 7.5).markers
    assert (cube.type, cube.ns, cube.id, cube.text) == (cube.CUBE, "rover", 1, "rover_0")
    assert (arrow.type, arrow.ns, arrow.id, arrow.header.frame_id) == (arrow.ARROW, "velocity", 1, "map")
    assert [(p.x, p.y, p.z) for p in arrow.points] == [(1, 2, 3), pytest.approx((1.3, -2.0, 3.02))]


def test_cubes_without_arrows_stand_still_and_arrows_without_two_points_are_refused():
    message = to_actors(ACTORS, 7.5)
    message.markers = [marker for marker in message.markers if marker.type == marker.CUBE]
    assert not any(actor.velocity.any() for actor in from_actors(message)[1])
    message = to_actors(ACTORS, 7.5)
    message.markers[1].points.pop()
    with pytest.raises(ValueError, match="velocity of actor 1"):
        from_actors(message)


def test_a_marker_of_an_unknown_class_is_refused():
    message = to_actors(ACTORS[:1], 0.0)
    message.markers[0].ns = "ufo"
    with pytest.raises(ValueError, match="ufo"):
        from_actors(message)


def test_a_problem_is_a_warning_in_words():
    good, bad = (to_diagnostics("recorder", problem, {"frames": 3}, 1.0).status[0] for problem in ("", "disk full"))
    assert (good.level, good.message) == (b"\x00", "running") and (bad.level, bad.message) == (b"\x01", "disk full")
    assert (bad.values[0].key, bad.values[0].value) == ("frames", "3")


@pytest.mark.parametrize("seconds", [2.0**31, -(2.0**31) - 1, np.nan])
def test_a_time_that_no_stamp_can_say_is_refused(seconds):
    with pytest.raises(ValueError):
        to_stamp(seconds)


@pytest.mark.parametrize("axis", "xyz")
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1e300])
def test_a_place_that_is_not_on_earth_and_a_velocity_that_is_none_are_refused(axis, wrong):
    place = PoseMsg()
    place.orientation.w = 1.0
    setattr(place.position, axis, wrong)
    with pytest.raises(ValueError, match="position"):
        from_pose(place)
    if not np.isfinite(wrong):
        command = Twist()
        setattr(command.angular, axis, wrong)
        with pytest.raises(ValueError, match="velocities"):
            from_twist(command)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1.0])
def test_an_actor_without_a_size_is_refused(wrong):
    message = to_actors(ACTORS, 7.5)
    message.markers[0].scale.y = wrong
    with pytest.raises(ValueError, match="with size"):
        from_actors(message)


def test_bytes_that_are_no_message_of_their_type_can_not_be_used() -> None:
    sent = to_image(np.full((4, 6, 3), 90, np.uint8), "front", 1.5)
    raw = serialize_message(sent)
    assert from_raw(raw, Image) == sent
    for wrong in (raw[: len(raw) // 2], b"", b"\x07rubbish"):
        with pytest.raises(ValueError):
            from_raw(wrong, Image)
