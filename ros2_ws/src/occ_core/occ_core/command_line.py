"""What every command does alike: one sentence instead of a traceback, quiet after Ctrl-C and a closed pipe.

Imported before anything that takes time, so that Ctrl-C is looked after from the start.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

_BAD_USAGE, _INTERRUPTED, _PIPE_CLOSED = 2, 130, 141


def run_command(
    name: str, work: Callable[[], int | None], expected: Callable[[], tuple[type[Exception], ...]] = tuple
) -> NoReturn:
    """Do the work and exit: with its code, 2 after one sentence, 130 after Ctrl-C, 141 before `| head` (as a shell).

    name: before the sentence. work: imports what it needs itself. expected: exceptions, besides those of the system and
    ValueError, whose text is the sentence; asked for only where something was raised.
    """
    sys.exit(_code(name, work, expected, _Watch()))


def _code(
    name: str, work: Callable[[], int | None], expected: Callable[[], tuple[type[Exception], ...]], watch: _Watch
) -> int | str:
    try:
        try:
            code: Any = work() or 0
        except SystemExit as exit:  # of argparse, after --help
            code = exit.code or 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's last flush complains
        return _PIPE_CLOSED
    except BaseException as error:
        # Ctrl-C within an import, or within compiled code, may come out as anything.
        if watch.interrupted or isinstance(error, KeyboardInterrupt):
            return _INTERRUPTED
        if isinstance(error, OSError):
            where = f"{error.filename}: " if error.filename and error.strerror else ""
            return _say(name, f"{where}{error.strerror or error}")
        if isinstance(error, ValueError) or isinstance(error, expected()):
            return _say(name, str(error))
        raise


def _say(name: str, sentence: str) -> int:
    print(f"{name}: {sentence}", file=sys.stderr)
    return _BAD_USAGE


class _Watch:
    """interrupted: has Ctrl-C been pressed? From then on nothing that breaks on the way out is printed."""

    def __init__(self) -> None:
        self.interrupted = False
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._interrupt)
            # From then on there is nothing left to do: Ctrl-C ends what is left at once.
            atexit.register(signal.signal, signal.SIGINT, signal.SIG_DFL)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.interrupted = True
        sys.unraisablehook = lambda _: None
        threading.excepthook = lambda _: None
        raise KeyboardInterrupt
