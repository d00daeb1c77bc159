"""Which drives are for training and which for validation: whole sessions, never parts of one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occ_core.session import Session, SessionError


@dataclass(frozen=True)
class Split:
    """Sessions of each side."""

    train: tuple[Session, ...]
    val: tuple[Session, ...]


def agent_type(agent: str) -> str:
    """'drone' of 'drone_0'."""
    return agent.split("_")[0]


def split_sessions(sessions: list[Session], val_fraction: float, seed: int) -> Split:
    """Shuffle the sessions of each agent type by seed; at least one of each type is for validation.

    SessionError where an agent type has a single session, which could serve only one side.
    """
    generator = np.random.default_rng(seed)
    train: list[Session] = []
    val: list[Session] = []
    for kind in sorted({agent_type(s.info.agent) for s in sessions}):
        group = sorted((s for s in sessions if agent_type(s.info.agent) == kind), key=lambda s: s.name)
        if len(group) < 2:
            raise SessionError(
                f"only one session of type {kind} ({group[0].name}): record at least two, one is held out"
            )
        order = generator.permutation(len(group))
        held = max(1, min(len(group) - 1, round(val_fraction * len(group))))
        val += [group[i] for i in sorted(order[:held])]
        train += [group[i] for i in sorted(order[held:])]
    return Split(tuple(train), tuple(val))
