"""Find every kind of damage in a session, and say which of its frames are whole."""

from __future__ import annotations

import json
import zlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from occ_core.condition import Condition, conditions
from occ_core.frame_files import SessionError, read_state
from occ_core.grid import TOKYO_GRID, VoxelGrid
from occ_core.progress import Steps
from occ_core.session import Session
from occ_core.session_log import CHECKSUMS, EVENTS, EventKind, read_checksums, read_events, unreadable_lines
from occ_recorder.sessions.damage import CheckReport, Damage, ranges
from occ_recorder.sessions.frame_check import (
    image_problems,
    imu_problems,
    lidar_problems,
    occupancy_problems,
    pose_problems,
)
from occ_recorder.sessions.inventory import Inventory, take_inventory

_LEAST_POINTS = 20  # of a sweep; a drone in the open sky still sees the ground


def check_session(folder: Path) -> CheckReport:
    """Read every file of a session. Nothing is changed."""
    folder = Path(folder)
    inventory = take_inventory(folder)
    grid, suspect, damage = _description(folder)
    notes = [] if grid else ["grids were checked against the standard grid"]
    damage += [
        Damage(_name(folder, path), "left over from a write that was interrupted") for path in inventory.leftovers
    ]
    damage += [Damage(_name(folder, path), "no file of a session") for path in inventory.strangers]
    damage += list(_incomplete(inventory))
    damage += list(_contents(inventory, grid or TOKYO_GRID))
    damage += list(_times(inventory))
    damage += [
        Damage(name, f"{lines} lines that can't be read")
        for name in (EVENTS, CHECKSUMS)
        if (lines := unreadable_lines(folder / name))
    ]
    bad = {found.frame for found in damage}
    usable = tuple(number for number in inventory.frames if number not in bad)
    notes += [f"suspect, training leaves it out: {suspect}"] if suspect else []
    return CheckReport(folder, usable, tuple(damage), (*notes, *_notes(folder, inventory)))


def _description(folder: Path) -> tuple[VoxelGrid | None, str, list[Damage]]:
    """The grid, why the session is suspect, and what is wrong with the description."""
    try:
        info = Session.open(folder).info
        return info.grid, info.suspect, []
    except SessionError as error:
        damage = [Damage("session.json", str(error).removeprefix(f"{folder / 'session.json'}: "))]
    with suppress(OSError, ValueError, KeyError, TypeError):
        return VoxelGrid.from_dict(json.loads((folder / "session.json").read_text())["grid"]), "", damage
    return None, "", damage


def _incomplete(inventory: Inventory) -> Iterator[Damage]:
    written = [number for number, parts in inventory.frames.items() if "occupancy" in parts]
    for number, parts in inventory.frames.items():
        if missing := (inventory.parts | inventory.promised.get(number, frozenset())) - parts.keys():
            being_written = "occupancy" in missing and number > max(written, default=0)
            why = ", was being written when the recorder was killed" if being_written else ""
            yield Damage(f"frame {number:06d}", f"has no {', '.join(sorted(missing))}{why}", number)
    known = inventory.frames.keys() | inventory.quarantined
    if gaps := tuple(number for number in range(1, max(written, default=0)) if number not in known):
        yield Damage("occupancy", f"no trace of frame {ranges(gaps)}")


def _contents(inventory: Inventory, grid: VoxelGrid) -> Iterator[Damage]:
    """Damage inside files, frame by frame."""
    checks = {
        "poses": pose_problems,
        "lidar": lidar_problems,
        "imu": imu_problems,
        "occupancy": partial(occupancy_problems, grid=grid),
    }
    for channel in inventory.channels:
        checks[channel] = partial(image_problems, size=_usual_size(inventory, channel))
    sums = read_checksums(inventory.folder)

    def check(number: int) -> list[Damage]:
        found = []
        for part, path in inventory.frames[number].items():
            name = _name(inventory.folder, path)
            problems = list(checks[part](path))
            if not problems and name in sums and zlib.crc32(path.read_bytes()) != sums[name]:
                problems = ["its bytes have changed since they were written"]
            found += [Damage(name, problem, number) for problem in problems]
        return found

    with ThreadPoolExecutor() as pool:
        frames = pool.map(check, inventory.frames)
        for found in Steps(frames, inventory.folder.name, len(inventory.frames), unit="frame", leave=False):
            yield from found


