"""The importer: PLATEAU files in, a folder with an SDF world, meshes, a semantic mesh and `city.json` out."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from scipy.spatial import ConvexHull, QhullError
from tqdm import tqdm

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from tokyo_sim.plateau.ground import add_missing_ground
from tokyo_sim.plateau.materials import CLASS_MATERIALS
from tokyo_sim.plateau.model import ImportProblem, Tile, TriangleMesh
from tokyo_sim.plateau.projection import to_degrees
from tokyo_sim.plateau.tile import read_tile
from tokyo_sim.sample_city import write_sample_city
from tokyo_sim.world.appearance import Appearance
from tokyo_sim.world.names import CITY_FILE, WORLD_FILE
from tokyo_sim.world.obj import write_obj
from tokyo_sim.world.sdf import Anchor, WorldModel, write_world

ATTRIBUTION = (
    "3D city model: Project PLATEAU, Ministry of Land, Infrastructure, Transport and Tourism (MLIT), Japan, CC BY 4.0"
)
_FEATURE_FOLDERS = ("bldg", "tran", "dem", "veg", "frn", "brid", "wtr")


@dataclass(frozen=True)
class ImportReport:
    """What came of an import: counts, what was skipped (file, gml:id, reason), and files that could not be read."""

    folder: Path
    anchor: Anchor
    objects: int
    triangles: dict[str, int]
    skipped: tuple[tuple[str, str, str], ...]
    failed: tuple[str, ...]


def find_tiles(source: Path) -> list[Path]:
    """The CityGML files of a PLATEAU `udx` folder, of a folder that holds one, or one file."""
    source = Path(source)
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise ImportProblem(f"{source} does not exist; give a CityGML file or a udx folder")
    files = sorted(path for path in source.rglob("*.gml") if path.parent.name in _FEATURE_FOLDERS)
    if not files:
        raise ImportProblem(f"{source}: no CityGML in {', '.join(f'udx/{name}' for name in _FEATURE_FOLDERS)}")
    return files


def import_city(source: Path, out: Path, *, workers: int | None = None) -> ImportReport:
    """Import every tile of a source into the folder `out`, which is replaced when the import has succeeded.

    ImportProblem where nothing could be imported; tiles and objects that can't be read are listed in the report.
    """
    out = Path(out)
    files = find_tiles(source)
    tiles, failed = [], []
    for result in _read_all(files, workers or os.cpu_count() or 1):
        tiles.append(result) if isinstance(result, Tile) else failed.append(result)
    if not tiles:
        raise ImportProblem("; ".join(failed))
    tiles = _named_apart(_one_zone(tiles, failed))
    anchor = _anchor(tiles)
    beside = out.with_name(f".{out.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    (beside / "meshes").mkdir(parents=True)
    triangles = _write(beside, anchor, tiles, add_missing_ground(tiles))
    report = ImportReport(
        folder=out,
        anchor=anchor,
        objects=sum(tile.objects for tile in tiles),
        triangles=triangles,
        skipped=tuple((tile.name, skip.gml_id, skip.reason) for tile in tiles for skip in tile.skipped),
        failed=tuple(failed),
    )
    (beside / CITY_FILE).write_text(json.dumps(_city_json(report, tiles), indent=1, ensure_ascii=False))
    shutil.rmtree(out, ignore_errors=True)
    beside.rename(out)
    return report


def import_or_generate(source: Path | None, out: Path, *, seed: int, workers: int | None = None) -> ImportReport:
    """Import a source; without one, write the sample city as CityGML beside `out` and import that."""
    if source is None:
        source = write_sample_city(Path(out).with_name(f"{Path(out).name}_citygml"), seed=seed)
    return import_city(source, out, workers=workers)


def _read_all(files: list[Path], workers: int) -> Iterable[Tile | str]:
    progress = tqdm(total=len(files), desc="import", unit="tile", disable=None)
    with progress, ProcessPoolExecutor(max_workers=min(workers, len(files))) as pool:
        for result in pool.map(_read_or_say_why, files):
            progress.update()
            yield result


def _read_or_say_why(path: Path) -> Tile | str:
    try:
        return read_tile(path)
    except ImportProblem as problem:
        return str(problem)


def _one_zone(tiles: list[Tile], failed: list[str]) -> list[Tile]:
    """A world has one plane: tiles of another zone than most are left out, and it is said."""
    epsg, _ = Counter(tile.epsg for tile in tiles).most_common(1)[0]
    failed.extend(f"{tile.name}: EPSG:{tile.epsg}, the city is in EPSG:{epsg}" for tile in tiles if tile.epsg != epsg)
    return [tile for tile in tiles if tile.epsg == epsg]


def _named_apart(tiles: list[Tile]) -> list[Tile]:
    """Two wards may share a mesh code, and so a file name: the second one's tile gets a number."""
    seen: Counter[str] = Counter()
    named = []
    for tile in tiles:
        seen[tile.name] += 1
        named.append(tile if seen[tile.name] == 1 else replace(tile, name=f"{tile.name}_{seen[tile.name]}"))
    return named


