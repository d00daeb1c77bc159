"""Tiles of PLATEAU's OBJ distribution (`plateau-tokyo23ku`): metres, by mesh code, LOD1 and LOD2 in own files."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from occ_core.classes import SHEET_CLASSES, Semantic
from tokyo_city.plateau.clipping import apart, within
from tokyo_city.plateau.codes import SurfaceType
from tokyo_city.plateau.meshcodes import code_of, mesh_box
from tokyo_city.plateau.model import CityObject, ImportProblem, OutsideRegion, Polygons, Reading, Skipped, TextureImage
from tokyo_city.plateau.projection import to_degrees, to_metres, zone_epsg
from tokyo_city.plateau.sources import Region, TileSource
from tokyo_city.plateau.textures import NO_IMAGE, TextureCoordinates
from tokyo_city.plateau.tile import Tile, assemble

_CLASSES = {
    "bldg": Semantic.BUILDING, "ubld": Semantic.BUILDING, "tran": Semantic.ROAD, "squr": Semantic.SIDEWALK,
    "trk": Semantic.SIDEWALK, "rwy": Semantic.TERRAIN, "wwy": Semantic.WATER, "dem": Semantic.TERRAIN,
    "veg": Semantic.VEGETATION, "frn": Semantic.FURNITURE, "brid": Semantic.BRIDGE, "tun": Semantic.OTHER,
    "cons": Semantic.OTHER, "wtr": Semantic.WATER, "area": Semantic.TERRAIN, "gen": Semantic.OTHER,
}  # fmt: skip
_EPSG = re.compile(r"_(66(?:69|7\d|8[0-7]))(?:_|$)")
_AUTHORITY = re.compile(r'AUTHORITY\["EPSG","?(66(?:69|7\d|8[0-7]))"?\]')
_MERIDIAN = re.compile(r'"central_meridian",\s*([\d.]+)', re.IGNORECASE)
_ORIGIN_LATITUDE = re.compile(r'"latitude_of_origin",\s*([\d.]+)', re.IGNORECASE)
# Options of a texture in an MTL, and how many values they have at most.
_OPTIONS = {
    "-s": 3, "-o": 3, "-t": 3, "-mm": 2, "-bm": 1, "-boost": 1, "-texres": 1, "-blendu": 1, "-blendv": 1, "-clamp": 1,
    "-cc": 1, "-imfchan": 1, "-type": 1,
}  # fmt: skip
_NEAR_M = 300.0  # what stands on a tile's edge reaches out of its square
_TOKYO_EPSG = 6677


@dataclass(frozen=True)
class _Material:
    """What an MTL says of a material. image: file name, '' for none. colour: 0 to 255, -1 for none (Kd).

    scale, offset: of texture coordinates.
    """

    image: str = ""
    colour: tuple[int, int, int] = (-1, -1, -1)
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class _Mesh:
    """An OBJ file. vertices: (v, 3) as written. corners: flat vertex indices, texture: flat indices into uv or -1.

    counts: corners of each face. groups: index of each face's `o` or `g` name. materials: of each face an index into
    palette. libraries: names of its MTL files. header: the coordinate system that it says it is in, '' for none.
    """

    vertices: np.ndarray
    uv: np.ndarray
    corners: np.ndarray
    texture: np.ndarray
    counts: np.ndarray
    groups: np.ndarray
    names: tuple[str, ...]
    materials: np.ndarray
    palette: tuple[_Material, ...]
    libraries: tuple[str, ...]
    header: str


def read_obj_tile(source: TileSource, region: Region, epsg: int | None = None) -> Tile:
    """Read and triangulate an OBJ tile, and the LOD2 files that go with it; LOD2 replaces LOD1 where it stands.

    Axes: z up as distributed, or y up; coordinates: of the plane rectangular zone that the file name or header says,
    or from the middle or south-west corner of its mesh: whichever puts the tile into its mesh. ImportProblem where none
    does. epsg: the zone to use, None for that of the file.
    """
    layers = [(source, _read(source), 2 if "lod2" in source.folders else 1)]
    layers += [(part, _read(part), 2) for part in source.finer]
    found, notes = _zone(source, layers[0][1].header)
    points, uv, counts, owners, images, colours = [], [], [], [], [], []
    beside: list[str] = []
    objects: list[CityObject] = []
    skipped: list[Skipped] = []
    uris: dict[str, int] = {}
    taken = np.zeros((0, 2, 2))
    semantic = _CLASSES[source.feature]
    area = semantic in SHEET_CLASSES
    for part, mesh, lod in reversed(layers):
        beside += mesh.libraries
        metres = _placed(mesh.vertices, part.file_name, found)
        component = _components(mesh, metres)
        boxes, broken = _boxes(mesh, metres, component)
        middles = boxes.mean(axis=1)
        covered = np.zeros(len(boxes), dtype=bool)
        if lod == 1 and len(taken) and source.feature == "bldg":
            covered = ((middles[:, None] >= taken[:, 0]) & (middles[:, None] <= taken[:, 1])).all(axis=2).any(axis=1)
        wanted = ~broken & ~covered & _inside(boxes, region, found)
        skipped += [Skipped(f"{part.name}#{n}", "a vertex is not finite") for n in np.flatnonzero(broken)]
        number = np.cumsum(wanted) - 1 + len(objects)
        faces = wanted[component]
        corner = np.repeat(faces, mesh.counts)
        points.append(metres[mesh.corners[corner]])
        used = [mesh.palette[number] for number in mesh.materials[faces]]
        scale = np.repeat(np.array([m.scale for m in used]).reshape(-1, 2), mesh.counts[faces], axis=0)
        offset = np.repeat(np.array([m.offset for m in used]).reshape(-1, 2), mesh.counts[faces], axis=0)
        mapped = mesh.uv[mesh.texture[corner]] * scale + offset
        uv.append(np.where((mesh.texture[corner] >= 0)[:, None], mapped, np.nan))
        counts.append(mesh.counts[faces])
        owners.append(number[component[faces]])
        images += [uris.setdefault(m.image, len(uris)) if m.image else NO_IMAGE for m in used]
        colours += [m.colour for m in used]
        objects += [CityObject(f"{part.name}#{n}", lod, area=area) for n in np.flatnonzero(wanted)]
        taken = np.concatenate([taken, boxes[wanted]])
    if not objects:
        raise ImportProblem(
            f"{source.label}: no faces that can be used, or none in the region ({len(skipped)} skipped)"
        )
    sizes, place, coordinates = np.concatenate(counts), np.concatenate(points), np.concatenate(uv)
    rings = np.concatenate([[0], np.cumsum(sizes)])
    polygons = Polygons(
        place, rings, np.arange(len(sizes) + 1), np.concatenate(owners).astype(np.int32),
        np.full(len(sizes), SurfaceType.PLAIN, np.uint8), np.full(len(sizes), semantic, np.uint8),
        np.array([entry.lod for entry in objects], np.uint8)[np.concatenate(owners)],
    )  # fmt: skip
    image = np.where(np.isnan(np.add.reduceat(coordinates[:, 0], rings[:-1])), NO_IMAGE, images)
    reading = Reading(tuple(objects), polygons, (), tuple(skipped), tuple(TextureImage(uri) for uri in uris))
    coordinates = np.nan_to_num(coordinates)
    if region.boxes and area:
        degrees = replace(polygons, points=to_degrees(polygons.points, found))
        degrees, coordinates, piece_of = within(degrees, coordinates, reading.objects, apart(region.boxes))
        if not len(degrees):
            raise OutsideRegion(f"{source.label}: nothing of it is in the region that was asked for")
        polygons, image = replace(degrees, points=to_metres(degrees.points, found)), image[piece_of]
        colours = [colours[number] for number in piece_of]
    if epsg and epsg != found:
        polygons = replace(polygons, points=to_metres(to_degrees(polygons.points, found), epsg))
    mapping = TextureCoordinates(coordinates, image, np.array(colours, np.int16).reshape(-1, 3))
    tile = assemble(source, reading, polygons, mapping, epsg or found)
    return replace(tile, problems=(*tile.problems, *notes), beside=(*tile.beside, *beside))


def _zone(source: TileSource, header: str) -> tuple[int, list[str]]:
    """EPSG code of a file's coordinates, by its name, its header or its mesh."""
    if found := _EPSG.search(source.name):
        return int(found[1]), []
    if found := _AUTHORITY.search(header):
        return int(found[1]), []
    meridian, latitude = _MERIDIAN.search(header), _ORIGIN_LATITUDE.search(header)
    if meridian and latitude:
        return zone_epsg(float(latitude[1]), float(meridian[1])), []
    if code := code_of(source.name):
        box = mesh_box(code)
        return zone_epsg((box.south + box.north) / 2, (box.west + box.east) / 2), []
    return _TOKYO_EPSG, [
        f"{source.label}: its name has neither mesh code nor EPSG code, taken as EPSG:{_TOKYO_EPSG}, z up"
    ]


