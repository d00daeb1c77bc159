"""The stages of the demo: each is skipped when what it makes is there and its inputs have not changed."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from occ_core.children import ending_with_parent


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

    inputs of a stage: anything JSON can say; the fingerprint of all stages before it counts too.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "stages"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._fingerprint = ""
        self.results: list[StageResult] = []

    def run(self, name: str, inputs: object, work: Callable[[], None]) -> None:
        """Do the work, or find it done."""
        text = json.dumps([self._fingerprint, name, inputs], sort_keys=True, default=str)
        self._fingerprint = hashlib.sha256(text.encode()).hexdigest()
        mark = self._folder / f"{name}.json"
        if mark.exists() and (done := json.loads(mark.read_text())).get("fingerprint") == self._fingerprint:
            print(f"== {name}: up to date", flush=True)
            self.results.append(StageResult(name, done["seconds"], reused=True))
            return
        mark.unlink(missing_ok=True)
        print(f"== {name}", flush=True)
        began = time.monotonic()
        work()
        seconds = time.monotonic() - began
        mark.write_text(json.dumps({"fingerprint": self._fingerprint, "seconds": seconds}))
        self.results.append(StageResult(name, seconds, reused=False))
        print(f"== {name}: {seconds:.0f} s", flush=True)

    def times(self) -> list[dict]:
        """For the report."""
        return [asdict(result) for result in self.results]


def python(stage: str, *command: str, cwd: Path | None = None) -> None:
    """Run a Python script in this environment, its output on this terminal; Ctrl-C reaches it too."""
    process = subprocess.Popen([sys.executable, *command], cwd=cwd, preexec_fn=ending_with_parent(signal.SIGTERM))
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise
    if code:
        raise StageFailed(f"{stage} failed with exit code {code}: {' '.join(command)}")
