"""Tiles of PLATEAU's OBJ distribution (`plateau-tokyo23ku`): metres, by mesh code, LOD1 and LOD2 in own files."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from occ_core.classes import Semantic
from tokyo_city.plateau.codes import Kind
from tokyo_city.plateau.meshcodes import code_of, mesh_box
from tokyo_city.plateau.model import CityObject, ImportProblem, Polygons, Reading, Skipped, TextureImage
from tokyo_city.plateau.projection import to_degrees, to_metres, zone_epsg
from tokyo_city.plateau.sources import Region, TileSource
from tokyo_city.plateau.textures import NO_IMAGE, TextureCoordinates
from tokyo_city.plateau.tile import Tile, assemble

_CLASSES = {
    "bldg": Semantic.BUILDING, "tran": Semantic.ROAD, "brid": Semantic.BRIDGE, "dem": Semantic.TERRAIN,
    "veg": Semantic.VEGETATION, "frn": Semantic.FURNITURE, "wtr": Semantic.WATER, "squr": Semantic.SIDEWALK,
    "trk": Semantic.SIDEWALK,
}  # fmt: skip
_EPSG = re.compile(r"_(66(?:69|7\d|8[0-7]))(?:_|$)")
_NEAR_M = 300.0  # what stands on a tile's edge reaches out of its square
_TOKYO_EPSG = 6677


@dataclass(frozen=True)
class _Mesh:
    """An OBJ file. vertices: (v, 3) as written. corners: flat vertex indices, texture: flat indices into uv or -1.

    counts: corners of each face. groups: index of each face's `o` or `g` name. images: map_Kd of each face, '' none.
    """

    vertices: np.ndarray
    uv: np.ndarray
    corners: np.ndarray
    texture: np.ndarray
    counts: np.ndarray
    groups: np.ndarray
    names: tuple[str, ...]
    images: tuple[str, ...]


def read_obj_tile(source: TileSource, region: Region) -> Tile:
    """Read and triangulate an OBJ tile, and the LOD2 files that go with it; LOD2 replaces LOD1 where it stands.

    Axes: z up as distributed, or y up; coordinates: of the plane rectangular zone that the file name says, or from
    the middle or south-west corner of its mesh: whichever puts the tile into its mesh. ImportProblem where none does.
    """
    epsg, notes = _zone(source)
    own_lod = 2 if "lod2" in {part.lower() for part in source.path.parts} else 1
    layers = [(source.path, own_lod), *((path, 2) for path in source.finer)]
    points, uv, counts, owners, images = [], [], [], [], []
    objects: list[CityObject] = []
    skipped: list[Skipped] = []
    uris: dict[str, int] = {}
    taken = np.zeros((0, 2, 2))
    for path, lod in reversed(layers):
        mesh = _read(path)
        metres = _placed(mesh.vertices, path, epsg)
        component = _components(mesh, metres)
        boxes, broken = _boxes(mesh, metres, component)
        middles = boxes.mean(axis=1)
        covered = np.zeros(len(boxes), dtype=bool)
        if lod == 1 and len(taken) and source.feature == "bldg":
            covered = ((middles[:, None] >= taken[:, 0]) & (middles[:, None] <= taken[:, 1])).all(axis=2).any(axis=1)
        wanted = ~broken & ~covered & _inside(middles, region, epsg)
        skipped += [Skipped(f"{path.stem}#{n}", "a vertex is not finite") for n in np.flatnonzero(broken)]
        number = np.cumsum(wanted) - 1 + len(objects)
        faces = wanted[component]
        corner = np.repeat(faces, mesh.counts)
        points.append(metres[mesh.corners[corner]])
        uv.append(np.where((mesh.texture[corner] >= 0)[:, None], mesh.uv[mesh.texture[corner]], np.nan))
        counts.append(mesh.counts[faces])
        owners.append(number[component[faces]])
        images += [
            uris.setdefault(mesh.images[k], len(uris)) if mesh.images[k] else NO_IMAGE for k in np.flatnonzero(faces)
        ]
        objects += [CityObject(f"{path.stem}#{n}", lod) for n in np.flatnonzero(wanted)]
        taken = np.concatenate([taken, boxes[wanted]])
    if not objects:
        raise ImportProblem(
            f"{source.label}: no faces that can be used, or none in the region ({len(skipped)} skipped)"
        )
    sizes, place, coordinates = np.concatenate(counts), np.concatenate(points), np.concatenate(uv)
    rings = np.concatenate([[0], np.cumsum(sizes)])
    semantic = _CLASSES[source.feature]
    polygons = Polygons(
        place, rings, np.arange(len(sizes) + 1), np.concatenate(owners).astype(np.int32),
        np.full(len(sizes), Kind.PLAIN, np.uint8), np.full(len(sizes), semantic, np.uint8),
        np.array([entry.lod for entry in objects], np.uint8)[np.concatenate(owners)],
    )  # fmt: skip
    image = np.where(np.isnan(np.add.reduceat(coordinates[:, 0], rings[:-1])), NO_IMAGE, images)
    reading = Reading(tuple(objects), polygons, (), tuple(skipped), tuple(TextureImage(uri) for uri in uris))
    mapping = TextureCoordinates(np.nan_to_num(coordinates), image, np.full((len(sizes), 3), -1, np.int16))
    tile = assemble(source, reading, polygons, mapping, epsg)
    return replace(tile, problems=(*tile.problems, *notes))


def _zone(source: TileSource) -> tuple[int, list[str]]:
    """EPSG code of a file's coordinates, by its name or its mesh."""
    if found := _EPSG.search(source.name):
        return int(found[1]), []
    if code := code_of(source.name):
        box = mesh_box(code)
        return zone_epsg((box.south + box.north) / 2, (box.west + box.east) / 2), []
    return _TOKYO_EPSG, [
        f"{source.label}: its name has neither mesh code nor EPSG code, taken as EPSG:{_TOKYO_EPSG}, z up"
    ]


