"""What a check has found in one session."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Damage:
    """file: path below the session. frame: the number of the frame that it makes unusable, None for none."""

    file: str
    problem: str
    frame: int | None = None

    def __str__(self) -> str:
        return f"{self.file}: {self.problem}"


@dataclass(frozen=True)
class CheckReport:
    """usable: numbers of the frames that are whole. notes: what is worth knowing and no damage."""

    folder: Path
    usable: tuple[int, ...]
    damage: tuple[Damage, ...]
    notes: tuple[str, ...]

    @property
    def bad_frames(self) -> tuple[int, ...]:
        """Numbers of the frames with damage, ascending."""
        return tuple(sorted({damage.frame for damage in self.damage if damage.frame is not None}))


def ranges(numbers: tuple[int, ...]) -> str:
    """'1-4, 7' of (1, 2, 3, 4, 7), 'none' of ()."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs) or "none"
