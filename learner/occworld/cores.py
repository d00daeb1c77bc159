"""Parts of a forecast side by side on a processor's cores.

PyTorch shares out each operation instead, and its threads wait for each other at the end of every one. A forecast is
many small ones: its steps, each on a core of its own, need no such waiting, and lose less where one is busy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")


def side_by_side(work: Callable[[Part], Result], parts: Sequence[Part], device: torch.device) -> list[Result]:
    """Results of work on each part, in their order: on as many threads as PyTorch would use on a CPU, one elsewhere.

    work: without gradients; it should be compiled code that lets go of the interpreter for most of its time.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1:
        return [work(part) for part in parts]

    autocast = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")

    def quietly(part: Part) -> Result:
        # Such modes are of a thread.
        with torch.inference_mode(), torch.autocast("cpu", enabled=autocast[0], dtype=autocast[1]):
            return work(part)

    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(quietly, parts))
    finally:
        torch.set_num_threads(threads)  # what a thread sets, later ones begin with


@contextmanager
def one_thread(wanted: bool) -> Iterator[None]:
    """Operations of PyTorch on one core, where it is wanted: small ones gain less by a second than they lose by waiting
    for it, at the end of each, where it is busy with something else."""
    threads = torch.get_num_threads()
    if wanted:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
