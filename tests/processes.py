"""Looking at processes from outside, through /proc."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE_S = 240.0
"""For what lives, and may be slow beside others: a deadline says that something has stopped, not that it took long."""


@contextmanager
def running(command: list, **options: Any) -> Iterator[subprocess.Popen]:
    """A process that is killed at the end if it still runs: a test that fails does not wait for it."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def descendants(pid: int) -> list[int]:
    """Children of a process, their children, and so on."""
    found, todo = [], [pid]
    while todo:
        for task in Path(f"/proc/{todo.pop()}/task").glob("*"):
            try:
                children = [int(child) for child in (task / "children").read_text().split()]
            except (FileNotFoundError, ProcessLookupError):  # the thread has ended since it was listed
                continue
            found += children
            todo += children
    return found


def command_line(pid: int) -> bytes:
    """What a process was started with; empty where it is gone or has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
