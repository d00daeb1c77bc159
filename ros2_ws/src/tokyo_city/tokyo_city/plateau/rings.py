"""The rings of a file on their way from text to arrays: an object's at a time, broken ones left out and counted."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import accumulate, chain

import numpy as np

from occ_core.classes import Semantic
from tokyo_city.plateau.codes import SurfaceType
from tokyo_city.plateau.model import Polygons
from tokyo_city.plateau.triangulate import newell_normals

_UNKNOWN_HEIGHT = -9000.0  # PLATEAU writes -9999
_JAPAN = np.array([(20.0, 122.0), (46.0, 154.0)])
_LEAST, _MOST = np.array([20.0, 122.0, _UNKNOWN_HEIGHT]), np.array([46.0, 154.0, np.inf])
_METRES_PER_DEGREE = 111_000.0
_CLOSED = 1e-3


class Draft:
    """Polygons of one object as text, at one level of detail.

    area: they are laid on the ground where they have no height.
    """

    def __init__(self, lod: int, area: bool) -> None:
        self.lod = lod
        self.area = area
        self.texts: list[str] = []
        self.ring_ids: list[str] = []
        self.exterior: list[bool] = []
        self.kinds: list[int] = []
        self.classes: list[int] = []
        self.own: list[bool] = []
        self.targets: list[str] = []
        self.faults: list[str] = []

    def __len__(self) -> int:
        return len(self.texts)

    def add(
        self, text: str, gml_id: str, exterior: bool, kind: int, semantic: int, own: bool = True, target: str = ""
    ) -> None:
        """A ring: its coordinates as text, whether it begins a polygon, `codes.Kind` and `Semantic` of that.

        own: the polygon is the object's, not a boundary surface's. target: what colours call it: gml:id of it and of
        the surfaces that it is in, with spaces.
        """
        self.texts.append(text)
        self.ring_ids.append(gml_id)
        self.exterior.append(exterior)
        self.kinds.append(kind)
        self.classes.append(semantic)
        self.own.append(own)
        self.targets.append(target)


@dataclass(frozen=True)
class Shape:
    """Polygons as arrays, the good ones of a draft. points, rings, firsts, kinds, classes, lods as in `Polygons`.

    own: (p,) bool, as in `Draft`. ring_ids: of each ring. targets: of each polygon. faults: what was wrong with each
    ring that was left out.
    """

    points: np.ndarray
    rings: np.ndarray
    firsts: np.ndarray
    kinds: np.ndarray
    classes: np.ndarray
    lods: np.ndarray
    own: np.ndarray
    ring_ids: tuple[str, ...]
    targets: tuple[str, ...]
    faults: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def normals(self) -> np.ndarray:
        """(p, 3) normals of the exterior rings in metres, as long as twice their area."""
        place = metres_about(self.points, self.points[:, :2].mean(axis=0)) if len(self.points) else self.points
        return newell_normals(place, self.rings[:-1], np.diff(self.rings))[self.firsts[:-1]]

    @property
    def whole(self) -> bool:
        """Nothing was left out, or what was is not missed: the rest is closed."""
        if not self.faults:
            return True
        total = self.normals
        return (
            len(self) > 3 and float(np.linalg.norm(total.sum(axis=0))) < _CLOSED * np.linalg.norm(total, axis=1).sum()
        )

    def keep(self, wanted: np.ndarray) -> Shape:
        """The polygons of a mask (p,)."""
        ring_wanted = np.repeat(wanted, np.diff(self.firsts))
        return Shape(
            self.points[np.repeat(ring_wanted, np.diff(self.rings))],
            np.concatenate([[0], np.cumsum(np.diff(self.rings)[ring_wanted])]),
            np.concatenate([[0], np.cumsum(np.diff(self.firsts)[wanted])]),
            self.kinds[wanted], self.classes[wanted], self.lods[wanted], self.own[wanted],
            tuple(name for name, there in zip(self.ring_ids, ring_wanted, strict=True) if there),
            tuple(name for name, there in zip(self.targets, wanted, strict=True) if there),
            self.faults,
        )  # fmt: skip

    def rings_of(self, polygon: int) -> list[np.ndarray]:
        """The rings (n, 3) of a polygon, the exterior one first."""
        first, end = self.firsts[polygon], self.firsts[polygon + 1]
        return [self.points[self.rings[ring] : self.rings[ring + 1]] for ring in range(first, end)]


def metres_about(points: np.ndarray, place: np.ndarray) -> np.ndarray:
    """points: (n, 3) latitude, longitude, height. Returns (n, 3) metres, near enough for areas of a few km."""
    scale = np.array([np.cos(np.radians(place[0])), 1.0]) * _METRES_PER_DEGREE
    return np.column_stack([(points[:, :2] - place)[:, ::-1] * scale, points[:, 2]])


def degrees_about(points: np.ndarray, place: np.ndarray) -> np.ndarray:
    """The inverse of `metres_about`."""
    scale = np.array([np.cos(np.radians(place[0])), 1.0]) * _METRES_PER_DEGREE
    return np.column_stack([place + (points[:, :2] / scale)[:, ::-1], points[:, 2]])


def shape_of(draft: Draft) -> Shape:
    """A draft as arrays. A polygon with a broken exterior is left out, of one with a broken interior that interior."""
    tokens = [text.split() for text in draft.texts]
    counts = list(map(len, tokens))
    if draft.texts and draft.exterior[0] and all(count and not count % 3 for count in counts):
        try:
            flat = list(chain.from_iterable(tokens))
            points = np.fromiter(map(float, flat), np.float64, len(flat)).reshape(-1, 3)
        except ValueError:
            return _mended(draft, tokens, np.array(counts))
        # Not true either where one of them is NaN.
        if (points.min(axis=0) > _LEAST).all() and (points.max(axis=0) < _MOST).all():
            first = [number for number, exterior in enumerate(draft.exterior) if exterior]
            return Shape(
                points,
                np.array([0, *accumulate(counts)]) // 3,
                np.array([*first, len(counts)]),
                np.array([draft.kinds[ring] for ring in first], dtype=np.uint8),
                np.array([draft.classes[ring] for ring in first], dtype=np.uint8),
                np.full(len(first), draft.lod, np.uint8),
                np.array([draft.own[ring] for ring in first], dtype=bool),
                tuple(draft.ring_ids),
                tuple(draft.targets[ring] for ring in first),
                tuple(draft.faults),
            )
    return _mended(draft, tokens, np.array(counts, dtype=np.int64))


def _mended(draft: Draft, tokens: list[list[str]], counts: np.ndarray) -> Shape:
    """`shape_of` where something is, or may be, wrong. counts: (r,) numbers of each ring."""
    faults: dict[int, str] = {}
    values = _each(tokens, faults)
    for ring in np.flatnonzero((counts % 3 != 0) | (counts == 0)):
        reason = f"a ring has {counts[ring]} numbers, which is not a list of 3D points" if counts[ring] else ""
        faults.setdefault(int(ring), reason or "a polygon has no ring")
    for ring in np.unique(np.repeat(np.arange(len(counts)), counts)[~np.isfinite(values)]):
        faults.setdefault(int(ring), "a ring has a coordinate that is not finite")
    kept = np.ones(len(counts), dtype=bool)
    kept[list(faults)] = False
    points = values[np.repeat(kept, counts)].reshape(-1, 3)
    classes = np.array(draft.classes, dtype=np.uint8)
    of_point = np.repeat(np.flatnonzero(kept), counts[kept] // 3)
    _check_places(points, of_point, draft.area or draft.lod == 0, faults)
    kept[list(faults)] = False
    exterior = np.array(draft.exterior, dtype=bool)
    polygon = np.cumsum(exterior) - 1  # -1: an interior ring before any exterior
    good = kept & (polygon >= 0)
    if len(counts):
        good &= kept[np.flatnonzero(exterior)][polygon] if exterior.any() else False
    points = points[good[of_point]]
    first = np.flatnonzero(good & exterior)
    return Shape(
        points,
        np.concatenate([[0], np.cumsum(counts[good] // 3)]),
        np.append(np.flatnonzero(exterior[good]), good.sum()),
        np.array(draft.kinds, dtype=np.uint8)[first],
        classes[first],
        np.full(len(first), draft.lod, np.uint8),
        np.array(draft.own, dtype=bool)[first],
        tuple(draft.ring_ids[ring] for ring in np.flatnonzero(good)),
        tuple(draft.targets[ring] for ring in first),
        (*draft.faults, *(faults[ring] for ring in sorted(faults))),
    )


def _check_places(points: np.ndarray, ring: np.ndarray, area: bool, faults: dict[int, str]) -> None:
    """Heights that stand for unknown become 0 where a surface is to be laid on the ground, and are faults elsewhere.

    A ring abroad is a fault beside others in Japan. points: (n, 3), changed in place; ring: (n,) of each.
    """
    unknown = points[:, 2] < _UNKNOWN_HEIGHT
    if unknown.any():
        if area:
            points[unknown, 2] = 0.0
        for number in () if area else np.unique(ring[unknown]):
            faults.setdefault(int(number), "a ring has the height -9999, which stands for unknown")
    abroad = ((points[:, :2] < _JAPAN[0]) | (points[:, :2] > _JAPAN[1])).any(axis=1)
    if abroad.any() and not abroad.all():
        for number in np.unique(ring[abroad]):
            faults.setdefault(int(number), "a ring has a point that is not in Japan")


def _each(tokens: list[list[str]], faults: dict[int, str]) -> np.ndarray:
    parts = [np.zeros(0)]
    for number, ring in enumerate(tokens):
        try:
            parts.append(np.array(list(map(float, ring))))
        except ValueError as error:
            faults[number] = f"a coordinate is not a number: {error}"
            parts.append(np.zeros(len(ring)))
    return np.concatenate(parts)


def joined(shapes: list[Shape]) -> Shape:
    """Several shapes as one."""
    if len(shapes) == 1:
        return shapes[0]
    rings = np.cumsum([0, *(int(shape.rings[-1]) for shape in shapes)])
    firsts = np.cumsum([0, *(int(shape.firsts[-1]) for shape in shapes)])
    return Shape(
        np.concatenate([np.zeros((0, 3)), *(shape.points for shape in shapes)]),
        np.concatenate([*(s.rings[:-1] + start for s, start in zip(shapes, rings, strict=False)), rings[-1:]]),
        np.concatenate([*(s.firsts[:-1] + start for s, start in zip(shapes, firsts, strict=False)), firsts[-1:]]),
        np.concatenate([np.zeros(0, np.uint8), *(shape.kinds for shape in shapes)]),
        np.concatenate([np.zeros(0, np.uint8), *(shape.classes for shape in shapes)]),
        np.concatenate([np.zeros(0, np.uint8), *(shape.lods for shape in shapes)]),
        np.concatenate([np.zeros(0, bool), *(shape.own for shape in shapes)]),
        tuple(chain.from_iterable(shape.ring_ids for shape in shapes)),
        tuple(chain.from_iterable(shape.targets for shape in shapes)),
        tuple(chain.from_iterable(shape.faults for shape in shapes)),
    )


@dataclass
class RingTable:
    """The shapes of a file's objects."""

    shapes: list[Shape] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)

    def add(self, shape: Shape, number: int) -> None:
        """A shape of the object with this number."""
        self.shapes.append(shape)
        self.owners.append(number)

    def finish(self) -> tuple[Polygons, Shape]:
        """All polygons; and the same as one shape, which has their names."""
        shape = joined(self.shapes)
        owner = np.repeat(np.array(self.owners, dtype=np.int32), [len(each) for each in self.shapes])
        self.shapes = []
        columns = (shape.points, shape.rings, shape.firsts, owner, shape.kinds, shape.classes, shape.lods)
        return Polygons(*columns), shape


