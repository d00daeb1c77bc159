"""Pose over time: one pose or many at once, the same; never outside of what was heard."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm
from scipy.spatial.transform import Rotation

from occ_core.odometry import Odometry, TwistCheck
from occ_core.point_filters import PointFilter, VehicleBox, undistorted
from occ_core.point_times import PointClock
from occ_core.pose_buffer import PoseBuffer, PoseUnknown
from occ_core.poses import Pose
from occ_core.urdf import body, link_poses


def moving(stamp: float, linear=(3.0, 0.5, 0.1), angular=(0.1, -0.2, 0.9)) -> np.ndarray:
    """(4, 4) of a body with constant velocities in its own frame, by the matrix exponential."""
    x, y, z = angular
    twist = np.zeros((4, 4))
    twist[:3, :3] = [[0, -z, y], [z, 0, -x], [-y, x, 0]]
    twist[:3, 3] = linear
    return expm(twist * stamp)


def heard(stamps, **limits) -> PoseBuffer:
    buffer = PoseBuffer(**limits)
    for stamp in stamps:
        assert buffer.add(float(stamp), Pose.from_matrix(moving(stamp)))
    return buffer


@settings(max_examples=50)
@given(st.lists(st.floats(0, 2), min_size=1, max_size=20))
def test_poses_between_those_heard_are_exact_for_constant_velocities(asked: list[float]) -> None:
    buffer = heard([0, 0.3, 0.35, 1.1, 2.0])
    positions, rotations = buffer.batch(np.array(asked))
    for at, position, rotation in zip(asked, positions, rotations, strict=True):
        assert np.allclose(buffer.at(at).matrix, moving(at), atol=1e-8)  # stamps are the same within a nanosecond
        assert np.allclose(position, moving(at)[:3, 3], atol=1e-9)
        assert np.allclose(rotation, moving(at)[:3, :3], atol=1e-9)


@pytest.mark.parametrize("stamp", [-0.1, 2.1, np.nan, np.inf])
def test_nothing_is_known_outside(stamp: float) -> None:
    buffer = heard([0, 1, 2])
    assert not buffer.knows(stamp)
    with pytest.raises(PoseUnknown, match="from 0.000000 s to 2.000000 s"):
        buffer.at(stamp)
    with pytest.raises(PoseUnknown):
        buffer.batch(np.array([0.5, stamp]))
    with pytest.raises(PoseUnknown, match="no pose has come"):
        PoseBuffer().at(1.0)


def test_a_gap_is_not_bridged_but_its_ends_are_near() -> None:
    buffer = heard([0, 0.5, 2.0], longest_gap=1.0)
    assert buffer.knows(0.25) and buffer.knows(0.5) and not buffer.knows(1.0)
    with pytest.raises(PoseUnknown):
        buffer.batch(np.array([0.2, 1.0]))
    assert np.allclose(buffer.nearest(0.6, 0.2).matrix, moving(0.5)) and buffer.nearest(1.2, 0.2) is None
    assert np.allclose(buffer.nearest(2.1, 0.2).matrix, moving(2.0))


def test_it_keeps_what_it_was_told_to() -> None:
    buffer = heard(np.arange(0, 30, 0.1), memory=10.0)
    assert buffer.first == pytest.approx(19.9) and len(buffer) <= 102
    assert not buffer.add(buffer.last, Pose.identity()) and not buffer.add(5.0, Pose.identity())
    buffer.forget_before(25.03)
    assert buffer.knows(25.03) and buffer.first == pytest.approx(25.0)
    part = buffer.between(26.05, 26.41, 26.2)
    assert part.stamps == pytest.approx([26.0, 26.1, 26.2, 26.3, 26.4, 26.5])
    buffer.forget_after(26.0)
    assert buffer.last == pytest.approx(26.0)
    buffer.clear()
    assert len(buffer) == 0 and buffer.nearest(26.0, 1.0) is None


@pytest.mark.parametrize("at", [0.0, 0.033, 0.5, 1.0])
def test_velocities_are_the_logarithm_of_the_step(at: float) -> None:
    linear, angular = heard(np.linspace(0, 1, 5)).velocity(at, 0.05)
    assert linear == pytest.approx([3.0, 0.5, 0.1], abs=1e-9) and angular == pytest.approx([0.1, -0.2, 0.9], abs=1e-9)
    with pytest.raises(PoseUnknown, match="one pose"):
        heard([1.0]).velocity(1.0, 0.05)


def test_points_are_carried_by_the_pose_of_their_time_and_unknown_where_that_is() -> None:
    rng = np.random.default_rng(0)
    times = rng.uniform(0.9, 2.2, 500)
    points = rng.uniform(-40, 40, (500, 3)).astype(np.float32)
    placed, known = undistorted(points, times, heard(np.linspace(1, 2, 21)))
    assert (known == ((times >= 1) & (times <= 2))).all() and np.isnan(placed[~known]).all()
    for n in np.flatnonzero(known):
        assert np.allclose(placed[n], moving(times[n])[:3, :3] @ points[n] + moving(times[n])[:3, 3], atol=1e-3)


def said(stamp: float, linear, angular, noise: np.ndarray | None = None) -> Odometry:
    pose = Pose.from_matrix(moving(stamp))
    if noise is not None:
        pose = Pose(pose.position + noise, pose.orientation)
    return Odometry(stamp, pose, np.asarray(linear, float), np.asarray(angular, float))


@pytest.mark.parametrize("rate", [10, 50, 400])
def test_only_a_twist_that_is_wrong_is_found_so(rate: int) -> None:
    right = (3.0, 0.5, 0.1), (0.1, -0.2, 0.9)
    rng = np.random.default_rng(0)
    for twist, wrong in ((right, False), (((0, 0, 0), right[1]), True), ((right[0], (0, 0, 0)), True)):
        check = TwistCheck()
        for k in range(5 * rate):
            check.add(said(k / rate, *twist, noise=rng.normal(0, 0.01, 3)))
        assert check.wrong is wrong, twist


def test_the_unit_and_the_clock_of_points_times_are_found_and_kept() -> None:
    def cloud(name: str, values) -> np.ndarray:
        values = np.asarray(values)
        out = np.zeros(len(values), [("x", "f4"), (name, values.dtype)])
        out[name] = values
        return out

    spread = np.linspace(0, 0.1, 100)
    clock = PointClock()
    assert clock.offsets(cloud("t", (spread * 1e9).astype("u4")), 5e8) == pytest.approx(spread, abs=1e-8)
    # A sweep of few points is of the unit that the others have shown.
    assert clock.offsets(cloud("t", np.array([0, 50_000], "u4")), 5e8) == pytest.approx([0, 5e-5])
    assert PointClock().offsets(cloud("time", (spread - 0.1).astype("f4")), 9.0) == pytest.approx(
        spread - 0.1, abs=1e-6
    )
    nanoseconds = (np.uint64(1_700_000_000 * 10**9) + (spread * 1e9).astype("u8")).astype("u8")
    assert PointClock().offsets(cloud("timestamp", nanoseconds), 1.7e9) == pytest.approx(spread, abs=1e-6)
    assert PointClock().offsets(cloud("timestamp", 0.5 + spread), 0.5) == pytest.approx(spread)
    for still in (np.zeros(9), np.full(9, 1.7e9), np.full(9, np.nan)):
        assert PointClock().offsets(cloud("time", still), 1.7e9) is None
    assert PointClock().offsets(cloud("ring", np.arange(9)), 0.0) is None
    with_holes = np.where(np.arange(100) % 7 == 0, np.nan, spread)
    offsets = PointClock().offsets(cloud("time", with_holes), 3.0)
    assert (np.isnan(offsets) == np.isnan(with_holes)).all()


def test_the_body_of_a_urdf_is_what_is_left_out() -> None:
    xml = """<robot name="r"><link name="base_link"><collision><origin xyz="0.5 0 0"/><geometry><box size="2 1 1"/>
    </geometry></collision></link><link name="mast"><visual><geometry><cylinder radius="0.1" length="2"/></geometry>
    </visual></link><link name="skin"><visual><geometry><mesh filename="a.stl"/></geometry></visual></link>
    <joint name="j" type="fixed"><parent link="base_link"/><child link="mast"/>
    <origin xyz="0 0 1.5" rpy="0 0 0.7"/></joint>
    <joint name="k" type="fixed"><parent link="base_link"/><child link="skin"/></joint></robot>"""
    boxes = body(xml, link_poses(xml), margin=0.05)
    assert [box.size.round(9).tolist() for box in boxes] == [[2.1, 1.1, 1.1], [0.3, 0.3, 2.1]]
    mount = Pose.from_xyz_rpy([0, 0, 3], [np.pi, 0, 0.3])
    inside = np.array([[1.5, 0.5, 0.5], [-0.5, -0.5, -0.5], [0.0, 0.1, 2.4]])
    outside = np.array([[1.6, 0, 0], [0, 0.6, 0], [0, 0.35, 2.0], [0, 0, 2.6]])
    seen = mount.inverse().apply(np.vstack([inside, outside]))
    assert PointFilter(0.0, boxes).usable(seen, None, mount).tolist() == [False] * 3 + [True] * 4
    turned = VehicleBox(Pose.from_xyz_rpy([0, 0, 0], [0, 0, np.pi / 4]), np.array([4.0, 0.2, 1.0]))
    along = Rotation.from_euler("z", np.pi / 4).apply([[1.9, 0, 0], [0, 1.9, 0]])
    assert PointFilter(0.0, (turned,)).usable(along, None, Pose.identity()).tolist() == [False, True]
