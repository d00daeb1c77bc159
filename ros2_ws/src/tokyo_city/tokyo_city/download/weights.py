"""The weights that OccWorld's authors published: trained on nuScenes with Occ3D's labels."""

from __future__ import annotations

import zipfile
from pathlib import Path

from tokyo_city.download.addresses import WEIGHTS_PAGE
from tokyo_city.download.archive import check_zip
from tokyo_city.download.checksum import Checksum
from tokyo_city.download.files import download
from tokyo_city.download.web import DownloadProblem, Web

NAME = "latest.pth"


def download_weights(web: Web, url: str, folder: Path, checksum: Checksum | None) -> Path:
    """Download a checkpoint as `latest.pth`. DownloadProblem for what is no whole one.

    What PyTorch writes since 1.6 is a zip, whose CRC-32 tell whether it is whole; older files need a checksum.
    """
    hint = f"download it from {WEIGHTS_PAGE} in a browser and name it {folder / NAME}, or give --models-url"

    def check(path: Path) -> None:
        if zipfile.is_zipfile(path):
            check_zip(path)
        elif _first_byte(path) in (b"<", b""):
            raise DownloadProblem(f"{url} gives a web page and no checkpoint: {hint}")
        elif checksum is None:
            raise DownloadProblem(f"{url} gives no checkpoint that can be checked: {hint}; or give --sha256")

    try:
        return download(web, url, folder / NAME, check, checksum=checksum, dataset="wzzheng/OccWorld")
    except DownloadProblem as problem:
        raise DownloadProblem(f"{problem}; or {hint}" if hint not in str(problem) else str(problem)) from None


def _first_byte(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(512).lstrip()[:1]
