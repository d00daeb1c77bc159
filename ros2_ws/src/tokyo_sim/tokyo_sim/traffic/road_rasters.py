"""Which ground is whose: where vehicles may drive and walkers walk."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.faces_by_square import FacesBySquare, plane_bounds
from tokyo_sim.raster import Raster, closed, dilated

CELL_M = 0.5
_AROUND_M = 100.0  # of a centre line: vehicles and walkers stay nearer than that to the streets
_BLOCK = 256  # cells along the side of a block
_KEPT = 96  # blocks: 6 MB
_MARGIN = 4  # cells around a block that matter to what is in it

ROAD, SIDEWALK, BUILDING, DRIVABLE = 1, 2, 4, 8
"""Bits of what covers a cell. ROAD is carriageway alone; BUILDING, whatever is below it; DRIVABLE, road without
buildings over it, widened by the cell that its edge may lie in."""
_CLASSES = {ROAD: Semantic.ROAD, SIDEWALK: Semantic.SIDEWALK, BUILDING: Semantic.BUILDING}


@dataclass(frozen=True)
class RoadRasters:
    """A raster over a city's roads, drawn where it is looked at: a city has tens of millions of cells.

    faces: of each cover that is drawn.
    """

    raster: Raster
    faces: dict[int, FacesBySquare]
    _blocks: OrderedDict[tuple[int, int], np.ndarray] = field(default_factory=OrderedDict, repr=False, compare=False)

    @classmethod
    def of(cls, city: CityMap, lines: list[np.ndarray] | None = None) -> RoadRasters:
        """Of a city that has roads; with centre lines, (n, 2) metres in map each, no further than around them.

        Squares of a city may lie kilometres apart, and the streets in one of them.
        """
        faces, classes = city.faces, city.classes
        if lines:
            points = np.concatenate(lines)
            low, high = points.min(axis=0) - _AROUND_M, points.max(axis=0) + _AROUND_M
            lowest, highest = plane_bounds(city.vertices, faces)
            near = ((lowest <= high) & (highest >= low)).all(axis=1)
            faces, classes = faces[near], classes[near]
        paved = np.unique(faces[np.isin(classes, (Semantic.ROAD, Semantic.SIDEWALK))])
        raster = Raster.covering(city.vertices[paved], CELL_M, margin=4.0)
        drawn = {
            cover: FacesBySquare.of(city.vertices, faces[classes == semantic], _BLOCK * CELL_M)
            for cover, semantic in _CLASSES.items()
        }
        return cls(raster, drawn)

    def part(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """(n, m) uint8 bits of the cells from one on, (2,), and before another; both within the raster."""
        out = np.empty(high - low, dtype=np.uint8)
        for block in product(*(range(a // _BLOCK, (b - 1) // _BLOCK + 1) for a, b in zip(low, high, strict=True))):
            corner = _BLOCK * np.array(block)
            begin, end = np.maximum(low, corner), np.minimum(high, corner + _BLOCK)
            there, here = (tuple(map(slice, begin - start, end - start)) for start in (low, corner))
            out[there] = self._block(*block)[here]
        return out

    def strips(self) -> Iterator[tuple[slice, np.ndarray]]:
        """All of it, some rows at a time: which, and what `part` says of them."""
        count, width = self.raster.shape
        for first in range(0, count, _BLOCK):
            last = min(first + _BLOCK, count)
            yield slice(first, last), self.part(np.array([first, 0]), np.array([last, width]))

    def on(self, cover: int, points: np.ndarray) -> np.ndarray:
        """(...,) bool: where points (..., 2) in map lie on a cover; those outside of the raster, as at its edge."""
        cells = self.raster.cells(points)
        flat = cells.reshape(-1, 2)
        block = flat // _BLOCK
        found = np.zeros(len(flat), dtype=np.uint8)
        # Points of a line follow each other through few blocks.
        ends = [*(np.flatnonzero((block[1:] != block[:-1]).any(axis=1)) + 1).tolist(), len(flat)]
        for begin, end in zip([0, *ends], ends, strict=False):
            if begin < end:
                i, j = block[begin].tolist()
                part = flat[begin:end] - (i * _BLOCK, j * _BLOCK)
                found[begin:end] = self._block(i, j)[part[:, 0], part[:, 1]]
        return (found & cover > 0).reshape(cells.shape[:-1])

    def _block(self, i: int, j: int) -> np.ndarray:
        """(_BLOCK, _BLOCK) uint8, drawn when it is first needed, and again after many others were."""
        if (i, j) in self._blocks:
            self._blocks.move_to_end((i, j))
            return self._blocks[i, j]
        block = self._drawn(_BLOCK * np.array([i, j]))
        self._blocks[i, j] = block
        if len(self._blocks) > _KEPT:
            self._blocks.popitem(last=False)
        return block

    def _drawn(self, corner: np.ndarray) -> np.ndarray:
        part = self.raster.part(corner - _MARGIN, corner + _BLOCK + _MARGIN)
        low, high = part.xy(np.zeros(2)), part.xy(np.array(part.shape))

        def covered(cover: int) -> np.ndarray:
            faces = self.faces[cover]
            return part.covered(faces.triangles(faces.near(low, high)))

        sidewalk, building = covered(SIDEWALK), covered(BUILDING)
        # Neighbouring surfaces leave slits of a cell between them; medians are not slits.
        road = closed(covered(ROAD), iterations=1) & ~sidewalk
        drivable = dilated(road) & ~building
        out = np.zeros(part.shape, dtype=np.uint8)
        masks = {ROAD: road, SIDEWALK: sidewalk, BUILDING: building, DRIVABLE: drivable}
        for cover, mask in masks.items():
            out[mask] |= cover
        return out[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
