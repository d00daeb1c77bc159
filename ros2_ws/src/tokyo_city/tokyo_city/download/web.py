"""HTTP as downloads need it: retries, redirects that stay encrypted, and one exception with a sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

_BUSY = (429, 500, 502, 503, 504)
_MOST_JSON_BYTES = 64 << 20
_MOST_REDIRECTS = 10
_LONGEST_WAIT_S = 120.0  # A server may ask for hours.
_AGENT = "tokyo-occworld-download"


class DownloadProblem(Exception):
    """A download that can't be had or can't be trusted: what is wrong, where, and what to do."""


@dataclass(frozen=True)
class RetryPolicy:
    """How long to bear with a server.

    attempts: that bring nothing, one after another, before giving up. wait_s: before the second, twice as long before
    the next, up to two minutes. silence_s: without a byte, until a connection counts as broken.
    """

    attempts: int = 6
    wait_s: float = 0.5
    silence_s: float = 60.0


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target is not None and urlsplit(resp.url).scheme == "https":
            there = urljoin(resp.url, target)
            if urlsplit(there).scheme != "https":
                raise DownloadProblem(f"{resp.url} redirects to {there}, which is not encrypted: refused")
        return target


class _Retry(Retry):
    def get_retry_after(self, response: Any) -> float | None:
        seconds = super().get_retry_after(response)
        return None if seconds is None else min(seconds, _LONGEST_WAIT_S)


class Web:
    """GET requests to servers that may be busy, slow or gone."""

    def __init__(self, patience: RetryPolicy | None = None) -> None:
        self.patience = patience or RetryPolicy()
        self._session = _Session()
        self._session.max_redirects = _MOST_REDIRECTS
        # Lengths and ranges are those of the file itself, not of a packed transfer of it.
        self._session.headers.update({"User-Agent": _AGENT, "Accept-Encoding": "identity"})
        retry = _Retry(
            total=self.patience.attempts - 1, redirect=0, status_forcelist=_BUSY, raise_on_status=False,
            backoff_factor=self.patience.wait_s,
        )  # fmt: skip
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry))

    @contextmanager
    def get(self, url: str, headers: dict[str, str] | None = None) -> Iterator[requests.Response]:
        """The response, its body not read yet. Busy servers are asked again; DownloadProblem where none answers."""
        timeout = (min(30.0, self.patience.silence_s), self.patience.silence_s)
        try:
            response = self._session.get(url, headers=headers, stream=True, timeout=timeout)
        except requests.TooManyRedirects:
            raise DownloadProblem(f"{url} redirects more than {_MOST_REDIRECTS} times: it leads nowhere") from None
        except requests.Timeout:
            raise DownloadProblem(f"{url}: no answer within {self.patience.silence_s:g} s") from None
        except (requests.RequestException, ValueError) as error:
            raise DownloadProblem(f"{url} can't be reached: {_reason(error)}") from None
        with response:
            yield response

    def json(self, url: str) -> Any:
        """The decoded JSON that a URL answers with. DownloadProblem for an error, or for what is no JSON."""
        with self.get(url) as response:
            check_status(response, url)
            try:
                body = response.raw.read(_MOST_JSON_BYTES, decode_content=True)
            except (HTTPError, OSError) as error:
                raise DownloadProblem(f"{url}: the answer broke off ({_reason(error)})") from None
        if len(body) == _MOST_JSON_BYTES:
            raise DownloadProblem(f"{url}: the answer has more than {_MOST_JSON_BYTES >> 20} MB")
        try:
            return json.loads(body)
        except ValueError as error:
            raise DownloadProblem(f"{url}: the answer is no JSON ({_reason(error)})") from None


def check_status(response: requests.Response, url: str) -> None:
    """DownloadProblem for a status of 400 and more."""
    if response.status_code >= 400:
        what = f"{response.status_code} {response.reason}".strip()
        tired = " after several tries" if response.status_code in _BUSY else ""
        raise DownloadProblem(f"{url} answers {what}{tired}")


def _reason(error: Exception) -> str:
    """The innermost cause, in one line."""
    while (inner := error.__cause__ or error.__context__) is not None and isinstance(inner, Exception):
        error = inner
    return " ".join(str(error).split()) or type(error).__name__