def without_repeats(shape: Shape) -> Shape:
    """Each surface once, where a file writes an object's solid and its boundary surfaces both in full.

    Polygons of the object itself that are a boundary surface, too, go; all of them go where the boundary surfaces have
    as much area by themselves, cut up in another way.
    """
    own = shape.own
    if not own.any() or own.all():
        return shape
    names = [_name(shape, number) for number in range(len(shape))]
    known = {name for name, mine in zip(names, own, strict=True) if not mine}
    repeated = np.array([mine and name in known for name, mine in zip(names, own, strict=True)])
    if (own & ~repeated).any():
        area = np.linalg.norm(shape.normals, axis=1)
        if area[~own].sum() > 0.9 * area[own].sum() and (shape.kinds[own] == SurfaceType.PLAIN).all():
            repeated = own
    return shape.keep(~repeated)


def _name(shape: Shape, number: int) -> bytes:
    """The same for polygons with the same points, wherever they begin and whichever way they go."""
    points = np.round(np.concatenate(shape.rings_of(number)), 7) + 0.0
    return np.unique(points, axis=0).tobytes()


def flattened(shape: Shape) -> Shape:
    """Surfaces of something that has no height are areas of the ground."""
    if len(shape) and (shape.points[:, 2] == 0).all():
        return replace(shape, classes=np.full(len(shape), Semantic.TERRAIN, np.uint8))
    return shape
