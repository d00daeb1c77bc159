"""The rings of a file on their way from text to arrays: collected cheaply, checked all at once."""

from __future__ import annotations

import numpy as np

from occ_core.classes import Semantic
from tokyo_city.plateau.model import CityObject, Polygons, Skipped

_BATCH = 20_000  # rings whose text is held before it becomes numbers: memory is bounded by what they are


class RingTable:
    """Takes rings one by one; those since the last `assign` belong to the object that is assigned next."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._batches: list[np.ndarray] = []
        self._counts: list[int] = []
        self._ids: list[str] = []
        self._exterior: list[bool] = []
        self._kinds: list[int] = []
        self._classes: list[int] = []
        self._objects: list[int] = []
        self._broken: dict[int, str] = {}

    @property
    def empty(self) -> bool:
        """No ring waits for its object."""
        return len(self._objects) == len(self._exterior)

    def add(self, text: str, gml_id: str, exterior: bool, kind: int, semantic: int) -> None:
        """A ring: its coordinates as text, whether it begins a polygon, `codes.Kind` and `Semantic` of that."""
        if len(self._texts) >= _BATCH:
            self._convert()
        self._texts.append(text)
        self._ids.append(gml_id)
        self._exterior.append(exterior)
        self._kinds.append(kind)
        self._classes.append(semantic)

    def assign(self, number: int) -> None:
        """Give the rings that wait to an object."""
        self._objects.extend([number] * (len(self._exterior) - len(self._objects)))

    def take_back(self) -> None:
        """Forget the rings that wait."""
        self._objects.extend([-1] * (len(self._exterior) - len(self._objects)))

    def finish(self, objects: list[CityObject]) -> tuple[Polygons, tuple[str, ...], list[Skipped]]:
        """Arrays, ring ids, and the objects that were left out for broken rings, each with its first reason."""
        self._convert()
        self._objects.extend([-1] * (len(self._exterior) - len(self._objects)))
        counts = np.array(self._counts, dtype=np.int64)
        values = np.concatenate(self._batches) if self._batches else np.zeros(0)
        owner = np.array(self._objects, dtype=np.int32)
        ends = np.cumsum(counts)
        broken = dict(self._broken)
        for ring in np.flatnonzero((counts % 3 != 0) | (counts == 0)):
            broken.setdefault(int(ring), f"a ring has {counts[ring]} numbers, which is not a list of 3D points")
        for ring in np.unique(np.searchsorted(ends, np.flatnonzero(~np.isfinite(values)), side="right")):
            broken.setdefault(int(ring), "a ring has a coordinate that is not finite")
        first_of = {int(owner[ring]): ring for ring in sorted(broken, reverse=True) if owner[ring] >= 0}
        skipped = [Skipped(objects[number].gml_id, broken[ring]) for number, ring in sorted(first_of.items())]
        # A relief is one object of very many triangles: only the broken ones of those are left out.
        relief = np.array(self._classes, dtype=np.uint8) == Semantic.TERRAIN
        good = (owner >= 0) & (relief | ~np.isin(owner, list(first_of)))
        good[list(broken)] = False
        starts = np.flatnonzero(self._exterior)
        # Interior rings before any exterior belong to nothing.
        good &= np.arange(len(good)) >= (starts[0] if len(starts) else len(good))
        exterior = np.array(self._exterior, dtype=bool)[good]
        first = np.flatnonzero(good)[exterior]
        polygons = Polygons(
            points=values[np.repeat(good, counts)].reshape(-1, 3),
            rings=np.concatenate([[0], np.cumsum(counts[good] // 3)]),
            firsts=np.append(np.flatnonzero(exterior), len(exterior)),
            objects=owner[first],
            kinds=np.array(self._kinds, dtype=np.uint8)[first],
            classes=np.array(self._classes, dtype=np.uint8)[first],
            lods=np.array([entry.lod for entry in objects], dtype=np.uint8)[owner[first]],
        )
        return polygons, tuple(self._ids[ring] for ring in np.flatnonzero(good)), skipped

    def _convert(self) -> None:
        tokens = [text.split() for text in self._texts]
        first = len(self._counts)
        self._counts.extend(map(len, tokens))
        try:
            flat = [token for ring in tokens for token in ring]
            self._batches.append(np.fromiter(map(float, flat), np.float64, len(flat)))
        except ValueError:
            self._batches.append(self._convert_each(tokens, first))
        self._texts = []

    def _convert_each(self, tokens: list[list[str]], first: int) -> np.ndarray:
        parts = []
        for number, ring in enumerate(tokens, start=first):
            try:
                parts.append(np.array(list(map(float, ring))))
            except ValueError as error:
                self._broken[number] = f"a coordinate is not a number: {error}"
                parts.append(np.zeros(len(ring)))
        return np.concatenate(parts)
