"""Whole sessions to training, validation and test: by drive, or by place so that no street is on two sides."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np

from occ_core.frame_files import SessionError
from occ_core.session import Session
from occ_core.split_file import PARTS, SessionSplit

_DIRECTIONS = 16


@dataclass(frozen=True)
class Shares:
    """Wished shares of the frames; they add up to one. A part with share 0 stays empty."""

    train: float
    val: float
    test: float

    def __post_init__(self) -> None:
        shares = self.vector
        if not ((shares >= 0).all() and abs(shares.sum() - 1) <= 1e-6 and min(self.train, self.val) > 0):
            raise ValueError(f"shares of train, val and test add up to 1, train and val above 0; got {shares.tolist()}")

    @property
    def vector(self) -> np.ndarray:
        """(3,) in the order of PARTS."""
        return np.array([self.train, self.val, self.test])


def split_by_session(sessions: list[Session], shares: Shares, seed: int) -> SessionSplit:
    """Shuffle the drives of each agent type by seed, then deal each to the part that lacks most frames.

    SessionError where an agent type has fewer drives than there are parts.
    """
    generator = np.random.default_rng(seed)
    parts = int((shares.vector > 0).sum())
    chosen: dict[str, list[str]] = {part: [] for part in PARTS}
    by_type = sorted(sessions, key=lambda session: (_agent_type(session), session.name))
    for kind, drives in groupby(by_type, key=_agent_type):
        group = list(drives)
        if len(group) < parts:
            raise SessionError(f"{len(group)} sessions of type {kind} for {parts} parts: record more, or ask for fewer")
        lacking = shares.vector * sum(map(len, group))
        for place, index in enumerate(generator.permutation(len(group))):
            # The first drives go one to each part, so that none stays empty.
            part = int(np.flatnonzero(shares.vector)[place]) if place < parts else int(np.argmax(lacking))
            lacking[part] -= len(group[index])
            chosen[PARTS[part]].append(group[index].name)
    return SessionSplit("session", **{part: tuple(sorted(names)) for part, names in chosen.items()})


def split_by_place(sessions: list[Session], shares: Shares, gap: float | None = None) -> SessionSplit:
    """Cut the map into parallel bands, `gap` metres apart; a session belongs to the band that it never leaves.

    gap: by default the diagonal of the grid's footprint, so that no point of the ground is in grids of two parts. Of 16
    directions and all cuts the one is taken that leaves out the fewest frames and comes closest to the shares.
    SessionError where every cut leaves a part empty.
    """
    reach = np.max([np.linalg.norm(_corner(session)) for session in sessions])
    gap = 2 * reach if gap is None else gap
    if gap < reach:
        raise ValueError(f"a gap of {gap:g} m is less than the grid reaches, {reach:.1f} m: frames would share streets")
    paths = [_path(session) for session in sessions]
    frames = np.array([len(session) for session in sessions])
    best: tuple[float, np.ndarray] | None = None
    for angle in 2 * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS:
        direction = np.array([np.cos(angle), np.sin(angle)])
        along = [path @ direction for path in paths]
        low, high = np.array([a.min() for a in along]), np.array([a.max() for a in along])
        for band in _bandings(low, high, shares, gap):
            held = np.array([frames[band == part].sum() for part in range(len(PARTS))])
            if (held[shares.vector > 0] == 0).any():
                continue
            lost = 1 - held.sum() / frames.sum()
            cost = lost + np.abs(held / held.sum() - shares.vector).sum()
            if best is None or cost < best[0] - 1e-9:
                best = (cost, band)
    if best is None:
        raise SessionError(
            f"no cut leaves {gap:.0f} m between parts with a session in each: record in places further apart, "
            "take a smaller --gap, or split by session"
        )
    names = {part: _names(sessions, best[1] == number) for number, part in enumerate(PARTS)}
    return SessionSplit("place", **names, left_out=_names(sessions, best[1] < 0), gap=float(gap))


def _bandings(low: np.ndarray, high: np.ndarray, shares: Shares, gap: float):
    """(sessions,) int part or -1, for every way to cut: test first, then val, then train along the direction."""
    ends = np.unique(high)
    first_cuts = ends if shares.test > 0 else [-np.inf]
    for first in first_cuts:
        in_test = high <= first
        for second in ends[ends > first]:
            in_val = (low > first + gap) & (high <= second)
            in_train = low > second + gap
            yield np.select([in_train, in_val, in_test], [0, 1, 2], -1)


def _path(session: Session) -> np.ndarray:
    """(frames, 2) metres, map; SessionError for a session without frames."""
    if not len(session):
        raise SessionError(f"{session.folder} has no frame: leave it out")
    return np.array([session.state(number).footprint.position[:2] for number in session.numbers])


def _corner(session: Session) -> np.ndarray:
    """(2,) metres: how far the grid reaches from the vehicle at most."""
    grid = session.info.grid
    return np.maximum(np.abs(grid.lower[:2]), np.abs(grid.upper[:2]))


def _names(sessions: list[Session], chosen: np.ndarray) -> tuple[str, ...]:
    return tuple(sorted(session.name for session, take in zip(sessions, chosen, strict=True) if take))


def _agent_type(session: Session) -> str:
    return session.info.agent.split("_")[0]
