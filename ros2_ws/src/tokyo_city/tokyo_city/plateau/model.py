"""What an importer reads from a PLATEAU file, before and after triangulation."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


class ImportProblem(Exception):
    """A file or an object that can't be imported: what is wrong, and where."""


class OutsideRegion(ImportProblem):
    """Nothing of a file is in the region that was asked for."""


@dataclass(frozen=True)
class CityObject:
    """A city object or a part of one, at its best level of detail.

    height: metres above ground, None where unknown. usage: PLATEAU code, '' where unknown. area: of the ground
    (road, square, water, relief); it is cut at the border of a region, and has no height of its own where it says 0.
    """

    gml_id: str
    lod: int
    height: float | None = None
    usage: str = ""
    area: bool = False


@dataclass(frozen=True)
class Polygons:
    """All polygons of a tile, flat: polygon p has the rings firsts[p] to firsts[p + 1], the exterior one first.

    points: (n, 3) float64 latitude, longitude in degrees and height in metres (EPSG:6697), or metres once projected.
    rings: (r + 1,) first point of each ring and the end. firsts: (p + 1,) first ring of each polygon and the end.
    objects: (p,) int32 index of the city object. kinds: (p,) uint8 `codes.Kind`. classes: (p,) uint8 `Semantic`.
    lods: (p,) uint8 level of detail: an object's polygons may be of several.
    """

    points: np.ndarray
    rings: np.ndarray
    firsts: np.ndarray
    objects: np.ndarray
    kinds: np.ndarray
    classes: np.ndarray
    lods: np.ndarray

    def __len__(self) -> int:
        return len(self.objects)

    def keep(self, wanted: np.ndarray) -> tuple[Polygons, np.ndarray]:
        """The polygons of a mask (p,), and which points stay, (n,) bool."""
        ring_wanted = np.repeat(wanted, np.diff(self.firsts))
        point_wanted = np.repeat(ring_wanted, np.diff(self.rings))
        rings = np.concatenate([[0], np.cumsum(np.diff(self.rings)[ring_wanted])])
        firsts = np.concatenate([[0], np.cumsum(np.diff(self.firsts)[wanted])])
        columns = (self.objects[wanted], self.kinds[wanted], self.classes[wanted], self.lods[wanted])
        return Polygons(self.points[point_wanted], rings, firsts, *columns), point_wanted

    @property
    def of_point(self) -> np.ndarray:
        """(n,) the polygon of each point."""
        return np.repeat(np.arange(len(self)), np.diff(self.rings[self.firsts]))


@dataclass(frozen=True)
class TextureImage:
    """An `app:ParameterizedTexture`: uri as the file gives it, wrap mode ('' where it gives none)."""

    uri: str
    wrap: str = ""


@dataclass(frozen=True)
class Reading:
    """What a file holds. ring_ids: gml:id of each ring of `polygons`, '' for none.

    textures: by ring id, the index of its image and its texture coordinates as text. spec: version of uro, '' if none.
    targets: of each polygon, the gml:id of it and of the surfaces around it, with spaces. colours: (3,) 0 to 255 by
    such an id. problems: what was left out of objects, a sentence each. unread: how many elements there are of a name
    that is not imported.
    """

    objects: tuple[CityObject, ...]
    polygons: Polygons
    ring_ids: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    images: tuple[TextureImage, ...] = ()
    textures: dict[str, tuple[int, str]] = field(default_factory=dict)
    spec: str = ""
    targets: tuple[str, ...] = ()
    colours: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    unread: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Skipped:
    """A city object that was left out, and the reason in words."""

    gml_id: str
    reason: str
