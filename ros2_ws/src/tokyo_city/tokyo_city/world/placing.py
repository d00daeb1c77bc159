"""Stored tiles to their place in a city's folder: meshes, materials, textures, semantic mesh and appearance."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from occ_core.citymap import CityMap
from occ_core.classes import GROUND_CLASSES, MATERIALS, Semantic
from occ_core.meshes import TriangleMesh, decimated
from tokyo_city.plateau.areas import AREA_FOLDERS, Areas, open_edges
from tokyo_city.plateau.fitting import Fitted, fitted, outline_of
from tokyo_city.plateau.ground import CELL_M, REACH_M, SQUARE_M, SquareGround, cell_triangles
from tokyo_city.world.appearance import UNTEXTURED, Appearance, page_path
from tokyo_city.world.collision import write_pieces
from tokyo_city.world.obj import write_obj
from tokyo_city.world.sdf import WorldModel
from tokyo_city.world.store import TileMesh, open_areas, open_ground, open_surface, open_tile, page_file

_RELIEF_REACH_M = 20.0
_BELOW_M = 0.5  # a building whose top is this far below the relief can't be seen or met


@dataclass(frozen=True)
class PlaceJob:
    """A stored tile and where it goes. origin: (3,) metres of the anchor in the zone. first_page: of its textures.

    feature: its folder of `udx`. around: keys of the relief tiles around it; of a relief tile, of the tiles with areas.
    target_faces: of collision meshes, per square kilometre; prisms: whether buildings collide as prisms. elsewhere:
    numbers of objects that another tile has as well and shows.
    """

    store: Path
    city: Path
    key: str
    name: str
    feature: str
    origin: tuple[float, float, float]
    first_page: int
    pages: int
    around: tuple[str, ...]
    target_faces: int
    prisms: bool
    elsewhere: tuple[int, ...] = ()

    @property
    def is_ground(self) -> bool:
        """All that it places lies on the ground or is ground."""
        return self.feature == "dem" or self.feature in AREA_FOLDERS


@dataclass(frozen=True)
class SquareJob:
    """A square of ground. corner: (2,) metres in the zone. tiles, relief: keys of what is around it."""

    store: Path
    corner: tuple[float, float]
    tiles: tuple[str, ...]
    relief: tuple[str, ...]


@dataclass(frozen=True)
class GroundJob:
    """A square to lay ground in. heights: (SIDE + 1, SIDE + 1) metres of its nodes; wanted: (SIDE, SIDE) its cells.

    relief, areas: keys of what is around it.
    """

    store: Path
    city: Path
    name: str
    origin: tuple[float, float, float]
    corner: tuple[float, float]
    heights: np.ndarray
    wanted: np.ndarray
    relief: tuple[str, ...]
    areas: tuple[str, ...]

    is_ground = True


@dataclass(frozen=True)
class Placed:
    """What a job wrote. models: of the world. triangles: by class name. buried: (gml:id, reason) left out.

    low, high: (2,) metres in map. ground: all of it lies on the ground or is ground.
    """

    name: str
    models: tuple[WorldModel, ...]
    triangles: dict[str, int]
    low: tuple[float, float]
    high: tuple[float, float]
    ground: bool
    buried: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class _Part:
    """Faces of one class. solid: what they collide as where that is another mesh."""

    semantic: Semantic
    mesh: TriangleMesh
    seen: Appearance
    solid: TriangleMesh | None = None


def square_ground(job: SquareJob) -> tuple[SquareJob, SquareGround]:
    """What is known of the ground in a square."""
    points, relief = (
        np.concatenate([np.zeros((0, 3)), *(open_ground(job.store, key) for key in keys)])
        for keys in (job.tiles, job.relief)
    )
    corner = np.array(job.corner)
    low, high = corner - REACH_M, corner + SQUARE_M + REACH_M

    def near(xy: np.ndarray) -> np.ndarray:
        return np.all((xy >= low) & (xy <= high), axis=1)

    places = [np.zeros((0, 2)), *(open_areas(job.store, key).places(CELL_M) for key in job.tiles)]
    flat = np.concatenate(places)
    return job, SquareGround.of(corner, points[near(points[:, :2])], relief[near(relief[:, :2])], flat[near(flat)])


def place(job: PlaceJob | GroundJob) -> Placed:
    """Write the meshes of a job into the city's folder."""
    if isinstance(job, GroundJob):
        return _written(job, job.city, list(_ground(job)))
    for number in range(job.pages):
        shutil.copyfile(page_file(job.store, job.key, number), page_path(job.city, job.first_page + number))
    tile = open_tile(job.store, job.key)
    if job.feature == "dem":
        return _written(job, job.city, list(_relief(job, tile)))
    buried = _buried(tile, job)
    reasons = tuple((str(tile.gml_ids[n]), why) for n, why in buried.items() if n not in job.elsewhere)
    return _written(job, job.city, list(_standing(job, tile, [*buried, *job.elsewhere])), reasons)


