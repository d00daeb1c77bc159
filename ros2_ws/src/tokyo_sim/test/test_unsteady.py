"""Missions that stop, turn and back up."""

from __future__ import annotations

import numpy as np
import pytest

from occ_core.poses import Pose
from tokyo_sim.engine.robot import RobotKind
from tokyo_sim.missions.follower import Command
from tokyo_sim.missions.unsteady import UnsteadyMission

PERIOD, SECONDS = 0.05, 300


class StraightOn:
    """Stands in for a mission that never does anything else."""

    problem = "none"

    def command(self, pose: Pose, actors: list) -> Command:
        return Command(np.array([3.0, 0.0, 0.0]), 0.1)


def driven(kind: RobotKind, seed: int) -> list[Command]:
    mission = UnsteadyMission(StraightOn(), kind, PERIOD, np.random.default_rng(seed))
    assert mission.problem == "none"
    return [mission.command(Pose.identity(), []) for _ in range(round(SECONDS / PERIOD))]


@pytest.mark.parametrize("kind", [RobotKind.ROVER, RobotKind.DRONE])
def test_it_does_all_that_drivers_do_and_mostly_drives(kind):
    commands = driven(kind, 1)
    forward = np.array([command.linear[0] for command in commands])
    turning = np.array([command.yaw_rate for command in commands])
    stands = (forward == 0) & (turning == 0)
    assert 0.3 < (forward == 3).mean() < 0.7 and 0.05 < stands.mean() < 0.4
    assert (forward < 0).any() and (turning > 0.4).any() and ((forward > 0) & (forward < 3)).any()
    changes = np.flatnonzero(np.diff(forward) != 0)
    assert np.diff(changes).min() * PERIOD >= 2.4, "a mood lasts some seconds"


def test_a_seed_gives_the_same_drive_again():
    one, two, other = driven(RobotKind.ROVER, 5), driven(RobotKind.ROVER, 5), driven(RobotKind.ROVER, 6)
    assert all((a.linear == b.linear).all() and a.yaw_rate == b.yaw_rate for a, b in zip(one, two, strict=True))
    assert any((a.linear != b.linear).any() for a, b in zip(one, other, strict=True))
