"""Which archives hold the wards or tiles that somebody wants, and those archives or tiles on the disk."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from tokyo_city.download.addresses import ALL_WARDS
from tokyo_city.download.archive import check_zip
from tokyo_city.download.catalogue import Archive, Catalogue, NoArchive
from tokyo_city.download.files import download
from tokyo_city.download.remote_zip import NoRanges
from tokyo_city.download.tiles import download_tiles, features
from tokyo_city.download.wards import Ward, find_ward
from tokyo_city.download.web import DownloadProblem, Web
from tokyo_city.plateau.sources import Region

log = logging.getLogger(__name__)
_A_CITY = {"bldg", "tran"}  # Without roads there is no traffic, and rovers roam.


@dataclass(frozen=True)
class DownloadRequest:
    """wards: each from its own data set; none: from `dataset`. codes: only these mesh squares; none: whole archives.

    year: of wards' data sets, the newest one that has buildings and roads where None.
    """

    wards: tuple[Ward, ...] = ()
    codes: tuple[str, ...] = ()
    dataset: str = ALL_WARDS
    year: int | None = None

    @classmethod
    def of(cls, areas: list[str], codes: list[str], dataset: str, year: int | None) -> DownloadRequest:
        """As the command line says it; an area may be `all`. ValueError where it is nothing, or too much."""
        everywhere = [area for area in areas if area.lower() == "all"]
        if (everywhere and len(areas) > 1) or (areas and dataset):
            raise ValueError("--area all, --area with names of wards and --dataset go alone")
        if not (areas or codes or dataset):
            raise ValueError("say what to download: --area chiyoda, --mesh 53394611, or --area all for the 23 wards")
        if year is not None and (everywhere or not areas):
            raise ValueError("--year goes with the name of a ward; of other data sets the name says it: --dataset")
        Region.of(None, tuple(codes))
        wards = () if everywhere else tuple(find_ward(area) for area in areas)
        return cls(wards, tuple(codes), dataset or ALL_WARDS, year)


def archives(web: Web, catalogue: Catalogue, wanted: DownloadRequest) -> list[Archive]:
    """The archive of each ward that is wanted, or the one of the data set. DownloadProblem where there is none."""
    if not wanted.wards:
        return [catalogue.archive(wanted.dataset)]
    return [_of_ward(web, catalogue, ward, wanted.year) for ward in wanted.wards]


def download_plateau(web: Web, found: list[Archive], codes: tuple[str, ...], folder: Path) -> list[Path]:
    """The archives as zips, checked, or folders of their tiles in mesh squares. They can be given to the importer."""
    paths = []
    for archive in found:
        if codes:
            paths.append(download_tiles(web, archive, Region.of(None, codes), folder))
        else:
            path = folder / archive.file_name
            checksum, dataset = archive.checksum, archive.dataset
            paths.append(download(web, archive.url, path, check_zip, checksum=checksum, dataset=dataset))
    return paths


def _of_ward(web: Web, catalogue: Catalogue, ward: Ward, year: int | None) -> Archive:
    """Newer data sets of a ward are partial now and then: bridges and vegetation only, or buildings without roads."""
    names = catalogue.ward_datasets(ward, year)
    some: Archive | None = None
    for name in names:
        try:
            archive = catalogue.archive(name)
            inside = features(web, archive)
        except NoRanges as reason:
            log.warning("%s: taken unseen, with or without roads", reason)
            return archive
        except NoArchive as problem:
            log.warning("%s: passed over", problem)
            continue
        if inside >= _A_CITY:
            return archive
        log.warning("%s has %s only", name, ", ".join(sorted(inside)) or "nothing that is imported")
        some = some or (archive if "bldg" in inside else None)
    if some is None:
        raise DownloadProblem(f"no data set of {ward.name} has buildings")
    return some