def _standing(job: PlaceJob, tile: TileMesh, hidden: list[int]) -> Iterator[_Part]:
    """A tile's faces but those of hidden objects, and those without height, which lie in the ground around them."""
    shift = tile.origin - job.origin
    sunk = np.zeros(len(tile.gml_ids), dtype=bool)
    sunk[hidden] = True
    faces_kept, prisms = ~sunk[tile.objects] & ~tile.flat, tile.prisms.keep(~sunk[tile.prisms.objects])
    page = _pages(job, tile)
    for semantic in map(Semantic, np.unique(tile.classes)):
        which = np.flatnonzero((tile.classes == semantic) & faces_kept)
        if not len(which):
            continue
        used, index = np.unique(tile.faces[which], return_inverse=True)
        mesh = TriangleMesh(tile.vertices[used] + shift, index.reshape(-1, 3).astype(np.int32))
        seen = Appearance(tile.colour[which], tile.uv[which], page[which])
        pieces = prisms.mesh() if semantic is Semantic.BUILDING and job.prisms and len(prisms.sizes) else None
        solid = TriangleMesh(pieces.vertices + shift, pieces.faces) if pieces else None
        yield _Part(semantic, mesh, seen, solid)


def _relief(job: PlaceJob, tile: TileMesh) -> Iterator[_Part]:
    """A relief tile's triangles, but those of objects that another tile shows, cut to fit the areas around it."""
    shown = ~np.isin(tile.objects, job.elsewhere)
    ground = tile.vertices[tile.faces[shown]] + tile.origin
    if not len(ground):
        return
    low, high = ground[:, :, :2].min(axis=(0, 1)), ground[:, :, :2].max(axis=(0, 1))
    areas = Areas.joined([open_areas(job.store, key).within(low, high) for key in job.around])
    cut = fitted(ground, areas)
    source = np.flatnonzero(shown)[cut.sources]
    uv = _texture_coordinates(cut, ground, tile.uv[shown])
    yield from _parts(cut, areas, job.origin, Appearance(tile.colour[source], uv, _pages(job, tile)[source]))


def _ground(job: GroundJob) -> Iterator[_Part]:
    """A square's cells outside the relief, cut to fit it and the areas around."""
    corner = np.array(job.corner)
    ground = cell_triangles(corner, job.heights, job.wanted)
    if not len(ground):
        return
    low, high = corner - CELL_M, corner + SQUARE_M + CELL_M
    areas = Areas.joined([open_areas(job.store, key).within(low, high) for key in job.areas])
    relief = np.concatenate([np.zeros((0, 3, 3)), *(open_surface(job.store, key) for key in job.relief)])
    xy = relief[:, :, :2]
    relief = relief[((xy.min(axis=1) <= high) & (xy.max(axis=1) >= low)).all(axis=1)]
    edges = open_edges(relief)
    outline = outline_of(relief, edges)
    around = Areas(outline, np.full(len(outline), Semantic.TERRAIN, np.uint8), np.zeros(len(outline), bool), edges)
    areas = Areas.joined([areas, around])
    cut = fitted(ground, areas)
    plain = np.tile(MATERIALS[Semantic.TERRAIN], (len(cut.triangles), 1)).astype(np.uint8)
    yield from _parts(cut, areas, job.origin, Appearance.plain(plain))


def _parts(cut: Fitted, areas: Areas, origin: tuple[float, float, float], seen: Appearance) -> Iterator[_Part]:
    """Terrain as it is seen, and the areas without height by their classes, in their classes' colours."""
    classes = np.full(len(cut.areas), Semantic.TERRAIN, np.uint8)
    classes[cut.areas >= 0] = areas.classes[cut.areas[cut.areas >= 0]]
    for semantic in map(Semantic, np.unique(classes)):
        mesh, distinct = TriangleMesh.welded(cut.triangles[classes == semantic] - origin)
        which = np.flatnonzero(classes == semantic)[distinct]
        of_class = Appearance(seen.colour[which], seen.uv[which], seen.page[which])
        lying = cut.areas[which] >= 0
        of_class.colour[lying] = MATERIALS[semantic]
        of_class.page[lying] = UNTEXTURED
        of_class.uv[lying] = 0
        if len(mesh.faces):
            yield _Part(semantic, mesh, of_class)


