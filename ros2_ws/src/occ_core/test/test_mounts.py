"""Sweeps of a sensor that moves in its robot wait for /tf, come in order, and know where it was."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace as Message

import numpy as np
import pytest

from occ_core.grid import TOKYO_GRID
from occ_core.keyframes import KeyframeBuilder
from occ_core.mounts import MountedSweeps
from occ_core.pose_buffer import PoseBuffer
from occ_core.poses import Pose
from occ_core.sync import Odometry, SyncedSweep
from occ_core.tracker import FrameTracker

SPIN = 3.0
MAST = Pose.from_xyz_rpy([0.4, 0, 1.2], [0, 0, 0])
STILL = Odometry(0.0, Pose.identity(), np.zeros(3), np.zeros(3))


def urdf(kind: str) -> str:
    return f"""<robot name="r"><link name="base_link"/><link name="lidar_link"/><joint name="j" type="{kind}">
        <parent link="base_link"/><child link="lidar_link"/><origin xyz="0.4 0 1.2"/></joint></robot>"""


def turned(t: float) -> Pose:
    """lidar_link in base_link."""
    return MAST @ Pose.from_xyz_rpy([0, 0, 0], [0, 0, SPIN * t])


def transform(t: float, prefix: str = "", pose: Pose | None = None) -> Message:
    pose = turned(t) if pose is None else pose
    x, y, z = pose.position
    w, i, j, k = pose.orientation
    stamp = Message(sec=int(t), nanosec=round(t % 1 * 1e9))
    one = Message(
        header=Message(stamp=stamp, frame_id=f"{prefix}base_link"), child_frame_id=f"{prefix}lidar_link",
        transform=Message(translation=Message(x=x, y=y, z=z), rotation=Message(w=w, x=i, y=j, z=k)),
    )  # fmt: skip
    return Message(transforms=[one])


def sweep(t: float, times: np.ndarray | None = None, points: np.ndarray | None = None) -> SyncedSweep:
    points = np.zeros((1, 4), np.float32) if points is None else points
    return SyncedSweep(t, points, "rover_0/lidar_link", STILL, [], False, times=times)


class Taken:
    def __init__(self, description: str) -> None:
        self.sweeps: list[SyncedSweep] = []
        self.listened, self.lost = 0, list[str]()
        self.mounted = MountedSweeps(
            "rover_0", description, self.sweeps.append, self._listen, lose=self.lost.append
        )  # fmt: skip

    def _listen(self) -> None:
        self.listened += 1


def test_a_fixed_sensor_costs_nothing():
    taken = Taken(urdf("fixed"))
    taken.mounted.add(sweep(1.0))
    assert taken.listened == 0 and [s.mounts for s in taken.sweeps] == [None]


@pytest.mark.parametrize("prefix", ["", "rover_0/", "/rover_0/"])
@pytest.mark.parametrize("description", [urdf("continuous"), ""])
def test_sweeps_wait_until_tf_has_said_where_the_sensor_was(prefix: str, description: str):
    """Transforms off the beat of the sweeps; a sensor that no description has is as good."""
    taken = Taken(description)
    for k in range(40):
        t = 0.05 * k
        if k % 2 == 0:
            taken.mounted.add(sweep(t, np.linspace(0, 0.1, 5)))
        taken.mounted.transforms(transform(t + 0.02, prefix), fixed=False)
    assert taken.listened == 1
    stamps = [s.stamp for s in taken.sweeps]
    assert stamps == sorted(stamps) and stamps[0] == 0.1  # the first one came before all transforms
    assert len(stamps) >= 18 and len(taken.lost) == 1 and "where 'lidar_link' was" in taken.lost[0]
    for one in taken.sweeps:
        for after in (0.0, 0.05, 0.1):
            assert one.mounts is not None
            assert np.allclose(one.mounts.at(one.stamp + after).matrix, turned(one.stamp + after).matrix, atol=1e-6)


def test_where_tf_says_nothing_the_description_holds_and_nothing_waits_long():
    taken = Taken(urdf("continuous"))
    for k in range(60):
        taken.mounted.add(sweep(0.1 * k))
    assert len(taken.sweeps) == 60 and all(s.mounts is None for s in taken.sweeps)
    taken.mounted.transforms(transform(5.95), fixed=False)
    taken.mounted.transforms(transform(6.05), fixed=False)
    taken.mounted.add(sweep(6.0))
    assert taken.sweeps[-1].mounts is not None


def test_where_tf_stops_the_sensor_stays_and_a_clock_that_begins_anew_is_followed():
    taken = Taken(urdf("revolute"))
    for k in range(21):
        taken.mounted.transforms(transform(0.1 * k), fixed=False)
    for k in range(45):
        taken.mounted.add(sweep(0.1 * k))
    late = [s for s in taken.sweeps if s.stamp > 2.05]
    assert 10 < len(late) < 25
    assert all(np.allclose(s.mounts.at(s.stamp).matrix, turned(2.0).matrix, atol=1e-6) for s in late)
    taken.mounted.add(sweep(0.2))
    taken.mounted.transforms(transform(0.1), fixed=False)
    taken.mounted.transforms(transform(0.3), fixed=False)
    assert [s.stamp for s in taken.sweeps][-1] == 0.2
    assert np.allclose(taken.sweeps[-1].mounts.at(0.2).matrix, turned(0.2).matrix, atol=1e-6)


def test_a_static_transform_is_enough_for_a_sensor_that_no_description_has():
    taken = Taken("")
    taken.mounted.add(sweep(0.0))
    assert taken.listened == 1 and not taken.sweeps
    taken.mounted.transforms(transform(0.0, pose=MAST), fixed=True)
    (one,) = taken.sweeps
    assert np.allclose(one.mounts.at(0.0).matrix, MAST.matrix)


def test_a_wall_is_one_wall_whatever_the_sensor_does_during_a_sweep():
    """Points with times, seen from a turntable: in the grid they lie where the wall is."""
    wall = np.array([(8.0, y, 1.0) for y in np.linspace(-4, 4, 161)])
    times = np.linspace(0, 0.1, len(wall))
    points = np.zeros((len(wall), 4), np.float32)
    points[:, :3] = [turned(1.0 + dt).inverse().apply(p[None])[0] for p, dt in zip(wall, times, strict=True)]
    taken = Taken(urdf("continuous"))
    for t in np.arange(0.95, 1.2, 0.01):
        taken.mounted.transforms(transform(float(t)), fixed=False)
    motion = PoseBuffer()
    for t in (0.9, 1.2):
        motion.add(t, Pose.identity())
    taken.mounted.add(replace(sweep(1.0, times, points), keyframe=True, motion=motion))
    (one,) = taken.sweeps
    tracker = FrameTracker("rover_0", KeyframeBuilder(TOKYO_GRID), {"lidar_link": MAST}, lambda x, y: 0.0)
    frame = tracker.add(one)
    assert frame is not None and np.abs(frame.points[:, :3] - wall).max() < 1e-3
