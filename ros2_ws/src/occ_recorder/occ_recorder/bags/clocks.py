"""The clocks of a bag: what messages say of their time, when they were recorded, and odometry's own consistency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from occ_core.messages import from_odometry
from occ_core.odometry import TwistCheck
from occ_recorder.bags.config import TF_ODOMETRY, BagConfig, RobotConfig, Stamps
from occ_recorder.bags.reading import Bag, BagError

_PAIRS = 5
_LOOKED_AT = 2000
_ONE_CLOCK_S = 2.0
_REMEMBERED_S = 9.0  # sweeps that come later than this after odometry of their time find none
_LATEST_S = 5.0  # odometry that is recorded later than this after sweeps of its time is of another clock
_SAID_S = 0.5  # that one topic may come after the other without a word
_SELDOM_S, _TOO_SELDOM_S = 0.55, 1.55  # from one odometry to the next
_JITTER_S = 0.25
_SLOW = 0.002  # a clock that goes so much slower than that of recording is none, and no slow simulator's either
_LOGGED_APART_S = 1e-3
_WRONG_UNITS = {1e6: "milliseconds", 1e3: "microseconds"}  # by how many nanoseconds they are


def restamp(content: Any, logged: int) -> None:
    """Put the time of recording, nanoseconds since 1970, into every header of a message."""
    for part in (content, *getattr(content, "transforms", ()), *getattr(content, "markers", ())):
        if hasattr(part, "header"):
            part.header.stamp.sec, part.header.stamp.nanosec = divmod(logged, 10**9)


@dataclass(frozen=True)
class Timing:
    """patience: seconds of message time that a sweep waits for odometry. problems: sentences about when that comes."""

    patience: float
    problems: tuple[str, ...] = ()


def check_clocks(bag: Bag, robot: RobotConfig, config: BagConfig) -> Timing:
    """How long sweeps wait for odometry, by the beginning of a bag.

    BagError, with what to do, where a robot's sweeps and odometry are stamped by two clocks, or by none, and where
    odometry comes too seldom to tell where the robot was at a sweep.
    """
    odometry = config.tf if robot.odometry == TF_ODOMETRY else robot.odometry
    found = _beginning(bag, robot.lidar, odometry)
    if config.stamps is Stamps.LOG:
        found = {topic: rows[:, [1, 1]] for topic, rows in found.items()}
    sweeps, poses = (found[topic] * 1e-9 for topic in (robot.lidar, odometry))
    period = _period(poses[:, 0])
    problems = _seldom(robot, odometry, period, config.patience)
    late = _lateness(robot, odometry, sweeps, poses, config)
    if len(late):
        for topic, rows in found.items():
            _refuse_standing(robot, topic, rows)
    needed = max(float(late.max(initial=0.0)), 0.0) + 1.5 * period
    if len(late) and abs(apart := float(np.median(late))) > _SAID_S:
        after, before = (odometry, robot.lidar) if apart > 0 else (robot.lidar, odometry)
        problems.append(
            f"{robot.name}: {after} is recorded {abs(apart):.1f} s after {before} of the same stamps, which is waited"
            " for; if their clocks are so far apart instead, take `stamps: log` in a --config"
        )
    return Timing(config.patience if needed <= config.patience else needed + _JITTER_S, tuple(problems))


def _period(stamps: np.ndarray) -> float:
    """Seconds from one message to the next, of stamps (n,); 0 where that can't be told."""
    steps = np.diff(stamps)
    if (steps < 0).any():
        return 0.0  # There are two clocks, or two senders.
    steps = steps[steps > 0]
    return float(np.median(steps)) if len(steps) > 1 else 0.0


def _seldom(robot: RobotConfig, odometry: str, period: float, patience: float) -> list[str]:
    """What is to be said of odometry that comes seldom. BagError where that is too seldom."""
    if period <= _SELDOM_S:
        return []
    if period > max(_TOO_SELDOM_S, patience):
        raise BagError(
            f"{robot.name}: {odometry} comes only every {period:.1f} s, and where the robot was between can't be told:"
            " record it with 10 Hz or more, or name another odometry (--inspect lists what moves)"
        )
    return [
        f"{robot.name}: {odometry} comes only every {period:.1f} s: between, the robot is taken to go on evenly; with"
        " 10 Hz or more that need not be"
    ]


