"""What to import: CityGML or OBJ tiles in a folder, a file, or the distributed zip, within a region."""

from __future__ import annotations

import gzip
import re
import stat
import unicodedata
import zipfile
import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import unquote

from tokyo_city.plateau.codes import FOLDERS, UNREAD
from tokyo_city.plateau.meshcodes import DegreeBox, code_of, mesh_box
from tokyo_city.plateau.model import ImportProblem

_SUFFIXES = (".gml", ".gml.gz", ".obj")
_UTF8_FLAG = 0x800
_ENVELOPE = re.compile(
    rb"lowerCorner[^>]*>\s*([\d.]+)\s+([\d.]+)[^<]*</[^>]*lowerCorner>\s*<[^>]*upperCorner[^>]*>\s*([\d.]+)\s+([\d.]+)"
)
_YEAR = re.compile(r"[_-](20[12]\d)[_-]")
_POSITION = re.compile(rb"<(?:[\w.-]+:)?(?:lowerCorner|posList|pos)[^>]*>\s*([\d.]+)\s+([\d.]+)")
_MEMBER = re.compile(rb"<(?:[\w.-]+:)?cityObjectMember[^>]*>\s*<(?:[\w.-]+:)?([\w.-]+)")
# CityGML deflates to about a twentieth; deflate itself ends at a thousandth, where only zip bombs are.
_MOST_BYTES, _MOST_RATIO, _SMALL_BYTES = 8 << 30, 300, 1 << 20
_MOST_IMAGE_BYTES = 256 << 20