def _placed(vertices: np.ndarray, path: Path, epsg: int) -> np.ndarray:
    """(v, 3) metres east, north, up in the zone."""
    y_up = vertices[:, [0, 2, 1]] * [1, -1, 1]
    code = code_of(path.name)
    if not code:
        return vertices
    box = mesh_box(code)
    south, west, north, east = box.south, box.west, box.north, box.east
    degrees = [(south, west, 0), (north, east, 0), ((south + north) / 2, (west + east) / 2, 0)]
    corners = to_metres(np.array(degrees), epsg)
    low, high = corners.min(axis=0)[:2] - _NEAR_M, corners.max(axis=0)[:2] + _NEAR_M
    south_west, _, middle = corners
    for candidate in (vertices, y_up):
        at = np.nanmedian(candidate[:, :2], axis=0)
        if (at > low).all() and (at < high).all():
            return candidate
    # About the mesh's middle: heights are what spreads least, or y would be north.
    finite = vertices[np.isfinite(vertices).all(axis=1)]
    spread = np.ptp(finite, axis=0) if len(finite) else np.zeros(3)
    local = y_up if spread[1] < spread[2] else vertices
    half = (high - low) / 2
    least = np.nanpercentile(local[:, :2], 1, axis=0)
    if (np.abs(np.nanmedian(local[:, :2], axis=0)) < 2 * half).all():
        return local + (south_west if (least > -_NEAR_M / 2).all() else middle)
    raise ImportProblem(
        f"{path.name}: its coordinates, about ({at[0]:.0f}, {at[1]:.0f}), are neither in its mesh {code} in "
        f"EPSG:{epsg} nor metres from there"
    )


