"""How fast a run is and how much memory it has taken."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass, field

import torch


@dataclass
class Throughput:
    """Windows a second between two questions, loading and saving included."""

    windows: int = 0
    since: float = field(default_factory=time.perf_counter)

    def add(self, windows: int) -> None:
        """Count windows that are done."""
        self.windows += windows

    def per_second(self) -> float:
        """Since this was last asked, or since the beginning."""
        now = time.perf_counter()
        rate = self.windows / (now - self.since)
        self.windows, self.since = 0, now
        return rate


def peak_memory_gb() -> float:
    """Most memory held so far, in 10^9 bytes: of tensors on the GPU where there is one, else of the process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
