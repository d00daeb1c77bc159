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
from typing import NoReturn

_BAD_USAGE, _INTERRUPTED, _PIPE_CLOSED = 2, 130, 141


class UsageError(ValueError):
    """What the user can put right: the sentence that the command ends with."""


def run_command(
    name: str, work: Callable[[], int | None], expected: Callable[[], tuple[type[Exception], ...]] = tuple
) -> NoReturn:
    """Do the work and exit with `exit_code`, or 130 after Ctrl-C, at any moment from now on."""
    global _watch
    watch = _watch = _Watch()
    try:
        code = exit_code(name, work, expected)
    except BaseException as error:
        # Ctrl-C within an import, or within compiled code, may come out as anything.
        if not (watch.interrupted or isinstance(error, KeyboardInterrupt)):
            raise
        code = _INTERRUPTED
    sys.exit(_INTERRUPTED if watch.interrupted and code == _BAD_USAGE else code)


def raise_if_interrupted() -> None:
    """KeyboardInterrupt where Ctrl-C was pressed since the command began.

    For work that goes on for minutes, between its steps: what the signal raised may have been lost in somebody's
    callback, or come out of compiled code as what another library takes for "not available".
    """
    if _watch is not None and _watch.interrupted:
        raise KeyboardInterrupt


def exit_code(
    name: str, work: Callable[[], int | None], expected: Callable[[], tuple[type[Exception], ...]] = tuple
) -> int | str:
    """Do the work: its code, 2 after one sentence, 141 before `| head` (as a shell).

    name: before the sentence. work: imports what it needs itself. expected: exceptions whose text is the sentence,
    besides UsageError and the system's; asked for only where something else was raised.
    """
    try:
        try:
            code: int | str = work() or 0
        except SystemExit as exit:  # of argparse, after --help
            code = exit.code or 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's last flush complains
        return _PIPE_CLOSED
    except OSError as error:
        where = f"{error.filename}: " if error.filename and error.strerror else ""
        return _say(name, f"{where}{error.strerror or error}")
    except UsageError as error:
        return _say(name, str(error))
    except Exception as error:
        if not isinstance(error, expected()):
            raise
        return _say(name, str(error))


def _say(name: str, sentence: str) -> int:
    print(f"{name}: {sentence}", file=sys.stderr)
    return _BAD_USAGE


_watch: _Watch | None = None  # of the command that runs


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
