"""A rover that looks after itself: it brakes before ground that it can't drive on, backs off, gives up in words."""

from __future__ import annotations

from collections import deque

import numpy as np

from occ_core.citymap import CityMap
from occ_core.condition import UPSIDE_DOWN_DEG, lean
from occ_core.poses import Pose
from tokyo_sim.missions.follower import Command

_PERIOD_S = 0.05  # between commands
# What a wheel of 0.22 m radius gets over, and how far the ground may fall to one side: metres over these distances.
_STEP_M, _STEP_OVER_M = 0.25, 0.5
_TRACK_M, _CROSS_M = 0.8, 0.35
_LOOK_M = 4.0
_NOSE_M = 0.6
_LEANING_DEG, _CRAWL_M_S = 25.0, 0.6
_STUCK_S, _STUCK_M = 4.0, 0.2
_BACK_S, _BACK_M_S = 2.5, -0.8
_TRIES, _FREED_M = 4, 8.0
_FALL_M_S = 7.0


def drivable_ahead(city: CityMap, pose: Pose) -> float:
    """Metres from a rover's front to ground that it would overturn or hang on, inf where there is none within 4 m."""
    ahead, aside = np.arange(0.0, _LOOK_M + 0.01, 0.25), np.array([-_TRACK_M / 2, 0.0, _TRACK_M / 2])
    forward = np.array([np.cos(pose.yaw), np.sin(pose.yaw)])
    left = np.array([-forward[1], forward[0]])
    points = pose.position[:2] + ahead[:, None, None] * forward + aside[None, :, None] * left
    heights = city.ground_at(points.reshape(-1, 2)).reshape(len(ahead), len(aside))
    over = round(_STEP_OVER_M / 0.25)
    steps = np.abs(heights[over:] - heights[:-over]).max(axis=1) > _STEP_M
    across = np.abs(heights[:, -1] - heights[:, 0]) > _CROSS_M
    # What its wheels stand on already can't be avoided.
    ends = np.isnan(heights[over:]).any(axis=1)
    bad = np.flatnonzero((steps | across[over:] | ends) & (ahead[over:] > _NOSE_M))
    return float(max(ahead[bad[0]] - _NOSE_M, 0.0)) if len(bad) else np.inf


class RoverWatchdog:
    """Looks at what comes of commands, twenty times a second.

    problem: why it has given up, in words; '' while it has not. A rover that is put back on its wheels goes on.
    """

    def __init__(self) -> None:
        self.problem = ""
        self._trail: deque[np.ndarray] = deque(maxlen=round(_STUCK_S / _PERIOD_S))
        self._backing = self._tries = 0
        self._freed_at: np.ndarray | None = None

    def allow(self, pose: Pose, command: Command) -> Command:
        """The command, or what is better: slower where the rover leans, back where it is stuck, nothing on its back."""
        here = pose.position
        leaning = float(lean(pose.orientation)[0])
        falling = bool(self._trail) and self._trail[-1][2] - here[2] > _FALL_M_S * _PERIOD_S
        if leaning > UPSIDE_DOWN_DEG - 30 or falling:
            how = "falls" if falling else "lies on its side or back"
            self.problem = f"it {how} at ({here[0]:.1f}, {here[1]:.1f}, {here[2]:.1f})"
            self._trail.clear()
            return Command(np.zeros(3), 0.0)
        if self._tries > _TRIES:
            return Command(np.zeros(3), 0.0)
        self.problem = ""
        if self._backing > 0:
            self._backing -= 1
            return Command(np.array([_BACK_M_S, 0.0, 0.0]), 0.0)
        self._trail.append(here)
        stays = len(self._trail) == self._trail.maxlen and np.ptp(np.array(self._trail)[:, :2], axis=0).max() < _STUCK_M
        if stays and command.linear[0] >= 0:
            self._back_off(here)
        if leaning > _LEANING_DEG and command.linear[0] > _CRAWL_M_S:
            part = _CRAWL_M_S / command.linear[0]
            return Command(command.linear * part, command.yaw_rate * part)
        return command

    def waits(self) -> None:
        """It stands for somebody who will go away: that is not being stuck."""
        self._trail.clear()

    def _back_off(self, here: np.ndarray) -> None:
        near = self._freed_at is not None and np.linalg.norm(here - self._freed_at) < _FREED_M
        self._tries = self._tries + 1 if near else 1
        self._freed_at, self._backing = here, round(_BACK_S / _PERIOD_S)
        self._trail.clear()
        if self._tries > _TRIES:
            self.problem = f"it is stuck at ({here[0]:.1f}, {here[1]:.1f}): it backed off {_TRIES} times in vain"
