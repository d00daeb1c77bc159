"""Stored tiles to their place in a city's folder: meshes, materials, textures, semantic mesh and appearance."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.meshes import TriangleMesh, decimated
from tokyo_city.plateau.ground import ground_of_square
from tokyo_city.plateau.materials import CLASS_MATERIALS
from tokyo_city.world.appearance import Appearance, page_path
from tokyo_city.world.obj import write_obj
from tokyo_city.world.sdf import WorldModel
from tokyo_city.world.store import TileMesh, open_ground, open_tile, page_file

_RELIEF_REACH_M = 20.0
_BELOW_M = 0.5  # a building whose top is this far below the relief can't be seen or met


@dataclass(frozen=True)
class PlaceJob:
    """A stored tile and where it goes. origin: (3,) metres of the anchor in the zone. first_page: of its textures.

    relief: keys of the relief tiles around it. target_faces: of collision meshes, per square kilometre; prisms:
    whether buildings collide as prisms. elsewhere: numbers of objects that another tile has as well and shows.
    """

    store: Path
    city: Path
    key: str
    name: str
    origin: tuple[float, float, float]
    first_page: int
    pages: int
    relief: tuple[str, ...]
    target_faces: int
    prisms: bool
    elsewhere: tuple[int, ...] = ()


@dataclass(frozen=True)
class GroundJob:
    """A square that may lack ground. corner: (2,) metres in the zone. tiles, relief: keys of what is around it."""

    store: Path
    city: Path
    name: str
    origin: tuple[float, float, float]
    corner: tuple[float, float]
    tiles: tuple[str, ...]
    relief: tuple[str, ...]
    target_faces: int


@dataclass(frozen=True)
class Placed:
    """What a job wrote. models: of the world. triangles: by class name. buried: (gml:id, reason) left out."""

    name: str
    models: tuple[WorldModel, ...]
    triangles: dict[str, int]
    buried: tuple[tuple[str, str], ...] = ()


def place(job: PlaceJob | GroundJob) -> Placed:
    """Write the meshes of a job into the city's folder."""
    return _place_ground(job) if isinstance(job, GroundJob) else _place_tile(job)


def _place_tile(job: PlaceJob) -> Placed:
    tile = open_tile(job.store, job.key)
    shift = tile.origin - job.origin
    buried = _buried(tile, job)
    sunk = np.zeros(len(tile.gml_ids), dtype=bool)
    sunk[[*buried, *job.elsewhere]] = True
    faces_kept, prisms = ~sunk[tile.objects], tile.prisms.keep(~sunk[tile.prisms.objects])
    for number in range(job.pages):
        shutil.copyfile(page_file(job.store, job.key, number), page_path(job.city, job.first_page + number))
    vertices, faces, rows, models, counts, start = [], [], [], [], {}, 0
    page = np.where(tile.page >= 0, tile.page + job.first_page, tile.page).astype(np.int16)
    for semantic in map(Semantic, np.unique(tile.classes)):
        which = np.flatnonzero((tile.classes == semantic) & faces_kept)
        if not len(which):
            continue
        used, index = np.unique(tile.faces[which], return_inverse=True)
        mesh = TriangleMesh(tile.vertices[used] + shift, index.reshape(-1, 3).astype(np.int32))
        seen = Appearance(tile.colour[which], tile.uv[which], page[which])
        name = f"{job.name}_{semantic.name.lower()}"
        pieces = prisms.mesh() if semantic is Semantic.BUILDING and job.prisms and len(prisms.sizes) else None
        solid = TriangleMesh(pieces.vertices + shift, pieces.faces) if pieces else None
        models.append(_write_model(job.city, name, semantic, mesh, seen, solid, job.target_faces))
        vertices.append(mesh.vertices)
        faces.append(mesh.faces + np.int32(start))
        rows.append(which)
        counts[semantic.name.lower()] = len(which)
        start += len(mesh.vertices)
    if models:
        order = np.concatenate(rows)
        semantic_part = CityMap(np.concatenate(vertices).astype(np.float32), np.concatenate(faces), tile.classes[order])
        semantic_part.save(job.city, job.name)
        Appearance(tile.colour[order], tile.uv[order], page[order]).save(job.city, job.name)
    left_out = tuple((str(tile.gml_ids[n]), why) for n, why in buried.items() if n not in job.elsewhere)
    return Placed(job.name, tuple(models), counts, left_out)


def _place_ground(job: GroundJob) -> Placed:
    corner = np.array(job.corner)
    points, relief = (
        np.concatenate([np.zeros((0, 3)), *(open_ground(job.store, key) for key in keys)])
        for keys in (job.tiles, job.relief)
    )
    triangles = ground_of_square(corner, points, relief)
    if not len(triangles):
        return Placed(job.name, (), {})
    mesh = TriangleMesh.from_triangles(triangles - job.origin)
    seen = Appearance.plain(np.tile(CLASS_MATERIALS[Semantic.TERRAIN], (len(mesh.faces), 1)).astype(np.uint8))
    model = _write_model(job.city, job.name, Semantic.TERRAIN, mesh, seen, None, job.target_faces)
    classes = np.full(len(mesh.faces), Semantic.TERRAIN, np.uint8)
    CityMap(mesh.vertices.astype(np.float32), mesh.faces, classes).save(job.city, job.name)
    seen.save(job.city, job.name)
    return Placed(job.name, (model,), {"terrain": len(mesh.faces)})


def _write_model(
    city: Path,
    name: str,
    semantic: Semantic,
    mesh: TriangleMesh,
    seen: Appearance,
    solid: TriangleMesh | None,
    target_faces: int,
) -> WorldModel:
    """Meshes of one model. solid: what it collides as; the mesh with fewer faces where that is None."""
    visual = collision = f"meshes/{name}.obj"
    write_obj(city / visual, mesh, seen)
    if solid is None:
        area = np.ptp(mesh.vertices[:, :2], axis=0).prod() / 1e6
        solid = decimated(mesh, int(target_faces * max(area, 1.0)))
    if solid is not mesh:
        collision = f"meshes/{name}_collision.obj"
        write_obj(city / collision, solid)
    return WorldModel(name, semantic, visual, collision, own_materials=True)


def _buried(tile: TileMesh, job: PlaceJob) -> dict[int, str]:
    """Buildings that lie wholly below the relief, by number, with the reason."""
    building = tile.classes == Semantic.BUILDING
    if not job.relief or not building.any():
        return {}
    low, high = np.full((len(tile.gml_ids), 3), np.inf), np.full((len(tile.gml_ids), 3), -np.inf)
    corners = tile.vertices[tile.faces[building]]
    np.minimum.at(low, tile.objects[building], corners.min(axis=1))
    np.maximum.at(high, tile.objects[building], corners.max(axis=1))
    numbers = np.unique(tile.objects[building])
    relief = np.concatenate([open_ground(job.store, key) for key in job.relief]) - tile.origin
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
