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
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from occ_core.children import ending_with_parent, interrupts_held
from occ_core.command_line import raise_if_interrupted
from tokyo_city.plateau.model import ImportProblem


class StageFailed(Exception):
    """A stage of the demo that did not finish: which, and where its log is."""


@dataclass(frozen=True)
class StageResult:
    """seconds: wall time when it ran; reused: it did not have to run this time."""

    name: str
    seconds: float
    reused: bool


@dataclass(frozen=True)
class Stage:
    """inputs: anything JSON can say. work: does it step by step, so that several get on side by side; it yields after
    each step. after: names of the stages that it needs."""

    name: str
    inputs: object
    work: Callable[[], Generator[None]]
    after: tuple[str, ...] = ()


_Running = tuple[Stage, float, Generator[None]]


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

        def at_once() -> Generator[None]:
            work()
            yield

        return self.run_beside([Stage(name, inputs, at_once, tuple(after))], 1) == [name]

    def run_beside(self, stages: Sequence[Stage], most: int) -> list[str]:
        """Do the work of stages that do not need each other, so many at once; the names of those that are done."""
        waiting, running = deque(stages), []
        try:
            while waiting or running:
                while waiting and len(running) < most:
                    if work := self._begin(waiting.popleft()):
                        running.append(work)
                running = [
                    (stage, began, steps) for stage, began, steps in running if self._goes_on(stage, began, steps)
                ]
        finally:
            for _, _, steps in running:
                steps.close()
        order = [stage.name for stage in stages]
        self.results.sort(key=lambda result: order.index(result.name) if result.name in order else -1)
        return [name for name in order if self.done(name)]

    def _begin(self, stage: Stage) -> _Running | None:
        """The work of a stage; None where there is none to do, or it can't be done."""
        if lacking := [needed for needed in stage.after if not self.done(needed)]:
            self.missing.append(f"{stage.name}: it needs what was not made: {', '.join(lacking)}")
            return None
        seconds = self.up_to_date(stage.name, stage.inputs, stage.after)
        if seconds is not None:
            print(f"== {stage.name}: up to date", flush=True)
            self._note(stage, seconds, reused=True)
            return None
        self._mark(stage.name).unlink(missing_ok=True)
        print(f"== {stage.name}", flush=True)
        return stage, time.monotonic(), stage.work()

    def _goes_on(self, stage: Stage, began: float, steps: Generator[None]) -> bool:
        """Do a step of a stage; False where it was the last."""
        try:
            next(steps)
            raise_if_interrupted()
            return True
        except StopIteration:
            raise_if_interrupted()  # what it made may lack what was done when the signal came
        except (StageFailed, ImportProblem) as problem:
            print(f"== {stage.name} failed: {problem}", file=sys.stderr, flush=True)
            self.missing.append(f"{stage.name}: {problem}")
            return False
        seconds = time.monotonic() - began
        beside = self._mark(stage.name).with_suffix(".part")
        fingerprint = self._fingerprint(stage.name, stage.inputs, stage.after)
        beside.write_text(json.dumps({"fingerprint": fingerprint, "seconds": seconds}))
        beside.replace(self._mark(stage.name))
        self._note(stage, seconds, reused=False)
        print(f"== {stage.name}: {seconds:.0f} s", flush=True)
        return False

    def _mark(self, name: str) -> Path:
        return self._folder / f"{name.replace(' ', '_')}.json"

    def _fingerprint(self, name: str, inputs: object, after: Iterable[str]) -> str:
        before = [self._fingerprints[needed] for needed in after]
        return hashlib.sha256(json.dumps([before, name, inputs], sort_keys=True, default=str).encode()).hexdigest()

    def _note(self, stage: Stage, seconds: float, reused: bool) -> None:
        self._fingerprints[stage.name] = self._fingerprint(stage.name, stage.inputs, stage.after)
        self.results.append(StageResult(stage.name, seconds, reused))

    def times(self) -> list[dict]:
        """For the report."""
        return [asdict(result) for result in self.results]


def python(stage: str, *command: str, cwd: Path | None = None) -> None:
    """Run a Python script in this environment, its output on this terminal; Ctrl-C reaches it too."""
    # Where nobody watches a bar move, a line of it now and then is enough.
    patience = {} if sys.stderr.isatty() else {"TQDM_MININTERVAL": "15"}
    process = None
    try:
        with interrupts_held():
            process = subprocess.Popen(
                [sys.executable, *command], cwd=cwd, env=patience | dict(os.environ),
                preexec_fn=ending_with_parent(signal.SIGTERM),
            )  # fmt: skip
        code = process.wait()
    except KeyboardInterrupt:
        if process is not None:
            process.terminate()  # before its program had begun, Ctrl-C was lost on it
            process.wait()
        raise
    if code:
        raise StageFailed(f"{stage} failed with exit code {code}: {' '.join(command)}")
