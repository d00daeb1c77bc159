"""Robots that lie on their backs, lean, fall or are stuck are told from those that drive, wait, climb and fly."""

from __future__ import annotations

import numpy as np
import pytest

from occ_core.condition import Condition, ConditionWatch, conditions
from occ_core.poses import Pose


def drive(seconds: float = 20.0, roll: float = 0.0, pitch: float = 0.0, speed: float = 2.0, down: float = 0.0):
    """Stamps and (n, 13) poses of two frames a second; roll and pitch in degrees, held from the middle on."""
    stamps = np.arange(0, seconds, 0.5)
    rows = []
    for stamp in stamps:
        late = stamp >= seconds / 2
        rpy = np.radians([roll, pitch, 30.0]) if late else np.radians([0, 0, 30.0])
        pose = Pose.from_xyz_rpy([speed * stamp, 0, -down * stamp * late], rpy)
        linear = pose.rotation.T @ np.array([speed, 0, -down * late])
        rows.append([*pose.position, *pose.orientation, *linear, 0, 0, 0])
    return stamps, np.array(rows)


@pytest.mark.parametrize(
    "how, expected",
    [
        (dict(roll=178), Condition.UPSIDE_DOWN), (dict(roll=-157), Condition.UPSIDE_DOWN),
        (dict(roll=91), Condition.UPSIDE_DOWN), (dict(pitch=-60), Condition.TILTED), (dict(roll=45), Condition.TILTED),
        (dict(roll=25), Condition.WELL), (dict(pitch=-17), Condition.WELL), (dict(down=9.0), Condition.FALLING),
        (dict(down=2.5), Condition.WELL), (dict(), Condition.WELL),
    ],
)  # fmt: skip
def test_a_frame_is_named_by_how_the_robot_stands(how, expected):
    found = conditions(*drive(**how))
    assert set(found[20:]) == {expected} and set(found[:20]) == {Condition.WELL}


def stays(begin: float, end: float, seconds: float = 90.0):
    stamps, rows = drive(seconds)
    moving = np.clip(stamps, None, begin) + np.clip(stamps - end, 0, None)
    rows[:, 0] = 2.0 * moving
    return stamps, rows


def test_all_frames_of_a_long_stay_are_stuck_and_none_of_a_wait():
    stamps, rows = stays(20, 60)
    stuck = np.array([how is Condition.STUCK for how in conditions(stamps, rows)])
    assert stuck[(stamps > 20) & (stamps < 60)].all() and not stuck[(stamps < 19) | (stamps > 61)].any()
    assert set(conditions(*stays(20, 45))) == {Condition.WELL}


def test_a_robot_that_is_parked_is_not_stuck():
    assert set(conditions(*stays(0, 90))) == {Condition.WELL}
    assert conditions(np.zeros(0), np.zeros((0, 13))) == []


def test_a_clock_that_goes_back_begins_anew():
    watch, pose = ConditionWatch(), Pose.identity()
    watch.add(0.0, Pose(np.array([5.0, 0, 0]), pose.orientation), np.zeros(3))
    for stamp in (*np.arange(1, 29, 0.5), *np.arange(0, 20, 0.5)):
        assert watch.add(float(stamp), pose, np.zeros(3)) is Condition.WELL
