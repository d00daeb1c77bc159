"""What a recording has to say each second: what went wrong since the last time, in words, and counts."""

from __future__ import annotations

from dataclasses import dataclass

from occ_core.sync import SweepSynchronizer
from occ_recorder.recording import RobotRecording

_SILENCE_REPORTS = 5


@dataclass(frozen=True)
class Report:
    """problem: since the report before, '' for none. values: by name, as they go into /diagnostics."""

    problem: str
    values: dict[str, object]


class Reporter:
    """Compares counts with those of the report before, so that every drop is said once, when it happens."""

    def __init__(self, recording: RobotRecording, synchronizer: SweepSynchronizer) -> None:
        self._recording, self._synchronizer = recording, synchronizer
        self._dropped: dict[str, int] = {}
        self._said: set[str] = set()
        self._newest = 0.0
        self._silent = 0

    def next(self) -> Report:
        """What there is to say now."""
        status = self._recording.status
        problems = [status.take_problem()]
        dropped = dict(self._synchronizer.dropped)
        problems += [f"{why}: {n} times" for why, n in dropped.items() if n > self._dropped.get(why, 0)]
        problems += [what for what in self._synchronizer.mended if what not in self._said]
        self._said |= self._synchronizer.mended.keys()
        self._dropped = dropped
        self._silent = self._silent + 1 if self._recording.newest == self._newest else 0
        self._newest = self._recording.newest
        if not self._recording.alive:
            problems.append("recording has ended with an error, see the log; start the recorder again")
        if self._silent >= _SILENCE_REPORTS:
            problems.append(f"no sweep with its odometry and actors in the last {self._silent} s")
        values = {
            "mode": self._recording.mode.value,
            "session": status.session,
            "sessions": status.sessions,
            "frames": status.frames,
            "dropped frames": status.dropped_frames,
            "dropped sweeps": status.dropped_sweeps,
            **dropped,
            **self._synchronizer.mended,
        }
        return Report("; ".join(filter(None, problems)), values)
