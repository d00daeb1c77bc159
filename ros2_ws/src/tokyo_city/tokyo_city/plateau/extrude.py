"""Buildings that are only a footprint (LOD0), raised by their measured height to a block as LOD1 has it."""

from __future__ import annotations

import numpy as np

from tokyo_city.plateau.codes import SurfaceType
from tokyo_city.plateau.model import CityObject, Polygons


def with_raised_footprints(
    polygons: Polygons, objects: tuple[CityObject, ...]
) -> tuple[Polygons, np.ndarray, np.ndarray]:
    """Polygons in metres, those of LOD0 with a height replaced by blocks; for each point its index before, -1 for new
    ones; and for each polygon the index of the one that it was made of.
    """
    flat = np.array([not o.area and o.height is not None for o in objects], dtype=bool)[polygons.objects]
    flat &= polygons.lods == 0
    if not flat.any():
        return polygons, np.arange(len(polygons.points)), np.arange(len(polygons))
    standing, kept = polygons.keep(~flat)
    outlines, _ = polygons.keep(flat)
    bases = _bases(outlines, standing, objects)
    rings: list[np.ndarray] = []
    firsts, makers, kinds = [0], [], []

    def add(faces: list[np.ndarray], kind: SurfaceType, number: int) -> None:
        rings.extend(faces)
        firsts.append(len(rings))
        makers.append(number)
        kinds.append(int(kind))

    for number in range(len(outlines)):
        height = objects[outlines.objects[number]].height or 0.0
        first, last = outlines.firsts[number], outlines.firsts[number + 1]
        loops = [outlines.points[outlines.rings[r] : outlines.rings[r + 1]] for r in range(first, last)]
        low = [np.column_stack([loop[:, :2], np.full(len(loop), bases[number])]) for loop in loops]
        add([loop + [0, 0, height] for loop in low], SurfaceType.ROOF, number)
        add([loop[::-1] for loop in low], SurfaceType.FLOOR, number)
        for loop in low:
            top = loop + [0, 0, height]
            for a, b, c, d in zip(loop, np.roll(loop, -1, axis=0), np.roll(top, -1, axis=0), top, strict=True):
                add([np.array([a, b, c, d])], SurfaceType.WALL, number)
    points = np.concatenate([standing.points, *rings])
    raised = Polygons(
        points=points,
        rings=np.concatenate([standing.rings, standing.rings[-1] + np.cumsum([len(ring) for ring in rings])]),
        firsts=np.concatenate([standing.firsts[:-1], len(standing.rings) - 1 + np.array(firsts)]),
        objects=np.concatenate([standing.objects, outlines.objects[makers]]),
        kinds=np.concatenate([standing.kinds, np.array(kinds, dtype=np.uint8)]),
        classes=np.concatenate([standing.classes, outlines.classes[makers]]),
        lods=np.concatenate([standing.lods, outlines.lods[makers]]),
    )
    source = np.full(len(points), -1)
    source[: len(standing.points)] = np.flatnonzero(kept)
    return raised, source, np.concatenate([np.flatnonzero(~flat), np.flatnonzero(flat)[makers]])


def _bases(outlines: Polygons, standing: Polygons, objects: tuple[CityObject, ...]) -> np.ndarray:
    """(p,) heights in metres that footprints stand at.

    A footprint lies at its base, a roof edge at its top; where the file has 0 for the height, which it often has for
    LOD0, the base of the nearest building with a shape is taken.
    """
    first = outlines.rings[outlines.firsts[:-1]]
    heights = np.array([objects[number].height or 0.0 for number in outlines.objects])
    bases = outlines.points[first, 2] - np.where(outlines.kinds == SurfaceType.ROOF, heights, 0.0)
    unknown = outlines.points[first, 2] == 0
    if unknown.any():
        bases[unknown] = 0.0
        if len(standing.points):
            from scipy.spatial import cKDTree  # takes a moment to load

            low = np.full(len(objects), np.inf)
            owner = standing.objects[standing.of_point]
            np.minimum.at(low, owner, standing.points[:, 2])
            _, nearest = cKDTree(standing.points[:, :2]).query(outlines.points[first[unknown], :2])
            bases[unknown] = low[owner[nearest]]
    return bases
