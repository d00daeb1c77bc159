"""One PLATEAU file to one tile of triangles: the unit of work that processes share."""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from occ_core.classes import Semantic
from tokyo_city.plateau.atlas import Atlas, pack_atlas
from tokyo_city.plateau.citygml import read_citygml
from tokyo_city.plateau.extrude import with_raised_footprints
from tokyo_city.plateau.materials import CLASS_MATERIALS, building_colours
from tokyo_city.plateau.model import CityObject, ImportProblem, Polygons, Reading, Skipped
from tokyo_city.plateau.orient import inside_out
from tokyo_city.plateau.prisms import Prisms, roof_prisms
from tokyo_city.plateau.projection import to_metres, zone_epsg
from tokyo_city.plateau.sources import EVERYWHERE, Region, TileSource
from tokyo_city.plateau.textures import NO_IMAGE, TextureCoordinates, texture_coordinates
from tokyo_city.plateau.triangulate import normals_of, triangulate, without_repeated_points


@dataclass(frozen=True)
class Tile:
    """A file's surfaces, in metres east, north, up from `origin` in its plane rectangular zone.

    triangles: (t, 3, 3) float64, outward counter-clockwise, ordered by class. objects: (t,) int32 index into
    `city_objects`. classes: (t,) uint8. colour, uv, page: as in `Atlas`. pages: JPEG files. mended: polygons that
    crossed themselves.
    """

    name: str
    feature: str
    epsg: int
    origin: np.ndarray
    triangles: np.ndarray
    objects: np.ndarray
    classes: np.ndarray
    colour: np.ndarray
    uv: np.ndarray
    page: np.ndarray
    pages: tuple[bytes, ...]
    prisms: Prisms
    city_objects: tuple[CityObject, ...]
    skipped: tuple[Skipped, ...]
    problems: tuple[str, ...] = ()
    mended: int = 0
    spec: str = ""

    @property
    def lods(self) -> dict[int, int]:
        """How many objects there are at each level of detail."""
        return dict(sorted(Counter(o.lod for o in self.city_objects).items()))


def read_tile(source: TileSource, region: Region = EVERYWHERE) -> Tile:
    """Read, project and triangulate a CityGML file; bad objects go to `skipped`.

    ImportProblem where nothing is left.
    """
    try:
        with source.open() as stream:
            reading = read_citygml(stream, source.file_name, source.feature)
    except (zlib.error, zipfile.BadZipFile, EOFError) as error:
        raise ImportProblem(f"{source.label}: damaged in the archive, {error}") from error
    mapping = texture_coordinates(reading)
    wanted, skipped = _within(reading, region)
    table, points = reading.polygons.keep(wanted)
    if not len(table):
        raise _nothing_left(source.file_name, (*reading.skipped, *skipped))
    epsg = zone_epsg(*np.median(table.points[:, :2], axis=0))
    metres = replace(table, points=to_metres(table.points, epsg))
    return assemble(source, replace(reading, skipped=(*reading.skipped, *skipped)), metres, points, mapping, epsg)


def assemble(
    source: TileSource,
    reading: Reading,
    metres: Polygons,
    points: np.ndarray,
    mapping: TextureCoordinates,
    epsg: int,
) -> Tile:
    """Triangulate polygons in metres of a zone. points: (n,) bool, which points of the reading are theirs."""
    expected = np.zeros(len(reading.objects), dtype=bool)
    expected[metres.objects] = True
    origin = np.floor(metres.points.min(axis=0)) * [1, 1, 0]
    table, kept = without_repeated_points(replace(metres, points=metres.points - origin))
    raised, source_points = with_raised_footprints(table, reading.objects)
    triangles = triangulate(raised)
    of_triangle = triangles.polygons
    shape = triangles.points[triangles.corners]
    turn = inside_out(shape, raised.objects[of_triangle], raised.classes[of_triangle], raised.kinds[of_triangle])
    corners = np.where(turn[:, None], triangles.corners[:, ::-1], triangles.corners)

    uv, image = np.zeros((len(corners), 3, 2)), np.full(len(corners), NO_IMAGE)
    if (mapping.image != NO_IMAGE).any():
        # Back through mending, raising and cleaning to the points as they were read.
        before = np.concatenate([source_points, source_points[triangles.sources]])
        before = np.where(before >= 0, kept[before], -1)
        known = (before[corners] >= 0).all(axis=1)
        numbers = np.flatnonzero(points)[before[corners[known]]]
        uv[known] = mapping.uv[numbers]
        image[known] = mapping.image[reading.polygons.of_point[numbers[:, 0]]]
    normals = normals_of(triangles.points[corners])
    atlas = pack_atlas(uv, image, of_triangle, np.linalg.norm(normals, axis=1) / 2, reading.images, source.beside)
    colour = np.where(
        (atlas.page >= 0)[:, None], atlas.colour, _plain(raised, triangles.points, of_triangle, normals, reading)
    )
    tile = Tile(
        name=source.name,
        feature=source.feature,
        epsg=epsg,
        origin=origin,
        triangles=triangles.points[corners],
        objects=raised.objects[of_triangle],
        classes=raised.classes[of_triangle],
        colour=colour,
        uv=atlas.uv,
        page=atlas.page,
        pages=atlas.pages,
        prisms=roof_prisms(raised, triangles, corners),
        city_objects=reading.objects,
        skipped=reading.skipped,
        problems=_problems(atlas, mapping.unmatched),
        mended=triangles.mended,
        spec=reading.spec,
    )
    return compact(tile, expected)


