"""The stages of the demo: each is skipped when what it makes is there and its inputs have not changed.

A stage that fails is said, and left to the next run; those that do not need it go on.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from occ_core.children import ending_with_parent
from tokyo_city.plateau.model import ImportProblem


class StageFailed(Exception):
    """A stage of the demo that did not finish: which, and where its log is."""


@dataclass(frozen=True)
class StageResult:
    """seconds: wall time when it ran; reused: it did not have to run this time."""

    name: str
    seconds: float
    reused: bool


class Stages:
    """Runs stages in order and remembers in `stages/` what they were made from.

    missing: what could not be made, and why, in words.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "stages"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._fingerprints: dict[str, str] = {}
        self.results: list[StageResult] = []
        self.missing: list[str] = []

    def done(self, name: str) -> bool:
        """Is what a stage makes there?"""
        return name in self._fingerprints

    def forget(self, name: str) -> None:
        """Have a stage run again: what it had made is not there any more."""
        self._mark(name).unlink(missing_ok=True)

    def up_to_date(self, name: str, inputs: object, after: Iterable[str] = ()) -> float | None:
        """Seconds that a stage took when it ran with these inputs after these stages; None where it has to run.

        inputs: anything JSON can say.
        """
        mark = self._mark(name)
        try:
            written = json.loads(mark.read_text())
        except (OSError, ValueError):
            return None
        same = isinstance(written, dict) and written.get("fingerprint") == self._fingerprint(name, inputs, after)
        return written["seconds"] if same else None

    def run(self, name: str, inputs: object, work: Callable[[], None], after: Iterable[str] = ()) -> bool:
        """Do the work, or find it done. False where it failed, or what it needs is missing. after: what it needs."""
        after = tuple(after)
        if lacking := [needed for needed in after if not self.done(needed)]:
            self.missing.append(f"{name}: it needs what was not made: {', '.join(lacking)}")
            return False
        seconds = self.up_to_date(name, inputs, after)
        if seconds is not None:
            print(f"== {name}: up to date", flush=True)
            self._note(name, inputs, after, seconds, reused=True)
            return True
        self._mark(name).unlink(missing_ok=True)
        print(f"== {name}", flush=True)
        began = time.monotonic()
        try:
            work()
        except (StageFailed, ImportProblem) as problem:
            print(f"== {name} failed: {problem}", file=sys.stderr, flush=True)
            self.missing.append(f"{name}: {problem}")
            return False
        seconds = time.monotonic() - began
        beside = self._mark(name).with_suffix(".part")
        beside.write_text(json.dumps({"fingerprint": self._fingerprint(name, inputs, after), "seconds": seconds}))
        beside.replace(self._mark(name))
        self._note(name, inputs, after, seconds, reused=False)
        print(f"== {name}: {seconds:.0f} s", flush=True)
        return True

    def _mark(self, name: str) -> Path:
        return self._folder / f"{name.replace(' ', '_')}.json"

    def _fingerprint(self, name: str, inputs: object, after: Iterable[str]) -> str:
        before = [self._fingerprints[needed] for needed in after]
        return hashlib.sha256(json.dumps([before, name, inputs], sort_keys=True, default=str).encode()).hexdigest()

    def _note(self, name: str, inputs: object, after: Iterable[str], seconds: float, reused: bool) -> None:
        self._fingerprints[name] = self._fingerprint(name, inputs, after)
        self.results.append(StageResult(name, seconds, reused))

    def times(self) -> list[dict]:
        """For the report."""
        return [asdict(result) for result in self.results]


def python(stage: str, *command: str, cwd: Path | None = None) -> None:
    """Run a Python script in this environment, its output on this terminal; Ctrl-C reaches it too."""
    # Where nobody watches a bar move, a line of it now and then is enough.
    patience = {} if sys.stderr.isatty() else {"TQDM_MININTERVAL": "15"}
    process = subprocess.Popen(
        [sys.executable, *command], cwd=cwd, env=patience | dict(os.environ),
        preexec_fn=ending_with_parent(signal.SIGTERM),
    )  # fmt: skip
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise
    if code:
        raise StageFailed(f"{stage} failed with exit code {code}: {' '.join(command)}")
