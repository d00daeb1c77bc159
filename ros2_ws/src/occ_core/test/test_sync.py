"""Messages of several topics become sweeps, whatever order they come in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from occ_core.actors import Actor
from occ_core.classes import Semantic
from occ_core.poses import Pose
from occ_core.sync import Odometry, SweepSynchronizer, SyncedSweep

CAMERAS = ("front", "back")


def odometry(stamp: float) -> Odometry:
    """A drive at 2 m/s that turns left at 0.1 rad/s: an arc of 20 m radius."""
    turned = 0.1 * stamp
    pose = Pose.from_xyz_rpy([20 * np.sin(turned), 20 * (1 - np.cos(turned)), 0], [0, 0, turned])
    return Odometry(stamp, pose, np.array([2.0, 0, 0]), np.array([0, 0, 0.1]))


def actor(stamp: float) -> Actor:
    return Actor(7, Semantic.CAR, Pose.from_xyz_rpy([stamp, 5, 0], [0, 0, 0]), np.ones(3), np.zeros(3))


def points(stamp: float) -> np.ndarray:
    return np.full((3, 4), stamp, dtype=np.float32)


def image(stamp: float, camera: str) -> np.ndarray:
    return np.full((2, 2, 3), round(stamp * 20 + CAMERAS.index(camera)) % 251, dtype=np.uint8)


def recording(seconds: float, begin: float = 0.0) -> dict[str, list[tuple]]:
    """The messages of each topic in order, as (method, arguments)."""
    tenths = [round(begin + 0.1 * k, 3) for k in range(round(seconds * 10))]
    fiftieths = [round(begin + 0.02 * k - 0.013, 4) for k in range(round(seconds * 50) + 2)]
    return {
        "sweeps": [("add_sweep", (t, points(t), "rover_0/lidar_link")) for t in tenths],
        "odometry": [("add_odometry", (odometry(t),)) for t in fiftieths],
        "actors": [("add_actors", (t, [actor(t)])) for t in tenths],
        **{camera: [("add_image", (t, camera, image(t, camera))) for t in tenths] for camera in CAMERAS},
    }


def feed(synchronizer: SweepSynchronizer, messages: list[tuple]) -> list[SyncedSweep]:
    out = []
    for method, arguments in messages:
        getattr(synchronizer, method)(*arguments)
        out += synchronizer.take()
    return out


def by_stamp(topics: dict[str, list[tuple]], delays: dict[str, float] | None = None) -> list[tuple]:
    """All messages by the time of their arrival: their stamp and a delay by method, seconds."""

    def stamp(message: tuple) -> float:
        first = message[1][0]
        return (first.stamp if isinstance(first, Odometry) else first) + (delays or {}).get(message[0], 0.0)

    return sorted((m for messages in topics.values() for m in messages), key=stamp)


def full() -> SweepSynchronizer:
    return SweepSynchronizer(0.5, frozenset(CAMERAS), needs_actors=True)


def summary(sweep: SyncedSweep) -> tuple:
    return (
        sweep.stamp, sweep.keyframe, sweep.odometry.pose.matrix.round(9).tolist(), float(sweep.points[0, 0]),
        [float(a.pose.position[0]) for a in sweep.actors],
        {camera: int(pixels[0, 0, 0]) for camera, pixels in sweep.images.items()},
    )  # fmt: skip


EXPECTED = [summary(sweep) for sweep in feed(full(), by_stamp(recording(0.9)))]


def test_every_sweep_comes_out_once_with_the_pose_actors_and_images_of_its_instant():
    sweeps = feed(full(), by_stamp(recording(3.0)))
    assert [sweep.stamp for sweep in sweeps] == pytest.approx(np.arange(30) * 0.1)
    for sweep in sweeps:
        assert sweep.odometry.stamp == pytest.approx(sweep.stamp)
        assert np.allclose(sweep.odometry.pose.matrix, odometry(sweep.stamp).pose.matrix, atol=1e-9)
        assert (sweep.points == points(sweep.stamp)).all()
        assert sweep.actors[0].pose.position[0] == pytest.approx(sweep.stamp)
        if sweep.keyframe:
            for camera in CAMERAS:
                assert (sweep.images[camera] == image(sweep.stamp, camera)).all()
    assert [sweep.stamp for sweep in sweeps if sweep.keyframe] == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5])


@settings(max_examples=150)
@given(st.data())
def test_any_interleaving_of_the_same_messages_gives_the_same_sweeps(data):
    topics = recording(0.9)  # less than the synchronizer's patience
    order = data.draw(st.permutations([name for name, messages in topics.items() for _ in messages]))
    waiting = {name: iter(messages) for name, messages in topics.items()}
    synchronizer = full()
    sweeps = feed(synchronizer, [next(waiting[name]) for name in order])
    assert [summary(sweep) for sweep in sweeps] == EXPECTED
    assert not synchronizer.dropped


def test_keyframes_fall_on_whole_periods():
    sweeps = feed(full(), by_stamp(recording(2.0, begin=7.2)))
    assert [sweep.stamp for sweep in sweeps if sweep.keyframe] == pytest.approx([7.5, 8.0, 8.5, 9.0])


def test_a_topic_that_is_half_a_second_late_costs_nothing():
    for late in ("sweeps", "odometry", "actors", *CAMERAS):
        topics = recording(3.0)
        at = {id(m): t for name, ms in topics.items() for m, t in zip(ms, np.linspace(0, 3, len(ms)), strict=True)}
        delay = {id(m): 0.5 for m in topics[late]}
        order = sorted((m for ms in topics.values() for m in ms), key=lambda m: at[id(m)] + delay.get(id(m), 0))
        synchronizer = full()
        assert len(feed(synchronizer, order)) == 30, late
        assert not synchronizer.dropped, late


def test_sweeps_without_odometry_are_given_up_and_counted():
    topics = recording(3.0)
    topics["odometry"] = [m for m in topics["odometry"] if m[1][0].stamp > 1.0]
    synchronizer = full()
    sweeps = feed(synchronizer, by_stamp(topics))
    assert sweeps[0].stamp == pytest.approx(1.1)
    assert synchronizer.dropped == {"no odometry around a sweep": 11}


def test_sweeps_whose_actors_never_come_are_given_up_and_counted():
    topics = recording(3.0)
    del topics["actors"][5]
    synchronizer = full()
    stamps = [sweep.stamp for sweep in feed(synchronizer, by_stamp(topics))]
    assert 0.5 not in stamps and 0.6 in stamps
    assert synchronizer.dropped == {"no actors at a sweep": 1}


def test_a_keyframe_whose_image_never_comes_is_given_up_and_the_camera_named():
    topics = recording(4.0)
    del topics["back"][10]
    synchronizer = full()
    sweeps = feed(synchronizer, by_stamp(topics))
    assert [sweep.stamp for sweep in sweeps if sweep.keyframe] == pytest.approx([0, 0.5, 1.5, 2, 2.5, 3, 3.5])
    assert synchronizer.dropped == {"no image of back at a keyframe": 1}
    (missed,) = (sweep for sweep in sweeps if sweep.missed)
    assert missed.stamp == pytest.approx(1.0) and len(missed.points), "its points are still good for the next grid"


def test_images_are_only_waited_for_at_keyframes():
    topics = recording(1.0)
    for camera in CAMERAS:
        topics[camera] = topics[camera][::5]
    assert len(feed(full(), by_stamp(topics))) == 10


def test_without_cameras_and_actors_odometry_is_enough():
    topics = {name: messages for name, messages in recording(1.0).items() if name in ("sweeps", "odometry")}
    assert len(feed(SweepSynchronizer(0.5), by_stamp(topics))) == 10


def test_sweeps_that_wait_and_come_twice_or_backwards_are_dropped_and_counted():
    synchronizer = SweepSynchronizer(0.5)
    for stamp in (1.0, 1.1, 1.1, 1.05):
        synchronizer.add_sweep(stamp, points(stamp), "lidar")
    synchronizer.add_odometry(odometry(0.9))
    synchronizer.add_odometry(odometry(1.2))
    assert [sweep.stamp for sweep in synchronizer.take()] == [1.0, 1.1]
    assert synchronizer.dropped == {"sweep out of order": 1, "sweep that came twice": 1}


@pytest.mark.parametrize("again", [1.1, 1.05])
def test_a_sweep_that_comes_twice_or_backwards_after_it_was_taken_is_dropped_and_counted(again):
    synchronizer = SweepSynchronizer(0.5)
    for stamp in (0.9, 1.0, 1.1, 1.2):
        synchronizer.add_odometry(odometry(stamp))
    taken = []
    for stamp in (1.0, 1.1, again):
        synchronizer.add_sweep(stamp, points(stamp), "lidar")
        taken += [sweep.stamp for sweep in synchronizer.take()]
    assert taken == [1.0, 1.1]
    assert synchronizer.dropped == {"sweep that came twice" if again == 1.1 else "sweep out of order": 1}


SPIKES = (np.array([0.0, 0.0, -124.8]), np.array([40.0, 0, 0]))  # rad/s; the first is Gazebo's, at a half turn


@pytest.mark.parametrize("spike", SPIKES)
def test_an_impossible_turn_is_replaced_by_the_poses_and_counted(spike):
    topics = recording(1.0)
    spiked = [
        (method, (replace(o, angular=spike) if 20 <= number < 26 else o,))
        for number, (method, (o,)) in enumerate(topics["odometry"])
    ]
    synchronizer = SweepSynchronizer(0.5)
    sweeps = feed(synchronizer, by_stamp(topics | {"odometry": spiked, "front": [], "back": []}))
    assert len(sweeps) == 10
    for sweep in sweeps:
        expected = odometry(sweep.stamp)
        assert sweep.odometry.angular == pytest.approx(expected.angular, abs=1e-6)
        assert sweep.odometry.linear == pytest.approx(expected.linear, abs=0.003)
        assert sweep.odometry.pose.position == pytest.approx(expected.pose.position, abs=1e-6)
    assert synchronizer.dropped == {"odometry with an impossible velocity, worked out from poses instead": 6}


def test_impossible_velocities_without_a_pose_to_go_by_are_left_out():
    synchronizer = SweepSynchronizer(0.5)
    synchronizer.add_odometry(replace(odometry(0.0), linear=np.array([0, 900.0, 0])))  # nothing came before
    synchronizer.add_odometry(odometry(0.02))
    jumped = Pose(odometry(0.04).pose.position + (500.0, 0, 0), odometry(0.04).pose.orientation)
    synchronizer.add_odometry(replace(odometry(0.04), pose=jumped, linear=np.array([25000.0, 0, 0])))
    synchronizer.add_odometry(odometry(0.06))
    synchronizer.add_sweep(0.04, points(0.04), "lidar")
    (sweep,) = synchronizer.take()
    assert sweep.odometry.pose.position == pytest.approx(odometry(0.04).pose.position, abs=1e-3)
    assert synchronizer.dropped == {"odometry with an impossible velocity": 2}


def test_odometry_that_comes_twice_or_backwards_changes_nothing():
    topics = recording(0.9)
    doubled = [m for message in topics["odometry"] for m in (message, message)]
    topics["odometry"] = [
        m for i, m in enumerate(doubled) for m in ((m, doubled[max(i - 4, 0)]) if i % 7 == 0 else (m,))
    ]
    waiting, out, synchronizer = by_stamp({k: v for k, v in topics.items() if k != "odometry"}), [], full()
    out += feed(synchronizer, topics["odometry"])
    out += feed(synchronizer, waiting)
    assert [summary(sweep) for sweep in out] == EXPECTED


@pytest.mark.parametrize("first", ["sweeps", "odometry", "actors", "front"])
def test_after_a_clock_reset_sweeps_come_as_if_from_the_beginning(first):
    synchronizer = full()
    feed(synchronizer, by_stamp(recording(3.0, begin=100.0)))
    topics = recording(3.0)
    order = by_stamp(topics)
    order.sort(key=lambda message: message is not topics[first][0])  # one topic is first to show the reset
    stamps = [sweep.stamp for sweep in feed(synchronizer, order)]
    assert stamps[-1] == pytest.approx(2.9) and len(stamps) >= 28
    assert stamps == sorted(stamps)


def test_clear_forgets_what_waits():
    synchronizer = full()
    topics = recording(1.0)
    feed(synchronizer, topics["sweeps"] + topics["actors"] + topics["front"] + topics["back"])
    synchronizer.clear()
    assert feed(synchronizer, topics["odometry"]) == []


def test_images_whose_stamps_differ_by_less_than_a_sweeps_instant_belong_together():
    topics = recording(2.0)
    topics["back"] = [(method, (t + 0.003, camera, pixels)) for method, (t, camera, pixels) in topics["back"]]
    sweeps = feed(full(), by_stamp(topics))
    assert sum(sweep.keyframe for sweep in sweeps) == 4
    assert all(sweep.images.keys() == set(CAMERAS) for sweep in sweeps if sweep.keyframe)


def test_cameras_without_a_lidar_do_not_fill_the_memory():
    synchronizer = full()
    for message in recording(60.0)["front"]:
        feed(synchronizer, [message])
    assert sum(map(len, synchronizer._images.values())) <= 26


def test_a_camera_with_a_wrong_clock_costs_the_others_nothing():
    topics = recording(3.0)
    topics["back"] = [(method, (t + 1e6, camera, pixels)) for method, (t, camera, pixels) in topics["back"]]
    synchronizer = full()
    feed(synchronizer, by_stamp({name: messages for name, messages in topics.items() if name != "back"}))
    feed(synchronizer, topics["back"])
    assert set(synchronizer.dropped) == {"no image of back at a keyframe"}


def imu(stamp: float) -> tuple[float, np.ndarray, np.ndarray]:
    return stamp, np.array([0, 0, stamp]), np.array([0, 0, 9.81])


def with_imu(topics: dict[str, list[tuple]], silent_after: float = np.inf) -> dict[str, list[tuple]]:
    stamps = [round(0.01 * k - 0.6, 3) for k in range(460)]
    return {**topics, "imu": [("add_imu", imu(t)) for t in stamps if t <= silent_after]}


def without_cameras(seconds: float) -> dict[str, list[tuple]]:
    return {name: messages for name, messages in recording(seconds).items() if name in ("sweeps", "odometry")}


def test_a_keyframe_has_the_imu_samples_of_the_period_before_it_and_waits_for_the_last():
    topics = with_imu(without_cameras(3.0))
    for order in (by_stamp(topics), by_stamp(topics, {"add_imu": 0.5})):
        sweeps = feed(SweepSynchronizer(0.5, with_imu=True), order)
        keyframes = [sweep for sweep in sweeps if sweep.keyframe]
        assert len(keyframes) == 6 and all(sweep.imu is None for sweep in sweeps if not sweep.keyframe)
        for sweep in keyframes:
            assert sweep.imu.shape == (50, 7) and sweep.imu[-1, 0] == pytest.approx(sweep.stamp)
            assert (np.diff(sweep.imu[:, 0]) > 0).all() and (sweep.imu[:, 3] == sweep.imu[:, 0]).all()


def test_an_imu_that_falls_silent_costs_no_frame_and_is_counted():
    synchronizer = SweepSynchronizer(0.5, with_imu=True)
    topics = with_imu(without_cameras(4.0), silent_after=0.7)
    keyframes = [sweep for sweep in feed(synchronizer, by_stamp(topics)) if sweep.keyframe]
    assert [sweep.stamp for sweep in keyframes] == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5, 3])
    assert [len(sweep.imu) for sweep in keyframes] == [50, 50, 20, 0, 0, 0, 0]
    assert synchronizer.dropped == {"IMU silent at a keyframe": 5}


def test_odometry_more_than_a_second_apart_says_nothing_about_what_is_between():
    topics = without_cameras(6.0)
    topics["odometry"] = [m for m in topics["odometry"] if not 2.0 < m[1][0].stamp < 4.0]
    synchronizer = SweepSynchronizer(0.5)
    stamps = np.array([sweep.stamp for sweep in feed(synchronizer, by_stamp(topics))])
    assert not ((stamps > 2.0) & (stamps < 4.0)).any() and len(stamps) > 38
    assert set(synchronizer.dropped) == {"no odometry around a sweep"}


def test_images_of_a_camera_with_a_clock_of_its_own_go_to_the_nearest_keyframe():
    topics = recording(2.0)
    # 20 Hz, and never at a sweep's stamp.
    late = [round(0.017 + 0.05 * k, 3) for k in range(40)]
    topics["front"] = [("add_image", (t, "front", np.full((1, 1, 3), k, np.uint8))) for k, t in enumerate(late)]
    del topics["back"]
    synchronizer = SweepSynchronizer(0.5, frozenset({"front"}), image_tolerance=0.03)
    keyframes = [sweep for sweep in feed(synchronizer, by_stamp(topics)) if sweep.keyframe]
    assert [late[int(sweep.images["front"][0, 0, 0])] for sweep in keyframes] == pytest.approx(
        [0.017, 0.517, 1.017, 1.517]
    )
    assert not synchronizer.dropped


def test_the_ground_is_interpolated_to_the_sweep_and_waited_for():
    synchronizer = SweepSynchronizer(0.5, needs_ground=True)
    topics = {name: messages for name, messages in recording(1.0).items() if name in ("sweeps", "odometry")}
    topics["ground"] = [("add_ground", (round(-0.05 + 0.3 * k, 3), 5.0 + k)) for k in range(5)]
    sweeps = feed(synchronizer, by_stamp(topics))
    assert len(sweeps) == 10
    for sweep in sweeps:
        assert sweep.ground == pytest.approx(5.0 + (sweep.stamp + 0.05) / 0.3)
    alone = SweepSynchronizer(0.5, needs_ground=True)
    assert feed(alone, by_stamp({name: topics[name] for name in ("sweeps", "odometry")})) == []
    feed(alone, [("add_odometry", (odometry(t),)) for t in (1.3, 2.0)])
    assert alone.dropped == {"no height of the ground around a sweep": 10}


def test_actors_that_nobody_asked_for_are_waited_for_once_they_come():
    topics = {name: messages for name, messages in recording(0.9).items() if name not in CAMERAS}
    for late in ("sweeps", "actors"):
        order = by_stamp(topics)
        delay = {id(m): 0.35 * (m in topics[late]) for ms in topics.values() for m in ms}
        at = {id(m): k for k, m in enumerate(order)}
        order = sorted(order, key=lambda m: at[id(m)] / len(order) + delay[id(m)])
        first = topics["actors"][0]
        sweeps = feed(SweepSynchronizer(0.5), [first, *(m for m in order if m is not first)])
        assert [float(sweep.actors[0].pose.position[0]) for sweep in sweeps] == pytest.approx(np.arange(9) * 0.1)


def test_what_waited_when_the_clock_went_back_is_counted():
    synchronizer = full()
    feed(synchronizer, recording(0.5, begin=50.0)["sweeps"])
    feed(synchronizer, by_stamp(recording(1.0)))
    assert synchronizer.dropped == {"sweep that still waited when the clock went back": 5} and synchronizer.resets == 1
