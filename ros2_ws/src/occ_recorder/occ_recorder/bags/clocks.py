"""The clocks of a bag: what messages say of their time, when they were recorded, and odometry's own consistency."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from occ_core.messages import from_odometry, from_stamp
from occ_core.odometry import TwistCheck
from occ_recorder.bags.config import TF_ODOMETRY, BagConfig, RobotConfig, Stamps
from occ_recorder.bags.reading import Bag, BagError

_PAIRS = 5
_LOOKED_AT = 2000
_ONE_CLOCK_S = 2.0
_REMEMBERED_S = 9.0  # sweeps that come later than this after odometry of their time find none


def restamp(content: Any, logged: int) -> None:
    """Put the time of recording, nanoseconds since 1970, into every header of a message."""
    for part in (content, *getattr(content, "transforms", ()), *getattr(content, "markers", ())):
        if hasattr(part, "header"):
            part.header.stamp.sec, part.header.stamp.nanosec = divmod(logged, 10**9)


def check_clocks(bag: Bag, robot: RobotConfig, config: BagConfig) -> None:
    """BagError where a robot's sweeps and odometry are stamped by two clocks, or by none, with what to do."""
    if config.stamps is Stamps.LOG:
        return
    odometry = config.tf if robot.odometry == TF_ODOMETRY else robot.odometry
    pairs = list(_pairs(bag, robot.lidar, odometry))
    if len(pairs) < 2:
        return
    sweep, other, logged = pairs[0]
    differences = [a - b for a, b, _ in pairs]
    apart = float(np.median(differences))
    if np.ptp(differences) > _ONE_CLOCK_S:
        return  # Where they jump there are more than two clocks, as when two robots share a name.
    if -_REMEMBERED_S < apart <= config.patience:
        for topic, column in ((robot.lidar, 0), (odometry, 1)):
            if len(pairs) > 2 and len({pair[column] for pair in pairs}) == 1:
                raise BagError(
                    f"{robot.name}: the stamps of {topic} stand still at {pairs[0][column]:.3f} s: `stamps: log` in a"
                    " --config takes the times of recording instead"
                )
        return
    raise BagError(
        f"{robot.name}: two clocks, {abs(apart):.3f} s apart: {robot.lidar} is stamped {_clock(sweep, logged)} and"
        f" {odometry} {_clock(other, logged)}, recorded at the same time; mend the driver's clock, or take the times of"
        " recording for both: `stamps: log` in a --config"
    )


def _clock(stamp: float, logged: float) -> str:
    """A clock in words. stamp, logged: seconds."""
    if stamp == 0:
        return "zero"
    off = stamp - logged
    if abs(off) < 0.5:
        return f"{stamp:.3f} s, by the recorder's clock"
    if stamp < 1e8:
        return f"{stamp:.3f} s, as if since a start"
    return f"{stamp:.3f} s, {abs(off):.3f} s {'after' if off > 0 else 'before'} it was recorded"


def _pairs(bag: Bag, lidar: str, odometry: str) -> Iterator[tuple[float, float, float]]:
    """Stamps of a sweep and of the odometry that was recorded last before it, and when, in seconds."""
    last: tuple[float, int] | None = None
    found = 0
    for number, message in enumerate(bag.messages({lidar, odometry})):
        if found == _PAIRS or number > _LOOKED_AT:
            return
        if message.topic == odometry:
            stamps = [from_stamp(part.header.stamp) for part in getattr(message.content, "transforms", ())]
            last = (max(stamps) if stamps else _stamp(message.content)), message.logged
        elif last is not None and message.logged - last[1] < 10**9:
            found += 1
            yield _stamp(message.content), last[0], message.logged * 1e-9


def _stamp(content: Any) -> float:
    return from_stamp(content.header.stamp) if hasattr(content, "header") else 0.0


def twist_is_wrong(bag: Bag, robot: RobotConfig) -> bool:
    """Whether the beginning of a robot's odometry has velocities that are not what its poses do."""
    check = TwistCheck()
    for number, message in enumerate(bag.messages({robot.odometry} - {TF_ODOMETRY})):
        if check.wrong or number > _LOOKED_AT or not hasattr(message.content, "twist"):
            break
        try:
            check.add(from_odometry(message.content))
        except ValueError:
            continue  # The conversion reads it again, and counts it.
    return check.wrong
