"""Which ground is whose: where vehicles may drive and walkers walk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from tokyo_sim.raster import Raster, closed, dilated

CELL_M = 0.5
_AROUND_M = 100.0  # of a centre line: vehicles and walkers stay nearer than that to the streets


@dataclass(frozen=True)
class RoadRasters:
    """Rasters over a city's roads: road is carriageway alone; sidewalk; building, whatever is below it."""

    raster: Raster
    road: np.ndarray
    sidewalk: np.ndarray
    building: np.ndarray

    @classmethod
    def of(cls, city: CityMap, lines: list[np.ndarray] | None = None) -> RoadRasters:
        """Of a city that has roads; with centre lines, (n, 2) metres in map each, no further than around them.

        Squares of a city may lie kilometres apart, and the streets in one of them: a raster over all of them is large.
        """
        triangles, classes = city.triangles, city.classes
        if lines:
            points = np.concatenate(lines)
            low, high = points.min(axis=0) - _AROUND_M, points.max(axis=0) + _AROUND_M
            xy = triangles[:, :, :2]
            near = ((xy.min(axis=1) <= high) & (xy.max(axis=1) >= low)).all(axis=1)
            triangles, classes = triangles[near], classes[near]
        paved = triangles[np.isin(classes, (Semantic.ROAD, Semantic.SIDEWALK))]
        raster = Raster.covering(paved, CELL_M, margin=4.0)

        def covered(semantic: Semantic) -> np.ndarray:
            of_class = triangles[classes == semantic]
            if not len(of_class):
                return np.zeros(raster.shape, dtype=bool)
            return raster.covered(of_class)

        sidewalk, building = covered(Semantic.SIDEWALK), covered(Semantic.BUILDING)
        # Neighbouring surfaces leave slits of a cell between them; medians are not slits.
        road = closed(covered(Semantic.ROAD), iterations=1) & ~sidewalk
        return cls(raster, road, sidewalk, building)

    def drivable(self) -> np.ndarray:
        """Bool raster of road without buildings over it, widened by the cell that its edge may lie in."""
        return dilated(self.road) & ~self.building

    def on(self, mask: np.ndarray, points: np.ndarray) -> np.ndarray:
        """(...,) bool: where points (..., 2) in map lie on a mask of this raster."""
        cells = self.raster.cells(points)
        return mask[cells[..., 0], cells[..., 1]]
