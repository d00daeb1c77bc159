"""PLATEAU's data sets in the public catalogue of the G-Spatial Information Center, by CKAN's action API.

The facts that this builds on, as the catalogue had them in 2026: `package_list` names every data set, `package_show`
gives its resources; wards are `plateau-<municipality code>-<name>-<year>`, the 23 wards together `plateau-tokyo23ku`
(2020) and `plateau-tokyo23ku-2022`; `size` and `hash` of resources are mostly empty. CityGML archives are zips with
`citygml` in their names: `13101_chiyoda-ku_pref_2025_citygml_1_op.zip`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from tokyo_city.download.addresses import CATALOGUE
from tokyo_city.download.checksum import Checksum
from tokyo_city.download.wards import Ward
from tokyo_city.download.web import DownloadProblem, Web

_YEAR = re.compile(r"-(20\d\d)$")
_VERSION = re.compile(r"_(20\d\d)_citygml((?:_\d+)*)")


@dataclass(frozen=True)
class Archive:
    """A CityGML archive of a data set. checksum: None where the catalogue gives none, as it mostly does."""

    dataset: str
    url: str
    checksum: Checksum | None

    @property
    def file_name(self) -> str:
        """The last part of its URL, which is all that a server may say of where it goes."""
        return _file_name(self.url)


class NoArchive(DownloadProblem):
    """A data set without a CityGML zip: 3D Tiles only, or 7z."""


class Catalogue:
    """root: of a CKAN site, without `/api`."""

    def __init__(self, web: Web, root: str = CATALOGUE) -> None:
        self._web, self._root = web, root.rstrip("/")

    def ward_datasets(self, ward: Ward, year: int | None = None) -> list[str]:
        """Names of a ward's data sets, newest first; of one year where it is given. DownloadProblem for none."""
        listed = self._action("package_list")
        if not isinstance(listed, list):
            raise DownloadProblem(f"{self._root}: the list of data sets is no list")
        names = [str(name) for name in listed if str(name).startswith(f"plateau-{ward.code}-")]
        dated = {name: int(found[1]) for name in names if (found := _YEAR.search(name))}
        if year is not None and year not in dated.values():
            years = ", ".join(map(str, sorted(set(dated.values())))) or "none"
            raise DownloadProblem(f"no data set of {ward.name} for {year} in {self._root}; there are {years}")
        wanted = [name for name in dated if year in (None, dated[name])]
        if not wanted:
            raise DownloadProblem(f"no data set of {ward.name} ({ward.code}) in {self._root}")
        return sorted(wanted, key=lambda name: (-dated[name], name))

    def archive(self, dataset: str) -> Archive:
        """A data set's CityGML zip, the newest version of it. NoArchive where it has none."""
        body = self._action(f"package_show?id={quote(dataset, safe='')}")
        resources = body.get("resources", []) if isinstance(body, dict) else []
        found = [entry for entry in resources if isinstance(entry, dict) and _is_citygml(str(entry.get("url") or ""))]
        if not found:
            raise NoArchive(f"data set {dataset} of {self._root} has no CityGML zip")
        newest = max(found, key=lambda entry: _version(_file_name(str(entry["url"]))))
        return Archive(dataset, str(newest["url"]), _checksum(str(newest.get("hash") or "")))

    def _action(self, call: str) -> Any:
        url = f"{self._root}/api/3/action/{call}"
        body = self._web.json(url)
        if not isinstance(body, dict) or body.get("success") is not True or "result" not in body:
            raise DownloadProblem(f"{url}: not the answer of a CKAN catalogue, or an error")
        return body["result"]


def _file_name(url: str) -> str:
    return PurePosixPath(unquote(urlsplit(url).path)).name


def _is_citygml(url: str) -> bool:
    name = _file_name(url).lower()
    return urlsplit(url).scheme in ("http", "https") and "citygml" in name and name.endswith(".zip")


def _version(name: str) -> tuple[int, ...]:
    """(year, version, ...) of `13100_tokyo23-ku_2020_citygml_4_2_op.zip`; () where the name has none."""
    found = _VERSION.search(name)
    return (int(found[1]), *map(int, found[2].split("_")[1:])) if found else ()


def _checksum(text: str) -> Checksum | None:
    try:
        return Checksum.parse(text)
    except ValueError:
        return None