@dataclass(frozen=True)
class Region:
    """Boxes in degrees; what lies in none of them is left out. No box: everything is wanted."""

    boxes: tuple[DegreeBox, ...] = ()

    @classmethod
    def of(cls, bbox: DegreeBox | None, codes: tuple[str, ...]) -> Region:
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
        """Name without folders and suffixes."""
        name = self.file_name
        return PurePosixPath(name[:-3] if name.lower().endswith(".gz") else name).stem

    @property
    def is_obj(self) -> bool:
        """Wavefront OBJ and not CityGML?"""
        return self.path.suffix.lower() == ".obj"

    @property
    def year(self) -> int:
        """Of the data set: `13101_chiyoda-ku_2023_citygml_1_op` is of 2023; 0 where no folder or archive says one."""
        found = _YEAR.findall(f"{self.path.as_posix()}/{self.member}")
        return max(map(int, found), default=0)

    def place(self) -> tuple[float, float] | None:
        """About where it is, degrees of latitude and longitude: by its name, else by its first lines."""
        if code := code_of(self.name):
            box = mesh_box(code)
            return (box.south + box.north) / 2, (box.west + box.east) / 2
        if self.is_obj:
            return None
        try:
            with self.open() as stream:
                found = _POSITION.search(stream.read(1 << 16))
            return (float(found[1]), float(found[2])) if found else None
        except (ImportProblem, OSError, EOFError, RuntimeError, ValueError, zlib.error, zipfile.BadZipFile):
            return None  # Who reads it, says what is wrong.

    def extent(self) -> DegreeBox | None:
        """Its envelope, which a CityGML file begins with; None where it has none."""
        try:
            with self.open() as stream:
                found = _ENVELOPE.search(stream.read(1 << 16))
            return DegreeBox(*map(float, found.groups())) if found else None
        except (ImportProblem, OSError, EOFError, RuntimeError, ValueError, zlib.error, zipfile.BadZipFile):
            return None

    def open(self) -> BinaryIO:
        """The content, unpacked. ImportProblem where it can't be read."""
        try:
            stream: BinaryIO
            if self.member:
                archive = zipfile.ZipFile(self.path)
                stream = archive.open(_members(archive)[self.member])  # type: ignore[assignment]
            else:
                stream = open(self.path, "rb")
            return gzip.open(stream, "rb") if self.file_name.lower().endswith(".gz") else stream  # type: ignore[return-value]
        except (OSError, RuntimeError, KeyError, zipfile.BadZipFile, NotImplementedError) as error:
            raise ImportProblem(f"{self.path} {self.member}: {error}") from error

    def beside(self, uri: str) -> bytes:
        """The content of a file by its path relative to this one; ImportProblem for any other place.

        Names are taken as they are; else with %20 and such for what they stand for, in any case and form of Unicode.
        """
        place = self._place(uri)
        try:
            if not self.member:
                return self._beside_on_disk(place, uri).read_bytes()
            with zipfile.ZipFile(self.path) as archive:
                info = _named(_members(archive), str(PurePosixPath(self.member).parent / place))
                if info is None:
                    raise ImportProblem(f"texture '{uri}': it is not in {self.path.name}")
                if info.file_size > _MOST_IMAGE_BYTES:
                    raise ImportProblem(f"texture '{uri}': {info.file_size} bytes are too many")
                return archive.read(info)
        except OSError as error:
            raise ImportProblem(f"texture '{uri}': {error.strerror or error}") from error
        except (KeyError, RuntimeError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
            raise ImportProblem(f"texture '{uri}': {error}") from error

    def beside_stamp(self, uri: str) -> str:
        """Changes when a file beside this one does; '' while there is none. Within a zip, `stamp` sees to it."""
        if self.member:
            return ""
        try:
            status = self._beside_on_disk(self._place(uri), uri).stat()
        except (ImportProblem, OSError):
            return ""
        return f"{status.st_size} {status.st_mtime_ns}"

    def stamp(self) -> str:
        """Changes when the content does: path, size and time of change."""
        parts = []
        for path in (self.path, *self.finer):
            status = path.stat()
            parts.append(f"{path.resolve()} {status.st_size} {status.st_mtime_ns}")
        return " ".join([*parts, self.member])

    def _place(self, uri: str) -> PurePosixPath:
        places = [PurePosixPath(text.replace("\\", "/")) for text in (uri, unquote(uri))]
        for place in places:
            if not uri or "://" in uri or place.is_absolute() or ".." in place.parts or ":" in (*place.parts, "")[0]:
                raise ImportProblem(f"texture '{uri}': it has to be a file beside {self.file_name}")
        return places[0]

    def _beside_on_disk(self, place: PurePosixPath, uri: str) -> Path:
        """FileNotFoundError where there is none. An OBJ's finer files have their own folders."""
        for folder in (*(path.parent for path in self.finer), self.path.parent):
            path = found_below(folder, place)
            if path is None:
                continue
            if not path.resolve().is_relative_to(folder.resolve()):
                raise ImportProblem(f"texture '{uri}': it leads out of {folder}")
            return path
        raise FileNotFoundError(2, "No such file or directory")


def _same(name: str) -> str:
    """The same for names that some system or other takes for one."""
    return unicodedata.normalize("NFKC", unquote(name)).casefold()


def found_below(folder: Path, place: PurePosixPath) -> Path | None:
    """A file below a folder, by its exact name if there is one."""
    exact = folder / place
    if exact.is_file():
        return exact
    here = folder
    for part in place.parts:
        if (here / part).exists():
            here = here / part
            continue
        wanted = _same(part)
        entries = sorted(here.iterdir()) if here.is_dir() else []
        found = next((entry for entry in entries if _same(entry.name) == wanted), None)
        if found is None:
            return None
        here = found
    return here if here.is_file() else None


def real_name(info: zipfile.ZipInfo) -> str:
    """A zip member's name: UTF-8, or what it is in if it does not say, which in Japan is CP932 (Windows)."""
    if info.flag_bits & _UTF8_FLAG or info.filename.isascii():
        return info.filename
    try:
        raw = info.filename.encode("cp437")  # what zipfile takes it for
    except UnicodeEncodeError:
        return info.filename
    for encoding in ("utf-8", "cp932"):
        try:
            return raw.decode(encoding).replace("\\", "/")
        except UnicodeDecodeError:
            continue
    return info.filename


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    return {real_name(info): info for info in archive.infolist()}


def _named(members: dict[str, zipfile.ZipInfo], name: str) -> zipfile.ZipInfo | None:
    if name in members:
        return members[name]
    wanted = _same(name)
    return next((info for known, info in members.items() if _same(known) == wanted), None)


@dataclass(frozen=True)
class Unread:
    """Files of a class that is not imported. elements: how many city objects there are of each name."""

    feature: str
    files: int
    elements: dict[str, int]

    def __str__(self) -> str:
        counted = sorted(self.elements.items(), key=lambda each: (-each[1], each[0]))
        objects = ", ".join(f"{count} {name}" for name, count in counted) or "no city objects"
        return f"{self.feature} ({UNREAD[self.feature]}): {objects} in {self.files} file{'s' * (self.files > 1)}"


def find_sources(source: Path, region: Region) -> tuple[list[TileSource], list[str]]:
    """The tiles of a source within a region, by name; and what was refused, a sentence each.

    ImportProblem where there is none. source: a file, a zip, a folder of zips, or a folder with `bldg`, `tran`, ...
    somewhere below.
    """
    refused: list[str] = []
    everything = _all_sources(Path(source), refused)
    found = [tile for tile in everything if tile.feature not in UNREAD]
    if not found:
        more = f" ({refused[0]})" if refused else ""
        if unread := find_unread(source, region):
            more = f"; what is not imported: {'; '.join(map(str, unread))}{more}"
        raise ImportProblem(f"{source}: no CityGML or OBJ in {', '.join(FOLDERS)}{more}")
    within = [tile for tile in _with_finer(found) if _reaches(tile, region)]
    if not within:
        raise ImportProblem(f"{source}: none of its {len(found)} tiles is in the region that was asked for")
    return sorted(within, key=lambda tile: (tile.name, str(tile.path), tile.member)), refused


def _reaches(source: TileSource, region: Region) -> bool:
    """May it have something in the region? Roads, rivers and buildings on the edge reach out of their square."""
    code = code_of(source.name)
    if region.wants(code):
        return True
    square = mesh_box(code)
    height, width = square.north - square.south, square.east - square.west
    around = DegreeBox(square.south - height, square.west - width, square.north + height, square.east + width)
    if source.is_obj or not any(around.touches(box) for box in region.boxes):
        return False
    extent = source.extent()
    return extent is not None and any(extent.touches(box) for box in region.boxes)


def find_unread(source: Path, region: Region) -> list[Unread]:
    """What a source has within a region of the classes that are not imported, by their folders."""
    files: Counter[str] = Counter()
    elements: dict[str, Counter[str]] = defaultdict(Counter)
    for tile in _all_sources(Path(source), []):
        if tile.feature in UNREAD and _reaches(tile, region):
            files[tile.feature] += 1
            elements[tile.feature] += _count_members(tile)
    return [Unread(feature, files[feature], dict(elements[feature])) for feature in sorted(files)]


def _count_members(source: TileSource) -> Counter[str]:
    """City objects by element name, without parsing: such files may be larger than all others together."""
    counts: Counter[str] = Counter()
    try:
        with source.open() as stream:
            rest = b""
            while block := stream.read(1 << 20):
                text = rest + block
                end = 0
                for found in _MEMBER.finditer(text):
                    counts[found[1].decode(errors="replace")] += 1
                    end = found.end()
                rest = text[max(end, len(text) - 1000) :]
    except (ImportProblem, OSError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile):
        return counts
    return counts


def _all_sources(source: Path, refused: list[str]) -> list[TileSource]:
    if source.suffix.lower() == ".zip" and source.is_file():
        return _in_zip(source, refused)
    if source.is_file():
        parts = source.resolve().parts
        # Flood files lie deeper than others: udx/fld/natl/<river>/.
        below = parts[parts.index("udx") + 1 :] if "udx" in parts else parts[-2:]
        return [TileSource(source, _feature(PurePosixPath(*below)), size=source.stat().st_size)]
    if not source.is_dir():
        raise ImportProblem(f"{source} does not exist; give a CityGML or OBJ file, a udx folder, or a zip of one")
    paths = sorted(path for path in source.rglob("*") if _is_tile(path.name) and path.is_file())
    found = [tile for path in paths if (tile := _on_disk(path, source)).feature]
    packed = [tile for archive in sorted(source.glob("*.zip")) for tile in _in_zip(archive, refused)]
    if found and packed:
        raise ImportProblem(f"{source} has tiles, and {packed[0].path.name} has some, too: name one or the other")
    return [*found, *packed]


def _is_tile(name: str) -> bool:
    return name.lower().endswith(_SUFFIXES)


def _on_disk(path: Path, root: Path) -> TileSource:
    return TileSource(path, _feature(PurePosixPath(path.relative_to(root).as_posix())), size=path.stat().st_size)


def _feature(path: PurePosixPath) -> str:
    """bldg, tran, ... by the file's name, else by the folder that it is in; '' for neither."""
    known = (*FOLDERS, *UNREAD)
    named = [part for part in path.name.partition(".")[0].lower().split("_") if part in known]
    return named[0] if named else next((part for part in reversed(path.parts[:-1]) if part in known), "")


def danger_of(info: zipfile.ZipInfo) -> str:
    """Why nobody should read or unpack a zip's member, as the rest of a sentence; '' where one may."""
    path = PurePosixPath(real_name(info).replace("\\", "/"))
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
        name = real_name(info)
        path = PurePosixPath(name.replace("\\", "/"))
        if info.is_dir() or not _is_tile(path.name) or not _feature(path):
            continue
        if danger := danger_of(info):
            refused.append(f"{archive.name}: '{name}' {danger}")
        elif path.suffix.lower() == ".obj":
            refused.append(f"{archive.name}: '{name}' is OBJ, unpack the archive and import the folder")
        else:
            found.append(TileSource(archive, _feature(path), name, size=info.file_size))
    return found


def _with_finer(found: list[TileSource]) -> list[TileSource]:
    """OBJ tiles at LOD2 go to the LOD1 tile of their mesh, whose buildings they replace; they have no LOD1 within.

    The distribution has `bldg/lod1/<8 digits>_bldg_6677.obj` and `bldg/lod2/<8 or 9 digits>_bldg_6677.obj`.
    """
    coarse = {
        (code_of(tile.name), tile.feature): tile for tile in found if tile.is_obj and "lod2" not in _folders(tile.path)
    }
    finer: dict[tuple[str, str], list[Path]] = defaultdict(list)
    kept = []
    for tile in found:
        key = (code_of(tile.name)[:8], tile.feature)
        if tile.is_obj and "lod2" in _folders(tile.path) and key in coarse:
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
