"""Sessions of several places into one data root: names made unique, nothing overwritten, nothing twice."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from occ_core.progress import Steps
from occ_core.session import Session, SessionError


@dataclass(frozen=True)
class Merged:
    """source: a session. target: where it is now in the root; already: it was there before, byte for byte."""

    source: Path
    target: Path
    already: bool


def merge(sources: list[Path], root: Path) -> list[Merged]:
    """Copy sessions into a root; sources stay as they are. SessionError, before any copy, for one that is none.

    A session whose name is taken by another one gets `_2`, `_3`, ...; one whose every byte is there already is not
    copied again: a drive that is there twice could end up in training and in validation.
    """
    for source in sources:
        Session.open(source)
    try:
        root.mkdir(parents=True, exist_ok=True)
        return [_merge_one(source, root) for source in Steps(sources, "merging", unit="session", leave=False)]
    except OSError as error:
        raise SessionError(f"merging into {root}: {error.strerror or error}; what is there is whole") from error


def _merge_one(source: Path, root: Path) -> Merged:
    for target in _names(source, root):
        if not target.exists():
            break
        if target.samefile(source) or _same(source, target):
            return Merged(source, target, already=True)
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        shutil.copytree(source, beside)
        beside.rename(target)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return Merged(source, target, already=False)


def _names(source: Path, root: Path) -> Iterator[Path]:
    name, again = source.resolve().name, 1
    yield root / name
    while True:
        again += 1
        yield root / f"{name}_{again}"


def _same(a: Path, b: Path) -> bool:
    files = [sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file()) for folder in (a, b)]
    return files[0] == files[1] and all(filecmp.cmp(a / name, b / name, shallow=False) for name in files[0])
