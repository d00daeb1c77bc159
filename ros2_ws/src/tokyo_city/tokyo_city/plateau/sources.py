"""What to import: CityGML or OBJ tiles in a folder, a file, or the distributed zip, within a region."""

from __future__ import annotations

import stat
import zipfile
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from tokyo_city.plateau.codes import FOLDERS
from tokyo_city.plateau.meshcodes import Box, code_of, mesh_box
from tokyo_city.plateau.model import ImportProblem

_SUFFIXES = (".gml", ".obj")
# CityGML deflates to about a twentieth; deflate itself ends at a thousandth, where only zip bombs are.
_MOST_BYTES, _MOST_RATIO, _SMALL_BYTES = 8 << 30, 300, 1 << 20
_MOST_IMAGE_BYTES = 256 << 20


@dataclass(frozen=True)
class Region:
    """Boxes in degrees; what lies in none of them is left out. No box: everything is wanted."""

    boxes: tuple[Box, ...] = ()

    @classmethod
    def of(cls, bbox: Box | None, codes: tuple[str, ...]) -> Region:
        """A bounding box, or mesh codes; ValueError for a code that is none."""
        return cls((*([bbox] if bbox else []), *(mesh_box(code) for code in codes)))

    def wants(self, code: str) -> bool:
        """May a tile with this mesh code have something in the region? True for a name without a code."""
        return not self.boxes or not code or any(mesh_box(code).touches(box) for box in self.boxes)


EVERYWHERE = Region()


@dataclass(frozen=True)
class TileSource:
    """A file to import. member: its name where `path` is a zip. finer: OBJ files of the same mesh at LOD2.

    size: bytes to read.
    """

    path: Path
    feature: str
    member: str = ""
    finer: tuple[Path, ...] = ()
    size: int = 0

    @property
    def label(self) -> str:
        """File name, for reports; with the archive that it is in."""
        return f"{self.path.name}:{self.member}" if self.member else self.path.name

    @property
    def file_name(self) -> str:
        """Name without folders."""
        return PurePosixPath(self.member).name if self.member else self.path.name

    @property
    def name(self) -> str:
        """Name without folders and suffix."""
        return PurePosixPath(self.file_name).stem

    def open(self) -> BinaryIO:
        """The content. ImportProblem where it can't be read."""
        try:
            if not self.member:
                return open(self.path, "rb")
            return zipfile.ZipFile(self.path).open(self.member)  # type: ignore[return-value]
        except (OSError, RuntimeError, KeyError, zipfile.BadZipFile, NotImplementedError) as error:
            raise ImportProblem(f"{self.path} {self.member}: {error}") from error

    def beside(self, uri: str) -> bytes:
        """The content of a file by its path relative to this one; ImportProblem for any other place."""
        place = PurePosixPath(uri.replace("\\", "/"))
        if not uri or "://" in uri or place.is_absolute() or ".." in place.parts or ":" in place.parts[0]:
            raise ImportProblem(f"texture '{uri}': it has to be a file beside {self.file_name}")
        try:
            if not self.member:
                path = self.path.parent / place
                if not path.resolve().is_relative_to(self.path.parent.resolve()):
                    raise ImportProblem(f"texture '{uri}': it leads out of {self.path.parent}")
                return path.read_bytes()
            with zipfile.ZipFile(self.path) as archive:
                info = archive.getinfo(str(PurePosixPath(self.member).parent / place))
                if info.file_size > _MOST_IMAGE_BYTES:
                    raise ImportProblem(f"texture '{uri}': {info.file_size} bytes are too many")
                return archive.read(info)
        except OSError as error:
            raise ImportProblem(f"texture '{uri}': {error.strerror or error}") from error
        except (KeyError, RuntimeError, zipfile.BadZipFile) as error:
            raise ImportProblem(f"texture '{uri}': {error}") from error

    def stamp(self) -> str:
        """Changes when the content does: path, size and time of change; checksum within a zip."""
        parts = []
        for path in (self.path, *self.finer):
            status = path.stat()
            parts.append(f"{path.resolve()} {status.st_size} {status.st_mtime_ns}")
        return " ".join([*parts, self.member])


