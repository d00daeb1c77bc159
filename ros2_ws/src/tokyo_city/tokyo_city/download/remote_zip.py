"""A zip that is read where it lies on a server, by byte ranges: its table of contents, or a few of its members."""

from __future__ import annotations

import io
import re
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

import requests
import urllib3

from tokyo_city.download.transfer import validator_of
from tokyo_city.download.web import DownloadProblem, Web, check_status

# A request costs a round trip; a tile is a few MB, and its textures lie one behind the other.
_BUFFER_BYTES = 2 << 20
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class NoRanges(DownloadProblem):
    """A server that gives files whole only."""


class RemoteFile(io.RawIOBase):
    """A file on a server as a seekable stream. DownloadProblem where it changes meanwhile."""

    def __init__(self, web: Web, url: str) -> None:
        self._web, self._url, self._at = web, url, 0
        self.size, self.validator = 0, ""
        self._fetch(0, 1)

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As of any file."""
        self._at = offset + (0, self._at, self.size)[whence]
        return self._at

    def tell(self) -> int:
        """As of any file."""
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """As of any file; one request."""
        count = max(min(len(buffer), self.size - self._at), 0)
        if count:
            buffer[:count] = self._fetch(self._at, count)
            self._at += count
        return count

    def _fetch(self, start: int, count: int) -> bytes:
        problem = ""
        for attempt in range(self._web.patience.attempts):
            if attempt:
                time.sleep(self._web.patience.wait_s * 2**attempt)
            with self._web.get(self._url, {"Range": f"bytes={start}-{start + count - 1}"}) as response:
                self._check(response, start, count)
                try:
                    body = response.raw.read(count, decode_content=False)
                except (urllib3.exceptions.HTTPError, ConnectionError) as error:
                    body, problem = b"", type(error).__name__
            if len(body) == count:
                return body
        raise DownloadProblem(f"{self._url}: the connection broke off several times ({problem or 'short answers'})")

    def _check(self, response: requests.Response, start: int, count: int) -> None:
        check_status(response, self._url)
        if response.status_code == 200:
            raise NoRanges(f"{self._url}: the server gives whole files only, not single tiles")
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if response.status_code != 206 or found is None or (int(found[1]), int(found[2])) != (start, start + count - 1):
            raise DownloadProblem(f"{self._url}: the server sends another part than was asked for")
        size, validator = int(found[3]), validator_of(response)
        if self.size and (size, validator) != (self.size, self.validator):
            raise DownloadProblem(f"{self._url} was changed while it was read: start again")
        self.size, self.validator = size, validator


@contextmanager
def open_remote_zip(web: Web, url: str) -> Iterator[tuple[zipfile.ZipFile, RemoteFile]]:
    """The zip, and the file behind it. NoRanges where the server does not give parts, DownloadProblem for no zip."""
    remote = RemoteFile(web, url)
    try:
        with zipfile.ZipFile(io.BufferedReader(remote, _BUFFER_BYTES)) as archive:
            yield archive, remote
    except zipfile.BadZipFile as error:
        raise DownloadProblem(f"{url} is no whole zip: {error}") from None
