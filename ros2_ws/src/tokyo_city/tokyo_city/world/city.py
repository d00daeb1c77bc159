"""The importer: PLATEAU files in, a folder with an SDF world, meshes, a semantic mesh and `city.json` out."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from tqdm import tqdm

from occ_core.classes import COLOURS, NAMES
from occ_core.parallel import Backend, run_tasks
from tokyo_city.plateau.areas import AREA_FOLDERS
from tokyo_city.plateau.ground import SQUARE_M
from tokyo_city.plateau.meshcodes import code_of
from tokyo_city.plateau.model import ImportProblem
from tokyo_city.plateau.projection import to_degrees
from tokyo_city.plateau.sources import EVERYWHERE, Region, TileSource, find_sources
from tokyo_city.sample_city import write_sample_city
from tokyo_city.world import CITY_FILE, WORLD_FILE
from tokyo_city.world.appearance import page_path
from tokyo_city.world.drivable import DrivableJob, lay
from tokyo_city.world.laying import ground_jobs, near_keys
from tokyo_city.world.placing import GroundJob, Placed, PlaceJob, place
from tokyo_city.world.sdf import Anchor, WorldModel, write_world
from tokyo_city.world.store import BuildJob, StoredTile, build, forget_others

tqdm.monitor_interval = 0  # Its thread could hold a lock at the moment when worker processes are forked.

ATTRIBUTION = (
    "3D city model: Project PLATEAU, Ministry of Land, Infrastructure, Transport and Tourism (MLIT), Japan, CC BY 4.0"
)


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
    imported without its textures, and such.
    """

    folder: Path
    anchor: Anchor
    objects: int
    triangles: dict[str, int]
    skipped: tuple[tuple[str, str, str], ...]
    failed: tuple[str, ...]
    without_height: int = 0
    problems: tuple[str, ...] = ()