def _placed(vertices: np.ndarray, name: str, epsg: int) -> np.ndarray:
    """(v, 3) metres east, north, up in the zone. name: of the file, with its mesh code."""
    y_up = vertices[:, [0, 2, 1]] * [1, -1, 1]
    code = code_of(name)
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
        f"{name}: its coordinates, about ({at[0]:.0f}, {at[1]:.0f}), are neither in its mesh {code} in "
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


def _inside(boxes: np.ndarray, region: Region, epsg: int) -> np.ndarray:
    """boxes: (k, 2, 2) lowest and highest xy. Returns (k,) bool: it reaches into the region."""
    if not region.boxes:
        return np.ones(len(boxes), dtype=bool)
    known = np.nan_to_num(boxes, posinf=0, neginf=0)
    corners = np.stack([known[:, (0, 0, 1, 1), 0], known[:, (0, 1, 0, 1), 1]], axis=2)
    flat = np.column_stack([corners.reshape(-1, 2), np.zeros(4 * len(boxes))])
    place = to_degrees(flat, epsg)[:, :2].reshape(-1, 4, 2)
    low, high = place.min(axis=1), place.max(axis=1)
    inside = [(high > (b.south, b.west)).all(axis=1) & (low < (b.north, b.east)).all(axis=1) for b in region.boxes]
    return np.any(inside, axis=0)


