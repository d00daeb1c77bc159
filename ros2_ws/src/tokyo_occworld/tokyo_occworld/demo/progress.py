"""How far a stage has come: a bar on a terminal, a line now and then elsewhere; both with the time that is left."""

from __future__ import annotations

import sys
import time

from tqdm import tqdm

_SAY_EVERY_S = 15.0


class StageProgress:
    """what: of the stage. total, unit: what it counts. Used as a context, which ends the bar's line."""

    def __init__(self, what: str, total: float, unit: str) -> None:
        self._what, self._total, self._unit = what, total, unit
        self._began = self._said = time.monotonic()
        shape = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} {unit} [{elapsed}<{remaining}]{postfix}"
        self._bar = tqdm(total=total, desc=what, unit=unit, bar_format=shape, disable=not sys.stderr.isatty())

    def __enter__(self) -> StageProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def at(self, done: float, note: str = "") -> None:
        """So much is done."""
        if not self._bar.disable:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(done - self._bar.n)
            return
        now = time.monotonic()
        if now - self._said < _SAY_EVERY_S:
            return
        self._said = now
        left = (self._total - done) * (now - self._began) / done if done > 0.02 * self._total else None
        guess = f"about {tqdm.format_interval(left)} left" if left is not None else "nothing to guess the rest from yet"
        print(
            f"{self._what}{f', {note}' if note else ''}: {done:.0f}/{self._total:.0f} {self._unit}, {guess}", flush=True
        )
