"""The importer: PLATEAU files in, a folder with an SDF world, meshes, a semantic mesh and `city.json` out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from occ_core.classes import COLOURS, NAMES
from occ_core.output_folders import check_replaceable, replaced
from occ_core.parallel import Backend, run_tasks
from occ_core.progress import ProgressBar
from tokyo_city.plateau.duplicates import Candidates, repeated
from tokyo_city.plateau.meshcodes import code_of
from tokyo_city.plateau.model import ImportProblem
from tokyo_city.plateau.projection import to_degrees, zone_epsg
from tokyo_city.plateau.sources import EVERYWHERE, Region, TileSource, Unread, find_sources, find_unread
from tokyo_city.plateau.tile import unread_words
from tokyo_city.sample_city import write_sample_city
from tokyo_city.world import CITY, CITY_FILE, WORLD_FILE, plain_name
from tokyo_city.world.appearance import page_path
from tokyo_city.world.sdf import Anchor, write_world
from tokyo_city.world.store import BuildJob, StoredTile, build, forget_others, open_objects

if TYPE_CHECKING:
    from tokyo_city.world.assembly import Placed

ATTRIBUTION = (
    "3D city model: Project PLATEAU, Ministry of Land, Infrastructure, Transport and Tourism (MLIT), Japan, CC BY 4.0"
)


_FAR_KM = 150.0  # a plane rectangular zone is true to 1e-4 about that far from its middle
_OVERLAP = 0.1  # of the smaller tile; buildings reach some 50 m out of their square of a kilometre


@dataclass(frozen=True)
class Options:
    """How to import. region: what to take. workers: processes, one per core where None.

    target_faces: of collision meshes, per model and square kilometre. prisms: buildings collide as convex prisms
    below their roofs, which the embedded engine needs to be exact; without, as decimated meshes.
    """

    region: Region = EVERYWHERE
    workers: int | None = None
    engine: Backend = Backend.LOCAL
    target_faces: int = 10_000
    prisms: bool = True

    def __post_init__(self) -> None:
        if self.target_faces < 12:
            raise ValueError(f"target_faces {self.target_faces}: a box has 12 already")
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"workers {self.workers}: at least one process is needed")


DEFAULTS = Options()


@dataclass(frozen=True)
class ImportReport:
    """What came of an import: counts, what was skipped (file, gml:id, reason), and files that could not be read.

    without_height: areas whose file has no height for them; they lie in the ground around them. problems: what was
    imported without its textures, and such. unread: what is not imported, with counts.
    """

    folder: Path
    anchor: Anchor
    objects: int
    triangles: dict[str, int]
    skipped: tuple[tuple[str, str, str], ...]
    failed: tuple[str, ...]
    without_height: int = 0
    problems: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def import_city(source: Path, out: Path, options: Options = DEFAULTS) -> ImportReport:
    """Import every tile of a source into the folder `out`, which is replaced when the import has succeeded.

    No more than one tile per process is in memory. Triangulated tiles are kept in a folder beside `out`, so that an
    import that was interrupted goes on where it was, and a changed file is all that is read again. OutputError, before
    anything is read, where `out` is something else than a city or can't be written. ImportProblem where nothing could
    be imported; tiles and objects that can't be read are listed in the report.
    """
    with replaced(out, CITY) as beside:
        store = Path(out).resolve().with_name(f".{Path(out).resolve().name}.tiles")
        store.mkdir(parents=True, exist_ok=True)
        sources, failed = find_sources(source, options.region)
        epsg, sources = _zone(sources, options.region, failed)
        tiles = _build(sources, store, options, failed, epsg)
        if epsg is None and len({tile.epsg for tile in tiles}) > 1:
            epsg, _ = Counter(tile.epsg for tile in tiles).most_common(1)[0]
            tiles = _build(sources, store, options, failed, epsg)
        repeats = _repeats(tiles, store)
        anchor = _anchor(tiles)
        for folder in (beside / "meshes", page_path(beside, 0).parent):
            folder.mkdir(parents=True)
        from tokyo_city.world.assembly import lay_all, place_all  # SciPy and Numba: not before files are read

        placed = place_all(tiles, repeats, anchor, store, beside, options)
        models = [model for part in placed for model in part.models] + lay_all(placed, anchor, beside, options)
        write_world(beside / WORLD_FILE, anchor, models)
        unread = find_unread(source, options.region)
        report = _report(Path(out), anchor, tiles, repeats, placed, failed, unread)
        body = _city_json(report, tiles, repeats, placed, options)
        (beside / CITY_FILE).write_text(json.dumps(body, indent=1, ensure_ascii=False), encoding="utf-8")
        forget_others(store, {tile.key for tile in tiles})
    return report


def import_or_generate(source: Path | None, out: Path, *, seed: int, options: Options = DEFAULTS) -> ImportReport:
    """Import a source; without one, write the sample city as CityGML beside `out` and import that."""
    check_replaceable(out, CITY)
    if source is None:
        source = write_sample_city(Path(out).with_name(f"{Path(out).name}_citygml"), seed=seed)
    return import_city(source, out, options)


def _build(
    sources: list[TileSource], store: Path, options: Options, failed: list[str], epsg: int | None
) -> list[StoredTile]:
    """Triangulate what is not kept already, largest files first. The tiles, ordered by name, each name once.

    Names are those of files with what every simulator and file system takes: ASCII without spaces.
    """
    jobs = [BuildJob(tile, options.region, store, epsg) for tile in sources]
    size = {job.key: job.source.size for job in jobs}
    jobs.sort(key=lambda job: -job.source.size)
    tiles: list[StoredTile] = []
    with ProgressBar(sum(size.values()), "read", "B", unit_scale=True) as progress:
        for result in run_tasks(options.engine, build, jobs, options.workers):
            if isinstance(result, StoredTile):
                tiles.append(result)
                progress.update(size[result.key])
            elif result is not None:
                failed.append(result)
            skipped = sum(len(tile.skipped) for tile in tiles)
            progress.note(f"{len(tiles)}/{len(jobs)} tiles, {skipped} objects skipped")
    if not tiles:
        raise ImportProblem("; ".join(failed) or "nothing at all is in the region that was asked for")
    # Two wards may share a mesh code, and so a file name: the second one's tile gets a number.
    named: dict[str, StoredTile] = {}
    by_name = sorted(jobs, key=lambda job: (job.source.name, str(job.source)))
    order = {job.key: number for number, job in enumerate(by_name)}
    for tile in sorted(tiles, key=lambda tile: order[tile.key]):
        plain = plain_name(tile.name)
        names = chain([plain], (f"{plain}_{number}" for number in count(2)))
        name = next(name for name in names if name not in named)
        named[name] = replace(tile, name=name)
    return list(named.values())


def _zone(sources: list[TileSource], region: Region, failed: list[str]) -> tuple[int | None, list[TileSource]]:
    """The zone of the city and what it is made of: a world has one plane, whichever zones its tiles lie in.

    That of the middle of the region, else of most tiles; None where no file says where it is before it is read. What
    lies too far from the rest for one plane is left out, and it is said.
    """
    if region.boxes:
        south, west = (min(getattr(box, side) for box in region.boxes) for side in ("south", "west"))
        north, east = (max(getattr(box, side) for box in region.boxes) for side in ("north", "east"))
        return zone_epsg((south + north) / 2, (west + east) / 2), sources
    places = [source.place() for source in sources]
    zones = Counter(zone_epsg(*place) for place in places if place)
    if not zones:
        return None, sources
    epsg, _ = zones.most_common(1)[0]
    middle = np.median([place for place in places if place and zone_epsg(*place) == epsg], axis=0)
    kept = []
    for source, at in zip(sources, places, strict=True):
        apart = 0.0 if at is None else float(np.hypot(at[0] - middle[0], (at[1] - middle[1]) * 0.8)) * 111
        if apart > _FAR_KM:
            failed.append(f"{source.label}: {apart:.0f} km from the rest of the city, too far for one plane")
        else:
            kept.append(source)
    return epsg, kept


def _overlapping(tiles: list[StoredTile]) -> np.ndarray:
    """(t,) bool: tiles that another one of their class lies over by more than neighbours do."""
    low, high = (np.array([getattr(tile, side)[:2] for tile in tiles]) for side in ("low", "high"))
    feature = np.array([tile.feature for tile in tiles])
    size = (high - low).prod(axis=1)
    found = np.zeros(len(tiles), dtype=bool)
    for number in range(len(tiles)):
        both = np.clip(np.minimum(high, high[number]) - np.maximum(low, low[number]), 0, None).prod(axis=1)
        over = (both > _OVERLAP * np.minimum(size, size[number])) & (feature == feature[number])
        over[number] = False
        found[number] = over.any()
    return found


def _repeats(tiles: list[StoredTile], store: Path) -> list[dict[int, int]]:
    """For each tile its objects that another tile has, too: their index -> number of that tile."""
    none = (np.zeros(0, dtype=str), np.zeros((0, 2, 3)), np.zeros(0, np.uint8))
    candidates = []
    for number, (tile, wanted) in enumerate(zip(tiles, _overlapping(tiles), strict=True)):
        ids, boxes, lods = open_objects(store, tile.key) if wanted else none
        candidates.append(Candidates(ids, boxes, lods, tile.feature, (tile.year, -number)))
    return repeated(candidates)


def _anchor(tiles: list[StoredTile]) -> Anchor:
    """Middle of the buildings, or of everything where there are none, on whole metres; at the lowest point."""
    chosen = [tile for tile in tiles if tile.feature == "bldg"] or tiles
    low, high = np.min([tile.low for tile in chosen], axis=0), np.max([tile.high for tile in chosen], axis=0)
    origin = np.round([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, np.floor(low[2])])
    latitude, longitude, height = to_degrees(origin[None], chosen[0].epsg)[0].tolist()
    return Anchor(latitude, longitude, height, chosen[0].epsg, float(origin[0]), float(origin[1]))


def _report(
    out: Path,
    anchor: Anchor,
    tiles: list[StoredTile],
    repeats: list[dict[int, int]],
    placed: list[Placed],
    failed: list[str],
    unread: list[Unread],
) -> ImportReport:
    triangles: Counter[str] = Counter()
    for part in placed:
        triangles.update(part.triangles)
    skipped = [(tile.name, gml_id, reason) for tile in tiles for gml_id, reason in tile.skipped]
    buried = [(part.name, gml_id, reason) for part in placed for gml_id, reason in part.buried]
    return ImportReport(
        folder=out,
        anchor=anchor,
        objects=sum(tile.objects for tile in tiles) - len(buried) - sum(map(len, repeats)),
        triangles=dict(sorted(triangles.items())),
        skipped=(*skipped, *buried),
        failed=tuple(failed),
        without_height=sum(tile.without_height for tile in tiles),
        problems=(
            *(f"{tile.name}: {problem}" for tile in tiles for problem in tile.problems),
            *_repeat_notes(tiles, repeats),
        ),
        unread=(
            *map(str, unread),
            *(f"{tile.name}: {unread_words(tile.unread)}" for tile in tiles if tile.unread),
        ),
    )


def _repeat_notes(tiles: list[StoredTile], repeats: list[dict[int, int]]) -> Iterator[str]:
    for tile, repeat in zip(tiles, repeats, strict=True):
        for number, shared in sorted(Counter(repeat.values()).items()):
            objects = "1 object" if shared == 1 else f"{shared} objects"
            yield f"{tile.name}: {objects} of it, which {tiles[number].name} has as well, taken from there alone"


def _city_json(
    report: ImportReport,
    tiles: list[StoredTile],
    repeats: list[dict[int, int]],
    placed: list[Placed],
    options: Options,
) -> dict:
    written = {part.name: part for part in placed}
    return {
        "anchor": asdict(report.anchor),
        "attribution": ATTRIBUTION,
        "objects": report.objects,
        "triangles": report.triangles,
        "classes": [
            {"id": number, "name": name, "colour": COLOURS[number].tolist(), "triangles": report.triangles[name]}
            for number, name in enumerate(NAMES)
            if name in report.triangles
        ],
        "textures": sum(tile.pages for tile in tiles),
        "collision": {"target_faces_per_km2": options.target_faces, "buildings_as_prisms": options.prisms},
        "tiles": [
            {
                "name": tile.name,
                "source": tile.source,
                "feature": tile.feature,
                "mesh_code": code_of(tile.source.rpartition(":")[2].rpartition("/")[2]),
                "uro": tile.spec,
                "epsg": tile.epsg,
                "bounds": {"low": tile.low, "high": tile.high},
                "objects": tile.objects - len(repeat),
                "lods": tile.lods,
                "without_height": tile.without_height,
                "triangles": written[tile.name].triangles,
                "textures": tile.pages,
                "mended_polygons": tile.mended,
                "skipped": len(tile.skipped) + len(written[tile.name].buried),
            }
            for tile, repeat in zip(tiles, repeats, strict=True)
        ],
        "without_height": report.without_height,
        "ground": [part.name for part in placed if part.name.startswith("ground_") and part.models],
        "skipped": [dict(zip(("tile", "gml_id", "reason"), skip, strict=True)) for skip in report.skipped],
        "failed": list(report.failed),
        "problems": list(report.problems),
        "not_imported": list(report.unread),
    }
