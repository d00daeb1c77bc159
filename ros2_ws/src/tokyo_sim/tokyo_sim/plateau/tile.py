"""One PLATEAU file to one triangulated tile: the unit of work that a pool of processes shares."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from occ_core.classes import Semantic
from tokyo_sim.plateau.citygml import read_city_objects
from tokyo_sim.plateau.materials import CLASS_MATERIALS, building_colours
from tokyo_sim.plateau.model import CityObject, ImportProblem, Skipped, Surface, Tile
from tokyo_sim.plateau.projection import to_metres, zone_epsg
from tokyo_sim.plateau.triangulate import roof_prisms, triangulate

_SOLID = (Semantic.BUILDING, Semantic.BRIDGE, Semantic.FURNITURE)
# Walls reach this far below the base so that no gap opens where the ground falls away.
_BURY_M = 0.5


def read_tile(path: Path) -> Tile:
    """Parse, project and triangulate a file; bad objects go to `skipped`. ImportProblem where nothing is left."""
    visual: dict[Semantic, list[np.ndarray]] = defaultdict(list)
    colours: dict[Semantic, list[np.ndarray]] = defaultdict(list)
    prisms: list[np.ndarray] = []
    skipped: list[Skipped] = []
    lods: Counter[int] = Counter()
    epsg = 0
    for entry in read_city_objects(path):
        if isinstance(entry, Skipped):
            skipped.append(entry)
            continue
        if problem := _outside_japan(entry):
            skipped.append(Skipped(entry.gml_id, problem))
            continue
        epsg = epsg or zone_epsg(*entry.surfaces[0].rings[0][0, :2])
        projected = _project(entry, epsg)
        pieces = [(surface.semantic, triangulate(surface.rings)) for surface in projected.surfaces]
        if not any(len(triangles) for _, triangles in pieces):
            skipped.append(Skipped(entry.gml_id, "all of its surfaces have no area"))
            continue
        for semantic, triangles in pieces:
            visual[semantic].append(triangles)
            colours[semantic].append(_colours(projected, semantic, triangles))
        prisms.extend(_prisms(projected))
        lods[entry.lod] += 1
    if not lods:
        first = f", the first because {skipped[0].reason}" if skipped else ""
        raise ImportProblem(f"{path.name}: no city object could be read ({len(skipped)} skipped{first})")
    return Tile(
        name=path.stem,
        feature=projected.feature,
        epsg=epsg,
        visual={semantic: np.concatenate(parts) for semantic, parts in visual.items()},
        colours={semantic: np.concatenate(parts) for semantic, parts in colours.items()},
        prisms=tuple(prisms),
        objects=sum(lods.values()),
        skipped=tuple(skipped),
        lods=dict(lods),
    )


def _outside_japan(entry: CityObject) -> str:
    """Why an object's coordinates can't be latitudes and longitudes of Japan; '' where they can."""
    points = np.concatenate([ring for surface in entry.surfaces for ring in surface.rings])
    (south, west), (north, east) = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    if 20 <= south and north <= 46 and 122 <= west and east <= 154:
        return ""
    return f"({south:g}, {west:g}) is no latitude and longitude in Japan; PLATEAU is in EPSG:6697, latitude first"


def _project(entry: CityObject, epsg: int) -> CityObject:
    """One call of the projection for the whole object: PROJ's cost is per call, not per point."""
    rings = [ring for surface in entry.surfaces for ring in surface.rings]
    metres = to_metres(np.concatenate(rings), epsg)
    pieces = iter(np.split(metres, np.cumsum([len(ring) for ring in rings])[:-1]))
    surfaces = [replace(surface, rings=tuple(next(pieces) for _ in surface.rings)) for surface in entry.surfaces]
    return replace(entry, surfaces=tuple(surfaces))


def _colours(entry: CityObject, semantic: Semantic, triangles: np.ndarray) -> np.ndarray:
    """(n, 3) uint8 of triangles (n, 3, 3) of an object."""
    if semantic is not Semantic.BUILDING:
        return np.tile(CLASS_MATERIALS[semantic], (len(triangles), 1))
    heights = np.concatenate([ring[:, 2] for surface in entry.surfaces for ring in surface.rings])
    pair = building_colours(entry.gml_id, entry.usage, entry.measured_height or float(np.ptp(heights)))
    edges = triangles[:, 1:] - triangles[:, :1]
    normals = np.cross(edges[:, 0], edges[:, 1])
    return pair[(normals[:, 2] > 0.5 * np.linalg.norm(normals, axis=1)).astype(int)]


def _prisms(entry: CityObject) -> list[np.ndarray]:
    if entry.surfaces[0].semantic not in _SOLID and entry.feature != "veg":
        return []
    base = min(ring[:, 2].min() for surface in entry.surfaces for ring in surface.rings) - _BURY_M
    return [prism for surface in entry.surfaces if _is_roof(surface) for prism in roof_prisms(surface.rings, base)]


def _is_roof(surface: Surface) -> bool:
    return surface.kind in ("", "RoofSurface", "OuterFloorSurface", "BuildingInstallation")
