"""A row of `make bench`: the time of some work beside that of a baseline doing the same work in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Row:
    """ours, baseline: median seconds of the same work."""

    name: str
    ours: float
    baseline: float
    against: str

    def line(self) -> str:
        """A row of the Markdown table."""
        ratio = self.baseline / self.ours
        return f"| {self.name} | {1e3 * self.ours:.1f} | {self.against} | {1e3 * self.baseline:.1f} | {ratio:.2f} |"


def paired(ours: Callable[[], object], baseline: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median seconds of each, run in turn after a warm-up, so that a drifting machine hits both alike."""
    ours(), baseline()
    times: tuple[list[float], list[float]] = [], []
    for _ in range(repeats):
        for work, store in zip((ours, baseline), times, strict=True):
            began = time.perf_counter()
            work()
            store.append(time.perf_counter() - began)
    return float(np.median(times[0])), float(np.median(times[1]))


def table(rows: list[Row]) -> str:
    """Rows as a Markdown table."""
    return "\n".join(["| what | ms | beside | ms | ratio |", "|---|---|---|---|---|", *(row.line() for row in rows)])
