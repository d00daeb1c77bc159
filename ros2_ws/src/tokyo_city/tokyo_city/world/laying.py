"""Where ground is laid: over every imported square that has no relief, and below whatever stands beside the relief."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import shapely
from scipy.ndimage import label

from occ_core.parallel import Backend, run_tasks
from occ_core.progress import ProgressBar
from tokyo_city.plateau.ground import CELL_M, NEAR_M, REACH_M, SIDE, SQUARE_M, SquareGround, without_gaps, without_holes
from tokyo_city.plateau.meshcodes import DegreeBox, code_of, mesh_box
from tokyo_city.plateau.projection import to_metres
from tokyo_city.plateau.sources import Region
from tokyo_city.world.placing import GroundJob, SquareJob, square_ground
from tokyo_city.world.store import StoredTile

_BEYOND_M = 200.0  # what stands on a square's edge reaches so far out of it
_SQUARE_DIGITS = 8  # of the mesh code of a square kilometre: larger tiles hold a few features of theirs, often

Square = tuple[int, int]


def near_keys(tiles: list[StoredTile], low: np.ndarray, high: np.ndarray, reach: float = 0.0) -> tuple[str, ...]:
    """Keys of the tiles that come within reach of a rectangle, (2,) metres in their zone."""
    return tuple(tile.key for tile in tiles if tile.near(low - reach, high + reach))


def ground_jobs(
    tiles: list[StoredTile],
    origin: tuple[float, float, float],
    store: Path,
    city: Path,
    region: Region,
    engine: Backend,
    workers: int | None,
) -> list[GroundJob]:
    """The squares to lay ground in. origin: (3,) metres of the anchor in the zone."""
    relief = [tile for tile in tiles if tile.feature == "dem"]
    standing = [tile for tile in tiles if tile.feature != "dem"]
    outlines = [shape for tile in standing for shape in _outlines(tile, region, relief)]
    bounds = [(np.array(tile.low[:2]) - REACH_M, np.array(tile.high[:2]) + REACH_M) for tile in standing]
    bounds += [(np.array(shape.bounds[:2]), np.array(shape.bounds[2:])) for shape in outlines]
    squares = sorted({square for low, high in bounds for square in _touched(low, high)})
    jobs = []
    for square in squares:
        low = np.array(square) * SQUARE_M
        around, below = (near_keys(group, low, low + SQUARE_M, REACH_M) for group in (standing, relief))
        jobs.append(SquareJob(store, (float(low[0]), float(low[1])), around, below))
    found: dict[Square, SquareGround] = {}
    with ProgressBar(len(jobs), "ground", "square") as progress:
        for job, ground in run_tasks(engine, square_ground, jobs, workers):
            found[_square(job.corner)] = ground
            progress.update()
    out = []
    for first, heights, wanted in _patches(found, outlines):
        for square in (s for s in squares if s in found):
            x, y = (SIDE * (square[axis] - first[axis]) for axis in (0, 1))
            cells = wanted[max(x, 0) : x + SIDE, max(y, 0) : y + SIDE]
            if min(x, y) < 0 or cells.shape != (SIDE, SIDE) or not cells.any():
                continue
            low = np.array(square) * SQUARE_M
            keys = (near_keys(group, low, low + SQUARE_M, CELL_M) for group in (relief, standing))
            name, corner = f"ground_{square[0]}_{square[1]}", (float(low[0]), float(low[1]))
            nodes = heights[x : x + SIDE + 1, y : y + SIDE + 1]
            out.append(GroundJob(store, city, name, origin, corner, nodes, cells, *keys))
    return out


def _square(corner: tuple[float, float]) -> Square:
    return round(corner[0] / SQUARE_M), round(corner[1] / SQUARE_M)


def _touched(low: np.ndarray, high: np.ndarray) -> product:
    return product(*(range(int(a // SQUARE_M), int(b // SQUARE_M) + 1) for a, b in zip(low, high, strict=True)))


def _outlines(tile: StoredTile, region: Region, relief: list[StoredTile]) -> list[shapely.Geometry]:
    """What of a tile's mesh square was asked for, metres in the zone; nothing where there is relief."""
    code = code_of(tile.source.rpartition(":")[2].rpartition("/")[2])
    if len(code) < _SQUARE_DIGITS:
        return []
    box = mesh_box(code)
    out = []
    for wanted in region.boxes or (box,):
        if box.touches(wanted):
            south, west = max(box.south, wanted.south), max(box.west, wanted.west)
            north, east = min(box.north, wanted.north), min(box.east, wanted.east)
            out.append(_in_zone(DegreeBox(south, west, north, east), tile.epsg))
    return [
        _with_what_reaches_out(shape, tile)
        for shape in out
        if not near_keys(relief, *np.array(shape.bounds).reshape(2, 2))
    ]


