"""What was downloaded, from where, and the SHA-256 of each file: written beside it, checked later."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tokyo_city.download.web import DownloadProblem

SUFFIX = ".manifest.json"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Manifest:
    """url: where it came from. validator: the server's ETag or date, '' for none. dataset: in the catalogue.

    files: path below the manifest's folder -> SHA-256, in hexadecimal digits. fetched: ISO 8601, UTC.
    """

    url: str
    validator: str
    dataset: str
    fetched: str
    files: dict[str, str] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write it whole or not at all."""
        beside = path.with_name(f".{path.name}.part")
        beside.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False), encoding="utf-8")
        os.replace(beside, path)

    @classmethod
    def load(cls, path: Path) -> Manifest:
        """DownloadProblem where it can't be read."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise DownloadProblem(f"{path} can't be read ({error}): delete it and download again") from None


def manifest_of(path: Path) -> Path:
    """Where the manifest of a downloaded file or folder is."""
    return path.with_name(path.name + SUFFIX)


def digest(path: Path, algorithm: str = "sha256") -> str:
    """Of a file's content, in hexadecimal digits."""
    state = hashlib.new(algorithm)
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            state.update(chunk)
    return state.hexdigest()


def check_folder(folder: Path) -> tuple[int, list[str]]:
    """How many files the manifests below a folder name, and a sentence for each that is not what was downloaded."""
    manifests = sorted(folder.rglob(f"*{SUFFIX}"))
    if not manifests:
        raise DownloadProblem(f"{folder} has no manifest of a download")
    named = [item for path in manifests for item in _named(path)]
    return len(named), [sentence for path, expected in named if (sentence := _differs(path, expected))]


def _named(manifest: Path) -> Iterator[tuple[Path, str]]:
    for name, expected in Manifest.load(manifest).files.items():
        yield manifest.parent / name, expected


def _differs(path: Path, expected: str) -> str:
    if not path.is_file():
        return f"{path} is gone"
    found = digest(path)
    return (
        "" if found == expected else f"{path} has changed: SHA-256 {found[:12]}..., downloaded was {expected[:12]}..."
    )
