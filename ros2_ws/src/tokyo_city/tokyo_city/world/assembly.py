"""Stored tiles to the parts of a city: what stands, the ground around it, and the surface to drive on."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from occ_core.parallel import run_tasks
from occ_core.progress import ProgressBar
from tokyo_city.plateau.areas import AREA_FOLDERS
from tokyo_city.plateau.ground import SQUARE_M
from tokyo_city.world.drivable import DrivableJob, lay, load_compiled
from tokyo_city.world.laying import ground_jobs, near_keys
from tokyo_city.world.placing import GroundJob, Placed, PlaceJob, place
from tokyo_city.world.sdf import Anchor, WorldModel
from tokyo_city.world.store import StoredTile

if TYPE_CHECKING:
    from tokyo_city.world.city import Options


def place_all(
    tiles: list[StoredTile], repeats: list[dict[int, int]], anchor: Anchor, store: Path, city: Path, options: Options
) -> list[Placed]:
    """Write all meshes; what was placed, in the order of names."""
    origin = (anchor.east, anchor.north, anchor.height)
    relief = [tile for tile in tiles if tile.feature == "dem"]
    areas = [tile for tile in tiles if tile.feature in AREA_FOLDERS or tile.without_height]
    around = {"bldg": relief, "dem": areas}
    pages = np.concatenate([[0], np.cumsum([tile.pages for tile in tiles])])
    jobs: list[PlaceJob | GroundJob] = [
        PlaceJob(
            store,
            city,
            tile.key,
            tile.name,
            tile.feature,
            origin,
            first,
            tile.pages,
            near_keys(around.get(tile.feature, []), np.array(tile.low[:2]), np.array(tile.high[:2])),
            options.target_faces,
            options.prisms,
            tuple(sorted(repeat)),
        )
        for tile, first, repeat in zip(tiles, pages.tolist(), repeats, strict=False)
    ]
    jobs += ground_jobs(tiles, origin, store, city, options.region, options.engine, options.workers)
    load_compiled()
    progress = ProgressBar(len(jobs), "write", "part")
    placed = []
    with progress:
        for part in run_tasks(options.engine, place, jobs, options.workers):
            placed.append(part)
            progress.update()
    return sorted(placed, key=lambda part: part.name)


def lay_all(placed: list[Placed], anchor: Anchor, city: Path, options: Options) -> list[WorldModel]:
    """The surface to drive on, square by square."""
    origin = np.array([anchor.east, anchor.north])
    laid = [part for part in placed if part.models]
    squares = sorted(
        {
            square
            for part in laid
            if part.ground or "bridge" in part.triangles
            for square in product(
                *(range(int(a // SQUARE_M), int(b // SQUARE_M) + 1) for a, b in _bounds(part, origin))
            )
        }
    )
    jobs = []
    for square in squares:
        low = np.array(square) * SQUARE_M - origin
        parts = tuple(
            (part.name, part.ground)
            for part in laid
            if (np.array(part.low) <= low + SQUARE_M).all() and (np.array(part.high) >= low).all()
        )
        jobs.append(DrivableJob(city, f"drivable_{square[0]}_{square[1]}", (float(low[0]), float(low[1])), parts))
    with ProgressBar(len(jobs), "surface", "square") as progress:
        models = []
        for model in run_tasks(options.engine, lay, jobs, options.workers):
            models += [model] if model else []
            progress.update()
    return sorted(models, key=lambda model: model.name)


def _bounds(part: Placed, origin: np.ndarray) -> list[tuple[float, float]]:
    return [(part.low[axis] + origin[axis], part.high[axis] + origin[axis]) for axis in (0, 1)]
