"""One PLATEAU file to one tile of triangles: the unit of work that processes share."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from occ_core.classes import MATERIALS, Semantic
from tokyo_city.plateau.atlas import Atlas, pack_atlas
from tokyo_city.plateau.citygml import read_citygml
from tokyo_city.plateau.clipping import apart, within
from tokyo_city.plateau.extrude import with_raised_footprints
from tokyo_city.plateau.materials import building_colours
from tokyo_city.plateau.model import CityObject, ImportProblem, OutsideRegion, Polygons, Reading, Skipped
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
    `city_objects`. classes, levels: (t,) uint8; an object's triangles may be of several levels of detail. colour, uv,
    page: as in `Atlas`. pages: JPEG files. mended: polygons that crossed themselves. unread: elements that are not
    imported, how many of each name. beside: names of files beside it that were asked for, there or not.
    """

    name: str
    feature: str
    epsg: int
    origin: np.ndarray
    triangles: np.ndarray
    objects: np.ndarray
    classes: np.ndarray
    levels: np.ndarray
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
    unread: dict[str, int] = field(default_factory=dict)
    beside: tuple[str, ...] = ()

    @property
    def lods(self) -> dict[int, int]:
        """How many objects there are at each level of detail."""
        return dict(sorted(Counter(o.lod for o in self.city_objects).items()))


def read_tile(source: TileSource, region: Region = EVERYWHERE, epsg: int | None = None) -> Tile:
    """Read, project and triangulate a CityGML file; bad objects go to `skipped`.

    epsg: the zone to use, None for the one that the file lies in. ImportProblem where nothing is left.
    """
    try:
        with source.open() as stream:
            reading = read_citygml(stream, source.file_name, source.feature)
    except (zlib.error, zipfile.BadZipFile, gzip.BadGzipFile, EOFError) as error:
        raise ImportProblem(f"{source.label}: damaged in the archive, {error}") from error
    at_home, abroad = _in_japan(reading)
    reading = replace(reading, skipped=(*reading.skipped, *abroad))
    if not at_home.any():
        raise _nothing_left(source.file_name, reading)
    mapping = texture_coordinates(reading)
    table, points = reading.polygons.keep(at_home)
    uv, of_polygon = mapping.uv[points], np.flatnonzero(at_home)
    if region.boxes:
        table, uv, piece_of = within(table, uv, reading.objects, apart(region.boxes))
        of_polygon = of_polygon[piece_of]
        if not len(table):
            raise OutsideRegion(f"{source.file_name}: nothing of it is in the region that was asked for")
    mapping = replace(mapping, uv=uv, image=mapping.image[of_polygon], colour=mapping.colour[of_polygon])
    epsg = epsg or zone_epsg(*np.median(table.points[:, :2], axis=0))
    return assemble(source, reading, replace(table, points=to_metres(table.points, epsg)), mapping, epsg)


def assemble(source: TileSource, reading: Reading, metres: Polygons, mapping: TextureCoordinates, epsg: int) -> Tile:
    """Triangulate polygons in metres of a zone, which need not be all of the reading's. mapping: theirs."""
    expected = np.zeros(len(reading.objects), dtype=bool)
    expected[metres.objects] = True
    origin = np.floor(metres.points.min(axis=0)) * [1, 1, 0]
    table, kept = without_repeated_points(replace(metres, points=metres.points - origin))
    raised, source_points, source_polygons = with_raised_footprints(table, reading.objects)
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
        numbers = before[corners[known]]
        uv[known] = mapping.uv[numbers]
        image[known] = mapping.image[metres.of_point[numbers[:, 0]]]
    normals = normals_of(triangles.points[corners])
    atlas = pack_atlas(uv, image, of_triangle, np.linalg.norm(normals, axis=1) / 2, reading.images, source.beside)
    plain = _plain(raised, triangles.points, of_triangle, normals, reading)
    named = mapping.colour[source_polygons[of_triangle]]
    plain = np.where(named >= 0, named, plain).astype(np.uint8)
    colour = np.where((atlas.page >= 0)[:, None], atlas.colour, plain)
    tile = Tile(
        name=source.name,
        feature=source.feature,
        epsg=epsg,
        origin=origin,
        triangles=triangles.points[corners],
        objects=raised.objects[of_triangle],
        classes=raised.classes[of_triangle],
        levels=raised.lods[of_triangle],
        colour=colour,
        uv=atlas.uv,
        page=atlas.page,
        pages=atlas.pages,
        prisms=roof_prisms(raised, triangles, corners),
        city_objects=reading.objects,
        skipped=reading.skipped,
        problems=(*reading.problems, *_problems(atlas, mapping.unmatched)),
        mended=triangles.mended,
        spec=reading.spec,
        unread=reading.unread,
        beside=tuple(texture.uri for texture in reading.images),
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
        raise _nothing_left(tile.name, replace(tile, skipped=skipped))
    number = np.cumsum(present) - 1
    return replace(
        tile,
        triangles=tile.triangles[order],
        objects=number[tile.objects[order]].astype(np.int32),
        classes=tile.classes[order],
        levels=tile.levels[order],
        colour=tile.colour[order],
        uv=tile.uv[order],
        page=tile.page[order],
        prisms=replace(tile.prisms, objects=number[tile.prisms.objects]),
        city_objects=tuple(entry for entry, there in zip(tile.city_objects, present, strict=True) if there),
        skipped=skipped,
    )


def _nothing_left(name: str, reading: Reading | Tile) -> ImportProblem:
    if reading.skipped:
        first = reading.skipped[0]
        return ImportProblem(
            f"{name}: no city object could be read ({len(reading.skipped)} skipped, the first because {first.reason})"
        )
    if reading.unread:
        return ImportProblem(f"{name}: no city object that is imported, but {unread_words(reading.unread)}")
    if reading.problems:
        return ImportProblem(f"{name}: no city object of its own, {reading.problems[0]}")
    return ImportProblem(f"{name}: no city object is in it, neither of CityGML 2.0 nor of 3.0")


def unread_words(unread: dict[str, int]) -> str:
    """`12 LandUse, 3 Manhole`: elements that are not imported, the most frequent first."""
    return ", ".join(f"{count} {name}" for name, count in sorted(unread.items(), key=lambda each: (-each[1], each[0])))


def _in_japan(reading: Reading) -> tuple[np.ndarray, list[Skipped]]:
    """(p,) bool: polygons of objects in Japan; and the objects abroad."""
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
    return ~abroad[polygons.objects], skipped


def _plain(
    table: Polygons, points: np.ndarray, of_triangle: np.ndarray, normals: np.ndarray, reading: Reading
) -> np.ndarray:
    """(t, 3) uint8: buildings by use and height, roofs apart from walls; everything else by class."""
    colour = MATERIALS[table.classes[of_triangle]].astype(np.uint8)
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
