"""Put a session's damaged frames and leftovers away, so that what remains is whole. Nothing is deleted."""

from __future__ import annotations

from pathlib import Path

from occ_recorder.sessions.damage import CheckReport
from occ_recorder.sessions.inventory import QUARANTINE, take_inventory


def quarantine(report: CheckReport) -> list[Path]:
    """Move every file of every bad frame, leftovers and strangers to `quarantine/`, under the names they have.

    Returns where they are now. A frame's occupancy file goes first: killed half-way, the frame is not listed any more.
    """
    inventory = take_inventory(report.folder)
    paths = [*inventory.leftovers, *inventory.strangers]
    for number in report.bad_frames:
        parts = inventory.frames[number]
        paths += [parts[part] for part in sorted(parts, key=lambda part: part != "occupancy")]
    return [_put_away(report.folder, path) for path in paths]


def _put_away(folder: Path, path: Path) -> Path:
    target = folder / QUARANTINE / path.relative_to(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    free = target
    again = 1
    while free.exists():
        again += 1
        free = target.with_name(f"{target.stem}_{again}{target.suffix}")
    return path.rename(free)