def _read(source: TileSource) -> _Mesh:
    """ImportProblem, with the line, for what is no OBJ."""
    vertices: list[str] = []
    coordinates: list[list[float]] = [[0.0, 0.0]]
    corners, texture, counts, groups, used = [], [], [], [], []
    names: dict[str, int] = {}
    palette: dict[str, int] = {"": 0}
    materials: dict[str, _Material] = {}
    libraries: list[str] = []
    group, material, header = 0, 0, ""
    at = 0
    try:
        for number, line in enumerate(_lines(source), start=1):
            at = number
            kind, _, rest = line.strip().replace("\t", " ").partition(" ")
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
                used.append(material)
            elif kind in ("o", "g"):
                group = names.setdefault(rest, len(names))
            elif kind == "usemtl":
                material = palette.setdefault(rest.strip(), len(palette))
            elif kind == "mtllib":
                library = rest.strip()
                libraries += [library] if source.has_beside(library) else library.split()
            elif kind == "#" and "COORDINATE_SYSTEM" in rest:
                header = rest
        points = np.array([[float(value) for value in text.split()[:3]] for text in vertices]).reshape(-1, 3)
        for library in libraries:
            materials |= _materials(source, library)
    except (ValueError, OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise ImportProblem(f"{source.file_name}, line {at}: {error}") from error
    index = np.array(corners, dtype=np.int64)
    if not len(index) or index.min() < 0 or index.max() >= len(points) or max(texture) >= len(coordinates):
        raise ImportProblem(f"{source.file_name}: no faces, or faces of vertices that are not there")
    return _Mesh(
        points, np.array(coordinates), index, np.array(texture), np.array(counts), np.array(groups), tuple(names),
        np.array(used), tuple(materials.get(name, _Material()) for name in palette), tuple(libraries), header,
    )  # fmt: skip


def _lines(source: TileSource) -> Iterator[str]:
    """Lines of a text that may begin with a byte order mark; those that end in a backslash with the next."""
    with io.TextIOWrapper(source.open(), encoding="utf-8-sig", errors="replace") as file:
        begun = ""
        for line in file:
            if line.rstrip().endswith("\\"):
                begun += line.rstrip()[:-1] + " "
                continue
            yield begun + line
            begun = ""
        if begun:
            yield begun


def _index(text: str, count: int) -> int:
    """OBJ counts from 1, and backwards from the last one so far."""
    number = int(text)
    return number - 1 if number > 0 else count + number


def _materials(source: TileSource, library: str) -> dict[str, _Material]:
    """The materials of an MTL file by name; without one, nothing has a texture."""
    try:
        raw = source.beside(library)
    except ImportProblem:
        return {}
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp932", errors="replace")
    found: dict[str, _Material] = {}
    name = ""
    for line in text.splitlines():
        kind, _, rest = line.strip().partition(" ")
        if kind == "newmtl":
            name = rest.strip()
            found[name] = _Material()
        elif kind == "map_Kd":
            found[name] = _with_image(found.get(name, _Material()), rest.split())
        elif kind == "Kd":
            shades = [round(255 * min(max(float(value), 0.0), 1.0)) for value in rest.split()[:3]]
            if len(shades) == 3:
                found[name] = replace(found.get(name, _Material()), colour=(shades[0], shades[1], shades[2]))
    return found


def _with_image(material: _Material, words: list[str]) -> _Material:
    """The options of a `map_Kd` and its file name, which may have spaces."""
    values: dict[str, list[float]] = {}
    while words and words[0] in _OPTIONS:
        option, words = words[0], words[1:]
        while words and len(values.setdefault(option, [])) < _OPTIONS[option]:
            try:
                values[option].append(float(words[0]))
            except ValueError:
                if option not in ("-s", "-o", "-t", "-mm"):
                    words = words[1:]  # on, off, and the like
                break
            words = words[1:]
    scale, offset = values.get("-s", []), values.get("-o", [])
    return replace(
        material,
        image=" ".join(words),
        scale=(scale[0], scale[1] if len(scale) > 1 else 1.0) if scale else material.scale,
        offset=(offset[0], offset[1] if len(offset) > 1 else 0.0) if offset else material.offset,
    )