def _with_what_reaches_out(shape: shapely.Geometry, tile: StoredTile) -> shapely.Geometry:
    """The rectangle around a square and what of its tile stands at its edge: ground ends in straight lines."""
    low, high = np.array(shape.bounds).reshape(2, 2)
    low = np.clip(np.array(tile.low[:2]) - NEAR_M, low - _BEYOND_M, low)
    high = np.clip(np.array(tile.high[:2]) + NEAR_M, high, high + _BEYOND_M)
    return shapely.box(*low, *high)


def _in_zone(box: DegreeBox, epsg: int) -> shapely.Geometry:
    corners = [(box.south, box.west), (box.south, box.east), (box.north, box.east), (box.north, box.west)]
    return shapely.polygons(to_metres(np.array([(*corner, 0.0) for corner in corners]), epsg)[:, :2])


def _patches(found: dict[Square, SquareGround], outlines: list[shapely.Geometry]):
    """Squares that touch each other, as one patch: its first square, heights of its nodes, and the cells to lay.

    heights: (n + 1, m + 1) metres, without gaps; wanted: (n, m) bool.
    """
    if not found:
        return
    squares = np.array(sorted(found))
    low = squares.min(axis=0)
    grid = np.zeros(squares.max(axis=0) - low + 1, dtype=bool)
    grid[tuple((squares - low).T)] = True
    parts, count = label(grid, structure=np.ones((3, 3)))
    for number in range(1, count + 1):
        members = np.argwhere(parts == number) + low
        first, last = members.min(axis=0), members.max(axis=0)
        shape = (last - first + 1) * SIDE
        heights, near = np.full(shape + 1, np.nan), np.zeros(shape, dtype=bool)
        for square in map(tuple, members.tolist()):
            x, y = SIDE * (np.array(square) - first)
            heights[x : x + SIDE, y : y + SIDE] = found[square].heights
            near[x : x + SIDE, y : y + SIDE] = found[square].near
        wanted = without_holes(near)
        for outline in outlines:
            _mark(wanted, outline, first * SQUARE_M)
        yield first, without_gaps(heights), wanted


def _mark(wanted: np.ndarray, outline: shapely.Geometry, corner: np.ndarray) -> None:
    """Set the cells (n, m) that an outline reaches into. corner: (2,) metres of the first cell."""
    low, high = np.array(outline.bounds).reshape(2, 2)
    begin = np.maximum(np.floor((low - corner) / CELL_M).astype(int), 0)
    end = np.minimum(np.ceil((high - corner) / CELL_M).astype(int), wanted.shape)
    if (end <= begin).any():
        return
    axes = [corner[axis] + CELL_M * (np.arange(begin[axis], end[axis]) + 0.5) for axis in (0, 1)]
    x, y = np.meshgrid(*axes, indexing="ij")
    near = shapely.buffer(outline, CELL_M / 2)
    shapely.prepare(near)
    wanted[begin[0] : end[0], begin[1] : end[1]] |= shapely.contains_xy(near, x, y)