def _lateness(
    robot: RobotConfig, odometry: str, sweeps: np.ndarray, poses: np.ndarray, config: BagConfig
) -> np.ndarray:
    """(n,) seconds that sweeps are ahead of the odometry that is recorded at the same time, () where nothing is.

    sweeps, poses: (n, 2) seconds, stamps and times of recording. BagError where they are of two clocks, or of none.
    """
    if len(poses) < 2:
        return np.zeros(0)
    paired = sweeps[(sweeps[:, 1] >= poses[0, 1]) & (sweeps[:, 1] <= poses[-1, 1])]
    others = np.interp(paired[:, 1], poses[:, 1], poses[:, 0])
    differences = paired[:, 0] - others
    if len(paired) < 2 or np.ptp(differences) > _ONE_CLOCK_S:
        return np.zeros(0)  # Where they jump there are more than two clocks, as when two robots share a name.
    apart = float(np.median(differences))
    if not -_REMEMBERED_S < apart <= max(_LATEST_S, config.patience):
        sweep, logged = paired[0]
        raise BagError(
            f"{robot.name}: two clocks, {abs(apart):.3f} s apart: {robot.lidar} is stamped {_clock(sweep, logged)} and"
            f" {odometry} {_clock(float(others[0]), logged)}, recorded at the same time; mend the driver's clock, or"
            " take the times of recording for both: `stamps: log` in a --config"
        )
    return differences


def _refuse_standing(robot: RobotConfig, topic: str, rows: np.ndarray) -> None:
    """BagError where stamps do not go on. rows: (n, 2) int64 nanoseconds, stamps and times of recording."""
    if len(rows) > 2 and np.ptp(rows[:, 0]) == 0:
        raise BagError(
            f"{robot.name}: the stamps of {topic} stand still at {rows[0, 0] * 1e-9:.3f} s: `stamps: log` in a --config"
            " takes the times of recording instead"
        )
    stamps, first = np.unique(rows[:, 0], return_index=True)
    goes, recorded = np.diff(stamps) * 1e-9, np.abs(np.diff(rows[first, 1])) * 1e-9
    apart = recorded > _LOGGED_APART_S
    if apart.sum() < 3:
        return
    step, logged = float(np.median(goes[apart])), float(np.median(recorded[apart]))
    if step < _SLOW * logged:
        raise BagError(
            f"{robot.name}: the stamps of {topic} go on by {step * 1e6:.3g} us from one message to the next, which are"
            f" recorded {logged * 1e3:.3g} ms apart: its driver seems to write {_unit(step, logged)} where nanoseconds"
            " belong; mend it, or take the times of recording: `stamps: log` in a --config"
        )


def _unit(step: float, logged: float) -> str:
    """What makes seconds of a step of stamps that are too slow."""
    return min(_WRONG_UNITS.items(), key=lambda unit: abs(np.log(logged / max(step * unit[0], 1e-12))))[1]


def _clock(stamp: float, logged: float) -> str:
    """A clock in words. stamp, logged: seconds."""
    if stamp == 0:
        return "zero"
    off = stamp - logged
    if abs(off) < 0.5:
        return f"{stamp:.3f} s, by the recorder's clock"
    for factor, unit in _WRONG_UNITS.items():
        if abs(stamp * factor - logged) < 1e-3 * logged:
            return f"{stamp:.3f} s, as if {unit} were nanoseconds"
    if stamp < 1e8:
        return f"{stamp:.3f} s, as if since a start"
    return f"{stamp:.3f} s, {abs(off):.3f} s {'after' if off > 0 else 'before'} it was recorded"


def _beginning(bag: Bag, lidar: str, odometry: str) -> dict[str, np.ndarray]:
    """(n, 2) int64 nanoseconds, stamps and times of recording, of the first sweeps and of odometry, by topic.

    Seconds since 1970 would be off by some tenths of a microsecond as float64.
    """
    rows: dict[str, list[tuple[int, int]]] = {lidar: [], odometry: []}
    sweeps, poses = rows[lidar], rows[odometry]
    for number, message in enumerate(bag.messages({lidar, odometry})):
        if number > _LOOKED_AT:
            break
        if message.topic == odometry and len(poses) >= _PAIRS:
            if sum(poses[0][1] <= logged <= poses[-1][1] for _, logged in sweeps) >= _PAIRS:
                break
        parts = getattr(message.content, "transforms", None) or (message.content,)
        rows[message.topic].append((max(map(_nanoseconds, parts)), message.logged))
    return {topic: np.array(part, dtype=np.int64).reshape(-1, 2) for topic, part in rows.items()}


def _nanoseconds(content: Any) -> int:
    """The stamp of a message, 0 where it has no header."""
    if not hasattr(content, "header"):
        return 0
    return content.header.stamp.sec * 10**9 + content.header.stamp.nanosec


def twist_is_wrong(bag: Bag, robot: RobotConfig, child: str) -> bool:
    """Whether the beginning of a robot's odometry has velocities that are not what its poses do, or are no numbers.

    child: the frame that it is of; that of others on the same topic is passed over.
    """
    check = TwistCheck()
    numbers = nothing = 0
    for number, message in enumerate(bag.messages({robot.odometry} - {TF_ODOMETRY})):
        if check.wrong or number > _LOOKED_AT or not hasattr(message.content, "twist"):
            break
        if message.content.child_frame_id.lstrip("/") not in ("", child):
            continue
        try:
            odometry = from_odometry(message.content)
        except ValueError:
            continue  # The conversion reads it again, and counts it.
        if odometry.measured:
            check.add(odometry)
            numbers += 1
        else:
            nothing += 1
    return check.wrong or nothing > numbers
