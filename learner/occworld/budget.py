"""How far a run has come, by steps or by the clock, and the learning rate that goes with it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from occworld.config import OptimizerConfig, ScheduleConfig


@dataclass
class Budget:
    """Of one stage. seconds: wall-clock limit, None for none. total_steps: of all epochs, or the fewer allowed.

    done: steps that are made.
    """

    total_steps: int
    seconds: float | None
    started: float = field(default_factory=time.monotonic)
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