def find_sources(source: Path, region: Region) -> tuple[list[TileSource], list[str]]:
    """The tiles of a source within a region, by name; and what was refused, a sentence each.

    ImportProblem where there is none. source: a file, a zip, a folder of zips, or a folder with `bldg`, `tran`, ...
    somewhere below.
    """
    source = Path(source)
    refused: list[str] = []
    if source.suffix.lower() == ".zip" and source.is_file():
        found = _in_zip(source, refused)
    elif source.is_file():
        found = [_on_disk(source, source.parent.parent)]
    elif source.is_dir():
        paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in _SUFFIXES)
        found = [tile for path in paths if (tile := _on_disk(path, source)).feature]
        packed = [tile for archive in sorted(source.glob("*.zip")) for tile in _in_zip(archive, refused)]
        if found and packed:
            raise ImportProblem(f"{source} has tiles, and {packed[0].path.name} has some, too: name one or the other")
        found += packed
    else:
        raise ImportProblem(f"{source} does not exist; give a CityGML or OBJ file, a udx folder, or a zip of one")
    if not found:
        more = f" ({refused[0]})" if refused else ""
        raise ImportProblem(f"{source}: no CityGML or OBJ in {', '.join(FOLDERS)}{more}")
    within = [tile for tile in _with_finer(found) if region.wants(code_of(tile.name))]
    if not within:
        raise ImportProblem(f"{source}: none of its {len(found)} tiles is in the region that was asked for")
    return sorted(within, key=lambda tile: (tile.name, str(tile.path), tile.member)), refused


def _on_disk(path: Path, root: Path) -> TileSource:
    return TileSource(path, _feature(PurePosixPath(path.relative_to(root).as_posix())), size=path.stat().st_size)


def _feature(path: PurePosixPath) -> str:
    """bldg, tran, ... by the file's name, else by the folder that it is in; '' for neither."""
    named = [part for part in path.stem.split("_") if part in FOLDERS]
    return named[0] if named else next((part for part in reversed(path.parts[:-1]) if part in FOLDERS), "")


def danger_of(info: zipfile.ZipInfo) -> str:
    """Why nobody should read or unpack a zip's member, as the rest of a sentence; '' where one may."""
    path = PurePosixPath(info.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.parts or ":" in path.parts[0]:
        return "leads out of the archive"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "is a symbolic link"
    most = max(_MOST_RATIO * info.compress_size, _SMALL_BYTES)
    return f"would unpack to {info.file_size} bytes" if info.file_size > min(most, _MOST_BYTES) else ""


def _in_zip(archive: Path, refused: list[str]) -> list[TileSource]:
    """Members are read where they are: nothing is unpacked, and a name that leads elsewhere is refused all the same."""
    try:
        with zipfile.ZipFile(archive) as content:
            infos = content.infolist()
    except (zipfile.BadZipFile, OSError) as error:
        raise ImportProblem(f"{archive}: not a zip that can be read: {error}") from error
    found = []
    for info in infos:
        path = PurePosixPath(info.filename.replace("\\", "/"))
        if info.is_dir() or path.suffix.lower() not in _SUFFIXES or not _feature(path):
            continue
        if danger := danger_of(info):
            refused.append(f"{archive.name}: '{info.filename}' {danger}")
        elif path.suffix.lower() == ".obj":
            refused.append(f"{archive.name}: '{info.filename}' is OBJ, unpack the archive and import the folder")
        else:
            found.append(TileSource(archive, _feature(path), info.filename, size=info.file_size))
    return found


def _with_finer(found: list[TileSource]) -> list[TileSource]:
    """OBJ tiles at LOD2 go to the LOD1 tile of their mesh, whose buildings they replace; they have no LOD1 within.

    The distribution has `bldg/lod1/<8 digits>_bldg_6677.obj` and `bldg/lod2/<8 or 9 digits>_bldg_6677.obj`.
    """
    coarse = {
        (code_of(tile.name), tile.feature): tile
        for tile in found
        if tile.path.suffix.lower() == ".obj" and "lod2" not in _folders(tile.path)
    }
    finer: dict[tuple[str, str], list[Path]] = defaultdict(list)
    kept = []
    for tile in found:
        key = (code_of(tile.name)[:8], tile.feature)
        if tile.path.suffix.lower() == ".obj" and "lod2" in _folders(tile.path) and key in coarse:
            finer[key].append(tile.path)
        else:
            kept.append(tile)
    return [
        replace(tile, finer=tuple(sorted(finer[key])))
        if (key := (code_of(tile.name), tile.feature)) in finer and coarse[key] is tile
        else tile
        for tile in kept
    ]


def _folders(path: Path) -> set[str]:
    return {part.lower() for part in path.parts[:-1]}
