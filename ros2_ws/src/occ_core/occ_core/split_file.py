"""Which sessions of a data root are for training, validation and test: `split.json`, beside the sessions."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from occ_core.frame_files import SessionError

SPLIT_FILE = "split.json"
PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class SessionSplit:
    """Names of whole sessions. by: 'session' or 'place'. gap: metres between places, 0 for a split by session.

    left_out: sessions that lie in no part, because they touch the gap between two.
    """

    by: str
    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    gap: float = 0.0

    def __post_init__(self) -> None:
        names = [*self.train, *self.val, *self.test, *self.left_out]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"sessions in more than one part: {', '.join(twice)}")


def write_split(root: Path, split: SessionSplit) -> Path:
    """Write the file, whole or not at all. SessionError where the disk refuses."""
    path, beside = root / SPLIT_FILE, root / f".{SPLIT_FILE}.part"
    try:
        beside.write_text(json.dumps(asdict(split), indent=1) + "\n")
        os.replace(beside, path)
    except OSError as error:
        raise SessionError(f"{path} not written: {error.strerror}") from error
    return path


def read_split(root: Path) -> SessionSplit | None:
    """The split of a data root, None where it has none. SessionError for a damaged file."""
    path = root / SPLIT_FILE
    if not path.exists():
        return None
    try:
        data = json.loads(path.read_text())
        lists = {name: tuple(map(str, data[name])) for name in (*PARTS, "left_out")}
        return SessionSplit(by=str(data["by"]), gap=float(data["gap"]), **lists)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SessionError(f"{path}: not a split of sessions, {error}; make one with `tokyo sessions split`") from error
