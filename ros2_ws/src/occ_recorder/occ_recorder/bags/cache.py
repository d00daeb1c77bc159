"""Sessions of bags, converted once: kept by what the bags hold, made anew when that has changed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from occ_core.citymap import SEMANTIC_MESH
from occ_core.output_folders import locked
from occ_core.progress import Steps
from occ_recorder.bags.convert import Conversion, convert
from occ_recorder.bags.reading import BagError

# Part of every key: raise it when the same bag gives other frames than before.
CACHE_VERSION = 3
_BLOCK = 1 << 22


def cached_sessions(bags: Sequence[Path], root: Path, conversion: Conversion) -> Path:
    """A folder below `root` with the sessions of all bags, converting those that are not there yet.

    BagError where a bag gives no frame. A conversion that is interrupted leaves nothing that would be taken for whole.
    """
    root = Path(root)
    folders = [_converted(Path(bag), root, conversion) for bag in bags]
    if len(folders) == 1:
        return folders[0]
    together = root / f"together_{_hash(*sorted(folder.name for folder in folders))}"
    with _made_once(together) as beside:
        for folder in folders if beside else ():
            for session in folder.glob("[!.]*"):
                if session.is_dir():
                    # Bags of one second may name their sessions alike.
                    (beside / f"{session.name}_{folder.name[:8]}").symlink_to(session.resolve())
    return together


@contextmanager
def _made_once(folder: Path) -> Iterator[Path | None]:
    """An empty folder to fill, which then gets its name; None where it is there, of the process before maybe.

    Of processes that want the same folder, as torchrun's do, one makes it and the others wait, however it ends.
    """
    if folder.is_dir():
        yield None
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_name(f".{folder.name}.lock"), "", wait=True):
        if folder.is_dir():
            yield None
            return
        beside = _fresh(folder)
        yield beside
        os.replace(beside, folder)


def _converted(bag: Path, root: Path, conversion: Conversion) -> Path:
    digests = [content_digest(bag, root)]
    if conversion.city:
        digests.append(content_digest(Path(conversion.city) / SEMANTIC_MESH, root))
    options = json.dumps(asdict(conversion), default=_plain, sort_keys=True)
    folder = root / _hash(*digests, options, str(CACHE_VERSION))
    with _made_once(folder) as beside:
        if beside:
            report = convert(bag, beside, conversion)
            if not any(report.frames.values()):
                raise BagError(f"{bag}: no frame came of it: {'; '.join(report.problems)}")
            (beside / "report.txt").write_text("".join(f"{problem}\n" for problem in report.problems))
    return folder


def content_digest(path: Path, root: Path) -> str:
    """A hash of all bytes of a file, or of the files in a folder. BagError where there is nothing.

    It is kept in `root` for as long as sizes and times of the files stay.
    """
    files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
    if not files or not files[0].exists():
        raise BagError(f"no bag {path}")
    stats = [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    known = root / "digests" / f"{_hash(str(path.resolve()))}.json"
    try:
        kept = json.loads(known.read_text())
        if kept["files"] == stats:
            return kept["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # There is none yet, or it is no use: it is made anew.
    digest = hashlib.blake2b(digest_size=16)
    total = sum(size for _, size, _ in stats)
    with Steps(total=total, desc=f"reading {path.name}", unit="B", unit_scale=True, disable=None, leave=False) as bar:
        for file in files:
            digest.update(f"{file.name} {file.stat().st_size}\n".encode())
            with open(file, "rb") as content:
                while block := content.read(_BLOCK):
                    digest.update(block)
                    bar.update(len(block))
    known.parent.mkdir(parents=True, exist_ok=True)
    beside = known.with_name(f"{known.name}.{os.getpid()}.part")
    beside.write_text(json.dumps({"files": stats, "digest": digest.hexdigest()}))
    os.replace(beside, known)  # whole, whoever reads it at this moment
    return digest.hexdigest()


def _fresh(folder: Path) -> Path:
    """An empty folder beside the place of one that will be whole; what a broken-off run left there goes."""
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    return beside


def _hash(*parts: str) -> str:
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=12).hexdigest()


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else str(value)