def import_city(source: Path, out: Path, options: Options = DEFAULTS) -> ImportReport:
    """Import every tile of a source into the folder `out`, which is replaced when the import has succeeded.

    No more than one tile per process is in memory. Triangulated tiles are kept in a folder beside `out`, so that an
    import that was interrupted goes on where it was, and a changed file is all that is read again. ImportProblem
    where nothing could be imported; tiles and objects that can't be read are listed in the report.
    """
    out = Path(out)
    sources, failed = find_sources(source, options.region)
    store = out.with_name(f".{out.name}.tiles")
    store.mkdir(parents=True, exist_ok=True)
    tiles = _build(sources, store, options, failed)
    tiles = _one_zone(tiles, failed)
    anchor = _anchor(tiles)
    beside = out.with_name(f".{out.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    for folder in (beside / "meshes", page_path(beside, 0).parent):
        folder.mkdir(parents=True)
    placed = _place(tiles, anchor, store, beside, options)
    models = [model for part in placed for model in part.models] + _lay(placed, anchor, beside, options)
    write_world(beside / WORLD_FILE, anchor, models)
    report = _report(out, anchor, tiles, placed, failed)
    body = _city_json(report, tiles, placed, options)
    (beside / CITY_FILE).write_text(json.dumps(body, indent=1, ensure_ascii=False), encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    beside.rename(out)
    forget_others(store, {tile.key for tile in tiles})
    return report


def import_or_generate(source: Path | None, out: Path, *, seed: int, options: Options = DEFAULTS) -> ImportReport:
    """Import a source; without one, write the sample city as CityGML beside `out` and import that."""
    if source is None:
        source = write_sample_city(Path(out).with_name(f"{Path(out).name}_citygml"), seed=seed)
    return import_city(source, out, options)


def _build(sources: list[TileSource], store: Path, options: Options, failed: list[str]) -> list[StoredTile]:
    """Triangulate what is not kept already, largest files first. The tiles, ordered by name, each name once."""
    jobs = [BuildJob(tile, options.region, store) for tile in sources]
    size = {job.key: job.source.size for job in jobs}
    jobs.sort(key=lambda job: -job.source.size)
    tiles: list[StoredTile] = []
    with tqdm(total=sum(size.values()), desc="read", unit="B", unit_scale=True, disable=None) as progress:
        for result in run_tasks(options.engine, build, jobs, options.workers):
            if isinstance(result, StoredTile):
                tiles.append(result)
                progress.update(size[result.key])
            else:
                failed.append(result)
            skipped = sum(len(tile.skipped) for tile in tiles)
            progress.set_postfix_str(f"{len(tiles)}/{len(jobs)} tiles, {skipped} objects skipped", refresh=False)
    if not tiles:
        raise ImportProblem("; ".join(failed))
    # Two wards may share a mesh code, and so a file name: the second one's tile gets a number.
    seen: Counter[str] = Counter()
    named = []
    for tile in sorted(tiles, key=lambda tile: (tile.name, tile.key)):
        seen[tile.name] += 1
        named.append(tile if seen[tile.name] == 1 else replace(tile, name=f"{tile.name}_{seen[tile.name]}"))
    return named


def _one_zone(tiles: list[StoredTile], failed: list[str]) -> list[StoredTile]:
    """A world has one plane: tiles of another zone than most are left out, and it is said."""
    epsg, _ = Counter(tile.epsg for tile in tiles).most_common(1)[0]
    failed.extend(f"{tile.source}: EPSG:{tile.epsg}, the city is in EPSG:{epsg}" for tile in tiles if tile.epsg != epsg)
    return [tile for tile in tiles if tile.epsg == epsg]


def _anchor(tiles: list[StoredTile]) -> Anchor:
    """Middle of the buildings, or of everything where there are none, on whole metres; at the lowest point."""
    chosen = [tile for tile in tiles if tile.feature == "bldg"] or tiles
    low, high = np.min([tile.low for tile in chosen], axis=0), np.max([tile.high for tile in chosen], axis=0)
    origin = np.round([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, np.floor(low[2])])
    latitude, longitude, height = to_degrees(origin[None], chosen[0].epsg)[0].tolist()
    return Anchor(latitude, longitude, height, chosen[0].epsg, float(origin[0]), float(origin[1]))


def _place(tiles: list[StoredTile], anchor: Anchor, store: Path, city: Path, options: Options) -> list[Placed]:
    """Write all meshes; what was placed, in the order of names."""
    origin = (anchor.east, anchor.north, anchor.height)
    relief = [tile for tile in tiles if tile.feature == "dem"]
    areas = [tile for tile in tiles if tile.feature in AREA_FOLDERS]
    around = {"bldg": relief, "dem": areas}
    pages = np.concatenate([[0], np.cumsum([tile.pages for tile in tiles])])
    jobs: list[PlaceJob | GroundJob] = [
        PlaceJob(
            store,
            city,
            tile.key,
            tile.name,
            tile.feature,
            origin,
            first,
            tile.pages,
            near_keys(around.get(tile.feature, []), np.array(tile.low[:2]), np.array(tile.high[:2])),
            options.target_faces,
            options.prisms,
        )
        for tile, first in zip(tiles, pages.tolist(), strict=False)
    ]
    jobs += ground_jobs(tiles, origin, store, city, options.region, options.engine, options.workers)
    progress = tqdm(total=len(jobs), desc="write", unit="part", disable=None)
    placed = []
    with progress:
        for part in run_tasks(options.engine, place, jobs, options.workers):
            placed.append(part)
            progress.update()
    return sorted(placed, key=lambda part: part.name)


def _lay(placed: list[Placed], anchor: Anchor, city: Path, options: Options) -> list[WorldModel]:
    """The surface to drive on, square by square."""
    origin = np.array([anchor.east, anchor.north])
    laid = [part for part in placed if part.models]
    squares = sorted(
        {
            square
            for part in laid
            if part.ground or "bridge" in part.triangles
            for square in product(
                *(range(int(a // SQUARE_M), int(b // SQUARE_M) + 1) for a, b in _bounds(part, origin))
            )
        }
    )
    jobs = []
    for square in squares:
        low = np.array(square) * SQUARE_M - origin
        parts = tuple(
            (part.name, part.ground)
            for part in laid
            if (np.array(part.low) <= low + SQUARE_M).all() and (np.array(part.high) >= low).all()
        )
        jobs.append(DrivableJob(city, f"drivable_{square[0]}_{square[1]}", (float(low[0]), float(low[1])), parts))
    with tqdm(total=len(jobs), desc="surface", unit="square", disable=None) as progress:
        models = []
        for model in run_tasks(options.engine, lay, jobs, options.workers):
            models += [model] if model else []
            progress.update()
    return sorted(models, key=lambda model: model.name)


def _bounds(part: Placed, origin: np.ndarray) -> list[tuple[float, float]]:
    return [(part.low[axis] + origin[axis], part.high[axis] + origin[axis]) for axis in (0, 1)]


def _report(
    out: Path, anchor: Anchor, tiles: list[StoredTile], placed: list[Placed], failed: list[str]
) -> ImportReport:
    triangles: Counter[str] = Counter()
    for part in placed:
        triangles.update(part.triangles)
    skipped = [(tile.name, gml_id, reason) for tile in tiles for gml_id, reason in tile.skipped]
    buried = [(part.name, gml_id, reason) for part in placed for gml_id, reason in part.buried]
    return ImportReport(
        folder=out,
        anchor=anchor,
        objects=sum(tile.objects for tile in tiles) - len(buried),
        triangles=dict(sorted(triangles.items())),
        skipped=(*skipped, *buried),
        failed=tuple(failed),
        without_height=sum(tile.without_height for tile in tiles),
        problems=tuple(f"{tile.name}: {problem}" for tile in tiles for problem in tile.problems),
    )


def _city_json(report: ImportReport, tiles: list[StoredTile], placed: list[Placed], options: Options) -> dict:
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
                "objects": tile.objects,
                "lods": tile.lods,
                "without_height": tile.without_height,
                "triangles": written[tile.name].triangles,
                "textures": tile.pages,
                "mended_polygons": tile.mended,
                "skipped": len(tile.skipped) + len(written[tile.name].buried),
            }
            for tile in tiles
        ],
        "without_height": report.without_height,
        "ground": [part.name for part in placed if part.name.startswith("ground_") and part.models],
        "skipped": [dict(zip(("tile", "gml_id", "reason"), skip, strict=True)) for skip in report.skipped],
        "failed": list(report.failed),
        "problems": list(report.problems),
    }
