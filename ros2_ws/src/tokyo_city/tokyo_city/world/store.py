"""Triangulated tiles on disk, where an import that was interrupted finds them again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from occ_core.classes import SHEET_CLASSES, Semantic
from occ_core.meshes import TriangleMesh
from tokyo_city.plateau.areas import AREA_FOLDERS, Areas, without_height
from tokyo_city.plateau.codes import BELOW_GROUND
from tokyo_city.plateau.ground_points import ground_points
from tokyo_city.plateau.model import ImportProblem, OutsideRegion
from tokyo_city.plateau.prisms import Prisms
from tokyo_city.plateau.sources import Region, TileSource
from tokyo_city.plateau.tile import Tile, read_tile

_FORMAT = 7  # of what is stored; a change makes everything that was kept stale


@dataclass(frozen=True)
class BuildJob:
    """A file to triangulate, and the folder that keeps the result. epsg: the city's zone, None for the file's own."""

    source: TileSource
    region: Region
    folder: Path
    epsg: int | None

    @property
    def key(self) -> str:
        """Names the result; another one when the file or the region changes."""
        text = f"{_FORMAT} {self.source.stamp()} {self.region} {self.epsg}"
        return hashlib.sha256(text.encode()).hexdigest()[:20]


@dataclass(frozen=True)
class StoredTile:
    """What the importer has to know of a tile without opening it. low, high: (3,) metres in its zone.

    classes: triangles by class name. lods: objects by level of detail. without_height: objects that are, or have, areas
    whose height is not known. skipped: (gml:id, reason). unread: elements that are not imported, by name. beside:
    (name, stamp) of the images and such that were looked for. year: of the data set that its folder or archive names,
    0 for none.
    """

    key: str
    name: str
    feature: str
    source: str
    spec: str
    epsg: int
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    objects: int
    classes: dict[str, int]
    lods: dict[str, int]
    without_height: int
    pages: int
    mended: int
    skipped: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]
    unread: dict[str, int]
    beside: tuple[tuple[str, str], ...]
    year: int

    def near(self, low: np.ndarray, high: np.ndarray) -> bool:
        """Does the tile reach into a rectangle, (2,) metres in its zone?"""
        return bool((np.array(self.low[:2]) <= high).all() and (np.array(self.high[:2]) >= low).all())


@dataclass(frozen=True)
class TileMesh:
    """A stored tile. origin: (3,) metres in its zone, everything else from there; float64.

    vertices, faces, and for each face classes, objects, colour, uv, page as in `Tile`; a vertex is of one class.
    flat: of faces without a height, whose z is none. gml_ids: of the objects; lod: (o,) uint8 their levels; boxes:
    (o, 2, 3) their lowest and highest corners.
    """

    origin: np.ndarray
    vertices: np.ndarray
    faces: np.ndarray
    classes: np.ndarray
    objects: np.ndarray
    colour: np.ndarray
    uv: np.ndarray
    page: np.ndarray
    flat: np.ndarray
    gml_ids: np.ndarray
    lod: np.ndarray
    boxes: np.ndarray
    prisms: Prisms


def build(job: BuildJob) -> StoredTile | str | None:
    """Triangulate a file and keep the result, or take what is kept of it; a sentence where nothing can be read.

    None where nothing of it is in the region.
    """
    entry = job.folder / f"{job.key}.json"
    try:
        if entry.is_file():
            kept = _stored(json.loads(entry.read_text(encoding="utf-8")))
            # Images may come later than the tile that they are for.
            if all(job.source.beside_stamp(name) == stamp for name, stamp in kept.beside):
                return kept
        tile = _reader(job.source)(job.source, job.region, job.epsg)
    except OutsideRegion:
        return None
    except ImportProblem as problem:
        return str(problem)
    return _keep(job, tile)


def _reader(source: TileSource) -> Callable[[TileSource, Region, int | None], Tile]:
    if not source.is_obj:
        return read_tile
    from tokyo_city.plateau.obj_tile import read_obj_tile  # and SciPy, which takes as long to load as a tile to read

    return read_obj_tile


def open_tile(folder: Path, key: str) -> TileMesh:
    """Read a stored tile's arrays."""
    with np.load(folder / f"{key}.npz", allow_pickle=False) as data:
        arrays = {name: data[name] for name in data.files if name != "ground" and not name.startswith("area_")}
    prisms = Prisms(*(arrays.pop(f"prism_{name}") for name in ("tops", "sizes", "bases", "objects")))
    return TileMesh(prisms=prisms, **arrays)


