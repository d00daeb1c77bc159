"""Programs run within the process that asks: what they say and end with, without the seconds that imports take."""

from __future__ import annotations

import io
import runpy
import signal
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest.mock import patch

_HANDLED = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Done:
    """As a process that has ended: its exit code, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def done(program: Callable[[], object], *arguments: object) -> Done:
    """Run an entry point with a command line. What it raises is raised here; signals are answered as before then."""
    before = {number: signal.getsignal(number) for number in _HANDLED}
    out, err, code = io.StringIO(), io.StringIO(), 0
    words = [getattr(program, "__module__", "program"), *map(str, arguments)]
    try:
        with patch.object(sys, "argv", words), redirect_stdout(out), redirect_stderr(err):
            try:
                program()
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return Done(code, out.getvalue(), err.getvalue())


def tokyo(*arguments: object) -> Done:
    """`tokyo` with these arguments."""
    from tokyo_occworld.cli.main import main

    return done(main, *arguments)


def script(path: object) -> Callable[[], object]:
    """A Python file as an entry point."""
    return lambda: runpy.run_path(str(path), run_name="__main__")


def node(main: Callable[[], object], **parameters: object) -> Done:
    """Run a node's entry point with parameters, as `-p name:=value`, until it ends by itself."""
    options = [part for name, value in parameters.items() for part in ("-p", f"{name}:={value}")]
    return done(main, "--ros-args", *options)