def _components(mesh: _Mesh, metres: np.ndarray) -> np.ndarray:
    """(f,) number of the connected piece that each face belongs to; with names of groups, within those."""
    rounded = np.round(np.nan_to_num(metres, nan=-1e9, posinf=-1e9, neginf=-1e9), 3)
    _, welded = np.unique(rounded, axis=0, return_inverse=True)
    face = np.repeat(np.arange(len(mesh.counts)), mesh.counts)
    vertex = welded.ravel()[mesh.corners] + len(mesh.counts)
    size = len(mesh.counts) + int(welded.max(initial=0)) + 1
    named = coo_matrix((np.ones(len(face)), (face, vertex)), shape=(size, size))
    _, label = connected_components(named, directed=False)
    if mesh.names:
        label = mesh.groups
    _, number = np.unique(label[: len(mesh.counts)], return_inverse=True)
    return number.ravel()


def _boxes(mesh: _Mesh, metres: np.ndarray, component: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(k, 2, 2) lowest and highest xy of each component, and (k,) bool: it has a vertex that is not finite."""
    count = int(component.max(initial=-1)) + 1
    owner = np.repeat(component, mesh.counts)
    corner = metres[mesh.corners]
    broken = np.bincount(owner, ~np.isfinite(corner).all(axis=1), count) > 0
    low, high = np.full((count, 2), np.inf), np.full((count, 2), -np.inf)
    np.fmin.at(low, owner, corner[:, :2])
    np.fmax.at(high, owner, corner[:, :2])
    return np.stack([low, high], axis=1), broken


def _inside(middles: np.ndarray, region: Region, epsg: int) -> np.ndarray:
    if not region.boxes:
        return np.ones(len(middles), dtype=bool)
    place = to_degrees(np.column_stack([np.nan_to_num(middles), np.zeros(len(middles))]), epsg)[:, :2]
    inside = [(place >= (b.south, b.west)).all(axis=1) & (place < (b.north, b.east)).all(axis=1) for b in region.boxes]
    return np.any(inside, axis=0)


def _read(path: Path) -> _Mesh:
    """ImportProblem, with the line, for what is no OBJ."""
    vertices: list[str] = []
    coordinates: list[list[float]] = [[0.0, 0.0]]
    corners, texture, counts, groups, images = [], [], [], [], []
    names: dict[str, int] = {}
    group, image = 0, ""
    materials: dict[str, str] = {}
    at = 0
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                at += 1
                kind, _, rest = line.strip().partition(" ")
                if kind == "v":
                    vertices.append(rest)
                elif kind == "vt":
                    coordinates.append([float(value) for value in rest.split()[:2]])
                elif kind == "f":
                    face = [corner.split("/") for corner in rest.split()]
                    corners += [_index(corner[0], len(vertices)) for corner in face]
                    texture += [
                        _index(corner[1], len(coordinates) - 1) + 1 if len(corner) > 1 and corner[1] else -1
                        for corner in face
                    ]
                    counts.append(len(face))
                    groups.append(group)
                    images.append(image)
                elif kind in ("o", "g"):
                    group = names.setdefault(rest, len(names))
                elif kind == "usemtl":
                    image = materials.get(rest.strip(), "")
                elif kind == "mtllib":
                    materials |= _materials(path.parent / rest.strip())
        points = np.array([[float(value) for value in text.split()[:3]] for text in vertices]).reshape(-1, 3)
    except (ValueError, OSError) as error:
        raise ImportProblem(f"{path.name}, line {at}: {error}") from error
    index = np.array(corners, dtype=np.int64)
    if not len(index) or index.min() < 0 or index.max() >= len(points) or max(texture) >= len(coordinates):
        raise ImportProblem(f"{path.name}: no faces, or faces of vertices that are not there")
    return _Mesh(
        points, np.array(coordinates), index, np.array(texture), np.array(counts), np.array(groups),
        tuple(names), tuple(images),
    )  # fmt: skip


def _index(text: str, count: int) -> int:
    """OBJ counts from 1, and backwards from the last one so far."""
    number = int(text)
    return number - 1 if number > 0 else count + number


def _materials(path: Path) -> dict[str, str]:
    """Material -> texture file, of an MTL file; without one, nothing has a texture."""
    if not path.is_file():
        return {}
    found, name = {}, ""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        kind, _, rest = line.strip().partition(" ")
        if kind == "newmtl":
            name = rest.strip()
        elif kind == "map_Kd":
            found[name] = rest.strip()
    return found
