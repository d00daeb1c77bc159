"""Processes that end with the one that started them, however it ends. Linux, and the standard library alone.

Three things hold them: the parent stops them where it can; a reaper, a process of its own, does where the parent was
killed; and the kernel interrupts them when the parent dies (PR_SET_PDEATHSIG), should the reaper be killed first.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None)
_LOOK_S = 0.05


def ending_with_parent(number: int = signal.SIGINT) -> Callable[[], None] | None:
    """What a child does before its program starts, for `preexec_fn`: it gets this signal when its parent dies.

    The kernel means the thread that started it: None in any other than the main thread, which would end too early.
    """
    if threading.current_thread() is not threading.main_thread():
        return None
    parent = os.getpid()

    def prepare() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    return prepare


@contextmanager
def interrupts_held(*numbers: int) -> Iterator[None]:
    """Signals with handlers in Python take effect at the end of the context; by default SIGINT, SIGTERM and SIGHUP.

    For a process that forks: what a handler raises in the hooks that other modules have for that is printed and lost,
    and so would Ctrl-C be. What is forked within and begins no other program leaves these signals to this process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    numbers = numbers or (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers if callable(signal.getsignal(number))}
    try:
        for number in before:
            signal.signal(number, lambda received, _: came.append(received))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in dict.fromkeys(came):
            signal.raise_signal(number)


def members(leader: int) -> list[int]:
    """Processes of the session that a process began with `start_new_session`, those that have ended left out."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            state, _, _, session = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:  # it has gone meanwhile
            continue
        if int(session) == leader and state not in "ZX":
            found.append(int(name))
    return found


def stop_sessions(leaders: list[int], patience: float, reap: Callable[[], object] = lambda: None) -> None:
    """End all processes of these sessions: SIGINT, SIGTERM and SIGKILL, so many seconds apart where they are needed.

    patience 0: SIGKILL at once. reap: is called while waiting, for a parent to take its children's exit codes.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL) if patience else (signal.SIGKILL,):
        reap()
        left = [pid for leader in leaders for pid in members(leader)]
        for pid in left:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        end = time.monotonic() + max(patience, 1.0)
        while left and time.monotonic() < end:
            time.sleep(_LOOK_S)
            reap()
            left = [pid for leader in leaders for pid in members(leader)]
        if not left:
            return


class Reaper:
    """Stops sessions and takes folders away when this process ends without having done so itself.

    patience: seconds after each of SIGINT and SIGTERM.
    """

    def __init__(self, patience: float) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, str(patience)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def mind(self, leader: int) -> None:
        """A session was started."""
        self._tell(f"+{leader}")

    def release(self, leader: int) -> None:
        """A session was stopped: its number may soon be another's."""
        self._tell(f"-{leader}")

    def keep(self, folder: str) -> None:
        """A folder is to go with this process."""
        self._tell(f"/{folder}")

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:  # somebody has killed it: the kernel's signal is left
            pass

    def close(self) -> None:
        """All is stopped."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        self._process.wait()


def _reap(patience: float) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    leaders: list[int] = []
    folders: list[str] = []
    for line in sys.stdin:  # until the other end is closed: by `close`, or with its process
        kind, text = line[0], line[1:].rstrip("\n")
        if kind == "+":
            leaders.append(int(text))
        elif kind == "-":
            leaders.remove(int(text))
        else:
            folders.append(text)
    stop_sessions(leaders, patience)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _reap(float(sys.argv[1]))
