"""Work shared among threads by compiled code that lets go of the interpreter."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_MOST = 8


def thread_count() -> int:
    """Threads worth starting for some milliseconds of work: as many as processors, up to 8."""
    return min(len(os.sched_getaffinity(0)), _MOST)


def in_threads(work: Callable[[int], None], threads: int) -> None:
    """Call work(0) ... work(threads - 1) at the same time; what one of them raises, this raises when all have ended.

    Started for each call: that takes 0.1 ms, and leaves nothing that a fork could break or that spins, as OpenMP's do.
    """
    if threads == 1:
        return work(0)
    with ThreadPoolExecutor(threads - 1) as pool:
        parts = [pool.submit(work, part) for part in range(1, threads)]
        work(0)
    for part in parts:
        part.result()
