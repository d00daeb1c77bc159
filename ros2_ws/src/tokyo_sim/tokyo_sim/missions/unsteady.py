"""A mission with moods: it stops, goes slowly, turns on the spot and backs up now and then, as drivers do.

What is learned from drives that only ever go on knows nothing of how a view changes when they do not.
"""

from __future__ import annotations

from enum import Enum

import numpy as np

from occ_core.actors import Actor
from occ_core.poses import Pose
from tokyo_sim.engine.robot import RobotKind
from tokyo_sim.missions.follower import Command
from tokyo_sim.missions.mission import Mission

_SECONDS = (2.5, 6.5)  # of a mood
_BACK_M_S, _TURN_RAD_S, _SLOW = 1.0, 0.5, 0.4


class Mood(Enum):
    """What a vehicle does for some seconds."""

    GO = "go"
    STOP = "stop"
    SLOW = "slow"
    BACK = "back"
    TURN = "turn"


_SHARES = {Mood.GO: 0.45, Mood.STOP: 0.2, Mood.SLOW: 0.15, Mood.BACK: 0.1, Mood.TURN: 0.1}  # how often each is chosen


class UnsteadyMission:
    """A mission's commands, changed by moods. period: seconds from one command to the next."""

    def __init__(self, mission: Mission, kind: RobotKind, period: float, rng: np.random.Generator) -> None:
        self._mission, self._kind, self._period, self._rng = mission, kind, period, rng
        self._mood, self._left = Mood.GO, _SECONDS[0]

    @property
    def problem(self) -> str:
        """As of the mission."""
        return self._mission.problem

    def command(self, pose: Pose, actors: list[Actor]) -> Command:
        """What to do now."""
        wanted = self._mission.command(pose, actors)
        self._left -= self._period
        if self._left <= 0:
            moods = list(_SHARES)
            self._mood = moods[self._rng.choice(len(moods), p=list(_SHARES.values()))]
            self._left = float(self._rng.uniform(*_SECONDS))
        return self._moody(wanted)

    def _moody(self, wanted: Command) -> Command:
        if self._mood is Mood.STOP:
            return Command(np.zeros(3), 0.0)
        if self._mood is Mood.SLOW:
            return Command(_SLOW * wanted.linear, _SLOW * wanted.yaw_rate)
        if self._mood is Mood.BACK:
            return Command(np.array([-_BACK_M_S, 0.0, 0.0]), 0.0)
        if self._mood is Mood.TURN:
            # A rover turns as it drives; a drone hovers.
            return Command((0.5 if self._kind is RobotKind.ROVER else 0.0) * wanted.linear, _TURN_RAD_S)
        return wanted