def open_objects(folder: Path, key: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """gml:id, (o, 2, 3) lowest and highest corner in metres of the zone, and level of a stored tile's objects."""
    with np.load(folder / f"{key}.npz", allow_pickle=False) as data:
        return data["gml_ids"], data["boxes"] + data["origin"], data["lod"]


def open_ground(folder: Path, key: str) -> np.ndarray:
    """(g, 3) float64 ground points of a stored tile, metres in its zone."""
    with np.load(folder / f"{key}.npz", allow_pickle=False) as data:
        return data["ground"] + data["origin"]


def open_areas(folder: Path, key: str) -> Areas:
    """The areas of a stored tile, metres in its zone."""
    with np.load(folder / f"{key}.npz", allow_pickle=False) as data:
        return Areas.unpacked({name: data[name] for name in data.files if name.startswith("area_")}, data["origin"])


def open_surface(folder: Path, key: str) -> np.ndarray:
    """(f, 3, 3) float64 triangles of a stored tile, metres in its zone."""
    with np.load(folder / f"{key}.npz", allow_pickle=False) as data:
        return data["vertices"][data["faces"]] + data["origin"]


def page_file(folder: Path, key: str, page: int) -> Path:
    """A stored tile's atlas page."""
    return folder / f"{key}_{page}.jpg"


def forget_others(folder: Path, keys: set[str]) -> None:
    """Delete what is kept of files that have changed or are no longer imported."""
    for path in folder.iterdir():
        if path.name.partition(".")[0].partition("_")[0] not in keys:
            path.unlink()


def _keep(job: BuildJob, tile: Tile) -> StoredTile:
    vertices, faces, kept, start = [], [], [], 0
    for semantic in np.unique(tile.classes):
        mesh, distinct = TriangleMesh.welded(tile.triangles[tile.classes == semantic])
        vertices.append(mesh.vertices)
        faces.append(mesh.faces + np.int32(start))
        kept.append(distinct)
        start += len(mesh.vertices)
    distinct = np.concatenate(kept)
    points = np.concatenate(vertices)
    classes, counts = np.unique(tile.classes[distinct], return_counts=True)
    prisms = tile.prisms
    areas, flat = _areas(tile)
    _write_whole(
        job.folder / f"{job.key}.npz",
        origin=tile.origin,
        vertices=points,
        faces=np.concatenate(faces),
        classes=tile.classes[distinct],
        objects=tile.objects[distinct],
        colour=tile.colour[distinct],
        uv=tile.uv[distinct],
        page=tile.page[distinct],
        flat=flat[distinct],
        gml_ids=np.array([entry.gml_id for entry in tile.city_objects]),
        lod=np.array([entry.lod for entry in tile.city_objects], dtype=np.uint8),
        boxes=_boxes(points, np.concatenate(faces), tile.objects[distinct], len(tile.city_objects)),
        ground=ground_points(tile, areas, flat) if tile.feature not in BELOW_GROUND else np.zeros((0, 3)),
        **areas.packed(),
        prism_tops=prisms.tops,
        prism_sizes=prisms.sizes,
        prism_bases=prisms.bases,
        prism_objects=prisms.objects,
    )
    for number, page in enumerate(tile.pages):
        page_file(job.folder, job.key, number).write_bytes(page)
    stored = StoredTile(
        key=job.key,
        name=tile.name,
        feature=tile.feature,
        source=job.source.label,
        spec=tile.spec,
        epsg=tile.epsg,
        low=tuple((points.min(axis=0) + tile.origin).tolist()),
        high=tuple((points.max(axis=0) + tile.origin).tolist()),
        objects=len(tile.city_objects),
        classes={Semantic(s).name.lower(): int(n) for s, n in zip(classes, counts, strict=True)},
        lods={str(lod): count for lod, count in tile.lods.items()},
        without_height=len(np.unique(tile.objects[flat])),
        pages=len(tile.pages),
        mended=tile.mended,
        skipped=tuple((skip.gml_id, skip.reason) for skip in tile.skipped),
        problems=tile.problems,
        unread=tile.unread,
        beside=tuple((name, job.source.beside_stamp(name)) for name in sorted(set(tile.beside))),
        year=job.source.year,
    )
    # Last, and whole: a tile without it does not exist yet.
    beside = job.folder / f"{job.key}.json.part"
    beside.write_text(json.dumps(asdict(stored), ensure_ascii=False), encoding="utf-8")
    os.replace(beside, job.folder / f"{job.key}.json")
    return stored


def _areas(tile: Tile) -> tuple[Areas, np.ndarray]:
    """A tile's areas, and which of its triangles have no height, (t,) bool.

    Of other folders than those of areas (`gen`, most often), areas without height alone.
    """
    flat = np.zeros(len(tile.triangles), dtype=bool)
    if tile.feature == "dem":
        return Areas.none(), flat
    lying = np.flatnonzero(np.isin(tile.classes, SHEET_CLASSES))
    flat[lying] = without_height(tile.triangles[lying], tile.objects[lying], tile.levels[lying])
    part = slice(None) if tile.feature in AREA_FOLDERS else flat
    if not len(tile.triangles[part]):
        return Areas.none(), flat
    return Areas.of(tile.triangles[part], tile.objects[part], tile.classes[part], flat[part]), flat


def _boxes(vertices: np.ndarray, faces: np.ndarray, objects: np.ndarray, count: int) -> np.ndarray:
    """(o, 2, 3) lowest and highest corner of each object."""
    boxes = np.stack([np.full((count, 3), np.inf), np.full((count, 3), -np.inf)], axis=1)
    corners = vertices[faces]
    np.minimum.at(boxes[:, 0], objects, corners.min(axis=1))
    np.maximum.at(boxes[:, 1], objects, corners.max(axis=1))
    return boxes


def _write_whole(path: Path, **arrays: np.ndarray) -> None:
    beside = path.with_name(f"{path.stem}.part.npz")
    np.savez(beside, **arrays)  # type: ignore[arg-type]
    os.replace(beside, path)


def _stored(data: dict) -> StoredTile:
    columns = {name: tuple(data[name]) for name in ("low", "high", "problems")}
    pairs = {name: tuple((first, second) for first, second in data[name]) for name in ("skipped", "beside")}
    return StoredTile(**(data | columns | pairs))