def _texture_coordinates(cut: Fitted, ground: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """(t, 3, 2) float32: those of ground triangles, uv (g, 3, 2), at the corners of their parts."""
    whole = ground[cut.sources, :, :2]
    a, u, v = whole[:, 0], whole[:, 1] - whole[:, 0], whole[:, 2] - whole[:, 0]
    away = cut.triangles[:, :, :2] - a[:, None]
    area = (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])[:, None]
    s = (away[:, :, 0] * v[:, None, 1] - away[:, :, 1] * v[:, None, 0]) / area
    t = (u[:, None, 0] * away[:, :, 1] - u[:, None, 1] * away[:, :, 0]) / area
    corners = uv[cut.sources].astype(np.float64)
    weights = np.stack([1 - s - t, s, t], axis=2)
    return np.clip(weights @ corners, 0, 1).astype(np.float32)


def _pages(job: PlaceJob, tile: TileMesh) -> np.ndarray:
    return np.where(tile.page >= 0, tile.page + job.first_page, tile.page).astype(np.int16)


def _written(
    job: PlaceJob | GroundJob, city: Path, parts: list[_Part], buried: tuple[tuple[str, str], ...] = ()
) -> Placed:
    """Meshes of each class, and the semantic mesh and appearance of all."""
    if not parts:
        return Placed(job.name, (), {}, (np.inf, np.inf), (-np.inf, -np.inf), job.is_ground, buried)
    models = tuple(_write_model(city, f"{job.name}_{part.semantic.name.lower()}", part, job) for part in parts)
    starts = np.cumsum([0] + [len(part.mesh.vertices) for part in parts[:-1]])
    vertices = np.concatenate([part.mesh.vertices for part in parts]).astype(np.float32)
    faces = np.concatenate([part.mesh.faces + np.int32(start) for part, start in zip(parts, starts, strict=True)])
    classes = np.concatenate([np.full(len(part.mesh.faces), part.semantic, np.uint8) for part in parts])
    CityMap(vertices, faces, classes).save(city, job.name)
    seen = [part.seen for part in parts]
    columns = (np.concatenate([getattr(part, name) for part in seen]) for name in ("colour", "uv", "page"))
    Appearance(*columns).save(city, job.name)
    counts = {part.semantic.name.lower(): len(part.mesh.faces) for part in parts}
    low, high = vertices[:, :2].min(axis=0).tolist(), vertices[:, :2].max(axis=0).tolist()
    return Placed(job.name, models, counts, tuple(low), tuple(high), job.is_ground, buried)


def _write_model(city: Path, name: str, part: _Part, job: PlaceJob | GroundJob) -> WorldModel:
    """Meshes of one model. What is driven on collides as the city's drivable surface, not by itself."""
    visual = f"meshes/{name}.obj"
    write_obj(city / visual, part.mesh, part.seen)
    if (
        isinstance(job, GroundJob)
        or job.is_ground
        or (part.semantic in GROUND_CLASSES and part.semantic is not Semantic.BRIDGE)
    ):
        return WorldModel(name, part.semantic, visual, "", own_materials=True)
    solid = part.solid
    if solid is None:
        area = np.ptp(part.mesh.vertices[:, :2], axis=0).prod() / 1e6
        solid = decimated(part.mesh, int(job.target_faces * max(area, 1.0)))
    collision = visual
    if solid is not part.mesh:
        collision = f"meshes/{name}_collision.obj"
        write_obj(city / collision, solid)
        if part.semantic is Semantic.BUILDING:
            write_pieces(city, name, solid)
    return WorldModel(name, part.semantic, visual, collision, own_materials=True)


def _buried(tile: TileMesh, job: PlaceJob) -> dict[int, str]:
    """Buildings that lie wholly below the relief, by number, with the reason."""
    building = tile.classes == Semantic.BUILDING
    if job.feature != "bldg" or not job.around or not building.any():
        return {}
    low, high = np.full((len(tile.gml_ids), 3), np.inf), np.full((len(tile.gml_ids), 3), -np.inf)
    corners = tile.vertices[tile.faces[building]]
    np.minimum.at(low, tile.objects[building], corners.min(axis=1))
    np.maximum.at(high, tile.objects[building], corners.max(axis=1))
    numbers = np.unique(tile.objects[building])
    relief = np.concatenate([open_ground(job.store, key) for key in job.around]) - tile.origin
    tree = cKDTree(relief[:, :2])
    middle = (low[numbers, :2] + high[numbers, :2]) / 2
    distance, nearest = tree.query(middle, distance_upper_bound=_RELIEF_REACH_M)
    sunk = np.isfinite(distance)
    ground = relief[np.where(sunk, nearest, 0), 2]
    sunk &= high[numbers, 2] < ground - _BELOW_M
    base = tile.origin[2]
    return {
        int(number): f"its top, {base + high[number, 2]:.1f} m, is below the terrain, {base + height:.1f} m"
        for number, height in zip(numbers[sunk], ground[sunk], strict=True)
    }