def _anchor(tiles: list[Tile]) -> Anchor:
    """Middle of the buildings, or of everything where there are none, on whole metres; at the lowest point."""
    chosen = [tile for tile in tiles if tile.feature == "bldg"] or tiles
    bounds = np.array(
        [[part.min(axis=(0, 1)), part.max(axis=(0, 1))] for tile in chosen for part in tile.visual.values()]
    )
    low, high = bounds[:, 0].min(axis=0), bounds[:, 1].max(axis=0)
    origin = np.round([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, np.floor(low[2])])
    latitude, longitude, height = to_degrees(origin[None], chosen[0].epsg)[0]
    return Anchor(latitude, longitude, height, chosen[0].epsg, origin[0], origin[1])


def _write(folder: Path, anchor: Anchor, tiles: list[Tile], ground: list[tuple[str, np.ndarray]]) -> dict[str, int]:
    """Meshes, world and semantic mesh; returns triangle counts by class name."""
    origin = np.array([anchor.east, anchor.north, anchor.height])
    parts: list[tuple[str, Semantic, np.ndarray, np.ndarray, tuple[np.ndarray, ...]]] = []
    for tile in tiles:
        for semantic, triangles in sorted(tile.visual.items()):
            parts.append(
                (f"{tile.name}_{semantic.name.lower()}", semantic, triangles, tile.colours[semantic], tile.prisms)
            )
    for name, triangles in ground:
        colour = np.tile(CLASS_MATERIALS[Semantic.TERRAIN], (len(triangles), 1))
        parts.append((name, Semantic.TERRAIN, triangles, colour, ()))
    models, meshes, colours = [], [], []
    counts: Counter[str] = Counter()
    for name, semantic, triangles, colour, prisms in parts:
        mesh, kept = TriangleMesh.welded(triangles - origin)
        if not len(mesh.faces):
            continue
        visual = collision = f"meshes/{name}.obj"
        write_obj(folder / visual, mesh)
        if prisms:
            collision = f"meshes/{name}_collision.obj"
            write_obj(folder / collision, _hulls([prism - origin for prism in prisms]))
        models.append(WorldModel(name, semantic, visual, collision))
        meshes.append((mesh, semantic))
        colours.append(colour[kept])
        counts[semantic.name.lower()] += len(mesh.faces)
    write_world(folder / WORLD_FILE, anchor, models)
    _semantic_mesh(meshes).save(folder)
    Appearance.plain(np.concatenate(colours)).save(folder)
    return dict(counts)


def _hulls(prisms: list[np.ndarray]) -> TriangleMesh:
    """The convex hulls of prisms, side by side without shared vertices, so that a reader can part them again."""
    vertices, faces, start = [], [], 0
    for prism in prisms:
        try:
            hull = ConvexHull(prism)
        except QhullError:
            continue  # A sliver without volume stops nothing.
        corners = prism[hull.vertices]
        renumber = np.full(len(prism), -1)
        renumber[hull.vertices] = np.arange(len(hull.vertices))
        simplices = renumber[hull.simplices]
        normals = np.cross(
            corners[simplices[:, 1]] - corners[simplices[:, 0]], corners[simplices[:, 2]] - corners[simplices[:, 0]]
        )
        inward = (normals * hull.equations[:, :3]).sum(axis=1) < 0
        simplices[inward] = simplices[inward][:, ::-1]
        vertices.append(corners)
        faces.append(simplices + start)
        start += len(corners)
    return TriangleMesh(np.concatenate(vertices), np.concatenate(faces).astype(np.int32))


def _semantic_mesh(meshes: list[tuple[TriangleMesh, Semantic]]) -> CityMap:
    starts = np.cumsum([0] + [len(mesh.vertices) for mesh, _ in meshes])
    return CityMap(
        np.concatenate([mesh.vertices for mesh, _ in meshes]).astype(np.float32),
        np.concatenate([mesh.faces + start for (mesh, _), start in zip(meshes, starts, strict=False)]).astype(np.int32),
        np.concatenate([np.full(len(mesh.faces), semantic, np.uint8) for mesh, semantic in meshes]),
    )


def _city_json(report: ImportReport, tiles: list[Tile]) -> dict:
    return {
        "anchor": asdict(report.anchor),
        "attribution": ATTRIBUTION,
        "objects": report.objects,
        "triangles": report.triangles,
        "tiles": [
            {"name": tile.name, "feature": tile.feature, "objects": tile.objects, "lods": tile.lods} for tile in tiles
        ],
        "skipped": [dict(zip(("tile", "gml_id", "reason"), skip, strict=True)) for skip in report.skipped],
        "failed": list(report.failed),
    }