def _usual_size(inventory: Inventory, channel: str) -> tuple[int, int] | None:
    sizes: Counter[tuple[int, int]] = Counter()
    for parts in inventory.frames.values():
        with suppress(OSError, KeyError, Image.DecompressionBombError), Image.open(parts[channel]) as image:
            sizes[image.size] += 1
    return max(sizes, key=sizes.__getitem__) if sizes else None


def _times(inventory: Inventory) -> Iterator[Damage]:
    """Frames whose time does not go forwards: all but a longest series that does, so that one wrong stamp costs one."""
    stamps: list[tuple[int, float]] = []
    for number, parts in inventory.frames.items():
        with suppress(SessionError, KeyError):
            stamps.append((number, read_state(parts["poses"]).stamp))
    good = _longest_increasing([stamp for _, stamp in stamps])
    for index, (number, stamp) in enumerate(stamps):
        if index not in good:
            yield Damage(f"poses/{number:06d}.json", f"time {stamp:.3f} s is out of order", number)


def _longest_increasing(values: list[float]) -> set[int]:
    """Indices of a longest strictly increasing subsequence (patience sorting); NaN is in none."""
    tops: list[float] = []
    last: list[int] = []
    before: dict[int, int | None] = {}
    for index, value in enumerate(values):
        if value != value:
            continue
        pile = bisect_left(tops, value)
        if tops[pile : pile + 1] == [value]:
            continue  # of two that are equal the first is right
        tops[pile : pile + 1], last[pile : pile + 1] = [value], [index]
        before[index] = last[pile - 1] if pile else None
    chain: set[int] = set()
    index = last[-1] if last else None
    while index is not None:
        chain.add(index)
        index = before[index]
    return chain


def _notes(folder: Path, inventory: Inventory) -> Iterator[str]:
    events = read_events(folder)
    if dropped := sum(event.kind is EventKind.DROPPED for event in events):
        yield f"{dropped} frames were dropped while recording"
    if not any(event.kind is EventKind.END for event in events):
        yield "the recorder did not finish this session: it was killed, is still at it, or is of an older version"
    if inventory.frames and not (folder / CHECKSUMS).exists():
        yield "no checksums: changed bytes in points and pictures can't all be found"
    yield from _unwell(inventory)
    if inventory.quarantined:
        yield f"frame {ranges(tuple(sorted(inventory.quarantined)))} in quarantine"


def _unwell(inventory: Inventory) -> Iterator[str]:
    """Frames, whole as they are, of a robot that lay on its back and the like: training leaves them out."""
    states, blind = {}, []
    for number, parts in inventory.frames.items():
        with suppress(SessionError, OSError, EOFError, ValueError, KeyError):
            state = read_state(parts["poses"])
            if np.isfinite(state.pose_13d).all():
                states[number] = state
            if len(np.load(parts["lidar"], mmap_mode="r", allow_pickle=False)) < _LEAST_POINTS:
                blind.append(number)
    stamps = np.array([state.stamp for state in states.values()])
    rows = np.array([state.pose_13d for state in states.values()]).reshape(-1, 13)
    found: dict[str, list[int]] = {}
    for number, how in zip(states, conditions(stamps, rows), strict=True):
        if how is not Condition.WELL:
            found.setdefault(how.value, []).append(number)
    found |= {"nothing seen": blind} if blind else {}
    for how, numbers in found.items():
        yield f"frame {ranges(tuple(numbers))}: {how}; training leaves them out"


def _name(folder: Path, path: Path) -> str:
    return str(path.relative_to(folder))
