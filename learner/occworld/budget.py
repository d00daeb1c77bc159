"""How far a run has come, by steps or by the clock, and the learning rate that goes with it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from occworld.config import OptimizerConfig, ScheduleConfig


@dataclass
class Budget:
    """Of one stage. seconds: wall-clock limit, None for none. total_steps: of all epochs."""

    total_steps: int
    seconds: float | None
    started: float = field(default_factory=time.monotonic)

    def fraction(self, step: int) -> float:
        """In [0, 1]: by steps, or by the clock where that is ahead."""
        done = step / max(self.total_steps, 1)
        if self.seconds is not None:
            done = max(done, (time.monotonic() - self.started) / max(self.seconds, 1e-9))
        return min(done, 1.0)

    def spent(self) -> bool:
        """Has the clock run out?"""
        return self.seconds is not None and time.monotonic() - self.started >= self.seconds


def learning_rate(optimizer: OptimizerConfig, schedule: ScheduleConfig, step: int, fraction: float) -> float:
    """Linear warm-up, then cosine annealing over the fraction of the stage that is done."""
    cosine = schedule.min_lr + (optimizer.lr - schedule.min_lr) * (1 + math.cos(math.pi * fraction)) / 2
    return cosine * min(1.0, (step + 1) / max(schedule.warmup_iters, 1))
