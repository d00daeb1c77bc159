"""A rover that looks after itself: it brakes before ground that it can't drive on, backs off, gives up in words."""

from __future__ import annotations

from collections import deque

import numpy as np

from occ_core.citymap import CityMap
from occ_core.condition import UPSIDE_DOWN_DEG, lean
from occ_core.poses import Pose
from tokyo_sim.missions.follower import Command, PathFollower

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
_IDLE_S = 40.0  # of driving without getting on along its path
STOPS_SHORT_M = 2.0  # of actors; it need not keep that distance from ground
_MOST_BEND = 0.8  # 1/m, a little less than it can turn
_BENDS = np.linspace(-_MOST_BEND, _MOST_BEND, 9)
_TURNING, _TURNED = 0.5, 0.3  # 1/m: it wants to turn round; radians between two tries that make the second a new one
_EVEN = 0.6  # where it does not follow its path, the ground must be so much evener
_ROOM_M, _STOPPED_M, _WAY_M, _BEHIND_M = 0.9, 0.4, 1.6, 1.2
_FALL_M_S = 7.0


def drivable_ahead(city: CityMap, pose: Pose, curvature: float = 0.0, back: bool = False, part: float = 1.0) -> float:
    """Metres from a rover's front to ground that it would overturn or hang on, inf where there is none within 4 m.

    curvature: of the arc that its middle goes along, 1/m, to the left. back: the other way along it, from its rear.
    part: of the steps that it gets over that are allowed.
    """
    ahead, aside = np.arange(0.0, _LOOK_M + 0.01, 0.25), np.array([-_TRACK_M / 2, 0.0, _TRACK_M / 2])
    along = -ahead if back else ahead
    turned = curvature * along
    half = np.where(np.abs(turned) < 1e-6, 1.0, np.sin(turned / 2) / np.where(turned == 0, 1.0, turned / 2))
    heading = pose.yaw + turned
    chord = (along * half)[:, None] * np.column_stack([np.cos(pose.yaw + turned / 2), np.sin(pose.yaw + turned / 2)])
    left = np.column_stack([-np.sin(heading), np.cos(heading)])
    points = pose.position[:2] + chord[:, None] + aside[None, :, None] * left[:, None]
    heights = city.ground_at(points.reshape(-1, 2)).reshape(len(ahead), len(aside))
    over = round(_STEP_OVER_M / 0.25)
    steps = np.abs(heights[over:] - heights[:-over]).max(axis=1) > part * _STEP_M
    across = np.abs(heights[:, -1] - heights[:, 0]) > part * _CROSS_M
    # What its wheels stand on already can't be avoided.
    ends = np.isnan(heights[over:]).any(axis=1)
    bad = np.flatnonzero((steps | across[over:] | ends) & (ahead[over:] > _NOSE_M))
    return float(max(ahead[bad[0]] - _NOSE_M, 0.0)) if len(bad) else np.inf


class RoverWatchdog:
    """Looks at what comes of commands, twenty times a second.

    problem: why it has given up, in words; '' while it has not. A rover that is put back on its wheels goes on. city:
    whose ground it looks at before it turns or backs off; without one it backs off straight.
    """

    def __init__(self, city: CityMap | None = None) -> None:
        self.problem = ""
        self._city = city
        self._trail: deque[np.ndarray] = deque(maxlen=round(_STUCK_S / _PERIOD_S))
        self._backing = self._tries = 0
        self._bends = 0.0
        self._freed_at: Pose | None = None
        self._progress, self._idle = -1, 0

    def drive(self, pose: Pose, follower: PathFollower, free: float) -> Command:
        """What follows the path over ground that wheels get over: round what they don't, or back.

        free: metres to actors.
        """
        city = self._city
        assert city is not None
        wanted = follower.drive(pose, free)
        if wanted.linear[0] <= 0.0:
            return self.allow(pose, wanted)
        if self._progress != follower.passed:
            self._progress, self._idle = follower.passed, 0
        self._idle += 1
        curvature = wanted.yaw_rate / wanted.linear[0]
        ground = drivable_ahead(city, pose, curvature)
        command = follower.drive(pose, min(free, ground + STOPS_SHORT_M - 0.2))
        if ground < _ROOM_M and self._backing <= 0:
            others = sorted(_BENDS, key=lambda bend: abs(bend - curvature))
            round_it = next((bend for bend in others if drivable_ahead(city, pose, bend, part=_EVEN) > _WAY_M), None)
            if abs(curvature) > _TURNING and self._free_behind(pose, -np.sign(curvature) * _MOST_BEND) > _BEHIND_M:
                self._back_off(pose, float(np.sign(curvature)))  # a turn in several moves
            elif round_it is not None:
                speed = min(_CRAWL_M_S, float(wanted.linear[0]))
                command = Command(np.array([speed, 0.0, 0.0]), speed * round_it)
            elif ground < _STOPPED_M:
                # Backwards so that it comes out turned the way it wants to go.
                self._back_off(pose, float(np.sign(curvature)))
        return self.allow(pose, command)

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
            if leaning < _LEANING_DEG and self._free_behind(pose, self._bends) > _STOPPED_M:
                return Command(np.array([_BACK_M_S, 0.0, 0.0]), _BACK_M_S * self._bends)
            self._backing = 0
        self._trail.append(here)
        stays = len(self._trail) == self._trail.maxlen and np.ptp(np.array(self._trail)[:, :2], axis=0).max() < _STUCK_M
        if stays and command.linear[0] >= 0:
            self._back_off(pose, 0.0)
        if self._idle > _IDLE_S / _PERIOD_S:
            self._tries = _TRIES + 1
            self.problem = f"it is stuck at ({here[0]:.1f}, {here[1]:.1f}): no ground leads on that it can drive on"
            return Command(np.zeros(3), 0.0)
        if leaning > _LEANING_DEG and command.linear[0] > _CRAWL_M_S:
            part = _CRAWL_M_S / command.linear[0]
            return Command(command.linear * part, command.yaw_rate * part)
        return command

    def _free_behind(self, pose: Pose, curvature: float) -> float:
        return np.inf if self._city is None else drivable_ahead(self._city, pose, curvature, True, _EVEN)

    def waits(self) -> None:
        """It stands for somebody who will go away: that is not being stuck."""
        self._trail.clear()

    def _back_off(self, pose: Pose, side: float) -> None:
        """Begin to back off. side: 1 where it wants to turn left, -1 to the right, 0 where it does not matter."""
        here = pose.position
        before = self._freed_at
        near = before is not None and np.linalg.norm(here - before.position) < _FREED_M
        turned = before is not None and np.cos(pose.yaw - before.yaw) < np.cos(_TURNED)
        self._tries = self._tries + 1 if near and not turned else 1
        self._freed_at, self._backing = pose, round(_BACK_S / _PERIOD_S)
        # Going back to the right turns its nose to the left.
        bends = [-side * _MOST_BEND, -side * _MOST_BEND / 2, 0.0, side * _MOST_BEND / 2]
        free = [self._free_behind(pose, bend) for bend in bends]
        enough = [bend for bend, metres in zip(bends, free, strict=True) if metres > _BEHIND_M]
        self._bends = enough[0] if enough and self._city is not None else bends[int(np.argmax(free))] if side else 0.0
        self._trail.clear()
        if self._tries > _TRIES:
            self.problem = f"it is stuck at ({here[0]:.1f}, {here[1]:.1f}): it backed off {_TRIES} times in vain"
