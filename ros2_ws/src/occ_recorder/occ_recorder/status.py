"""What a recording says of itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class RecordingStatus:
    """Counts for /diagnostics. session: the open one's folder name, '' for none. problem: in words, '' for none.

    A problem stays until whoever reports it has taken it, so that one frame dropped between two reports is seen.
    """

    frames: int = 0
    sessions: int = 0
    session: str = ""
    dropped_sweeps: int = 0
    dropped_frames: int = 0
    problem: str = ""

    def take_problem(self) -> str:
        """The problem since the last call."""
        problem, self.problem = self.problem, ""
        return problem