def compact(tile: Tile, expected: np.ndarray) -> Tile:
    """Triangles ordered by class; objects without any go, and those that were expected, (o,) bool, are reported.

    ImportProblem where no object is left.
    """
    order = np.argsort(tile.classes, kind="stable")
    present = np.zeros(len(tile.city_objects), dtype=bool)
    present[tile.objects] = True
    flat = [tile.city_objects[number].gml_id for number in np.flatnonzero(expected & ~present)]
    skipped = (*tile.skipped, *(Skipped(gml_id, "all of its surfaces have no area") for gml_id in flat))
    if not present.any():
        raise _nothing_left(tile.name, skipped)
    number = np.cumsum(present) - 1
    return replace(
        tile,
        triangles=tile.triangles[order],
        objects=number[tile.objects[order]].astype(np.int32),
        classes=tile.classes[order],
        colour=tile.colour[order],
        uv=tile.uv[order],
        page=tile.page[order],
        prisms=replace(tile.prisms, objects=number[tile.prisms.objects]),
        city_objects=tuple(entry for entry, there in zip(tile.city_objects, present, strict=True) if there),
        skipped=skipped,
    )


def _nothing_left(name: str, skipped: tuple[Skipped, ...]) -> ImportProblem:
    first = f", the first because {skipped[0].reason}" if skipped else ""
    return ImportProblem(f"{name}: no city object could be read ({len(skipped)} skipped{first})")


def _within(reading: Reading, region: Region) -> tuple[np.ndarray, list[Skipped]]:
    """(p,) bool: polygons of objects in Japan and, by their middle, in the region; and the objects abroad.

    A relief is cut polygon by polygon: its file covers a hundred times the area of the others'.
    """
    polygons = reading.polygons
    count = len(reading.objects)
    place = polygons.points[:, :2]
    owner = polygons.objects[polygons.of_point] if len(polygons) else np.zeros(0, dtype=np.int32)
    low, high = np.full((count, 2), np.inf), np.full((count, 2), -np.inf)
    np.minimum.at(low, owner, place)
    np.maximum.at(high, owner, place)
    abroad = ~((low >= (20, 122)) & (high <= (46, 154))).all(axis=1) & (low[:, 0] < np.inf)
    skipped = [
        Skipped(
            reading.objects[number].gml_id,
            f"({low[number, 0]:g}, {low[number, 1]:g}) is no latitude and longitude in Japan; PLATEAU is in "
            "EPSG:6697, latitude first",
        )
        for number in np.flatnonzero(abroad)
    ]
    wanted = ~abroad[polygons.objects]
    if region.boxes and len(polygons):
        starts = polygons.rings[polygons.firsts[:-1]]
        own = (np.minimum.reduceat(place, starts) + np.maximum.reduceat(place, starts)) / 2
        relief = (polygons.classes == Semantic.TERRAIN)[:, None]
        middle = np.where(relief, own, (low + high)[polygons.objects] / 2)
        inside = [
            (middle >= (box.south, box.west)).all(axis=1) & (middle < (box.north, box.east)).all(axis=1)
            for box in region.boxes
        ]
        wanted &= np.any(inside, axis=0)
    return wanted, skipped


def _plain(
    table: Polygons, points: np.ndarray, of_triangle: np.ndarray, normals: np.ndarray, reading: Reading
) -> np.ndarray:
    """(t, 3) uint8: buildings by use and height, roofs apart from walls; everything else by class."""
    colour = CLASS_MATERIALS[table.classes[of_triangle]].astype(np.uint8)
    building = table.classes[of_triangle] == Semantic.BUILDING
    if building.any():
        owner = table.objects[table.of_point]
        low, high = np.full(len(reading.objects), np.inf), np.full(len(reading.objects), -np.inf)
        np.minimum.at(low, owner, points[: len(owner), 2])
        np.maximum.at(high, owner, points[: len(owner), 2])
        pairs = np.array(
            [
                building_colours(entry.gml_id, entry.usage, entry.height or float(top - bottom))
                for entry, bottom, top in zip(reading.objects, low, high, strict=True)
            ]
        )
        roof = normals[:, 2] > 0.5 * np.linalg.norm(normals, axis=1)
        chosen = pairs[table.objects[of_triangle], roof.astype(int)]
        colour = np.where(building[:, None], chosen, colour)
    return colour


def _problems(atlas: Atlas, unmatched: int) -> tuple[str, ...]:
    more = (f"{unmatched} rings with texture coordinates that are not one for each point",) if unmatched else ()
    return (*atlas.problems, *more)
