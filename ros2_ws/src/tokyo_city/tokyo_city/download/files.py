"""A file that is downloaded, checked, and only then given its name."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from tokyo_city.download.checksum import Checksum
from tokyo_city.download.manifest import Manifest, digest, manifest_of
from tokyo_city.download.transfer import note_of, transfer
from tokyo_city.download.web import DownloadProblem, Web


def download(
    web: Web,
    url: str,
    path: Path,
    check: Callable[[Path], None],
    *,
    checksum: Checksum | None = None,
    dataset: str = "",
) -> Path:
    """Download a file to `path`, unless it is there already. DownloadProblem where it can't be had whole.

    check: raises DownloadProblem for content that is not what was wanted. checksum: None where none is published.
    A manifest is written beside the file.
    """
    if path.exists() and _is_from(path, url):
        return path
    part = path.with_name(f"{path.name}.part")
    if path.exists():
        _examine(path, url, check, checksum)  # Somebody put it there: as good as downloaded, if it is whole.
        validator = ""
    else:
        validator = transfer(web, url, part).validator
        try:
            _examine(part, url, check, checksum)
        except DownloadProblem:
            _forget(part)  # To go on from it would give the same again.
            raise
        os.replace(part, path)
        note_of(part).unlink(missing_ok=True)
    manifest(url, validator, dataset, {path.name: digest(path)}).save(manifest_of(path))
    return path


def manifest(url: str, validator: str, dataset: str, files: dict[str, str]) -> Manifest:
    """Of files that have come now."""
    return Manifest(url, validator, dataset, datetime.now(timezone.utc).isoformat(timespec="seconds"), files)


def _is_from(path: Path, url: str) -> bool:
    beside = manifest_of(path)
    if not beside.exists():
        return False
    if (there := Manifest.load(beside).url) != url:
        raise DownloadProblem(f"{path} is there already, from {there}: move it away, or give --output")
    return True


def _examine(path: Path, url: str, check: Callable[[Path], None], checksum: Checksum | None) -> None:
    if checksum is not None:
        checksum.check(path, url)
    check(path)


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    note_of(part).unlink(missing_ok=True)
