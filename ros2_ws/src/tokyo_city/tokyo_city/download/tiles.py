"""Single tiles out of an archive on a server, instead of gigabytes of a whole city."""

from __future__ import annotations

import os
import shutil
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from occ_core.progress import Steps
from tokyo_city.download.archive import refuse_dangers
from tokyo_city.download.catalogue import Archive
from tokyo_city.download.files import manifest
from tokyo_city.download.manifest import digest, manifest_of
from tokyo_city.download.remote_zip import open_remote_zip
from tokyo_city.download.transfer import check_space
from tokyo_city.download.web import DownloadProblem, Web
from tokyo_city.plateau.codes import FOLDERS
from tokyo_city.plateau.meshcodes import code_of
from tokyo_city.plateau.sources import Region, real_name

_CHUNK_BYTES = 1 << 20


def features(web: Web, archive: Archive) -> set[str]:
    """Which of `bldg`, `tran`, ... an archive has tiles of. NoRanges where only the whole archive would tell."""
    with open_remote_zip(web, archive.url) as (content, _):
        return {place[0] for info in content.infolist() if (place := _tile(info)) is not None}


def download_tiles(web: Web, archive: Archive, region: Region, folder: Path) -> Path:
    """Download the members of an archive that a region needs into a folder of the archive's name; that folder.

    Tiles, their textures and the code lists. Members that are there already are kept, so that an interrupted download
    goes on; each has its name only when its CRC-32 is right. DownloadProblem where no tile is in the region.
    """
    out = folder / Path(archive.file_name).stem
    with open_remote_zip(web, archive.url) as (content, remote):
        infos = content.infolist()
        refuse_dangers(archive.file_name, infos)
        wanted = sorted((info for info in infos if _wanted(info, region)), key=lambda info: info.header_offset)
        if not any(_tile(info) for info in wanted):
            raise DownloadProblem(f"{archive.file_name} of {archive.dataset} has no tile in the region asked for")
        out.mkdir(parents=True, exist_ok=True)
        missing = [info for info in wanted if not _is_there(out / _place(info), info)]
        check_space(out, sum(info.file_size for info in missing))
        with Steps(total=sum(info.file_size for info in missing), unit="B", unit_scale=True, disable=None) as progress:
            for info in missing:
                _unpack(content, info, out / _place(info), archive.file_name)
                progress.update(info.file_size)
        validator = remote.validator
    files = {f"{out.name}/{path.relative_to(out).as_posix()}": digest(path) for path in _files(out)}
    manifest(archive.url, validator, archive.dataset, files).save(manifest_of(out))
    return out


def _place(info: zipfile.ZipInfo) -> PurePosixPath:
    """The path from `udx` or `codelists` on; archives have a folder of their own name before it, or none."""
    parts = PurePosixPath(real_name(info).replace("\\", "/")).parts
    starts = [number for number, part in enumerate(parts) if part in ("udx", "codelists")]
    return PurePosixPath(*parts[starts[0] :]) if starts else PurePosixPath()


def _tile(info: zipfile.ZipInfo) -> tuple[str, str] | None:
    """(feature, mesh code) of a CityGML file that the importer reads; None for other members."""
    parts = _place(info).parts
    if len(parts) != 3 or parts[1] not in FOLDERS or not parts[2].lower().endswith(".gml"):
        return None
    return parts[1], code_of(parts[2])


def _wanted(info: zipfile.ZipInfo, region: Region) -> bool:
    parts = _place(info).parts
    if info.is_dir() or len(parts) < 2:
        return False
    if parts[0] == "codelists":
        return True
    # udx/bldg/53394611_bldg_6697_op.gml, udx/bldg/53394611_bldg_6697_appearance/1.jpg
    return len(parts) > 2 and parts[1] in FOLDERS and bool(code := code_of(parts[2])) and region.wants(code)


def _is_there(path: Path, info: zipfile.ZipInfo) -> bool:
    return path.is_file() and path.stat().st_size == info.file_size and _crc(path) == info.CRC


def _crc(path: Path) -> int:
    value = 0
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            value = zlib.crc32(chunk, value)
    return value


def _unpack(content: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, archive: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    try:
        with content.open(info) as member, open(beside, "wb") as file:
            shutil.copyfileobj(member, file, _CHUNK_BYTES)
            file.flush()
            os.fsync(file.fileno())
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise DownloadProblem(f"{archive}: '{info.filename}' can't be unpacked: {error}") from None
    os.replace(beside, path)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
