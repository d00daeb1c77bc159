"""A checksum that somebody published, as catalogues and people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tokyo_city.download.manifest import digest
from tokyo_city.download.web import DownloadProblem

_ALGORITHMS = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}
_FORM = re.compile(r"(?:[a-z0-9-]+:)?([0-9a-f]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Checksum:
    """algorithm: of hashlib. digits: hexadecimal, lower case."""

    algorithm: str
    digits: str

    @classmethod
    def parse(cls, text: str) -> Checksum:
        """MD5, SHA-1, SHA-256 or SHA-512, told apart by length; `sha256:` may stand before. ValueError for others."""
        found = _FORM.fullmatch(text.strip())
        if found is None or len(found[1]) not in _ALGORITHMS:
            raise ValueError(f"'{text}' is no MD5, SHA-1, SHA-256 or SHA-512 in hexadecimal digits")
        return cls(_ALGORITHMS[len(found[1])], found[1].lower())

    def check(self, path: Path, url: str) -> None:
        """DownloadProblem where a file that came from a URL has another one."""
        if (here := digest(path, self.algorithm)) != self.digits:
            raise DownloadProblem(f"{url}: the {self.algorithm} of what came is {here}, {self.digits} was expected")
