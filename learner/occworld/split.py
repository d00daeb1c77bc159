"""Which drives are for training and which for validation: whole sessions, never parts of one.

`tokyo sessions split` writes the choice beside the sessions, by place too; without its file, drives are drawn by seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occ_core.session import Session, SessionError
from occ_core.split_file import SPLIT_FILE, SessionSplit, read_split


@dataclass(frozen=True)
class Split:
    """Sessions of each side. test: of a written split only."""

    train: tuple[Session, ...]
    val: tuple[Session, ...]
    test: tuple[Session, ...] = ()


def agent_type(agent: str) -> str:
    """'drone' of 'drone_0'."""
    return agent.split("_")[0]


def split_sessions(sessions: list[Session], val_fraction: float, seed: int) -> Split:
    """As split.json beside the sessions says; else shuffled by seed, at least one of each agent type for validation.

    SessionError where an agent type has a single session, which could serve only one side.
    """
    written = read_split(sessions[0].folder.parent)
    if written is not None:
        return _as_written(sessions, written)
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


def _as_written(sessions: list[Session], written: SessionSplit) -> Split:
    """SessionError for a session that the file does not name, and for a side that it leaves empty."""
    named = {*written.train, *written.val, *written.test, *written.left_out}
    if unnamed := sorted(s.name for s in sessions if s.name not in named):
        raise SessionError(
            f"{unnamed[0]} ({len(unnamed)} in all) is not in {SPLIT_FILE}: run `tokyo sessions split` again"
        )
    sides = (written.train, written.val, written.test)
    split = Split(*(tuple(s for s in sessions if s.name in side) for side in sides))
    if not split.train or not split.val:
        raise SessionError(f"{SPLIT_FILE} has no session of this type for {'val' if split.train else 'train'}")
    return split
