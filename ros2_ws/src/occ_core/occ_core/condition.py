"""What is wrong with a robot, told from how it stands and moves: upside down, tilted, falling, stuck.

Told from poses alone, so that sessions of any age and any robot can be judged: the recorder notes it, `tokyo sessions
check` names the frames, training leaves them out.
"""

from __future__ import annotations

import math
from collections import deque
from enum import Enum

import numpy as np

from occ_core.poses import Pose
from occ_core.rotations import matrices

UPSIDE_DOWN_DEG, TILTED_DEG = 90.0, 40.0  # a drone leans by 25 degrees at its hardest, a street by 10
_FALLING_M_S = 7.0  # no drone descends so fast, and no street
_STUCK_S, _STUCK_M = 30.0, 0.3  # longer than anybody waits at a junction


class Condition(str, Enum):
    """How a robot is; the value is how it is said."""

    WELL = "well"
    UPSIDE_DOWN = "upside down"
    TILTED = "tilted"
    FALLING = "falling"
    STUCK = "stuck"


def lean(orientation: np.ndarray) -> np.ndarray:
    """(n,) degrees between a robot's up and the map's. orientation: (n, 4) w, x, y, z."""
    return np.degrees(np.arccos(np.clip(matrices(orientation)[:, 2, 2], -1.0, 1.0)))


def conditions(stamps: np.ndarray, pose_13d: np.ndarray) -> list[Condition]:
    """How a robot was at each of n frames in order. stamps: (n,) seconds. pose_13d: (n, 13) as `VehicleState.pose_13d`.

    Stuck are all frames of a stay of 30 s or more within 0.3 m, after a robot has moved.
    """
    stamps, rows = np.asarray(stamps, dtype=float), np.asarray(pose_13d, dtype=float).reshape(-1, 13)
    watch, found = ConditionWatch(), []
    for number, (stamp, row) in enumerate(zip(stamps.tolist(), rows, strict=True)):
        found.append(watch.add(stamp, Pose(row[:3], row[3:7]), row[7:10]))
        before = number - 1
        while found[number] is Condition.STUCK and before >= 0 and stamps[before] >= watch.since:
            # Once it is known to be stuck, it has been since it stopped.
            found[before] = Condition.STUCK if found[before] is Condition.WELL else found[before]
            before -= 1
    return found


class ConditionWatch:
    """Follows a robot from pose to pose. A robot that has never moved is parked, not stuck."""

    def __init__(self) -> None:
        self._stays: deque[tuple[float, np.ndarray]] = deque()
        self._moved = False

    @property
    def since(self) -> float:
        """When the robot came to where it is, seconds."""
        return self._stays[0][0]

    def add(self, stamp: float, base_link: Pose, linear: np.ndarray) -> Condition:
        """How the robot is now. stamp: seconds, those of before are forgotten where it goes back. base_link: in map;
        linear: (3,) m/s in base_link."""
        if self._stays and stamp < self._stays[-1][0]:
            self._stays.clear()
        self._stays.append((stamp, base_link.position))
        leaning = float(lean(base_link.orientation)[0])
        if leaning > TILTED_DEG:
            return Condition.UPSIDE_DOWN if leaning > UPSIDE_DOWN_DEG else Condition.TILTED
        if float(base_link.rotation[2] @ linear) < -_FALLING_M_S:
            return Condition.FALLING
        while math.dist(self._stays[0][1].tolist(), base_link.position.tolist()) > _STUCK_M:
            self._stays.popleft()
            self._moved = True
        return Condition.STUCK if self._moved and stamp - self._stays[0][0] >= _STUCK_S else Condition.WELL
