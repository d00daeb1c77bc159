"""How far long work has come: a bar on a terminal, a line now and then elsewhere; both with a rate and what is left."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

from tqdm import tqdm

from occ_core.command_line import raise_if_interrupted

SAY_EVERY_S = 15.0
tqdm.monitor_interval = 0  # Its thread could hold a lock at the moment when worker processes are forked.


class Steps(tqdm):
    """tqdm's bar over the steps of long work. Between two of them Ctrl-C ends it, also one that was lost before."""

    def __iter__(self) -> Iterator[Any]:
        for step in super().__iter__():
            raise_if_interrupted()
            yield step

    def update(self, n: float = 1) -> bool | None:
        """So much more is done."""
        raise_if_interrupted()
        return super().update(n)


class ProgressBar:
    """total, unit: what is counted; desc: of the work. unit_scale: count in k, M, G. Used as a context.

    Where nobody looks at a terminal, as in a log or over ssh without one, it says a line each 15 s, also while a single
    long part of the work is under way; work that is done sooner says nothing.
    """

    def __init__(self, total: float, desc: str, unit: str, unit_scale: bool = False) -> None:
        self._what = {"prefix": desc, "unit": unit, "unit_scale": unit_scale, "total": total}
        self._done: float = 0
        self._note, self._began = "", time.monotonic()
        self._bar: tqdm | None = None
        if sys.stderr.isatty():
            self._bar = tqdm(total=total, desc=desc, unit=unit, unit_scale=unit_scale)
        self._over = Event()
        self._thread: Thread | None = None

    def __enter__(self) -> ProgressBar:
        if self._bar is None:
            self._thread = Thread(target=self._say, name="progress", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._bar is not None:
            self._bar.close()
        if self._thread is not None:
            self._thread.join()

    def update(self, more: float = 1) -> None:
        """So much more is done. KeyboardInterrupt where Ctrl-C was pressed, also where that was lost on the way."""
        raise_if_interrupted()
        self._done += more
        if self._bar is not None:
            self._bar.update(more)

    def at(self, done: float) -> None:
        """So much is done, all in all."""
        self.update(done - self._done)

    def note(self, text: str) -> None:
        """What else there is to say of it."""
        self._note = text
        if self._bar is not None:
            self._bar.set_postfix_str(text, refresh=False)

    def line(self, elapsed: float) -> str:
        """As it is said after so many seconds."""
        # Work of which next to nothing is done has no rate to speak of.
        return tqdm.format_meter(self._done, elapsed=elapsed, postfix=self._note, ncols=100, ascii=True, **self._what)

    def _say(self) -> None:
        while not self._over.wait(SAY_EVERY_S):
            # Not through sys.stderr: worker processes are forked meanwhile, and would inherit its lock as it is then.
            os.write(2, f"{self.line(time.monotonic() - self._began)}\n".encode())
