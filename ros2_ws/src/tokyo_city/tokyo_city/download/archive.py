"""Is this file a whole zip that nobody need fear? Looked at before it counts as downloaded."""

from __future__ import annotations

import zipfile
import zlib
from itertools import pairwise
from pathlib import Path

from occ_core.progress import Steps
from tokyo_city.download.web import DownloadProblem
from tokyo_city.plateau.sources import danger_of

_CHUNK_BYTES = 1 << 20


def check_zip(path: Path) -> None:
    """Read every member against its CRC-32. DownloadProblem for what is no zip, is damaged, or is made to do harm.

    Refused: members that lead out of the archive, symbolic links, sizes that only zip bombs have, members that lie over
    each other, and a name used twice.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            refuse_dangers(path.name, infos)
            _check_contents(archive, infos)
    except zipfile.BadZipFile as error:
        raise DownloadProblem(f"{path.name} is no whole zip: {error}{_looks_like(path)}") from None


def refuse_dangers(name: str, infos: list[zipfile.ZipInfo]) -> None:
    """DownloadProblem for the first member that is made to do harm. name: of the archive, for the sentence."""
    for info in infos:
        if danger := danger_of(info):
            raise DownloadProblem(f"{name}: '{info.filename}' {danger}; nothing of this archive is taken")
    if len({info.filename for info in infos}) < len(infos):
        raise DownloadProblem(f"{name}: a name is used twice; nothing of this archive is taken")
    for before, after in pairwise(sorted(infos, key=lambda info: info.header_offset)):
        # D. Fifield, "A better zip bomb", 2019: one kernel of packed data that many members share.
        if before.header_offset + before.compress_size > after.header_offset:
            raise DownloadProblem(f"{name}: '{after.filename}' lies within '{before.filename}'; nothing is taken")


def _check_contents(archive: zipfile.ZipFile, infos: list[zipfile.ZipInfo]) -> None:
    total = sum(info.file_size for info in infos)
    with Steps(total=total, desc="check", unit="B", unit_scale=True, disable=None) as progress:
        for info in infos:
            try:
                with archive.open(info) as member:
                    while chunk := member.read(_CHUNK_BYTES):
                        progress.update(len(chunk))
            except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
                raise zipfile.BadZipFile(f"'{info.filename}': {error}") from None


def _looks_like(path: Path) -> str:
    with open(path, "rb") as file:
        start = file.read(512).lstrip().lower()
    if start.startswith(b"<"):
        return "; it looks like a web page"
    return "; 7z is not read here: unpack it yourself" if start.startswith(b"7z\xbc\xaf") else ""
