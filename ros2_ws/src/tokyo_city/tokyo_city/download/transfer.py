"""One file over HTTP into `<name>.part`, however often the connection breaks (RFC 9110, sections 13.1.5 and 14)."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import time
from dataclasses import asdict, dataclass
from io import FileIO
from pathlib import Path

import requests
import urllib3

from occ_core.progress import Steps
from tokyo_city.download.web import DownloadProblem, Web, check_status

_CHUNK_BYTES = 1 << 16  # What a reset connection may lose of what had come.
_RESERVE_BYTES = 64 << 20
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@dataclass(frozen=True)
class Remote:
    """A file as its server has it. size: bytes. validator: strong ETag or date of change, '' for neither."""

    url: str
    size: int
    validator: str


class _Broken(Exception):
    """An attempt that ended before the file did; the next one may go on."""


def transfer(web: Web, url: str, part: Path) -> Remote:
    """Bring a file's bytes into `part`, going on where an earlier try ended if the file is the same one still.

    What the server calls the file is noted in `<part>.json`, for If-Range. DownloadProblem where the server refuses,
    gives up its length, or breaks off more often than `web.patience` bears; what has come stays.
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    with open(part, "ab", buffering=0) as file:
        _lock(file, part)
        furthest, fruitless, patience = part.stat().st_size, 0, web.patience
        while True:
            try:
                return _attempt(web, url, part, file)
            except _Broken as error:
                there = part.stat().st_size
                fruitless = 0 if there > furthest else fruitless + 1
                furthest = max(furthest, there)
                if fruitless >= patience.attempts:
                    raise DownloadProblem(f"{url}: {error}; {there} bytes are kept in {part}, to go on from") from None
                time.sleep(min(patience.wait_s * 2**fruitless, 120.0))


def note_of(part: Path) -> Path:
    """Where it is noted what file `part` is a part of."""
    return part.with_name(f"{part.name}.json")


def _lock(file: FileIO, part: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DownloadProblem(f"{part} is being downloaded by another process") from None


def _attempt(web: Web, url: str, part: Path, file: FileIO) -> Remote:
    known, have = _known(part, url), part.stat().st_size
    if known is None or not known.validator or have > known.size:
        known, have = None, 0
    if known is not None and have == known.size:
        return known
    asked = {"Range": f"bytes={have}-", "If-Range": known.validator} if known and have else {}
    with web.get(url, asked) as response:
        if asked and response.status_code == 206:
            _check_range(response, known, have, file)
            remote = known
        elif asked and response.status_code == 416:
            file.truncate(0)
            raise _Broken("the server has less of the file than there was")
        else:
            check_status(response, url)
            remote, have = _remote(response, url), 0
            file.truncate(0)
            note_of(part).write_text(json.dumps(asdict(remote)))
        assert remote is not None
        check_space(part.parent, remote.size - have)
        _receive(response, file, remote, have)
    if (there := part.stat().st_size) != remote.size:
        raise _Broken(f"{there} of {remote.size} bytes came")
    return remote


def _known(part: Path, url: str) -> Remote | None:
    try:
        remote = Remote(**json.loads(note_of(part).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return remote if remote.url == url else None


def _remote(response: requests.Response, url: str) -> Remote:
    """What the headers of a whole answer say."""
    if response.status_code != 200:
        raise DownloadProblem(f"{url} answers {response.status_code} to a plain request")
    if packed := response.headers.get("Content-Encoding", ""):
        raise DownloadProblem(f"{url}: the server sends it packed ({packed}), so that its length is not known")
    try:
        size = int(response.headers["Content-Length"])
    except (KeyError, ValueError):
        raise DownloadProblem(f"{url}: the server does not say how long the file is, so none counts as whole") from None
    return Remote(url, size, validator_of(response))


def validator_of(response: requests.Response) -> str:
    """What tells two versions of a file apart: a strong ETag, else the date of change, else ''."""
    etag = response.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")


def _check_range(response: requests.Response, known: Remote | None, have: int, file: FileIO) -> None:
    """The part that came must be the rest of the same file; else the next attempt begins anew."""
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    assert known is not None
    rest = (have, known.size - 1, known.size)
    if found is None or tuple(map(int, found.groups())) != rest or validator_of(response) != known.validator:
        file.truncate(0)
        raise _Broken("the file has changed, or another part came than was asked for")


def check_space(folder: Path, needed: int) -> None:
    """DownloadProblem where a folder's disk has not so many bytes free, and some to spare."""
    free = shutil.disk_usage(folder).free
    if needed + _RESERVE_BYTES > free:
        raise DownloadProblem(
            f"{folder} has {free / 1e9:.2f} GB free and {needed / 1e9:.2f} GB are to come: make room, or give --output"
        )


def _receive(response: requests.Response, file: FileIO, remote: Remote, have: int) -> None:
    """Append the body. _Broken where the connection breaks or says nothing for too long."""
    name = Path(remote.url.partition("?")[0]).name
    with Steps(total=remote.size, initial=have, desc=name, unit="B", unit_scale=True, disable=None) as progress:
        chunks = response.raw.stream(_CHUNK_BYTES, decode_content=False)
        try:
            for chunk in chunks:
                _write(file, chunk)
                progress.update(len(chunk))
        except (urllib3.exceptions.HTTPError, ConnectionError) as error:
            raise _Broken(f"the connection broke ({type(error).__name__})") from None
        finally:
            os.fsync(file.fileno())


def _write(file: FileIO, chunk: bytes) -> None:
    left = memoryview(chunk)
    try:
        while left:
            left = left[file.write(left) :]
    except OSError as error:
        raise DownloadProblem(f"{file.name}: {error.strerror}; what has come is kept") from None
