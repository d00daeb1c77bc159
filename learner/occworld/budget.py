"""How far a run has come, by steps or by the clock, and the learning rate that goes with it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from occworld.config import OptimizerConfig, ScheduleConfig

_MARGIN = 1.15  # over what an evaluation took the last time: no two take the same


@dataclass
class Deadline:
    """Of a whole run. seconds: wall-clock time from `started` (time.monotonic), None for no limit.

    What is left when training ends has to be enough for the last evaluation, calibration included. How long one takes
    is measured: on one window before training, then on every evaluation. windows: that an evaluation wants.
    """

    seconds: float | None
    windows: int
    started: float = field(default_factory=lambda: time.monotonic())
    window_s: float = 0.0
    writing_s: float = 0.0

    def measured(self, windows: int, scoring_s: float, writing_s: float) -> None:
        """So long took an evaluation on so many windows, and what was written of it."""
        self.window_s, self.writing_s = scoring_s / windows, writing_s

    @property
    def left(self) -> float:
        """Seconds, less than 0 once they are over; infinite without a limit."""
        return math.inf if self.seconds is None else self.started + self.seconds - time.monotonic()

    @property
    def reserve(self) -> float:
        """Seconds to keep for the last evaluation."""
        return _MARGIN * (self.writing_s + self.windows * self.window_s)

    @property
    def for_training(self) -> float:
        """Seconds until training has to end, 0 where that is now."""
        return max(self.left - self.reserve, 0.0)

    @property
    def affords_another(self) -> bool:
        """Is there time for an evaluation now and, after some more training, for the last one?"""
        return self.left > 2 * self.reserve

    @property
    def affordable_windows(self) -> int:
        """How many windows the last evaluation has time for: at least one, at most those that it wants."""
        if self.left <= 0:
            return 1
        if self.seconds is None or self.window_s <= 0:
            return self.windows
        return int(min(max((self.left - self.writing_s) / self.window_s, 1), self.windows))


@dataclass
class Budget:
    """Of one stage. seconds: wall-clock limit, None for none. total_steps: of all epochs, or the fewer allowed.

    done: steps that are made.
    """

    total_steps: int
    seconds: float | None
    started: float = field(default_factory=lambda: time.monotonic())
    done: int = 0

    def fraction(self, step: int) -> float:
        """In [0, 1]: by steps, or by the clock where that is ahead."""
        done = step / max(self.total_steps, 1)
        if self.seconds is not None:
            done = max(done, (time.monotonic() - self.started) / max(self.seconds, 1e-9))
        return min(done, 1.0)

    def stepped(self, step: int) -> bool:
        """A step, counted from 0, is made; True where it was the last."""
        self.done = step + 1
        return self.done >= self.total_steps

    def spent(self) -> bool:
        """Has the clock run out, or are all steps made?"""
        late = self.seconds is not None and time.monotonic() - self.started >= self.seconds
        return late or self.done >= self.total_steps


def learning_rate(optimizer: OptimizerConfig, schedule: ScheduleConfig, step: int, fraction: float) -> float:
    """Linear warm-up, then cosine annealing over the fraction of the stage that is done."""
    cosine = schedule.min_lr + (optimizer.lr - schedule.min_lr) * (1 + math.cos(math.pi * fraction)) / 2
    return cosine * min(1.0, (step + 1) / max(schedule.warmup_iters, 1))
