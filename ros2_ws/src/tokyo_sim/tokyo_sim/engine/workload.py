"""Where a simulation's time goes, and what to switch off where the machine can't keep up. No ROS."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

_ENOUGH = 0.9  # of what was asked
_WORTH_SAYING = 0.05  # of the simulator's work
_SLOW_REPORTS = 3  # one after the other: a single slow second is nobody's trouble


class Part(Enum):
    """What a step of the simulation does; value: how to do less of it."""

    CAMERAS = "fewer images (camera_rate 2, or 0 for none; smaller image_width and image_height)"
    ACTORS = "fewer actors"
    ROBOTS = "fewer robots (drones, rovers)"
    WAITING = "nothing: it is time that others take"


class Workload:
    """Adds up the seconds of each part between two reports. asked: simulated seconds per second, 0 for no wish."""

    def __init__(self, asked: float) -> None:
        self._asked, self._slow = asked, 0
        self._seconds = dict.fromkeys(Part, 0.0)

    @contextmanager
    def part(self, part: Part) -> Iterator[None]:
        """The time spent in this context is that part's."""
        began = time.perf_counter()
        yield
        self._seconds[part] += time.perf_counter() - began

    def problem(self, reached: float) -> str:
        """A sentence where the machine has been too slow for some reports, '' else; begins to count anew.

        reached: simulated seconds per second since the last report.
        """
        spent = {part: seconds for part, seconds in self._seconds.items() if part is not Part.WAITING}
        self._seconds = dict.fromkeys(Part, 0.0)
        self._slow = self._slow + 1 if reached < _ENOUGH * self._asked else 0
        if self._slow < _SLOW_REPORTS:
            return ""
        total = sum(spent.values()) or 1.0
        parts = [p for p in sorted(spent, key=lambda p: -spent[p]) if spent[p] >= _WORTH_SAYING * total]
        shares = ", ".join(f"{part.name.lower()} {100 * spent[part] / total:.0f}%" for part in parts)
        return (
            f"the machine can't keep up: {reached:.2f} simulated seconds a second instead of {self._asked:g}"
            f" (the simulator works on {shares}); what helps, most first: {', '.join(p.value for p in parts)};"
            " or a smaller real_time_factor"
        )
