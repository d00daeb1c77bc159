"""What a session keeps beside its frames, a JSON object a line: events with their time, and checksums of files."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path

EVENTS = "events.jsonl"
CHECKSUMS = "checksums.jsonl"


class EventKind(str, Enum):
    """What happened during a recording; `end` is the last line of one that was finished, not killed."""

    MARK = "mark"
    PAUSE = "pause"
    RESUME = "resume"
    DROPPED = "dropped"
    CONDITION = "condition"
    END = "end"


@dataclass(frozen=True)
class Event:
    """time: seconds, of the robot's messages. label: of a mark; why, of a dropped frame; of a condition, how the robot
    is from then on."""

    time: float
    kind: EventKind
    label: str = ""


def append(path: Path, line: dict) -> None:
    """Add a line. Where the disk refuses half of it, the half is taken back and OSError goes on."""
    payload = json.dumps(line).encode() + b"\n"
    with open(path, "ab", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        try:
            while payload:
                payload = payload[file.write(payload) :]
        except OSError:
            file.truncate(end)
            raise


def append_event(folder: Path, event: Event) -> None:
    """Add an event to a session's folder."""
    append(folder / EVENTS, asdict(event))


def read_events(folder: Path) -> list[Event]:
    """The events of a session's folder in the order they were written, [] without a file."""
    events = []
    for line in _lines(folder / EVENTS):
        try:
            events.append(Event(float(line["time"]), EventKind(line["kind"]), str(line["label"])))
        except (KeyError, TypeError, ValueError):
            continue  # of a later version, or damaged: `tokyo sessions check` counts them
    return events


def append_checksums(folder: Path, sums: dict[str, int]) -> None:
    """Add CRC-32 sums by path below the session."""
    append(folder / CHECKSUMS, sums)


def read_checksums(folder: Path) -> dict[str, int]:
    """CRC-32 by path below the session; of a path that was written twice, the later."""
    return {name: crc for line in _lines(folder / CHECKSUMS) for name, crc in line.items() if isinstance(crc, int)}


def unreadable_lines(path: Path) -> int:
    """How many lines are no JSON objects; a last one without its newline, as a kill leaves it, not counted."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
    return sum(_object(line) is None for line in lines)


def _lines(path: Path) -> list[dict]:
    if not path.is_file():
        return []
    found = (_object(line) for line in path.read_bytes().split(b"\n"))
    return [line for line in found if line is not None]


def _object(line: bytes) -> dict | None:
    try:
        data = json.loads(line)
    except ValueError:
        return None
    return data if isinstance(data, dict) else None
